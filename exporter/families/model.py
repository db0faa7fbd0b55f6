"""What a metric family is, and the world families are read from."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exporter.cgroups.collector import Readings
from exporter.cgroups.paths import derived_path
from exporter.docker.snapshot import ContainerView, Snapshot
from exporter.docker.status import DaemonStatus
from exporter.families.labels import Labels, LabelSet, LabelSets

__all__ = ["CollectorStatus", "Family", "Known", "MetricType", "Sample", "World", "world"]

# The labels of the series' kind (a container's, say), the family's own labels, the value.
Sample = tuple[LabelSet, Labels, float]

# The container labels worth a place on each of cAdvisor's series; more would multiply them and can carry secrets.
_ALLOWED: Final = tuple(
    (key, "container_label_" + key.replace(".", "_"))
    for key in (
        "com.docker.compose.project",
        "com.docker.compose.service",
        "com.docker.stack.namespace",
        "com.docker.swarm.service.name",
    )
)


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
class World:
    """Everything one scrape publishes, as it was at one instant.

    Attributes:
        at: The scrape's time, Unix seconds.
        containers: All of them, those never started too.
        gone: Removed a short while ago, each with the time it was last seen.
        host_name: What the configuration calls this host; empty: what the daemon says.
    """

    at: float
    containers: tuple[Known, ...]
    gone: tuple[tuple[Known, float], ...]
    readings: Readings
    daemon: DaemonStatus
    collectors: tuple[CollectorStatus, ...]
    storage_ok: bool
    version: str
    host_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric family: a row of a table.

    Attributes:
        samples: Reads the family's samples off the world.
    """

    name: str
    type: MetricType
    help: str
    samples: Callable[[World], Iterable[Sample]]


def world(
    snapshot: Snapshot,
    readings: Readings,
    daemon: DaemonStatus,
    *,
    labels: LabelSets,
    collectors: tuple[CollectorStatus, ...],
    storage_ok: bool,
    version: str,
    host_name: str = "",
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
        host_name: See `World`.
    """
    driver = daemon.info.cgroup_driver if daemon.info else ""
    labels.turn()

    def known(view: ContainerView) -> Known:
        path = readings.paths.get(view.id) or derived_path(view.id, parent=view.cgroup_parent, driver=driver)
        allowed = tuple((label, view.labels.get(key, "")) for key, label in _ALLOWED)
        return Known(
            view=view,
            ours=labels.get((("name", view.name), ("project", view.project), ("service", view.service))),
            cadvisor=labels.get((("id", path), ("image", view.image), ("name", view.name), *allowed)),
        )

    return World(
        at=snapshot.at,
        containers=tuple(known(view) for view in snapshot.containers),
        gone=tuple((known(gone.view), gone.seen_at) for gone in snapshot.gone),
        readings=readings,
        daemon=daemon,
        collectors=collectors,
        storage_ok=storage_ok,
        version=version,
        host_name=host_name,
    )
