"""cAdvisor's families, with cAdvisor's labels and meaning, so that its dashboards and rules keep working.

`cpu="total"` is the only value of that label, on both cgroup versions. Values carry no timestamps: a container that goes is marked stale
at once, and `container_last_seen` stays, frozen, for the five minutes the public alert on it needs. What the kernel does not say is left
out; an unlimited limit is 0, as cAdvisor writes it.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, TypeVar

from exporter.cgroups.usage import CpuUsage, DeviceIo, Limits, MemoryUsage, Pids, Pressure
from exporter.docker.containers import DEFAULT_CPU_PERIOD, Facts, Health
from exporter.docker.inventory import LINGER_SECONDS
from exporter.families.labels import HOST, Labels
from exporter.families.model import Column, Family, Measured, MetricType, Sample, World
from exporter.host.machine import MachineFacts

__all__ = ["FAMILIES"]

_Part = TypeVar("_Part")
_Samples = Callable[[World], Iterable[Sample]]
_Basis = Callable[[World], tuple[object, ...]]
_Number = float | None

_NONE: Final[Labels] = ()
_CPU_TOTAL: Final[Labels] = (("cpu", "total"),)
_HEALTH_VALUES: Final = {Health.HEALTHY: 1, Health.STARTING: 0, Health.UNHEALTHY: 0, Health.NONE: -1}
_DEFAULT_CPU_SHARES: Final = 1024
_TASK_STATES: Final[tuple[Labels, ...]] = tuple(
    (("state", state),) for state in ("iowaiting", "running", "sleeping", "stopped", "uninterruptible")
)


_BASES: Final[dict[_Samples, _Basis]] = {}


def _resting_on(basis: _Basis) -> Callable[[_Samples], _Samples]:
    """Note what samples are made of, if that is the same at most scrapes; see `Family.rests_on`."""

    def note(samples: _Samples) -> _Samples:
        _BASES[samples] = basis
        return samples

    return note


def _facts(world: World) -> tuple[object, ...]:
    return (world.published,)


# Identity and times: what Docker says.


@_resting_on(lambda world: (world.published, world.readings.host is None))
def _health(world: World) -> Iterable[Sample]:
    if world.readings.host is not None:
        yield HOST, _NONE, _HEALTH_VALUES[Health.NONE]
    for known in world.running:
        yield known.cadvisor, _NONE, _HEALTH_VALUES[known.view.health]


@_resting_on(lambda world: (world.published, world.node and world.node.boot_time))
def _start_time(world: World) -> Iterable[Sample]:
    if world.node is not None and world.node.boot_time is not None:
        yield HOST, _NONE, world.node.boot_time
    for known in world.running:
        if known.view.started_at is not None:
            yield known.cadvisor, _NONE, int(known.view.started_at)


@_resting_on(_facts)
def _creation_time(world: World) -> Iterable[Sample]:
    for known in world.running:
        if known.view.facts.created_at is not None:
            yield known.cadvisor, _NONE, int(known.view.facts.created_at)


def _last_seen(world: World) -> Iterable[Sample]:
    if world.readings.host is not None:
        yield HOST, _NONE, int(world.at)
    for known in world.published:
        seen_at = world.at if known.view.status.alive else known.view.finished_at
        if seen_at is not None and world.at - seen_at <= LINGER_SECONDS:
            yield known.cadvisor, _NONE, int(seen_at)
    for known, seen_at in world.gone:
        yield known.cadvisor, _NONE, int(seen_at)


@_resting_on(_facts)
def _oom_events(world: World) -> Iterable[Sample]:
    return ((known.cadvisor, _NONE, known.view.oom_events) for known in world.published)


@_resting_on(_facts)
def _info(world: World) -> Iterable[Sample]:
    for known in world.published:
        if known.view.facts.complete:
            yield known.cadvisor, _info_labels(known.view.facts), 1


def _info_labels(facts: Facts) -> Labels:
    policy = facts.policy.name
    if facts.policy.maximum_retries:
        policy = f"{policy}:{facts.policy.maximum_retries}"
    return (
        ("image_id", facts.image_id),
        ("restart_policy", policy),
        ("network_mode", facts.network_mode),
        ("log_driver", facts.log_driver),
        ("compose_working_dir", facts.labels.get("com.docker.compose.project.working_dir", "")),
        ("compose_config_files", facts.labels.get("com.docker.compose.project.config_files", "")),
    )


# What the cgroups say, a column of the readings at a time.


def _column(
    column: Callable[[Measured], Column[_Part]], read: Callable[[_Part], _Number], labels: Labels = _NONE
) -> _Samples:
    def samples(world: World) -> Iterable[Sample]:
        return [
            (base, labels, value)
            for base, part in column(world.measured)
            if (value := read(part)) is not None
        ]

    return samples


def _cpu(read: Callable[[CpuUsage], _Number], labels: Labels = _NONE) -> _Samples:
    return _column(lambda measured: measured.cpu, read, labels)


def _throttled(read: Callable[[CpuUsage], _Number]) -> _Samples:
    return _column(lambda measured: measured.throttled, read)


def _memory(read: Callable[[MemoryUsage], _Number]) -> _Samples:
    return _column(lambda measured: measured.memory, read)


def _pressure(read: Callable[[Pressure], _Number]) -> _Samples:
    return _column(lambda measured: measured.pressure, read)


def _pids(read: Callable[[Pids], _Number]) -> _Samples:
    return _column(lambda measured: measured.pids, read)


def _not_measured(*labels: Labels) -> _Samples:
    """Say 0 for whoever is measured, which is what cAdvisor says with its defaults."""

    @_resting_on(lambda world: tuple(base for base, _ in world.measured.cpu))
    def samples(world: World) -> Iterable[Sample]:
        return [(base, own, 0) for base, _ in world.measured.cpu for own in labels]

    return samples


def _failures(type_: str) -> tuple[Labels, ...]:
    """Return the labels of one kind of page fault; cAdvisor gives both scopes the same number."""
    return tuple((("failure_type", type_), ("scope", scope)) for scope in ("container", "hierarchy"))


_FAULTS: Final = _failures("pgfault")
_MAJOR_FAULTS: Final = _failures("pgmajfault")


def _memory_failures(world: World) -> Iterable[Sample]:
    for base, memory in world.measured.memory:
        for labels, value in ((_FAULTS, memory.page_faults), (_MAJOR_FAULTS, memory.major_page_faults)):
            if value is not None:
                for own in labels:
                    yield base, own, value


# What may be used: the cgroup says it, or else how the container was made; of the host, what there is.


def _never(_: Limits) -> bool:
    return False


def _limit(
    read: Callable[[Limits], _Number],
    fact: Callable[[Facts, World], _Number],
    machine: Callable[[MachineFacts], _Number] | None = None,
    said: Callable[[Limits], bool] = _never,
) -> _Samples:
    """Make the samples of a limit.

    Args:
        read: From the cgroup.
        fact: From the container's facts, where the cgroup does not say.
        machine: The host's; where it is not known, as its cgroup says.
        said: Whether the cgroup has said all there is by not giving a number.
    """

    @_resting_on(lambda world: (world.published, world.measured.limits, world.machine, world.daemon.info))
    def samples(world: World) -> Iterable[Sample]:
        limits = {id(base): part for base, part in world.measured.limits}
        host = limits.get(id(HOST))
        of_host = machine(world.machine) if machine is not None and world.machine is not None else None
        if of_host is None and host is not None:
            of_host = read(host)
        if of_host is not None:
            yield HOST, _NONE, of_host
        for known in world.running:
            part = limits.get(id(known.cadvisor))
            value = None if part is None else read(part)
            if value is None and known.view.facts.complete and not (part is not None and said(part)):
                value = fact(known.view.facts, world)
            if value is not None:
                yield known.cadvisor, _NONE, value

    return samples


def _quota(facts: Facts, _: World) -> _Number:
    return facts.cpu_quota or None


def _swap_limit(facts: Facts, world: World) -> _Number:
    """Return what the cgroup would say: version 1 limits memory and swap together, version 2 swap alone."""
    if world.daemon.info is None:
        return None
    if facts.memory_swap <= 0:
        return 0
    return facts.memory_swap - facts.memory_limit * (world.daemon.info.cgroup_version == "2")


# I/O by block device.


@lru_cache(maxsize=1024)
def _device(device: str) -> Labels:
    return (("device", device),)


@lru_cache(maxsize=4096)
def _operation(device: str, major: int, minor: int, operation: str) -> Labels:
    return (
        ("device", device),
        ("major", str(major)),
        ("minor", str(minor)),
        ("operation", operation),
    )


def _io(read: Callable[[DeviceIo], int | None]) -> _Samples:
    def samples(world: World) -> Iterable[Sample]:
        for base, devices in world.measured.io:
            # Those without a name share a series.
            sums: dict[str, int] = {}
            for device in devices:
                if (value := read(device)) is not None:
                    sums[device.device] = sums.get(device.device, 0) + value
            for name, total in sums.items():
                yield base, _device(name), total

    return samples


def _device_usage(world: World) -> Iterable[Sample]:
    for base, devices in world.measured.io:
        for io in devices:
            operations = io.operations or (("Read", io.read_bytes), ("Write", io.written_bytes))
            for operation, count in operations:
                yield base, _operation(io.device, io.major, io.minor, operation), count


_G, _C = MetricType.GAUGE, MetricType.COUNTER
_ROWS: Final[tuple[tuple[str, MetricType, str, _Samples], ...]] = (
    ("container_last_seen", _G, "When the container was last seen running, for five minutes after it stopped.", _last_seen),
    ("container_start_time_seconds", _G, "When the container last started.", _start_time),
    ("container_creation_time_seconds", _G, "When the container was made.", _creation_time),
    ("container_health_state", _G, "Health check: 1 healthy, 0 starting or unhealthy, -1 none.", _health),
    ("container_oom_events_total", _C, "OOM kills in the container.", _oom_events),
    ("container_info", _G, "How the container was made; 1.", _info),
    # CPU
    ("container_cpu_usage_seconds_total", _C, "CPU time consumed.", _cpu(lambda cpu: cpu.seconds, _CPU_TOTAL)),
    ("container_cpu_user_seconds_total", _C, "CPU time consumed in user mode.", _cpu(lambda cpu: cpu.user_seconds)),
    ("container_cpu_system_seconds_total", _C, "CPU time consumed in the kernel.", _cpu(lambda cpu: cpu.system_seconds)),
    ("container_cpu_cfs_periods_total", _C, "Periods in which the CPU quota was enforced.", _throttled(lambda cpu: cpu.periods)),
    ("container_cpu_cfs_throttled_periods_total", _C, "Periods in which the container was throttled.", _throttled(lambda cpu: cpu.throttled_periods)),
    ("container_cpu_cfs_throttled_seconds_total", _C, "Time the container was throttled.", _throttled(lambda cpu: cpu.throttled_seconds)),
    ("container_cpu_cfs_burst_periods_total", _C, "Periods in which the container used burst.", _throttled(lambda cpu: cpu.bursts)),
    ("container_cpu_cfs_burst_seconds_total", _C, "CPU time above the quota that burst gave.", _throttled(lambda cpu: cpu.burst_seconds)),
    ("container_cpu_load_average_10s", _G, "Always 0, as cAdvisor has it by default: the load of a container is not measured.", _not_measured(_NONE)),
    ("container_cpu_load_d_average_10s", _G, "Always 0, as cAdvisor has it by default: the load of a container is not measured.", _not_measured(_NONE)),
    ("container_tasks_state", _G, "Always 0, as cAdvisor has it by default: tasks are not counted by state.", _not_measured(*_TASK_STATES)),
    # Memory
    ("container_memory_usage_bytes", _G, "Memory in use, file cache included.", _memory(lambda memory: memory.usage_bytes)),
    ("container_memory_working_set_bytes", _G, "Memory in use without file cache nobody touched for long.", _memory(lambda memory: memory.working_set_bytes)),
    ("container_memory_cache", _G, "File cache in bytes.", _memory(lambda memory: memory.cache_bytes)),
    ("container_memory_rss", _G, "Anonymous memory in bytes.", _memory(lambda memory: memory.rss_bytes)),
    ("container_memory_mapped_file", _G, "Mapped files in bytes.", _memory(lambda memory: memory.mapped_file_bytes)),
    ("container_memory_swap", _G, "Swap in use in bytes.", _memory(lambda memory: memory.swap_bytes)),
    ("container_memory_kernel_usage", _G, "Memory the kernel uses for the container, in bytes.", _memory(lambda memory: memory.kernel_bytes)),
    ("container_memory_max_usage_bytes", _G, "The most memory that was in use.", _memory(lambda memory: memory.max_usage_bytes)),
    ("container_memory_failcnt", _C, "How often the memory limit was reached.", _memory(lambda memory: memory.limit_hits)),
    ("container_memory_total_active_file_bytes", _G, "File cache in active use.", _memory(lambda memory: memory.active_file_bytes)),
    ("container_memory_total_inactive_file_bytes", _G, "File cache nobody touched for long.", _memory(lambda memory: memory.inactive_file_bytes)),
    ("container_memory_failures_total", _C, "Page faults; the scopes have the same number.", _memory_failures),
    ("container_memory_events_high_total", _C, "How often memory.high was exceeded.", _memory(lambda memory: memory.high_events)),
    ("container_memory_events_max_total", _C, "How often memory.max was about to be exceeded.", _memory(lambda memory: memory.max_events)),
    ("container_memory_file_dirty_bytes", _G, "File cache that is not yet written.", _memory(lambda memory: memory.dirty_file_bytes)),
    ("container_memory_file_writeback_bytes", _G, "File cache that is being written.", _memory(lambda memory: memory.writeback_file_bytes)),
    ("container_memory_pgscan_total", _C, "Pages scanned for reclaim.", _memory(lambda memory: memory.pages_scanned)),
    ("container_memory_pgsteal_total", _C, "Pages reclaimed.", _memory(lambda memory: memory.pages_stolen)),
    ("container_memory_workingset_refault_file_total", _C, "File pages needed again soon after reclaim.", _memory(lambda memory: memory.refaults_file)),
    ("container_memory_workingset_refault_anon_total", _C, "Anonymous pages needed again soon after reclaim.", _memory(lambda memory: memory.refaults_anon)),
    # Pressure
    ("container_pressure_cpu_waiting_seconds_total", _C, "Time some tasks waited for CPU.", _pressure(lambda pressure: pressure.cpu_some)),
    ("container_pressure_cpu_stalled_seconds_total", _C, "Time all tasks waited for CPU.", _pressure(lambda pressure: pressure.cpu_full)),
    ("container_pressure_memory_waiting_seconds_total", _C, "Time some tasks waited for memory.", _pressure(lambda pressure: pressure.memory_some)),
    ("container_pressure_memory_stalled_seconds_total", _C, "Time all tasks waited for memory.", _pressure(lambda pressure: pressure.memory_full)),
    ("container_pressure_io_waiting_seconds_total", _C, "Time some tasks waited for I/O.", _pressure(lambda pressure: pressure.io_some)),
    ("container_pressure_io_stalled_seconds_total", _C, "Time all tasks waited for I/O.", _pressure(lambda pressure: pressure.io_full)),
    # I/O
    ("container_fs_reads_bytes_total", _C, "Bytes read from the device.", _io(lambda io: io.read_bytes)),
    ("container_fs_writes_bytes_total", _C, "Bytes written to the device.", _io(lambda io: io.written_bytes)),
    ("container_fs_reads_total", _C, "Reads from the device.", _io(lambda io: io.reads)),
    ("container_fs_writes_total", _C, "Writes to the device.", _io(lambda io: io.writes)),
    ("container_blkio_device_usage_total", _C, "Bytes moved to or from the device, by operation.", _device_usage),
    # Limits
    ("container_spec_cpu_period", _G, "Length of a CPU quota's period in microseconds.", _limit(lambda limits: limits.cpu_period_us, lambda facts, _: facts.cpu_period or DEFAULT_CPU_PERIOD)),
    ("container_spec_cpu_quota", _G, "CPU time per period in microseconds; absent without a quota.", _limit(lambda limits: limits.cpu_quota_us, _quota, said=lambda limits: limits.cpu_period_us is not None)),
    ("container_spec_cpu_shares", _G, "Weight against other containers, 1024 unless set.", _limit(lambda limits: limits.cpu_shares, lambda facts, _: facts.cpu_shares or _DEFAULT_CPU_SHARES)),
    ("container_spec_memory_limit_bytes", _G, "Memory limit, 0: unlimited; of the host all its memory.", _limit(lambda limits: limits.memory_bytes, lambda facts, _: facts.memory_limit, lambda machine: machine.memory_bytes)),
    ("container_spec_memory_swap_limit_bytes", _G, "Swap limit, 0: unlimited, with cgroup v1 memory and swap together; of the host all its swap.", _limit(lambda limits: limits.swap_bytes, _swap_limit, lambda machine: machine.swap_bytes)),
    ("container_spec_memory_reservation_limit_bytes", _G, "Memory reservation, 0: none.", _limit(lambda limits: limits.reservation_bytes, lambda facts, _: facts.memory_reservation)),
    # Tasks
    ("container_threads", _G, "Threads.", _pids(lambda pids: pids.threads)),
    ("container_threads_max", _G, "Limit of threads, 0: unlimited.", _pids(lambda pids: pids.threads_max)),
    ("container_processes", _G, "Processes.", _pids(lambda pids: pids.processes)),
    ("container_file_descriptors", _G, "Open file descriptors of all processes.", _pids(lambda pids: pids.file_descriptors)),
    ("container_sockets", _G, "Open sockets of all processes.", _pids(lambda pids: pids.sockets)),
)  # fmt: skip

FAMILIES: Final = tuple(
    Family(name=name, type=type_, help=help_, samples=samples, rests_on=_BASES.get(samples))
    for name, type_, help_, samples in _ROWS
)
