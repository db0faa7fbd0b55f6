"""cAdvisor's families, with cAdvisor's labels and meaning, so that its dashboards and rules keep working.

`cpu="total"` is the only value of that label, on both cgroup versions. Values carry no timestamps: a container that goes is marked stale
at once, and `container_last_seen` stays, frozen, for the five minutes the public alert on it needs.
"""

from collections.abc import Callable, Iterable
from typing import Final

from exporter.cgroups.paths import derived_path
from exporter.cgroups.readers import Usage
from exporter.docker.containers import Health
from exporter.docker.inventory import LINGER_SECONDS
from exporter.docker.snapshot import ContainerView
from exporter.families.model import Family, Labels, MetricType, Sample, World

__all__ = ["FAMILIES"]

_NONE: Final[Labels] = ()
_HOST: Final[Labels] = (("id", "/"),)
_CPU_TOTAL: Final[Labels] = (("cpu", "total"),)
_HEALTH_VALUES: Final = {Health.HEALTHY: 1, Health.STARTING: 0, Health.UNHEALTHY: 0, Health.NONE: -1}

# The labels worth a place on every series; more would multiply them and can carry secrets.
_ALLOWED: Final = tuple(
    (key, "container_label_" + key.replace(".", "_"))
    for key in (
        "com.docker.compose.project",
        "com.docker.compose.service",
        "com.docker.stack.namespace",
        "com.docker.swarm.service.name",
    )
)


def _base(world: World, view: ContainerView) -> Labels:
    path = world.readings.paths.get(view.id) or derived_path(
        view.id, parent=view.cgroup_parent, driver=_driver(world)
    )
    named = (("id", path), ("image", view.image), ("name", view.name))
    return named + tuple((label, view.labels.get(key, "")) for key, label in _ALLOWED)


def _driver(world: World) -> str:
    return world.daemon.info.cgroup_driver if world.daemon.info else ""


def _running(world: World) -> Iterable[ContainerView]:
    return (view for view in world.snapshot.containers if view.published and view.status.alive)


def _health(world: World) -> Iterable[Sample]:
    return ((_base(world, view), _NONE, _HEALTH_VALUES[view.health]) for view in _running(world))


def _start_time(world: World) -> Iterable[Sample]:
    for view in _running(world):
        if view.started_at is not None:
            yield _base(world, view), _NONE, int(view.started_at)


def _last_seen(world: World) -> Iterable[Sample]:
    for view in world.snapshot.containers:
        seen_at = world.at if view.status.alive else view.finished_at
        if view.published and seen_at is not None and world.at - seen_at <= LINGER_SECONDS:
            yield _base(world, view), _NONE, int(seen_at)
    for gone in world.snapshot.gone:
        yield _base(world, gone.view), _NONE, int(gone.seen_at)


def _oom_events(world: World) -> Iterable[Sample]:
    return (
        (_base(world, view), _NONE, view.oom_events) for view in world.snapshot.containers if view.published
    )


def _usage(read: Callable[[Usage], float], labels: Labels = _NONE) -> Callable[[World], Iterable[Sample]]:
    def samples(world: World) -> Iterable[Sample]:
        if world.readings.host is not None:
            yield _HOST, labels, read(world.readings.host)
        for view in _running(world):
            usage = world.readings.usage.get(view.id)
            if usage is not None:
                yield _base(world, view), labels, read(usage)

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
            _usage(lambda usage: usage.memory_bytes),
        ),
        (
            "container_memory_working_set_bytes",
            _G,
            "Memory in use without file cache nobody touched for long.",
            _usage(lambda usage: usage.working_set_bytes),
        ),
        (
            "container_cpu_usage_seconds_total",
            _C,
            "CPU time consumed.",
            _usage(lambda usage: usage.cpu_seconds, _CPU_TOTAL),
        ),
    )
)
