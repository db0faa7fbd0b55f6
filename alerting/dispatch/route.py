"""The route tree: which receivers hear of an alert, and with what timing.

Source: https://prometheus.io/docs/alerting/latest/configuration/#route, dispatch/route.go of Alertmanager.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from alerting.labels import Labels, Matcher

ALL_LABELS: Final = "..."


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One node, with everything it inherits filled in.

    ``group_by`` of ``("...",)`` groups by all labels.
    """

    receiver: str
    matchers: tuple[Matcher, ...] = ()
    continue_: bool = False
    group_by: tuple[str, ...] = ()
    group_wait: timedelta = timedelta(milliseconds=200)
    group_interval: timedelta = timedelta(seconds=5)
    repeat_interval: timedelta = timedelta(hours=4)
    routes: tuple[Route, ...] = ()
    path: str = "{}"

    def match(self, labels: Mapping[str, str]) -> list[Route]:
        """Return the nodes an alert with these labels goes to, in order; empty if this node does not match.

        Depth first: children in order, until one matched that does not say ``continue``; with no such child, the node
        itself.
        """
        if not all(matcher.matches_labels(labels) for matcher in self.matchers):
            return []
        found: list[Route] = []
        for child in self.routes:
            matched = child.match(labels)
            found.extend(matched)
            if matched and not child.continue_:
                break
        return found or [self]

    def group_labels(self, labels: Labels) -> Labels:
        """Return the labels that name an alert's group on this route; labels it lacks do not count."""
        return labels if self.group_by == (ALL_LABELS,) else labels.keep(self.group_by)

    def walk(self) -> Iterator[Route]:
        """Yield this node and all below it."""
        yield self
        for child in self.routes:
            yield from child.walk()
