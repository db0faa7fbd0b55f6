"""cAdvisor's families, with cAdvisor's labels and meaning, so that its dashboards and rules keep working.

`cpu="total"` is the only value of that label, on both cgroup versions. Values carry no timestamps: a container that goes is marked stale
at once, and `container_last_seen` stays, frozen, for the five minutes the public alert on it needs.
"""

from collections.abc import Callable, Iterable
from typing import Final

from exporter.cgroups.usage import Usage
from exporter.docker.containers import Health
from exporter.docker.inventory import LINGER_SECONDS
from exporter.families.labels import Labels, LabelSet
from exporter.families.model import Family, Known, MetricType, Sample, World

__all__ = ["FAMILIES"]

_NONE: Final[Labels] = ()
_HOST: Final = LabelSet((("id", "/"),))
_CPU_TOTAL: Final[Labels] = (("cpu", "total"),)
_HEALTH_VALUES: Final = {Health.HEALTHY: 1, Health.STARTING: 0, Health.UNHEALTHY: 0, Health.NONE: -1}


def _running(world: World) -> Iterable[Known]:
    return (known for known in world.containers if known.view.published and known.view.status.alive)


def _health(world: World) -> Iterable[Sample]:
    return ((known.cadvisor, _NONE, _HEALTH_VALUES[known.view.health]) for known in _running(world))


def _start_time(world: World) -> Iterable[Sample]:
    for known in _running(world):
        if known.view.started_at is not None:
            yield known.cadvisor, _NONE, int(known.view.started_at)


def _last_seen(world: World) -> Iterable[Sample]:
    for known in world.containers:
        seen_at = world.at if known.view.status.alive else known.view.finished_at
        if known.view.published and seen_at is not None and world.at - seen_at <= LINGER_SECONDS:
            yield known.cadvisor, _NONE, int(seen_at)
    for known, seen_at in world.gone:
        yield known.cadvisor, _NONE, int(seen_at)


def _oom_events(world: World) -> Iterable[Sample]:
    return (
        (known.cadvisor, _NONE, known.view.oom_events) for known in world.containers if known.view.published
    )


def _usage(
    read: Callable[[Usage], float | None], labels: Labels = _NONE
) -> Callable[[World], Iterable[Sample]]:
    def samples(world: World) -> Iterable[Sample]:
        if world.readings.host is not None and (value := read(world.readings.host)) is not None:
            yield _HOST, labels, value
        for known in _running(world):
            usage = world.readings.usage.get(known.view.id)
            if usage is not None and (value := read(usage)) is not None:
                yield known.cadvisor, labels, value

    return samples


_G, _C = MetricType.GAUGE, MetricType.COUNTER

FAMILIES: Final = tuple(
    Family(name=name, type=type_, help=help_, samples=samples)
    for name, type_, help_, samples in (
        ("container_health_state", _G, "Health check: 1 healthy, 0 starting or unhealthy, -1 none.", _health),
        ("container_start_time_seconds", _G, "When the container last started.", _start_time),
        (
            "container_last_seen",
            _G,
            "When the container was last seen running, for five minutes after it stopped.",
            _last_seen,
        ),
        ("container_oom_events_total", _C, "OOM kills in the container.", _oom_events),
        (
            "container_memory_usage_bytes",
            _G,
            "Memory in use, file cache included.",
            _usage(lambda usage: usage.memory.usage_bytes if usage.memory else None),
        ),
        (
            "container_memory_working_set_bytes",
            _G,
            "Memory in use without file cache nobody touched for long.",
            _usage(lambda usage: usage.memory.working_set_bytes if usage.memory else None),
        ),
        (
            "container_cpu_usage_seconds_total",
            _C,
            "CPU time consumed.",
            _usage(lambda usage: usage.cpu.seconds if usage.cpu else None, _CPU_TOTAL),
        ),
    )
)
