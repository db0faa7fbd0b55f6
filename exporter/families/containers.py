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
from exporter.families.labels import Labels, LabelSet
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


def _status(view: ContainerView) -> Iterable[tuple[Labels, float]]:
    return ((labels, view.status is status) for status, labels in _STATUSES)


def _health(view: ContainerView) -> Iterable[tuple[Labels, float]]:
    return ((labels, view.health is health) for health, labels in _HEALTHS)


def _restarts(view: ContainerView) -> Iterable[tuple[Labels, float]]:
    return ((_NONE, view.restarts),)


def _exits(view: ContainerView) -> Iterable[tuple[Labels, float]]:
    return ((labels, view.exits.get(reason, 0)) for reason, labels in _COUNTED)


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


def _watch_info(view: ContainerView) -> Iterable[tuple[Labels, float]]:
    oneoff = "true" if view.oneoff else "false"
    return (((("alerts", view.alerts), ("expect", view.expect), ("oneoff", oneoff)), 1),)


def _per_container(read: _Read) -> Callable[[World], Iterable[Sample]]:
    def samples(world: World) -> Iterable[Sample]:
        for known in world.containers:
            if known.view.published:
                for labels, value in read(known.view):
                    yield known.ours, labels, value

    return samples


def _service_containers(world: World) -> Iterable[Sample]:
    views = (known.view for known in world.containers)
    replicas = [view for view in views if view.compose and not view.oneoff]
    counts = Counter((view.project, view.service, view.status) for view in replicas)
    for project, service in sorted({(view.project, view.service) for view in replicas}):
        labels = LabelSet((("project", project), ("service", service)))
        for status, own in _STATES:
            yield labels, own, counts[project, service, status]


def _row(name: str, type_: MetricType, help_: str, read: _Read) -> Family:
    return Family(name=name, type=type_, help=help_, samples=_per_container(read))


_G, _C = MetricType.GAUGE, MetricType.COUNTER

FAMILIES: Final = (
    _row(
        "container_state_status",
        _G,
        "State of the container as Docker tells it; restarting as soon as its policy decides so.",
        _status,
    ),
    _row(
        "container_state_health_status",
        _G,
        "Verdict of the container's health check; none while it is not running.",
        _health,
    ),
    _row(
        "container_restarts_total",
        _C,
        "Starts by restart policy or after an exit that nobody requested.",
        _restarts,
    ),
    _row("container_exits_total", _C, "Exits seen, by reason.", _exits),
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
    _row("container_watch_info", _G, "How the container's labels say it is to be watched.", _watch_info),
    Family(
        name="compose_service_containers",
        type=_G,
        help="Containers of the Compose service by state, one-off containers left out.",
        samples=_service_containers,
    ),
)
