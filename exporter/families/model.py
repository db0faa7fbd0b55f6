"""What a metric family is, and what families are read from."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from exporter.cgroups.collector import Readings
from exporter.docker.snapshot import Snapshot
from exporter.docker.status import DaemonStatus

__all__ = ["CollectorStatus", "Family", "Labels", "MetricType", "Sample", "World"]

# Name and value; empty values are not written.
Labels = tuple[tuple[str, str], ...]

# The labels of the series' kind (a container's, say), the family's own labels, the value. Apart, because their text is cached so.
Sample = tuple[Labels, Labels, float]


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
class World:
    """Everything one scrape publishes, as it was at one instant.

    Attributes:
        at: The scrape's time, Unix seconds.
        host_name: What the configuration calls this host; empty: what the daemon says.
    """

    at: float
    snapshot: Snapshot
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
