"""The alert state machine: what one evaluation does to the instances of one rule. Pure.

Prometheus' semantics to the letter, and one addition: an alert that stops because its target fell silent is remembered
as *lost* until its sources can be seen again, so that nobody is told "all is well" by a watcher that cannot see.

    inactive --produced--> pending --held for `for`--> firing --not produced--> inactive (resolved, kept 15 min)
                              |                           |
                              +--not produced--> gone     +--keep_firing_for--> firing

Source: rules/alerting.go of Prometheus; numbers in comments are steps of its Eval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from alerting.alerts import Ending
from alerting.labels import Labels

RESOLVED_RETENTION: Final = timedelta(minutes=15)
STOP_GRACE: Final = timedelta(seconds=3)
"""How long "stopped on request" is not believed: a daemon that shuts down stops every container the same way, and then falls silent."""


class AlertState(StrEnum):
    """State of one alert instance."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One alert of a rule, identified by its labels (which include ``alertname``)."""

    labels: Labels
    annotations: Mapping[str, str]
    value: float
    state: AlertState
    active_at: datetime
    fired_at: datetime | None = None
    resolved_at: datetime | None = None
    keep_firing_since: datetime | None = None
    lost_told: str = ""  # of an alert out of sight: the reason that was handed on


@dataclass(frozen=True, slots=True, kw_only=True)
class Produced:
    """One element of the rule's result, with its labels and annotations expanded."""

    labels: Labels
    annotations: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A firing alert that is over, and why; ``detail`` is a word for the message."""

    instance: Instance
    ending: Ending
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleState:
    """All instances of one rule, and the alerts it lost sight of."""

    instances: Mapping[Labels, Instance] = field(default_factory=dict)
    lost: Mapping[Labels, Instance] = field(default_factory=dict)

    @property
    def active(self) -> list[Instance]:
        """Pending and firing instances."""
        return [i for i in self.instances.values() if i.state is not AlertState.INACTIVE]

    @property
    def firing(self) -> list[Instance]:
        """Firing instances."""
        return [i for i in self.instances.values() if i.state is AlertState.FIRING]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """What an evaluation leads to: the new state, and the firing alerts that ended in it."""

    state: RuleState
    ended: tuple[Ended, ...] = ()


class EvaluationFailed(Exception):  # noqa: N818 - says what happened, as in Prometheus' lastError
    """The evaluation counts as failed; nothing changes (or, for the limit, all instances are dropped)."""


# Tells why an instance that is no longer produced stopped.
WhyEnded = Callable[[Instance], tuple[Ending, str]]


def advance(
    old: RuleState,
    produced: Sequence[Produced],
    now: datetime,
    *,
    hold: timedelta,
    keep_firing_for: timedelta,
    why: WhyEnded,
) -> Transition:
    """Carry one successful evaluation out.

    Raises:
        EvaluationFailed: Two produced elements have equal labels.
    """
    current = _by_labels(produced)
    instances: dict[Labels, Instance] = {}
    stopped: list[Instance] = []
    for labels, instance in old.instances.items():
        if labels in current and instance.state is not AlertState.INACTIVE:
            continue  # carried over below, from what was produced now
        kept = _not_produced(instance, now, keep_firing_for)
        if kept is not None:
            instances[labels] = kept
            if instance.state is AlertState.FIRING and kept.state is AlertState.INACTIVE:
                stopped.append(kept)
    for labels, element in current.items():
        known = old.instances.get(labels)
        instances[labels] = _produced(known, old.lost.get(labels), element, now, hold)
        if known is not None and _taken_back(known, instances[labels]):
            stopped.append(known)
    return _settle(old, instances, stopped, now, why)


def _by_labels(produced: Sequence[Produced]) -> dict[Labels, Produced]:
    found: dict[Labels, Produced] = {}
    for element in produced:
        if element.labels in found:
            raise EvaluationFailed(
                "vector contains metrics with the same labelset after applying alert labels; "
                f"make them distinct: {element.labels}"
            )
        found[element.labels] = element
    return found


def _not_produced(instance: Instance, now: datetime, keep_firing_for: timedelta) -> Instance | None:
    """Return what becomes of an instance that this evaluation did not produce (step 5)."""
    if instance.state is AlertState.PENDING:
        return None
    if instance.state is AlertState.INACTIVE:
        assert instance.resolved_at is not None
        return None if now - instance.resolved_at > RESOLVED_RETENTION else instance
    if keep_firing_for > timedelta():
        since = instance.keep_firing_since or now
        if now - since < keep_firing_for:
            return replace(instance, keep_firing_since=since)
    return replace(instance, state=AlertState.INACTIVE, resolved_at=now)


def _produced(
    known: Instance | None, lost: Instance | None, element: Produced, now: datetime, hold: timedelta
) -> Instance:
    """Return the instance of an element produced now (steps 4 and 6)."""
    if known is None or known.state is AlertState.INACTIVE:
        # An alert we lost sight of has been active all along, as far as anybody knows.
        active_at = lost.active_at if lost is not None else now
        known = Instance(
            labels=element.labels,
            annotations=element.annotations,
            value=element.value,
            state=AlertState.PENDING,
            active_at=active_at,
        )
    current = replace(
        known, annotations=element.annotations, value=element.value, keep_firing_since=None, resolved_at=None
    )
    if current.active_at > now:  # the clock was set back: what fired goes on, what was pending begins again
        spent = hold if current.state is AlertState.FIRING else timedelta()
        current = replace(current, active_at=now - spent)
    held = now - current.active_at >= hold
    if current.state is AlertState.PENDING and held:
        return replace(current, state=AlertState.FIRING, fired_at=lost.fired_at if lost is not None else now)
    if current.state is AlertState.FIRING and not held:  # `for` was raised by a reload
        return replace(current, state=AlertState.PENDING, fired_at=None)
    return current


def _taken_back(before: Instance, after: Instance) -> bool:
    """Whether a raised `for` made a firing alert pending: it was told, so its end, if that is next, must be told too."""
    return before.state is AlertState.FIRING and after.state is AlertState.PENDING


def _settle(
    old: RuleState,
    instances: dict[Labels, Instance],
    stopped: Sequence[Instance],
    now: datetime,
    why: WhyEnded,
) -> Transition:
    """Ask why alerts ended, and ask again for those that were undecided."""
    lost: dict[Labels, Instance] = {}
    ended: list[Ended] = []
    for instance in (*old.lost.values(), *stopped):
        current = instances.get(instance.labels)
        if current is not None and current.state is AlertState.FIRING:
            continue
        ending, detail = why(instance)
        pending = current is not None and current.state is AlertState.PENDING
        if pending or _too_soon(instance, now, ending, detail):
            lost[instance.labels] = instance  # nothing is said until that is decided
            continue
        if ending is Ending.LOST_SIGHT:
            told_before = instance.labels in old.lost and instance.lost_told == detail
            lost[instance.labels] = replace(instance, lost_told=detail)
            if told_before:
                continue
        ended.append(Ended(instance=instance, ending=ending, detail=detail))
    return Transition(state=RuleState(instances=instances, lost=lost), ended=tuple(ended))


def _too_soon(instance: Instance, now: datetime, ending: Ending, detail: str) -> bool:
    stopped = ending is Ending.REMOVED and detail == "stopped"
    return stopped and instance.resolved_at is not None and now - instance.resolved_at < STOP_GRACE


def without_instances(old: RuleState) -> RuleState:
    """Return what is left when every instance is dropped (step 7).

    What fired was told, so it is kept as lost: its end will be told when the rule works again.
    """
    return RuleState(lost={**old.lost, **{i.labels: i for i in old.firing}})


def over_limit(state: RuleState, limit: int) -> str | None:
    """Return the error of a rule with more active alerts than the group's limit (step 7), or None."""
    count = len(state.active)
    if limit > 0 and count > limit:
        return f"exceeded limit of {limit} with {count} alerts"
    return None
