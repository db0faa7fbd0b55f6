"""Our own families: one container's state, its exits and restarts, and the replicas of a Compose service.

They carry `name`, `project` and `service` and neither id nor image: to a person a re-created container is the same thing.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final, TypeVar

from exporter.docker.containers import Health, Status
from exporter.docker.exits import ExitReason
from exporter.docker.snapshot import ContainerView
from exporter.families.labels import Labels
from exporter.families.model import Family, MetricType, Sample, World
from exporter.memory import COUNTED_REASONS

__all__ = ["FAMILIES"]

_Read = Callable[[ContainerView], Iterable[tuple[Labels, float]]]
_Word = TypeVar("_Word", bound=StrEnum)
_NONE: Final[Labels] = ()


def _labels(name: str, values: Iterable[_Word]) -> tuple[tuple[_Word, Labels], ...]:
    """Pair each value of a label with its label set, built once."""
    return tuple((value, ((name, value.value),)) for value in values)


_STATUSES: Final = _labels("status", Status)
_HEALTHS: Final = _labels("status", Health)
_STATES: Final = _labels("state", Status)
_COUNTED: Final = _labels("reason", COUNTED_REASONS)
_REASONS: Final = dict(_labels("reason", ExitReason))


def _restarts(view: ContainerView) -> Iterable[tuple[Labels, float]]:
    return ((_NONE, view.restarts),)


def _last_reason(view: ContainerView) -> Iterable[tuple[Labels, float]]:
    return () if view.last_exit is None else ((_REASONS[view.last_exit.reason], 1),)


def _last_code(view: ContainerView) -> Iterable[tuple[Labels, float]]:
    return () if view.last_exit is None else ((_NONE, view.last_exit.code),)


def _last_exit_at(view: ContainerView) -> Iterable[tuple[Labels, float]]:
    return () if view.last_exit is None else ((_NONE, view.last_exit.at),)


def _last_oom(view: ContainerView) -> Iterable[tuple[Labels, float]]:
    return () if view.last_oom is None else ((_NONE, view.last_oom),)


def _first_seen(view: ContainerView) -> Iterable[tuple[Labels, float]]:
    return ((_NONE, view.first_seen),)


def _oom_killed(view: ContainerView) -> Iterable[tuple[Labels, float]]:
    return ((_NONE, view.facts.oom_killed),) if view.facts.complete else ()


def _started_at(view: ContainerView) -> Iterable[tuple[Labels, float]]:
    return () if view.started_at is None else ((_NONE, view.started_at),)


def _finished_at(view: ContainerView) -> Iterable[tuple[Labels, float]]:
    return () if view.finished_at is None else ((_NONE, view.finished_at),)


def _restart_count(view: ContainerView) -> Iterable[tuple[Labels, float]]:
    return ((_NONE, view.facts.restart_count),) if view.facts.complete else ()


def _failing_streak(view: ContainerView) -> Iterable[tuple[Labels, float]]:
    # Docker keeps the count of a check that has stopped, as it keeps its verdict.
    return () if view.health is Health.NONE else ((_NONE, view.facts.check.streak),)


def _watch_info(view: ContainerView) -> Iterable[tuple[Labels, float]]:
    oneoff = "true" if view.oneoff else "false"
    return (((("alerts", view.alerts), ("expect", view.expect), ("oneoff", oneoff)), 1),)


def _per_container(read: _Read) -> Callable[[World], Iterable[Sample]]:
    def samples(world: World) -> Iterable[Sample]:
        for known in world.published:
            for labels, value in read(known.view):
                yield known.ours, labels, value

    return samples


def _status(world: World) -> Iterable[Sample]:
    for known in world.published:
        current = known.view.status
        for status, labels in _STATUSES:
            yield known.ours, labels, 1 if status is current else 0


def _health(world: World) -> Iterable[Sample]:
    for known in world.published:
        current = known.view.health
        for health, labels in _HEALTHS:
            yield known.ours, labels, 1 if health is current else 0


def _exits(world: World) -> Iterable[Sample]:
    for known in world.published:
        exits = known.view.exits
        for reason, labels in _COUNTED:
            yield known.ours, labels, exits.get(reason, 0)


def _service_containers(world: World) -> Iterable[Sample]:
    views = (known.view for known in world.containers)
    counts = Counter(
        (view.project, view.service, view.status) for view in views if view.compose and not view.oneoff
    )
    for (project, service), labels in world.services.items():
        for status, own in _STATES:
            yield labels, own, counts[project, service, status]


def _service_expected(world: World) -> Iterable[Sample]:
    for service, labels in world.services.items():
        count = world.expected.get(service)
        if count is not None:
            yield labels, _NONE, count


def _published(world: World) -> tuple[object, ...]:
    return (world.published,)


def _row(name: str, type_: MetricType, help_: str, read: _Read) -> Family:
    return Family(name=name, type=type_, help=help_, samples=_per_container(read), rests_on=_published)


_G, _C = MetricType.GAUGE, MetricType.COUNTER

FAMILIES: Final = (
    Family(
        name="container_state_status",
        type=_G,
        help="State of the container as Docker tells it; restarting as soon as its policy decides so.",
        samples=_status,
        rests_on=_published,
    ),
    Family(
        name="container_state_health_status",
        type=_G,
        help="Verdict of the container's health check; none while it is not running.",
        samples=_health,
        rests_on=_published,
    ),
    _row(
        "container_restarts_total",
        _C,
        "Starts by restart policy or after an exit that nobody requested.",
        _restarts,
    ),
    Family(
        name="container_exits_total",
        type=_C,
        help="Exits seen, by reason.",
        samples=_exits,
        rests_on=_published,
    ),
    _row(
        "container_last_exit_reason",
        _G,
        "Why the container last stopped; unknown when nobody saw it.",
        _last_reason,
    ),
    _row("container_last_exit_code", _G, "Exit code of the last stop.", _last_code),
    _row("container_last_exit_timestamp_seconds", _G, "When the container last stopped.", _last_exit_at),
    _row(
        "container_last_oom_timestamp_seconds",
        _G,
        "When the kernel last killed a process of the container for memory.",
        _last_oom,
    ),
    _row(
        "container_first_seen_timestamp_seconds",
        _G,
        "When this name became known: the zero of its counters.",
        _first_seen,
    ),
    _row(
        "container_state_oomkilled",
        _G,
        "Docker's own flag that the last run met an OOM kill; unreliable, use container_last_exit_reason.",
        _oom_killed,
    ),
    _row("container_state_startedat", _G, "When the container last started, in Unix seconds.", _started_at),
    _row("container_state_finishedat", _G, "When the container last stopped, in Unix seconds.", _finished_at),
    _row(
        "container_restartcount",
        _G,
        "Docker's own count of restarts by policy; a manual start sets it back to 0.",
        _restart_count,
    ),
    _row(
        "container_health_failing_streak",
        _G,
        "Failures in a row of the container's health check.",
        _failing_streak,
    ),
    _row("container_watch_info", _G, "How the container's labels say it is to be watched.", _watch_info),
    Family(
        name="compose_service_containers",
        type=_G,
        help="Containers of the Compose service by state, one-off containers left out.",
        samples=_service_containers,
        rests_on=lambda world: (world.containers,),
    ),
    Family(
        name="compose_service_expected_containers",
        type=_G,
        help="Containers the Compose service should have running: the most that ran together for ten minutes, lowered by requested stops.",
        samples=_service_expected,
        rests_on=lambda world: (world.services, world.expected),
    ),
)
