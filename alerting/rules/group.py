"""One evaluation of one rule group: query, expand templates, advance the state machine, write the rule series.

Rules run in file order at one timestamp and see what earlier rules of the group wrote.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from alerting.alerts import Alert, Ending
from alerting.labels import METRIC_NAME, Labels
from alerting.promql.backend import Backend
from alerting.promql.errors import QueryError
from alerting.promql.values import Sample, Scalar, Value
from alerting.rules.ending import Latest, why_ended
from alerting.rules.expand import Expansion, RuleQuery, Surroundings, expand
from alerting.rules.model import AlertingRule, RecordingRule, Rule, RuleGroup
from alerting.rules.state import (
    AlertState,
    Ended,
    EvaluationFailed,
    Instance,
    RuleState,
    advance,
    over_limit,
    without_instances,
)
from alerting.window import Window
from vakhta import logs

_log = logs.get("alerting.rules")
_SAMPLE_LABEL: Final = "alertstate"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What an evaluation may use.

    ``latest_at`` and ``query_at`` take the evaluation's time in milliseconds and return the functions for that time.
    """

    backend: Backend
    window: Window
    latest_at: Callable[[int], Latest]
    query_at: Callable[[int], RuleQuery]
    external_url: str = ""
    external_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class RuleHealth:
    """How a rule's last evaluation went, as the APIs show it."""

    health: str = "unknown"
    last_error: str = ""
    evaluated_at: datetime | None = None
    seconds: float = 0.0
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one evaluation of a group says: every alert that fires, and those that ended in it."""

    group: RuleGroup
    at: datetime
    firing: tuple[Alert, ...]
    ended: tuple[Alert, ...]


class GroupEvaluator:
    """Holds the states of one group's rules and evaluates them.

    Args:
        group: The rules.
        world: What they may use.
    """

    def __init__(self, group: RuleGroup, world: World) -> None:
        self.group = group
        self.states: list[RuleState] = [RuleState() for _ in group.rules]
        self.health: list[RuleHealth] = [RuleHealth() for _ in group.rules]
        self.last_evaluation: datetime | None = None
        self.seconds = 0.0
        self._world = world
        self._written: list[set[Labels]] = [set() for _ in group.rules]
        self._expanded: list[dict[Labels, Expansion]] = [{} for _ in group.rules]

    def resume(self, index: int, state: RuleState) -> None:
        """Give a rule the state it had in an earlier process."""
        self.states[index] = state
        self._written[index] = set(_state_series(state))

    async def evaluate(self, at: datetime) -> Outcome:
        """Evaluate every rule at this time."""
        started = time.perf_counter()
        ended: list[Alert] = []
        for index, rule in enumerate(self.group.rules):
            ended.extend(await self._evaluate_rule(index, rule, at))
        self.last_evaluation = at
        self.seconds = time.perf_counter() - started
        return Outcome(group=self.group, at=at, firing=tuple(self.firing()), ended=tuple(ended))

    def firing(self) -> list[Alert]:
        """Return every alert that fires now."""
        return [as_alert(instance) for state in self.states for instance in state.firing]

    async def _evaluate_rule(self, index: int, rule: Rule, at: datetime) -> list[Alert]:
        health = self.health[index]
        started = time.perf_counter()
        sample_ms = _ms(at - self.group.query_offset)
        ended: tuple[Ended, ...] = ()
        try:
            result = (await self._world.backend.query(rule.query, sample_ms)).value
            if isinstance(rule, AlertingRule):
                ended = self._advance(index, rule, _vector(result), at, sample_ms)
            else:
                self._record(index, rule, _vector(result), sample_ms)
            health.health, health.last_error = "ok", ""
        except (QueryError, EvaluationFailed) as exc:
            if str(exc) != health.last_error:
                _log.warning("rule failed", group=self.group.name, rule=rule.name, error=str(exc))
            health.health, health.last_error = "err", str(exc)
            health.failures += 1
        health.evaluated_at = at
        health.seconds = time.perf_counter() - started
        return [as_alert(e.instance, ending=e.ending, detail=e.detail, ended_at=at) for e in ended]

    def _advance(
        self, index: int, rule: AlertingRule, vector: Sequence[Sample], at: datetime, sample_ms: int
    ) -> tuple[Ended, ...]:
        world = self._world
        around = Surroundings(
            now=at,
            query=world.query_at(sample_ms),
            external_url=world.external_url,
            external_labels=world.external_labels,
        )
        earlier = self._expanded[index]
        expanded = {s.labels: expand(rule, s, around, earlier.get(s.labels)) for s in vector}
        self._expanded[index] = expanded
        produced = [expanded[sample.labels].produced for sample in vector]
        latest = world.latest_at(sample_ms)

        def why(instance: Instance) -> tuple[Ending, str]:
            return why_ended(instance.labels, instance.annotations, rule.query, rule.labels, latest)

        step = advance(
            self.states[index], produced, at, hold=rule.hold, keep_firing_for=rule.keep_firing_for, why=why
        )
        error = over_limit(step.state, self.group.limit)
        if error is not None:
            self.states[index] = without_instances(self.states[index])
            raise EvaluationFailed(error)
        self.states[index] = step.state
        self._write(index, _state_series(step.state), sample_ms)
        return step.ended

    def _record(self, index: int, rule: RecordingRule, vector: Sequence[Sample], sample_ms: int) -> None:
        series: dict[Labels, float] = {}
        for sample in vector:
            labels = sample.labels.with_({**rule.labels, METRIC_NAME: rule.record})
            if labels in series:
                raise EvaluationFailed(
                    "vector contains metrics with the same labelset after applying rule labels"
                )
            series[labels] = sample.value
        if 0 < self.group.limit < len(series):
            raise EvaluationFailed(f"exceeded limit of {self.group.limit} with {len(series)} series")
        self._write(index, series, sample_ms)

    def _write(self, index: int, series: Mapping[Labels, float], sample_ms: int) -> None:
        for labels, value in series.items():
            self._world.window.append(labels, sample_ms, value)
        for labels in self._written[index] - series.keys():
            self._world.window.stale(labels, sample_ms)
        self._written[index] = set(series)

    def adopt(self, other: GroupEvaluator) -> None:
        """Take over the states of an earlier version of this group, rule by rule, matched on name and labels."""
        earlier: dict[tuple[str, Labels], list[int]] = {}
        for index, rule in enumerate(other.group.rules):
            earlier.setdefault((rule.name, Labels(rule.labels)), []).append(index)
        for index, rule in enumerate(self.group.rules):
            matches = earlier.get((rule.name, Labels(rule.labels)))
            if matches:
                source = matches.pop(0)
                self.states[index] = other.states[source]
                self.health[index] = other.health[source]
                self._written[index] = other._written[source]


def as_alert(
    instance: Instance, *, ending: Ending | None = None, detail: str = "", ended_at: datetime | None = None
) -> Alert:
    """Return the record that dispatch and the APIs read."""
    return Alert(
        labels=instance.labels,
        annotations=instance.annotations,
        active_at=instance.active_at,
        value=instance.value,
        ended_at=ended_at,
        ending=ending,
        detail=detail,
    )


def _state_series(state: RuleState) -> dict[Labels, float]:
    series: dict[Labels, float] = {}
    for instance in state.active:
        base = {METRIC_NAME: "ALERTS", _SAMPLE_LABEL: str(instance.state)}
        series[instance.labels.with_(base)] = 1.0
        since = instance.labels.with_({METRIC_NAME: "ALERTS_FOR_STATE"})
        series[since] = float(int(instance.active_at.timestamp()))
    return series


def _vector(value: Value) -> Sequence[Sample]:
    if isinstance(value, Scalar):
        return [Sample(Labels(), value.t_ms, value.value)]
    if isinstance(value, list) and all(isinstance(item, Sample) for item in value):
        return [item for item in value if isinstance(item, Sample)]
    raise EvaluationFailed("rule result is not a vector or scalar")


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

__all__ = ["AlertState", "GroupEvaluator", "Outcome", "RuleHealth", "World", "as_alert"]
