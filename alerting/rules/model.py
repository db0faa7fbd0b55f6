"""Rule groups as loaded: checked, parsed, unchanging.

Source: https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from alerting.promql.parse import Query
from alerting.templates import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRule:
    """A rule that writes its result as a new series named ``record``."""

    record: str
    query: Query
    labels: Mapping[str, str]
    line: int

    @property
    def name(self) -> str:
        """The name the APIs show."""
        return self.record


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertingRule:
    """A rule whose every result element is an alert.

    ``label_templates`` and ``annotation_templates`` are the parsed texts of ``labels`` and ``annotations``.
    """

    alert: str
    query: Query
    hold: timedelta  # `for`
    keep_firing_for: timedelta
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    label_templates: Mapping[str, Template]
    annotation_templates: Mapping[str, Template]
    line: int

    @property
    def name(self) -> str:
        """The name the APIs show."""
        return self.alert


Rule = RecordingRule | AlertingRule


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleGroup:
    """Rules evaluated together, in order, at one timestamp; (file, name) identifies it."""

    file: str
    name: str
    interval: timedelta
    query_offset: timedelta
    limit: int
    rules: tuple[Rule, ...]

    @property
    def key(self) -> str:
        """The group's identity as one text."""
        return f"{self.file};{self.name}"

    @property
    def metrics(self) -> frozenset[str]:
        """Metric names the group's expressions select; an empty name stands for any."""
        return frozenset(s.metric for rule in self.rules for s in rule.query.selectors)
