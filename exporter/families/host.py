"""Families of the host's Docker daemon and of the exporter itself."""

from collections.abc import Callable, Iterable
from typing import Final

from exporter.families.labels import NO_LABELS, Labels, LabelSet
from exporter.families.model import CollectorStatus, Family, MetricType, Sample, World

__all__ = ["FAMILIES"]

_NONE: Final[Labels] = ()


def _one(read: Callable[[World], float]) -> Callable[[World], Iterable[Sample]]:
    return lambda world: ((NO_LABELS, _NONE, read(world)),)


def _docker_info(world: World) -> Iterable[Sample]:
    info = world.daemon.info
    if info is None:
        return
    labels = (
        ("name", world.host_name or info.name),
        ("version", info.version),
        ("api_version", info.api_version),
        ("storage_driver", info.storage_driver),
        ("cgroup_driver", info.cgroup_driver),
        ("cgroup_version", info.cgroup_version),
        ("os", info.os),
        ("kernel", info.kernel),
    )
    yield LabelSet(labels), _NONE, 1


def _facts_age(world: World) -> Iterable[Sample]:
    if world.daemon.confirmed_at is not None:
        yield NO_LABELS, _NONE, max(0.0, world.at - world.daemon.confirmed_at)


def _collectors(read: Callable[[CollectorStatus], float | None]) -> Callable[[World], Iterable[Sample]]:
    def samples(world: World) -> Iterable[Sample]:
        for status in world.collectors:
            value = read(status)
            if value is not None:
                yield NO_LABELS, (("collector", status.name),), value

    return samples


def _build_info(world: World) -> Iterable[Sample]:
    return ((NO_LABELS, (("version", world.version),), 1),)


FAMILIES: Final = tuple(
    Family(name=name, type=MetricType.GAUGE, help=help_, samples=samples)
    for name, help_, samples in (
        ("docker_up", "Whether the Docker daemon answers.", _one(lambda world: world.daemon.up)),
        ("docker_info", "The Docker daemon and its host.", _docker_info),
        (
            "vakhta_docker_events_connected",
            "Whether the Docker event stream is open.",
            _one(lambda world: world.daemon.events_connected),
        ),
        (
            "vakhta_docker_facts_age_seconds",
            "Time since the daemon last confirmed what is exported about containers.",
            _facts_age,
        ),
        (
            "vakhta_collector_success",
            "Whether the collector's last run succeeded.",
            _collectors(lambda status: status.success),
        ),
        (
            "vakhta_collector_duration_seconds",
            "Time the collector's last run took.",
            _collectors(lambda status: status.duration_seconds),
        ),
        (
            "vakhta_collector_last_success_timestamp_seconds",
            "When the collector last succeeded.",
            _collectors(lambda status: status.last_success_at),
        ),
        (
            "vakhta_exporter_storage_ok",
            "Whether the state file can be written.",
            _one(lambda world: world.storage_ok),
        ),
        ("vakhta_exporter_build_info", "The exporter's version.", _build_info),
    )
)
