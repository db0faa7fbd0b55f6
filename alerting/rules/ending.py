"""Why an alert stopped being produced: recovered, removed, or lost sight of.

A series that vanishes ends a Prometheus alert, whatever the reason. To a person the reasons differ: only *recovered*
is good news. The facts that tell them apart are samples like any others, so the decision is pure: it asks a function
for the newest samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from alerting.alerts import Ending
from alerting.labels import EMPTY, METRIC_NAME, Labels, Matcher, MatchOp
from alerting.promql.parse import Query
from alerting.promql.values import Sample

# Returns the newest sample of every live series that the matchers select.
Latest = Callable[[Sequence[Matcher]], Sequence[Sample]]
Verdict = tuple[Ending, str]

_HEALTH = "container_state_health_status"
# Exits after which a container that stays down is nobody's fault, and the word for it.
_ENDS = {"requested": "stopped", "completed": "completed"}


def why_ended(
    labels: Labels,
    annotations: Mapping[str, str],
    query: Query,
    rule_labels: Mapping[str, str],
    latest: Latest,
) -> Verdict:
    """Return why the alert with these labels is no longer produced, and a word about how.

    ``query`` and ``rule_labels`` are the rule's: a label that the rule sets identifies no source.
    """
    target = labels.keep(("job", "instance"))
    if "instance" in target:
        up = _value(latest, "up", target)
        if up is None:
            return Ending.REMOVED, "gone"
        if up == 0:
            return Ending.LOST_SIGHT, "silent"
    if annotations.get("vakhta_kind") == "container" and "name" in labels:
        until_healthy = annotations.get("vakhta_until") == "healthy"
        return _container(
            labels.keep(("job", "instance", "name")), target, latest, until_healthy=until_healthy
        )
    if _sources_live(labels.drop(("alertname", *rule_labels)), query, latest):
        return Ending.RECOVERED, ""
    if "instance" not in target and _any_silent(latest):
        return Ending.LOST_SIGHT, "silent"
    return Ending.REMOVED, "gone"


def _container(subject: Labels, target: Labels, latest: Latest, *, until_healthy: bool) -> Verdict:
    if _value(latest, "docker_up", target) == 0:
        return Ending.LOST_SIGHT, "frozen"
    status = next(
        (s.labels["status"] for s in _samples(latest, "container_state_status", subject) if s.value == 1), ""
    )
    if not status or status == "removing":
        return Ending.REMOVED, "gone"
    if status == "running":
        health = {s.labels["status"] for s in _samples(latest, _HEALTH, subject) if s.value == 1}
        # A check that starts afresh has not passed yet.
        undecided = until_healthy and "starting" in health
        return (Ending.LOST_SIGHT, "starting") if undecided else (Ending.RECOVERED, "")
    if status == "paused":
        return Ending.REMOVED, "paused"
    exits = _samples(latest, "container_last_exit_reason", subject)
    reason = next((s.labels["reason"] for s in exits if s.value == 1), "")
    if status in ("exited", "dead") and reason in _ENDS:
        return Ending.REMOVED, _ENDS[reason]
    # Neither running nor stopped on purpose: some other alert says so; this one cannot be called over.
    return Ending.LOST_SIGHT, "not running"


def _any_silent(latest: Latest) -> bool:
    """Whether any target is silent, or its facts frozen: an alert that names no target may come from there."""
    return any(sample.value == 0 for name in ("up", "docker_up") for sample in _samples(latest, name, EMPTY))


def _sources_live(subject: Labels, query: Query, latest: Latest) -> bool:
    """Whether a live series that the rule selects agrees with the alert on every label both carry."""
    for selector in query.selectors:
        for sample in latest(selector.matchers):
            theirs = sample.labels
            if all(theirs[name] == value for name, value in subject.items() if name in theirs):
                return True
    return False


def _samples(latest: Latest, metric: str, labels: Labels) -> Sequence[Sample]:
    wanted = [Matcher(METRIC_NAME, MatchOp.EQUAL, metric)]
    wanted.extend(Matcher(name, MatchOp.EQUAL, value) for name, value in labels.items())
    return latest(wanted)


def _value(latest: Latest, metric: str, labels: Labels) -> float | None:
    return next((sample.value for sample in _samples(latest, metric, labels)), None)
