"""What every family of a container must say, told from the kernel's files and from Docker's stats API: tables, and how to read both.

Nothing of the exporter is used here. A source gives, from the files of one container or of the host, the values of a family by the labels
that its series have beside the container's; nothing where there must be no series.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.real.cgroup2.containers import RUNNING

Labels = tuple[tuple[str, str], ...]
Values = dict[Labels, float]
Files = Mapping[str, str]
HOST: Final = "/"
EVERYBODY: Final = (*RUNNING, HOST)
QUOTA: Final = ("limited", "paused")
STEADY: Final = tuple(name for name in RUNNING if name not in ("writer", "oom"))
"""Those that start no processes."""
_NO_LABELS: Final[Labels] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One family.

    Attributes:
        who: The containers that have it; nobody else may.
        exact: No slack, as nothing changes it.
        compared: Of whom the values are compared; they may change between two readings of the others.
    """

    family: str
    counter: bool
    source: Callable[[Files], Values]
    who: tuple[str, ...] = EVERYBODY
    exact: bool = False
    compared: tuple[str, ...] = EVERYBODY


# --- the kernel's files ---


def keyed(text: str) -> dict[str, int]:
    """Read lines of a key and a number, as in memory.stat and /proc/meminfo (whose unit is left out)."""
    found = (line.replace(":", " ").split()[:2] for line in text.splitlines() if len(line.split()) > 1)
    return {key: int(value) for key, value in found if value.isdecimal()}


def stat(file: str, key: str, per: float = 1, labels: Labels = _NO_LABELS) -> Callable[[Files], Values]:
    """A line of a file, of those who have that line."""

    def source(files: Files) -> Values:
        found = keyed(files.get(file, ""))
        return {labels: found[key] / per} if key in found else {}

    return source


def whole(file: str) -> Callable[[Files], Values]:
    """A file that is one number; `max` is told as 0."""
    return lambda files: {_NO_LABELS: float(files[file].replace("max", "0"))} if file in files else {}


def cpu_max(field: int) -> Callable[[Files], Values]:
    """A word of cpu.max; the root has none, and is told as 0. No quota: no value."""

    def source(files: Files) -> Values:
        words = files.get("cpu.max", "max 0").split()
        return {} if words[field] == "max" else {_NO_LABELS: float(words[field])}

    return source


def usage(files: Files) -> Values:
    """Memory in use; the root does not say, but what it is the sum of."""
    found = keyed(files["memory.stat"])
    return {_NO_LABELS: float(files.get("memory.current", found["anon"] + found["file"]))}


def working_set(files: Files) -> Values:
    """What `docker stats` calls memory usage: without the file cache that can go."""
    return {_NO_LABELS: max(0.0, usage(files)[_NO_LABELS] - keyed(files["memory.stat"])["inactive_file"])}


def swap(files: Files) -> Values:
    """Swap in use; of the root what the machine has in use."""
    if "memory.swap.current" in files:
        return whole("memory.swap.current")(files)
    meminfo = keyed(files["meminfo"])
    return {_NO_LABELS: 1024.0 * (meminfo["SwapTotal"] - meminfo["SwapFree"])}


def limit(file: str, of_host: str) -> Callable[[Files], Values]:
    """A limit; of the root all the machine has."""

    def source(files: Files) -> Values:
        if "meminfo" in files:
            return {_NO_LABELS: 1024.0 * keyed(files["meminfo"]).get(of_host, 0)}
        return whole(file)(files)

    return source


def faults(files: Files) -> Values:
    """Page faults, of both kinds and in both scopes."""
    found = keyed(files["memory.stat"])
    return {
        (("failure_type", kind), ("scope", scope)): float(found[kind])
        for kind in ("pgfault", "pgmajfault")
        for scope in ("container", "hierarchy")
    }


def psi(resource: str, line: str) -> Callable[[Files], Values]:
    """Seconds of one line of a pressure file."""

    def source(files: Files) -> Values:
        found = re.search(rf"^{line} .*total=(\d+)$", files[f"{resource}.pressure"], re.MULTILINE)
        assert found is not None
        return {_NO_LABELS: int(found[1]) / 1e6}

    return source


def devices(files: Files) -> dict[str, dict[str, int]]:
    """Read io.stat: counts by device number, of those that have counts; a device without any may share its line with the next."""
    found = {}
    for number, counts in re.findall(r"(\d+:\d+) ((?:\w+=\d+ ?)*)", files.get("io.stat", "")):
        if counts:
            found[number] = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", counts)}
    return found


def io(key: str) -> Callable[[Files], Values]:
    """One count of every device, by the name /proc/partitions has for it."""

    def source(files: Files) -> Values:
        return {
            (("device", f"/dev/{files['name of ' + number]}"),): float(counts[key])
            for number, counts in devices(files).items()
        }

    return source


def device_usage(files: Files) -> Values:
    """Bytes of every device, by operation."""
    found: Values = {}
    for number, counts in devices(files).items():
        major, _, minor = number.partition(":")
        for operation, key in (("Read", "rbytes"), ("Write", "wbytes")):
            labels = {
                "device": f"/dev/{files['name of ' + number]}",
                "major": major,
                "minor": minor,
                "operation": operation,
            }
            found[tuple(sorted(labels.items()))] = float(counts[key])
    return found


def column(index: int) -> Callable[[Files], Values]:
    """A column of /proc/PID/net/dev, of every interface that is not the host's end of a container's."""

    def source(files: Files) -> Values:
        rows = (line.partition(":") for line in files["net/dev"].splitlines()[2:])
        return {
            (("interface", name.strip()),): float(rest.split()[index])
            for name, _, rest in rows
            if not name.strip().startswith(("lo", "veth", "docker"))
        }

    return source


def lines(file: str, containing: str = "") -> Callable[[Files], Values]:
    """How many lines of a list have something in them."""
    return lambda files: {_NO_LABELS: float(sum(containing in line for line in files[file].splitlines()))}


def _counter(family: str, source: Callable[[Files], Values], who: tuple[str, ...] = EVERYBODY) -> Row:
    return Row(family=family, counter=True, source=source, who=who)


def _gauge(family: str, source: Callable[[Files], Values], who: tuple[str, ...] = EVERYBODY) -> Row:
    return Row(family=family, counter=False, source=source, who=who)


def _exact(family: str, source: Callable[[Files], Values], who: tuple[str, ...] = RUNNING) -> Row:
    return Row(family=family, counter=False, source=source, who=who, exact=True)


def _tasks(family: str, source: Callable[[Files], Values]) -> Row:
    return Row(family=family, counter=False, source=source, who=RUNNING, exact=True, compared=STEADY)


_MEMORY: Final = "memory.stat"
_TOTAL: Final[Labels] = (("cpu", "total"),)
KERNEL: Final = (
    _counter("container_cpu_usage_seconds_total", stat("cpu.stat", "usage_usec", 1e6, _TOTAL)),
    _counter("container_cpu_user_seconds_total", stat("cpu.stat", "user_usec", 1e6)),
    _counter("container_cpu_system_seconds_total", stat("cpu.stat", "system_usec", 1e6)),
    _counter("container_cpu_cfs_periods_total", stat("cpu.stat", "nr_periods"), QUOTA),
    _counter("container_cpu_cfs_throttled_periods_total", stat("cpu.stat", "nr_throttled"), QUOTA),
    _counter("container_cpu_cfs_throttled_seconds_total", stat("cpu.stat", "throttled_usec", 1e6), QUOTA),
    _counter("container_cpu_cfs_burst_periods_total", stat("cpu.stat", "nr_bursts"), QUOTA),
    _counter("container_cpu_cfs_burst_seconds_total", stat("cpu.stat", "burst_usec", 1e6), QUOTA),
    _gauge("container_memory_usage_bytes", usage),
    _gauge("container_memory_working_set_bytes", working_set),
    _gauge("container_memory_cache", stat(_MEMORY, "file")),
    _gauge("container_memory_rss", stat(_MEMORY, "anon")),
    _gauge("container_memory_mapped_file", stat(_MEMORY, "file_mapped")),
    _gauge("container_memory_swap", swap),
    _gauge("container_memory_kernel_usage", stat(_MEMORY, "kernel")),
    _gauge("container_memory_max_usage_bytes", whole("memory.peak"), RUNNING),
    _gauge("container_memory_total_active_file_bytes", stat(_MEMORY, "active_file")),
    _gauge("container_memory_total_inactive_file_bytes", stat(_MEMORY, "inactive_file")),
    _gauge("container_memory_file_dirty_bytes", stat(_MEMORY, "file_dirty")),
    _gauge("container_memory_file_writeback_bytes", stat(_MEMORY, "file_writeback")),
    _counter("container_memory_failcnt", stat("memory.events", "max"), RUNNING),
    _counter("container_memory_events_high_total", stat("memory.events", "high"), RUNNING),
    _counter("container_memory_events_max_total", stat("memory.events", "max"), RUNNING),
    _counter("container_memory_failures_total", faults),
    _counter("container_memory_pgscan_total", stat(_MEMORY, "pgscan")),
    _counter("container_memory_pgsteal_total", stat(_MEMORY, "pgsteal")),
    _counter("container_memory_workingset_refault_file_total", stat(_MEMORY, "workingset_refault_file")),
    _counter("container_memory_workingset_refault_anon_total", stat(_MEMORY, "workingset_refault_anon")),
    _counter("container_pressure_cpu_waiting_seconds_total", psi("cpu", "some")),
    _counter("container_pressure_cpu_stalled_seconds_total", psi("cpu", "full")),
    _counter("container_pressure_memory_waiting_seconds_total", psi("memory", "some")),
    _counter("container_pressure_memory_stalled_seconds_total", psi("memory", "full")),
    _counter("container_pressure_io_waiting_seconds_total", psi("io", "some")),
    _counter("container_pressure_io_stalled_seconds_total", psi("io", "full")),
    _counter("container_fs_reads_bytes_total", io("rbytes")),
    _counter("container_fs_writes_bytes_total", io("wbytes")),
    _counter("container_fs_reads_total", io("rios")),
    _counter("container_fs_writes_total", io("wios")),
    _counter("container_blkio_device_usage_total", device_usage),
    _exact("container_spec_cpu_period", cpu_max(1), EVERYBODY),
    _exact("container_spec_cpu_quota", cpu_max(0), QUOTA),
    _exact("container_spec_memory_limit_bytes", limit("memory.max", "MemTotal"), EVERYBODY),
    _exact("container_spec_memory_swap_limit_bytes", limit("memory.swap.max", "SwapTotal"), EVERYBODY),
    _exact("container_spec_memory_reservation_limit_bytes", limit("memory.low", ""), EVERYBODY),
    _tasks("container_threads", whole("pids.current")),
    _tasks("container_threads_max", whole("pids.max")),
    _tasks("container_processes", lines("cgroup.procs")),
    _tasks("container_file_descriptors", lines("descriptors")),
    _tasks("container_sockets", lines("descriptors", "socket:")),
    *(
        _counter(f"container_network_{direction}_{what}_total", column(first + index))
        for direction, first in (("receive", 0), ("transmit", 8))
        for index, what in enumerate(("bytes", "packets", "errors", "packets_dropped"))
    ),
)
ELSEWHERE: Final = {
    **dict.fromkeys(
        ("container_last_seen", "container_info", "container_oom_events_total"), (*RUNNING, "stopped")
    ),
    **dict.fromkeys(("container_start_time_seconds", "container_health_state"), EVERYBODY),
    **dict.fromkeys(("container_creation_time_seconds", "container_spec_cpu_shares"), RUNNING),
    **dict.fromkeys(("container_cpu_load_average_10s", "container_cpu_load_d_average_10s"), EVERYBODY),
    "container_tasks_state": EVERYBODY,
}
"""Families that no file of a cgroup tells, and who has them; the host's `container_last_seen` comes on top."""
ELSEWHERE["container_last_seen"] = (*ELSEWHERE["container_last_seen"], HOST)
UNHURRIED: Final = {
    *("container_fs_usage_bytes", "container_fs_limit_bytes"),
    *("container_fs_inodes_total", "container_fs_inodes_free"),
}
"""One container after the other is measured, with rests that an emulated machine makes long: the host at once, and somebody."""

# --- Docker's stats API ---


def at(*keys: str, per: float = 1, labels: Labels = _NO_LABELS) -> Callable[[Mapping[str, Any]], Values]:
    """A number of an answer."""

    def source(answer: Mapping[str, Any]) -> Values:
        found: Any = answer
        for key in keys:
            found = found.get(key, {})
        return {labels: found / per} if isinstance(found, int) else {}

    return source


def api_working_set(answer: Mapping[str, Any]) -> Values:
    """What the docker command shows as memory usage."""
    memory = answer["memory_stats"]
    return {_NO_LABELS: float(memory["usage"] - memory["stats"]["inactive_file"])}


def interfaces(key: str) -> Callable[[Mapping[str, Any]], Values]:
    """A count of every interface."""
    return lambda answer: {
        (("interface", name),): float(counts[key]) for name, counts in answer.get("networks", {}).items()
    }


def moved(operation: str) -> Callable[[Mapping[str, Any]], Values]:
    """Bytes of all devices together: it knows them by number only."""

    def source(answer: Mapping[str, Any]) -> Values:
        entries = answer["blkio_stats"]["io_service_bytes_recursive"] or ()
        return {
            _NO_LABELS: float(sum(entry["value"] for entry in entries if entry["op"].lower() == operation))
        }

    return source


_DETAILS: Final = ("memory_stats", "stats")
_CPU: Final = ("cpu_stats", "cpu_usage")
_THROTTLING: Final = ("cpu_stats", "throttling_data")
API: Final[Mapping[str, tuple[bool, Callable[[Mapping[str, Any]], Values]]]] = {
    "container_cpu_usage_seconds_total": (True, at(*_CPU, "total_usage", per=1e9, labels=_TOTAL)),
    "container_cpu_user_seconds_total": (True, at(*_CPU, "usage_in_usermode", per=1e9)),
    "container_cpu_system_seconds_total": (True, at(*_CPU, "usage_in_kernelmode", per=1e9)),
    "container_cpu_cfs_periods_total": (True, at(*_THROTTLING, "periods")),
    "container_cpu_cfs_throttled_periods_total": (True, at(*_THROTTLING, "throttled_periods")),
    "container_cpu_cfs_throttled_seconds_total": (True, at(*_THROTTLING, "throttled_time", per=1e9)),
    "container_memory_usage_bytes": (False, at("memory_stats", "usage")),
    "container_memory_working_set_bytes": (False, api_working_set),
    "container_memory_cache": (False, at(*_DETAILS, "file")),
    "container_memory_rss": (False, at(*_DETAILS, "anon")),
    "container_memory_mapped_file": (False, at(*_DETAILS, "file_mapped")),
    "container_memory_total_active_file_bytes": (False, at(*_DETAILS, "active_file")),
    "container_memory_total_inactive_file_bytes": (False, at(*_DETAILS, "inactive_file")),
    "container_memory_pgscan_total": (True, at(*_DETAILS, "pgscan")),
    "container_memory_pgsteal_total": (True, at(*_DETAILS, "pgsteal")),
    "container_fs_reads_bytes_total": (True, moved("read")),
    "container_fs_writes_bytes_total": (True, moved("write")),
    "container_threads": (False, at("pids_stats", "current")),
    "container_network_receive_bytes_total": (True, interfaces("rx_bytes")),
    "container_network_receive_packets_total": (True, interfaces("rx_packets")),
    "container_network_transmit_bytes_total": (True, interfaces("tx_bytes")),
    "container_network_transmit_packets_total": (True, interfaces("tx_packets")),
}
"""Family -> whether it is a counter, and how to find it in an answer. Without a quota Docker writes 0 periods, and there is no series."""
