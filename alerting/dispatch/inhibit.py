"""Inhibition: an alert that explains others hides them.

Source: https://prometheus.io/docs/alerting/latest/configuration/#inhibition-related-settings, inhibit/inhibit.go of Alertmanager.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alerting.labels import Labels, Matcher


@dataclass(frozen=True, slots=True, kw_only=True)
class InhibitRule:
    """While a source alert is active, targets with the same values of ``equal`` are hidden.

    A label missing on both sides counts as equal.
    """

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()

    def is_source(self, labels: Mapping[str, str]) -> bool:
        """Tell whether an alert can hide others by this rule."""
        return all(matcher.matches_labels(labels) for matcher in self.source)

    def is_target(self, labels: Mapping[str, str]) -> bool:
        """Tell whether an alert can be hidden by this rule."""
        return all(matcher.matches_labels(labels) for matcher in self.target)

    def key(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Return the values that source and target must share."""
        return tuple(labels.get(name, "") for name in self.equal)


class Inhibitor:
    """The sources active at one moment, indexed so that asking about a target is cheap."""

    def __init__(self, rules: Sequence[InhibitRule], active: Iterable[Labels]) -> None:
        self._rules = rules
        self._sources: list[dict[tuple[str, ...], list[Labels]]] = [{} for _ in rules]
        for labels in active:
            for rule, sources in zip(rules, self._sources, strict=True):
                if rule.is_source(labels):
                    sources.setdefault(rule.key(labels), []).append(labels)

    def inhibited_by(self, labels: Labels) -> Labels | None:
        """Return an active alert that hides this one, or None.

        An alert that matches both sides of a rule is not hidden by another that does too.
        """
        for rule, sources in zip(self._rules, self._sources, strict=True):
            candidates = sources.get(rule.key(labels), ())
            if not candidates or not rule.is_target(labels):
                continue
            two_faced = rule.is_source(labels)
            for source in candidates:
                if source != labels and not (two_faced and rule.is_target(source)):
                    return source
        return None
