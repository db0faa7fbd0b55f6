"""What a container, or the host, has used: what any source of it fills in and the families read. Pure data.

Counters are the kernel's own since the cgroup was made; None everywhere means that this source cannot say, and then the
series is left out. A part that could not be read at all is None in `Usage`.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CpuUsage", "DeviceIo", "Limits", "MemoryUsage", "Pids", "Pressure", "Usage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuUsage:
    """CPU time in seconds; the `periods` and `throttled` of CFS bandwidth control are 0 without a quota.

    Attributes:
        bursts: Periods in which burst was used; cgroup v2 only.
    """

    seconds: float
    user_seconds: float
    system_seconds: float
    periods: int | None = None
    throttled_periods: int | None = None
    throttled_seconds: float | None = None
    bursts: int | None = None
    burst_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUsage:
    """Memory in bytes, events as counts.

    Attributes:
        working_set_bytes: Usage without the file cache nobody has touched for long, never below 0.
        limit_hits: How often the limit was reached (v1 `failcnt`, v2 `memory.events` max).
        oom_kills: Since the cgroup was made.
    """

    usage_bytes: int
    working_set_bytes: int
    cache_bytes: int | None = None
    rss_bytes: int | None = None
    mapped_file_bytes: int | None = None
    swap_bytes: int | None = None
    kernel_bytes: int | None = None
    max_usage_bytes: int | None = None
    active_file_bytes: int | None = None
    inactive_file_bytes: int | None = None
    dirty_file_bytes: int | None = None
    writeback_file_bytes: int | None = None
    limit_hits: int | None = None
    high_events: int | None = None
    max_events: int | None = None
    page_faults: int | None = None
    major_page_faults: int | None = None
    pages_scanned: int | None = None
    pages_stolen: int | None = None
    refaults_file: int | None = None
    refaults_anon: int | None = None
    oom_kills: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceIo:
    """I/O of one block device.

    Attributes:
        device: `/dev/sda`; empty when the kernel has no name for the numbers.
        reads, writes: None where the source counts bytes only.
        operations: Bytes by operation (Read, Write, and on v1 Sync, Async, Discard, Total).
    """

    device: str
    major: int
    minor: int
    read_bytes: int
    written_bytes: int
    reads: int | None
    writes: int | None
    operations: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """Seconds that some, or all, tasks waited for a resource (PSI); cgroup v2 only."""

    cpu_some: float
    cpu_full: float
    memory_some: float
    memory_full: float
    io_some: float
    io_full: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the cgroup may use; 0 bytes means unlimited.

    Attributes:
        cpu_quota_us: None without a quota.
        cpu_shares: On v1's scale, as Docker takes them; None when only a v2 weight is known.
        swap_bytes: v1: memory and swap together; v2: swap alone.
    """

    cpu_period_us: int | None = None
    cpu_quota_us: int | None = None
    cpu_shares: int | None = None
    memory_bytes: int | None = None
    swap_bytes: int | None = None
    reservation_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pids:
    """Tasks of the cgroup; limit 0 means unlimited. The last three cost a look at every process and are read on request."""

    threads: int
    threads_max: int
    processes: int | None = None
    file_descriptors: int | None = None
    sockets: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One reading of a container or of the host."""

    cpu: CpuUsage | None = None
    memory: MemoryUsage | None = None
    io: tuple[DeviceIo, ...] | None = None
    pressure: Pressure | None = None
    limits: Limits | None = None
    pids: Pids | None = None
