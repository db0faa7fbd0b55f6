"""The second source of usage: Docker's stats API, for where cgroupfs or /proc cannot be read (Docker Desktop, missing mounts).

Pure: what an answer says, and which path serves. The API says less than the files: it leaves out pressure, bursts, OOM kills, the host as
a whole, and on cgroup v2 the peak of memory, the limit's hits, swap and the number of I/O operations. Limits are in the
container's facts.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from exporter.cgroups.usage import CpuUsage, DeviceIo, MemoryUsage, Pids, Usage
from exporter.docker.snapshot import ContainerView, Snapshot
from exporter.host.netdev import InterfaceCounters

__all__ = [
    "Coverage",
    "Part",
    "StatsReading",
    "StatsReadings",
    "choose",
    "coverage",
    "interfaces_of",
    "nameless",
    "targets",
    "usage_from_stats",
    "usage_of",
]

# What Go writes for a time that was never set: the answer for a container without processes.
_NEVER: Final = "0001-01-01"
# v1 writes about 2^63 and v2 2^64 - 1 where nothing is limited.
_UNLIMITED: Final = 1 << 62
_EMPTY: Final = Usage()  # nothing can be said

# --- what an answer says ---

# Field of MemoryUsage by key of memory_stats.stats, the same keys that are read from the files.
_MEMORY_V1: Final = {
    "cache_bytes": "total_cache",
    "rss_bytes": "total_rss",
    "mapped_file_bytes": "total_mapped_file",
    "swap_bytes": "total_swap",
    "active_file_bytes": "total_active_file",
    "inactive_file_bytes": "total_inactive_file",
    "dirty_file_bytes": "total_dirty",
    "writeback_file_bytes": "total_writeback",
    "page_faults": "pgfault",
    "major_page_faults": "pgmajfault",
}
_MEMORY_V2: Final = {
    "cache_bytes": "file",
    "rss_bytes": "anon",
    "mapped_file_bytes": "file_mapped",
    "active_file_bytes": "active_file",
    "inactive_file_bytes": "inactive_file",
    "dirty_file_bytes": "file_dirty",
    "writeback_file_bytes": "file_writeback",
    "page_faults": "pgfault",
    "major_page_faults": "pgmajfault",
    "pages_scanned": "pgscan",
    "pages_stolen": "pgsteal",
}


def nameless(_: bytes) -> str:
    """Return the name of a device nobody knows."""
    return ""


def usage_from_stats(
    raw: object, *, device_name: Callable[[bytes], str] = nameless
) -> tuple[Usage, tuple[InterfaceCounters, ...]]:
    """Read the answer of `GET /containers/{id}/stats`, of a daemon on cgroup v1 or v2; interfaces by name.

    What is absent, null or of another shape (Windows) is left out. A container without processes gives an empty `Usage`: the zeros
    Docker writes for it are no measurements. Limits are not read: Docker writes the machine's memory where there is none.

    Args:
        raw: The JSON.
        device_name: Returns `/dev/sda` for `8:0`.
    """
    answer = _mapping(raw)
    # Only Windows counts processes there, and CPU time in other units.
    if str(answer.get("read", "")).startswith(_NEVER) or answer.get("num_procs"):
        return _EMPTY, ()
    usage = Usage(
        cpu=_cpu(_mapping(answer.get("cpu_stats"))),
        memory=_memory(_mapping(answer.get("memory_stats"))),
        io=_io(_mapping(answer.get("blkio_stats")), device_name),
        pids=_pids(_mapping(answer.get("pids_stats"))),
    )
    networks = _mapping(answer.get("networks"))
    return usage, tuple(_interface(str(name), _mapping(networks[name])) for name in sorted(networks, key=str))


def _cpu(stats: Mapping[str, Any]) -> CpuUsage | None:
    used, throttling = _mapping(stats.get("cpu_usage")), _mapping(stats.get("throttling_data"))
    total = _number(used.get("total_usage"))
    if total is None:
        return None
    # Without a quota Docker writes zeros, and the kernel counts no periods.
    periods = _number(throttling.get("periods")) or None
    throttled = _number(throttling.get("throttled_time"))
    return CpuUsage(
        seconds=total / 1e9,
        user_seconds=(_number(used.get("usage_in_usermode")) or 0) / 1e9,
        system_seconds=(_number(used.get("usage_in_kernelmode")) or 0) / 1e9,
        periods=periods,
        throttled_periods=_number(throttling.get("throttled_periods")) if periods else None,
        throttled_seconds=throttled / 1e9 if periods and throttled is not None else None,
    )


def _memory(stats: Mapping[str, Any]) -> MemoryUsage | None:
    usage, details = _number(stats.get("usage")), _mapping(stats.get("stats"))
    if usage is None:
        return None
    unified = "anon" in details
    keys = _MEMORY_V2 if unified else _MEMORY_V1
    found = {field: _number(details.get(key)) for field, key in keys.items()}
    return MemoryUsage(
        usage_bytes=usage,
        working_set_bytes=max(0, usage - (found["inactive_file_bytes"] or 0)),
        max_usage_bytes=_number(stats.get("max_usage")),
        # On v2 Docker puts the count of OOM events there.
        limit_hits=None if unified else _number(stats.get("failcnt")),
        **found,
    )


def _io(stats: Mapping[str, Any], device_name: Callable[[bytes], str]) -> tuple[DeviceIo, ...] | None:
    if "io_service_bytes_recursive" not in stats:
        return None
    moved = _by_device(stats["io_service_bytes_recursive"])
    operations = _by_device(stats.get("io_serviced_recursive"))
    return tuple(
        _device(device_name(b"%d:%d" % numbers), numbers, moved.get(numbers, {}), operations.get(numbers, {}))
        for numbers in sorted(moved.keys() | operations.keys())
    )


def _device(
    name: str, numbers: tuple[int, int], moved: Mapping[str, int], operations: Mapping[str, int]
) -> DeviceIo:
    return DeviceIo(
        device=name,
        major=numbers[0],
        minor=numbers[1],
        read_bytes=moved.get("Read", 0),
        written_bytes=moved.get("Write", 0),
        reads=operations.get("Read"),
        writes=operations.get("Write"),
        operations=tuple(moved.items()),
    )


def _by_device(entries: object) -> dict[tuple[int, int], dict[str, int]]:
    """Sort a list of {major, minor, op, value} by device and operation; v1 writes `Read`, v2 `read`."""
    found: dict[tuple[int, int], dict[str, int]] = {}
    for entry in entries if isinstance(entries, list) else ():
        fields = _mapping(entry)
        major, minor, value = (_number(fields.get(key)) for key in ("major", "minor", "value"))
        operation = fields.get("op")
        if major is None or minor is None or value is None or not isinstance(operation, str):
            continue
        found.setdefault((major, minor), {})[operation.capitalize()] = value
    return found


def _pids(stats: Mapping[str, Any]) -> Pids | None:
    threads, limit = _number(stats.get("current")), _number(stats.get("limit")) or 0
    if threads is None:
        return None
    return Pids(threads=threads, threads_max=limit if limit < _UNLIMITED else 0)


def _interface(name: str, stats: Mapping[str, Any]) -> InterfaceCounters:
    return InterfaceCounters(
        interface=name,
        receive_bytes=_number(stats.get("rx_bytes")) or 0,
        receive_packets=_number(stats.get("rx_packets")) or 0,
        receive_errors=_number(stats.get("rx_errors")) or 0,
        receive_dropped=_number(stats.get("rx_dropped")) or 0,
        transmit_bytes=_number(stats.get("tx_bytes")) or 0,
        transmit_packets=_number(stats.get("tx_packets")) or 0,
        transmit_errors=_number(stats.get("tx_errors")) or 0,
        transmit_dropped=_number(stats.get("tx_dropped")) or 0,
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


# --- what is known of all containers ---


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsReading:
    """What the API said of one container.

    Attributes:
        taken_at: When it answered, Unix seconds.
        seconds: How long it took.
    """

    usage: Usage
    interfaces: tuple[InterfaceCounters, ...]
    taken_at: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsReadings:
    """What the API has said lately.

    Attributes:
        by_id: By container id; those that answered within the last three minutes.
        wanted: How many containers are asked about; 0 while resting.
        fault: Why some container has no new reading; empty when all is well.
    """

    by_id: Mapping[str, StatsReading]
    wanted: int = 0
    fault: str = ""

    @property
    def last_success_at(self) -> float | None:
        """When the newest answer came; None without one."""
        return max((reading.taken_at for reading in self.by_id.values()), default=None)

    @property
    def duration_seconds(self) -> float | None:
        """How long the slowest of these answers took; None without one."""
        return max((reading.seconds for reading in self.by_id.values()), default=None)


# --- which path serves ---


class Part(StrEnum):
    """What can be served by either path, by the access it takes."""

    USAGE = "usage"  # cgroupfs, and /proc to find the cgroup
    NETWORK = "network"  # /proc of the container's process


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How many running containers the files should tell about, and how many they do."""

    expected: int
    found: int


def targets(snapshot: Snapshot) -> Mapping[str, int]:
    """Return whom to ask about: pid by id of the containers that have processes."""
    return {view.id: view.pid for view in snapshot.containers if view.status.alive}


def coverage(
    snapshot: Snapshot, usage: Mapping[str, Usage], interfaces: Container[str]
) -> Mapping[Part, Coverage]:
    """Count how much of what runs could be read from the files.

    Args:
        snapshot: The containers the files were read for.
        usage: What was read, by id.
        interfaces: Ids of the containers whose interfaces were read.
    """
    running = [view for view in snapshot.containers if view.status.alive and view.pid]
    networked = [view for view in running if _has_own_network(view)]
    return {
        Part.USAGE: Coverage(
            expected=len(running), found=sum(usage.get(view.id, _EMPTY) != _EMPTY for view in running)
        ),
        Part.NETWORK: Coverage(
            expected=len(networked), found=sum(view.id in interfaces for view in networked)
        ),
    }


def choose(files: Mapping[Part, Coverage], by_api: frozenset[Part] = frozenset()) -> frozenset[Part]:
    """Return the parts that the API has to serve.

    A part changes over when the files fail for nearly all containers: a mount is missing, or we sit in a namespace of our own. It comes
    back once they work for most. Some that fail while others can be read are single faults, which the API would only hide.

    Args:
        files: How much the files told, this scrape.
        by_api: What the API served until now.
    """
    return frozenset(part for part in Part if _fails(files[part], until_now=part in by_api))


def usage_of(snapshot: Snapshot, readings: StatsReadings) -> dict[str, Usage]:
    """Return usage by id as the API tells it, in place of what the files would."""
    return {view.id: reading.usage for view, reading in _read(snapshot, readings)}


def interfaces_of(snapshot: Snapshot, readings: StatsReadings) -> dict[str, tuple[InterfaceCounters, ...]]:
    """Return interfaces by id, of containers with a network of their own: for one that shares, Docker repeats the owner's."""
    return {
        view.id: reading.interfaces
        for view, reading in _read(snapshot, readings)
        if _has_own_network(view)
    }  # fmt: skip


def _read(snapshot: Snapshot, readings: StatsReadings) -> list[tuple[ContainerView, StatsReading]]:
    found = ((view, readings.by_id.get(view.id)) for view in snapshot.containers if view.status.alive)
    return [(view, reading) for view, reading in found if reading is not None]


def _fails(files: Coverage, *, until_now: bool) -> bool:
    if files.expected == 0:
        return until_now
    if files.found * 10 <= files.expected:
        return True
    return until_now and files.found * 2 <= files.expected


def _has_own_network(view: ContainerView) -> bool:
    mode = view.facts.network_mode
    return mode not in ("host", "none") and not mode.startswith("container:")
