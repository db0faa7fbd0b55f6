"""The host under node_exporter's names, labels and units, so that its rules and dashboards work without it."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from exporter.families.labels import NO_LABELS, Labels, LabelSet
from exporter.families.model import Family, MetricType, Sample, World
from exporter.host.filesystems import Filesystem, Space
from exporter.host.kernelfiles import CPU_MODES, VMSTAT
from exporter.host.mounts import Mount
from exporter.host.node import NodeReadings
from exporter.host.timex import ClockState

__all__ = ["FAMILIES"]

_Samples = Callable[[World], Iterable[Sample]]

_NONE: Final[Labels] = ()
# /proc/meminfo in the kernel's order, as far as node_exporter or a kernel of today has it.
_MEMORY_BYTES: Final = (
    "MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapCached", "Active", "Inactive",
    "Active_anon", "Inactive_anon", "Active_file", "Inactive_file", "Unevictable", "Mlocked", "SwapTotal",
    "SwapFree", "Zswap", "Zswapped", "Dirty", "Writeback", "AnonPages", "Mapped", "Shmem", "KReclaimable",
    "Slab", "SReclaimable", "SUnreclaim", "KernelStack", "PageTables", "SecPageTables", "NFS_Unstable",
    "Bounce", "WritebackTmp", "CommitLimit", "Committed_AS", "VmallocTotal", "VmallocUsed", "VmallocChunk",
    "Percpu", "HardwareCorrupted", "AnonHugePages", "ShmemHugePages", "ShmemPmdMapped", "FileHugePages",
    "FilePmdMapped", "CmaTotal", "CmaFree", "Hugepagesize", "Hugetlb", "DirectMap4k", "DirectMap2M",
    "DirectMap1G",
)  # fmt: skip
_MEMORY_COUNTS: Final = ("HugePages_Total", "HugePages_Free", "HugePages_Rsvd", "HugePages_Surp")


def _node(world: World) -> NodeReadings | None:
    return world.node if isinstance(world.node, NodeReadings) else None


def _one(read: Callable[[NodeReadings], float | None]) -> _Samples:
    def samples(world: World) -> Iterable[Sample]:
        node = _node(world)
        if node is not None and (value := read(node)) is not None:
            yield NO_LABELS, _NONE, value

    return samples


def _memory(name: str) -> _Samples:
    return _one(lambda node: node.memory.get(name))


def _vmstat(name: str) -> _Samples:
    return _one(lambda node: node.vmstat.get(name))


def _pressure(name: str) -> _Samples:
    return _one(lambda node: node.pressure.get(name))


def _load(index: int) -> _Samples:
    return _one(lambda node: node.load[index] if node.load else None)


def _clock(read: Callable[[ClockState], float | None]) -> _Samples:
    return _one(lambda node: read(node.clock) if node.clock else None)


def _cpu(world: World) -> Iterable[Sample]:
    node = _node(world)
    for cpu, times in node.cpu.items() if node else ():
        for mode, seconds in zip(CPU_MODES, times, strict=True):
            yield NO_LABELS, (("cpu", cpu), ("mode", mode)), seconds


@lru_cache(maxsize=1)
def _filesystem_labels(mounts: tuple[Mount, ...]) -> tuple[LabelSet, ...]:
    """Return the labels of these filesystems; written anew when another one is mounted."""
    return tuple(
        LabelSet((("device", mount.device), ("fstype", mount.fstype), ("mountpoint", mount.mountpoint)))
        for mount in mounts
    )


def _filesystem(read: Callable[[Filesystem], float | None]) -> _Samples:
    def samples(world: World) -> Iterable[Sample]:
        node = _node(world)
        if node is None:
            return
        labels = _filesystem_labels(tuple(filesystem.mount for filesystem in node.filesystems))
        for own, filesystem in zip(labels, node.filesystems, strict=True):
            if (value := read(filesystem)) is not None:
                yield own, _NONE, value

    return samples


def _space(read: Callable[[Space], int]) -> _Samples:
    return _filesystem(lambda filesystem: read(filesystem.space) if filesystem.space else None)


def _uname(world: World) -> Iterable[Sample]:
    node = _node(world)
    if node is None or node.uname is None:
        return
    uname = node.uname
    labels = (
        ("sysname", uname.sysname),
        ("release", uname.release),
        ("version", uname.version),
        ("machine", uname.machine),
        # Ours would be the container's.
        ("nodename", world.host_name or uname.nodename),
        ("domainname", uname.domainname),
    )
    yield LabelSet(labels), _NONE, 1


_GAUGES: Final[tuple[tuple[str, str, _Samples], ...]] = (
    *(
        (f"memory_{key}_bytes", f"{key} of /proc/meminfo, in bytes.", _memory(f"{key}_bytes"))
        for key in _MEMORY_BYTES
    ),
    *((f"memory_{key}", f"{key} of /proc/meminfo.", _memory(key)) for key in _MEMORY_COUNTS),
    ("load1", "Load average of the last minute.", _load(0)),
    ("load5", "Load average of the last 5 minutes.", _load(1)),
    ("load15", "Load average of the last 15 minutes.", _load(2)),
    ("boot_time_seconds", "When the host was started, Unix time.", _one(lambda node: node.boot_time)),
    ("time_seconds", "The host's clock, Unix time.", _one(lambda node: node.at)),
    (
        "timex_offset_seconds",
        "How far the clock is from its reference, as the kernel has it.",
        _clock(lambda clock: clock.offset_seconds),
    ),
    (
        "timex_maxerror_seconds",
        "How far off the clock may be at most.",
        _clock(lambda clock: clock.maxerror_seconds),
    ),
    (
        "timex_sync_status",
        "Whether something keeps the clock synchronized.",
        _clock(lambda clock: clock.synchronized),
    ),
    ("filesystem_size_bytes", "Size of the filesystem.", _space(lambda space: space.size_bytes)),
    ("filesystem_free_bytes", "Free space of the filesystem.", _space(lambda space: space.free_bytes)),
    (
        "filesystem_avail_bytes",
        "Free space of the filesystem for everybody but root.",
        _space(lambda space: space.avail_bytes),
    ),
    ("filesystem_files", "Inodes of the filesystem.", _space(lambda space: space.files)),
    ("filesystem_files_free", "Free inodes of the filesystem.", _space(lambda space: space.files_free)),
    (
        "filesystem_readonly",
        "Whether the filesystem is mounted read-only.",
        _filesystem(lambda filesystem: filesystem.mount.readonly),
    ),
    (
        "filesystem_device_error",
        "Whether the filesystem cannot be asked for its space, or does not answer.",
        _filesystem(lambda filesystem: filesystem.space is None),
    ),
    ("uname_info", "What uname(2) says.", _uname),
)

_COUNTERS: Final[tuple[tuple[str, str, _Samples], ...]] = (
    ("cpu_seconds_total", "Time a CPU spent in a mode.", _cpu),
    *((f"vmstat_{name}", f"{name} of /proc/vmstat.", _vmstat(name)) for name in VMSTAT),
    *(
        (f"pressure_{name}_seconds_total", f"Time in which {who}.", _pressure(name))
        for name, who in (
            ("cpu_waiting", "some task waited for a CPU"),
            ("memory_waiting", "some task waited for memory"),
            ("memory_stalled", "all tasks waited for memory"),
            ("io_waiting", "some task waited for I/O"),
            ("io_stalled", "all tasks waited for I/O"),
        )
    ),
)

FAMILIES: Final = tuple(
    Family(name=f"node_{name}", type=type_, help=help_, samples=samples)
    for type_, rows in ((MetricType.GAUGE, _GAUGES), (MetricType.COUNTER, _COUNTERS))
    for name, help_, samples in rows
)
