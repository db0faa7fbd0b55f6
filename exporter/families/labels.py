"""Label sets whose text is written once, and which of a container's own labels are among them.

A scrape of 150 containers has twelve thousand samples and some three hundred label sets that are the same in the next scrape. So a label set
is an object that keeps the text of each of its series, and a scrape takes the objects of the one before.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["DEFAULT_ALLOWED", "HOST", "NO_LABELS", "AllowedLabels", "LabelSet", "LabelSets", "Labels"]

# Name and value, in any order; empty values are not written.
Labels = tuple[tuple[str, str], ...]

# The container labels worth a place on each of cAdvisor's series; more would multiply them and can carry secrets.
_DEFAULT_KEYS: Final = (
    "com.docker.compose.project",
    "com.docker.compose.service",
    "com.docker.stack.namespace",
    "com.docker.swarm.service.name",
)
# Far more series than one label set has; devices and interfaces come and go while the host's set stays.
_TEXTS_KEPT: Final = 4096
_NOT_IN_A_NAME: Final = re.compile(r"[^a-zA-Z0-9_]")


class _Texts(dict[Labels, str]):
    """The texts of one label set's series, by the labels that the family adds; written when first asked for."""

    __slots__ = ("_labels",)

    def __init__(self, labels: Labels) -> None:
        super().__init__()
        self._labels = labels

    def __missing__(self, own: Labels) -> str:
        pairs = sorted((name, value) for name, value in self._labels + own if value)
        text = "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in pairs) + "}" if pairs else ""
        if len(self) >= _TEXTS_KEPT:
            self.clear()
        self[own] = text
        return text


class LabelSet:
    """The labels that the series of one kind and one container share.

    Attributes:
        labels: As given.
        texts: By the labels that a family adds (`texts[own]`) the text of a series' labels, in braces and sorted by name; empty without
            labels. A mapping rather than a method, because a scrape asks twelve thousand times.
    """

    __slots__ = ("labels", "texts")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.texts = _Texts(labels)

    def text(self, own: Labels) -> str:
        """Return `texts[own]`."""
        return self.texts[own]


NO_LABELS = LabelSet(())
# The host among cAdvisor's series.
HOST = LabelSet((("id", "/"),))


class LabelSets:
    """The label sets of the last scrape and of this one; what a scrape does not ask for is dropped after it.

    Attributes:
        kept: What whoever makes worlds keeps beside them.
    """

    def __init__(self) -> None:
        self.kept: object = None
        self._old: dict[Labels, LabelSet] = {}
        self._new: dict[Labels, LabelSet] = {}

    def __len__(self) -> int:
        return len(self._new)

    def turn(self) -> None:
        """Begin another scrape."""
        self._old, self._new = self._new, {}

    def get(self, labels: Labels) -> LabelSet:
        """Return the set with these labels."""
        found = self._new.get(labels)
        if found is None:
            found = self._new[labels] = self._old.get(labels) or LabelSet(labels)
        return found


class AllowedLabels:
    """Which labels of a container become `container_label_*`: the four of Compose and Swarm, and those the configuration names.

    Keys that differ only in characters a label name cannot have (`a.b`, `a_b`) share one name: the first in the order of the keys that has a
    value gives it, in every scrape.

    Args:
        keys: More keys, as Docker has them.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        by_name: dict[str, list[str]] = {}
        for key in sorted({*_DEFAULT_KEYS, *keys}):
            by_name.setdefault("container_label_" + _NOT_IN_A_NAME.sub("_", key), []).append(key)
        self._names = tuple((name, tuple(same)) for name, same in sorted(by_name.items()))

    def of(self, labels: Mapping[str, str]) -> Labels:
        """Return the allowed labels of a container that have a value."""
        found = []
        for name, keys in self._names:
            for key in keys:
                if value := labels.get(key):
                    found.append((name, value))
                    break
        return tuple(found)


DEFAULT_ALLOWED: Final = AllowedLabels()


def _escape(value: str) -> str:
    if not value.isascii():
        # Half a character would make the whole scrape impossible to encode.
        value = value.encode(errors="replace").decode()
    if "\\" in value or "\n" in value or '"' in value:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value
