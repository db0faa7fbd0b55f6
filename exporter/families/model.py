"""What a metric family is, and the world families are read from."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

from exporter.cgroups.collector import Readings
from exporter.cgroups.paths import derived_path
from exporter.cgroups.usage import CpuUsage, DeviceIo, Limits, MemoryUsage, Pids, Pressure, Usage
from exporter.docker.compose import Service
from exporter.docker.snapshot import ContainerView, Snapshot
from exporter.docker.status import DaemonStatus
from exporter.families.labels import DEFAULT_ALLOWED, HOST, AllowedLabels, Labels, LabelSet, LabelSets
from exporter.host.machine import MachineFacts
from exporter.host.network import NetworkReadings
from exporter.host.node import NodeReadings
from exporter.slow.readings import SlowReadings

__all__ = [
    "CollectorStatus",
    "Column",
    "Family",
    "Known",
    "Measured",
    "MetricType",
    "Sample",
    "World",
    "world",
]

# The labels of the series' kind (a container's, say), the family's own labels, the value.
Sample = tuple[LabelSet, Labels, float]

_Part = TypeVar("_Part")
# One part of a reading, of all who have it, with the labels of their series; the host first.
Column = tuple[tuple[LabelSet, _Part], ...]
_NOTHING: Final[Mapping[Service, int]] = MappingProxyType({})


class MetricType(StrEnum):
    """The types we export."""

    GAUGE = "gauge"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorStatus:
    """How one collector did; times in Unix seconds, None: never."""

    name: str
    success: bool
    duration_seconds: float | None
    last_success_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A container with the labels of its series.

    Attributes:
        ours: `name`, `project`, `service`: a re-created container is the same thing to a person.
        cadvisor: `id`, `image`, `name` and the allowed container labels.
    """

    view: ContainerView
    ours: LabelSet
    cadvisor: LabelSet


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """The containers of the last world, which are those of the next if nothing has happened."""

    views: tuple[ContainerView, ...]
    paths: tuple[str, ...]
    containers: tuple[Known, ...]
    published: tuple[Known, ...]
    running: tuple[Known, ...]
    services: Mapping[Service, LabelSet]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The readings of one scrape, a column a part, so that a family is one pass over what has it.

    Attributes:
        throttled: CPU time of those with a CPU quota.
    """

    cpu: Column[CpuUsage] = ()
    throttled: Column[CpuUsage] = ()
    memory: Column[MemoryUsage] = ()
    io: Column[tuple[DeviceIo, ...]] = ()
    pressure: Column[Pressure] = ()
    limits: Column[Limits] = ()
    pids: Column[Pids] = ()

    @classmethod
    def of(cls, all_: list[tuple[LabelSet, Usage]]) -> "Measured":
        """Sort readings into columns."""
        cpu = tuple((labels, usage.cpu) for labels, usage in all_ if usage.cpu is not None)
        return cls(
            cpu=cpu,
            throttled=tuple(row for row in cpu if row[1].periods is not None),
            memory=tuple((labels, usage.memory) for labels, usage in all_ if usage.memory is not None),
            io=tuple((labels, usage.io) for labels, usage in all_ if usage.io is not None),
            pressure=tuple((labels, usage.pressure) for labels, usage in all_ if usage.pressure is not None),
            limits=tuple((labels, usage.limits) for labels, usage in all_ if usage.limits is not None),
            pids=tuple((labels, usage.pids) for labels, usage in all_ if usage.pids is not None),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything one scrape publishes, as it was at one instant.

    Attributes:
        at: The scrape's time, Unix seconds.
        containers: All of them, those never started too.
        published: Those that have series of their own.
        running: Those of these that have processes.
        services: The labels of each Compose service, by project and service, in that order.
        gone: Removed a short while ago, each with the time it was last seen.
        measured: The readings of the running ones and of the host.
        expected: How many containers a Compose service should have running, by project and service.
        host_name: What the configuration calls this host; empty: what the daemon says.
        network: The interfaces' counters, of containers and host.
        machine: Of what the host is made.
        node: How the host does.
        slow: What is looked at on schedules of its own.
    """

    at: float
    containers: tuple[Known, ...]
    published: tuple[Known, ...]
    running: tuple[Known, ...]
    services: Mapping[Service, LabelSet]
    gone: tuple[tuple[Known, float], ...]
    readings: Readings
    measured: Measured
    daemon: DaemonStatus
    collectors: tuple[CollectorStatus, ...]
    storage_ok: bool
    version: str
    expected: Mapping[Service, int] = field(default_factory=dict)
    host_name: str = ""
    network: NetworkReadings | None = None
    machine: MachineFacts | None = None
    node: NodeReadings | None = None
    slow: SlowReadings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric family: a row of a table.

    Attributes:
        samples: Reads the family's samples off the world.
        rests_on: What they are made of: they are the same as long as that is equal. None: they differ at every scrape.
    """

    name: str
    type: MetricType
    help: str
    samples: Callable[[World], Iterable[Sample]]
    rests_on: Callable[[World], tuple[object, ...]] | None = None


def world(
    snapshot: Snapshot,
    readings: Readings,
    daemon: DaemonStatus,
    *,
    labels: LabelSets,
    collectors: tuple[CollectorStatus, ...],
    storage_ok: bool,
    version: str,
    label_allow: AllowedLabels = DEFAULT_ALLOWED,
    expected: Mapping[Service, int] = _NOTHING,
    host_name: str = "",
    network: NetworkReadings | None = None,
    machine: MachineFacts | None = None,
    node: NodeReadings | None = None,
    slow: SlowReadings | None = None,
) -> World:
    """Put together what one scrape publishes.

    Args:
        snapshot: The containers.
        readings: Their usage.
        daemon: Its status.
        labels: The label sets of the scrape before, turned over to this one.
        collectors: How they did.
        storage_ok: Whether the state file can be written.
        version: The exporter's.
        label_allow: Which of a container's labels its series of cAdvisor's families have.
        expected: See `World`.
        host_name: See `World`.
        network: See `World`.
        machine: See `World`.
        node: See `World`.
        slow: See `World`.
    """
    driver = daemon.info.cgroup_driver if daemon.info else ""

    def path(view: ContainerView) -> str:
        return readings.paths.get(view.id) or derived_path(view.id, parent=view.cgroup_parent, driver=driver)

    def known(view: ContainerView, path: str) -> Known:
        own = (("id", path), ("image", view.image), ("name", view.name), *label_allow.of(view.labels))
        return Known(
            view=view,
            ours=labels.get((("name", view.name), ("project", view.project), ("service", view.service))),
            cadvisor=labels.get(own),
        )

    paths = tuple(map(path, snapshot.containers))
    kept = labels.kept
    if not isinstance(kept, _Kept) or kept.views is not snapshot.containers or kept.paths != paths:
        labels.turn()
        containers = tuple(map(known, snapshot.containers, paths))
        published = tuple(known for known in containers if known.view.published)
        services = {
            (view.project, view.service) for view in snapshot.containers if view.compose and not view.oneoff
        }
        kept = labels.kept = _Kept(
            views=snapshot.containers,
            paths=paths,
            containers=containers,
            published=published,
            running=tuple(known for known in published if known.view.status.alive),
            services={
                (project, service): labels.get((("project", project), ("service", service)))
                for project, service in sorted(services)
            },
        )
    found = [
        (known.cadvisor, usage)
        for known in kept.running
        if (usage := readings.usage.get(known.view.id)) is not None
    ]
    return World(
        at=snapshot.at,
        containers=kept.containers,
        published=kept.published,
        running=kept.running,
        services=kept.services,
        gone=tuple((known(gone.view, path(gone.view)), gone.seen_at) for gone in snapshot.gone),
        readings=readings,
        measured=Measured.of([(HOST, readings.host), *found] if readings.host is not None else found),
        daemon=daemon,
        collectors=collectors,
        storage_ok=storage_ok,
        version=version,
        expected=expected,
        host_name=host_name,
        network=network,
        machine=machine,
        node=node,
        slow=slow,
    )
