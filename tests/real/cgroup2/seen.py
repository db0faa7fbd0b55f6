"""What a visit of the virtual machine brought, to be asked about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.parser import text_string_to_metric_families

from tests.real.cgroup2.families import HOST, Files, Labels, Values

if TYPE_CHECKING:
    from collections.abc import Mapping

_IDENTITY: Final = ("id", "image")
_ALLOWED: Final = "container_label_"


class Page:
    """One scrape: the values of each family by whose they are (`/`: the host's) and by what labels they have besides.

    `with_id` names the families whose series have a cgroup's path, `identities` the labels that come with it, name aside.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.values: dict[str, dict[str, Values]] = {}
        self.identities: dict[str, set[Labels]] = {}
        self.with_id: set[str] = set()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                # The parser ends the name of every counter in this way.
                written = sample.name.replace("_failcnt_total", "_failcnt")
                labels = dict(sample.labels)
                name = HOST if labels.get("id") == HOST else labels.pop("name", "")
                if "id" in labels:
                    identity = {
                        key: labels.pop(key)
                        for key in tuple(labels)
                        if key in _IDENTITY or key.startswith(_ALLOWED)
                    }
                    self.identities.setdefault(name, set()).add(tuple(sorted(identity.items())))
                    self.with_id.add(written)
                rest = tuple(sorted(labels.items()))
                self.values.setdefault(written, {}).setdefault(name, {})[rest] = sample.value

    def of(self, family: str, name: str = "") -> Values:
        """What a family says of somebody; without a name, of nobody in particular."""
        return self.values.get(family, {}).get(name, {})


@dataclass(frozen=True)
class Seen:
    """Everything the visit brought; the moments in their order: kernel 0, scrape 0, kernel 1, stats, kernel 2, scrape 1, kernel 3."""

    raw: Mapping[str, Any]
    scrapes: tuple[Page, Page]
    fallback: Page

    def kernel(self, moment: int, name: str) -> Files:
        """The kernel's files of a container, or of the host, at a moment."""
        return self._files(self.raw["kernel"][moment], name)

    def around_fallback(self, name: str) -> tuple[Files, Files]:
        """The same, before the second exporter asked Docker anything, and after it was scraped."""
        around = self.raw["fallback"]
        return self._files(around["first"], name), self._files(around["last"], name)

    def inspect(self, name: str) -> Mapping[str, Any]:
        """What Docker says of a container."""
        found: Mapping[str, Any] = self.raw["inspect"][name]
        return found

    @staticmethod
    def _files(reading: Mapping[str, Any], name: str) -> Files:
        rows = [line.split() for line in reading["host"]["partitions"].splitlines()[2:]]
        names = {f"name of {major}:{minor}": device for major, minor, _, device in rows}
        own: Files = reading["host"] if name == HOST else reading["containers"][name]
        return {**names, **own}
