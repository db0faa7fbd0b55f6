"""Label sets whose text is written once.

A scrape of 150 containers has thousands of samples and some three hundred label sets that are the same in the next scrape. So a label set is
an object that keeps the text of each of its series, and a scrape takes the objects of the one before.
"""

__all__ = ["NO_LABELS", "LabelSet", "LabelSets", "Labels"]

# Name and value, in any order; empty values are not written.
Labels = tuple[tuple[str, str], ...]


class LabelSet:
    """The labels that the series of one kind and one container share; `text` adds those of a family."""

    __slots__ = ("_texts", "labels")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self._texts: dict[Labels, str] = {}

    def text(self, own: Labels) -> str:
        """Return the text of a series' labels, in braces and sorted by name; empty without labels."""
        text = self._texts.get(own)
        if text is None:
            pairs = sorted((name, value) for name, value in self.labels + own if value)
            text = (
                "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in pairs) + "}" if pairs else ""
            )
            self._texts[own] = text
        return text


NO_LABELS = LabelSet(())


class LabelSets:
    """The label sets of the last scrape and of this one; what a scrape does not ask for is dropped after it."""

    def __init__(self) -> None:
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


def _escape(value: str) -> str:
    if "\\" in value or "\n" in value or '"' in value:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value
