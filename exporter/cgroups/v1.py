"""What the files of cgroup version 1 say: one hierarchy per controller.

`total_…` of `memory.stat` covers the cgroups below too; without `use_hierarchy` it equals the plain value, so it is always right.

Source: https://docs.kernel.org/admin-guide/cgroup-v1/index.html
"""

import os
from pathlib import Path
from typing import Final

from exporter.cgroups.devices import BlockDevices
from exporter.cgroups.fields import Fields, clamp, device_numbers, limit, number
from exporter.cgroups.files import CgroupFiles, Descriptors
from exporter.cgroups.paths import V1_CONTROLLERS, Membership
from exporter.cgroups.usage import CpuUsage, DeviceIo, Limits, MemoryUsage, Pids, Pressure

__all__ = ["Version1", "controller_folders"]

# USER_HZ, the unit of cpuacct.stat on every architecture Docker runs on.
_TICKS: Final = 100
# A file of every hierarchy's root, and of no other cgroup.
_ONLY_IN_ROOT: Final = "release_agent"
# Count and bytes of I/O, by who keeps them: the BFQ scheduler, CFQ (before Linux 5.0), the throttling layer.
_BLKIO_GROUPS: Final = (
    ("blkio.bfq.io_serviced_recursive", "blkio.bfq.io_service_bytes_recursive"),
    ("blkio.io_serviced_recursive", "blkio.io_service_bytes_recursive"),
    ("blkio.throttle.io_serviced_recursive", "blkio.throttle.io_service_bytes_recursive"),
    ("blkio.throttle.io_serviced", "blkio.throttle.io_service_bytes"),
)


def controller_folders(root: Path) -> dict[str, str]:
    """Return where the controllers are mounted: in folders of their own, or several in one (`cpu,cpuacct`)."""
    try:
        listed = sorted(os.listdir(root))  # noqa: PTH208 - names only
    except OSError:
        return {}
    return {
        controller: f"{root}/{name}"
        for name in listed
        for controller in name.split(",")
        if controller in V1_CONTROLLERS and (root / name).is_dir()
    }


class Version1:
    """Reads the parts of a reading from the hierarchies of version 1.

    Args:
        folders: Where the controllers are mounted.
        devices: Names of the host's disks.
        descriptors: How many may be kept open.
    """

    procs = "cpu"

    def __init__(self, folders: dict[str, str], *, devices: BlockDevices, descriptors: Descriptors) -> None:
        self._folders = folders
        self._devices = devices
        self._descriptors = descriptors
        self._blkio_groups = _groups(folders.get("blkio"))
        self._ticks = Fields("user", "system", required=2)
        self._cpu = Fields("nr_periods", "nr_throttled", "throttled_time")
        self._memory = Fields(
            "total_inactive_file",
            "total_active_file",
            "total_cache",
            "total_rss",
            "total_mapped_file",
            "total_swap",
            "total_dirty",
            "total_writeback",
            "pgfault",
            "pgmajfault",
            "total_workingset_refault_file",
            "total_workingset_refault_anon",
            required=1,
        )
        self._oom = Fields("oom_kill", "under_oom")
        self.missing = frozenset(V1_CONTROLLERS).difference(folders)

    def is_root(self) -> bool:
        """Whether these are the roots of the hierarchies."""
        return all(os.path.exists(f"{folder}/{_ONLY_IN_ROOT}") for folder in self._folders.values())  # noqa: PTH110 - Path's raises where it may not look

    def files(self, place: Membership) -> CgroupFiles:
        """Return the files of a container's cgroups."""
        paths = ((name, place.of(name)) for name in self._folders)
        return CgroupFiles(
            {name: self._folders[name] + path for name, path in paths if path is not None}, self._descriptors
        )

    def host_files(self) -> CgroupFiles:
        """Return the files of the roots."""
        return CgroupFiles(dict(self._folders), self._descriptors)

    def cpu(self, files: CgroupFiles) -> CpuUsage | None:
        """Read CPU time; bandwidth control only with a quota. None where the kernel lacks the controller."""
        if not files.has("cpuacct"):
            return None
        seconds = number(files.read("cpuacct.usage", "cpuacct")) / 1e9
        user, system = self._ticks.read(files.read("cpuacct.stat", "cpuacct"))
        assert user is not None and system is not None  # noqa: PT018 - one requirement: Fields saw to it
        quota = files.read_if_any("cpu.cfs_quota_us", "cpu")
        stat = files.read_if_any("cpu.stat", "cpu") if quota and not quota.startswith(b"-") else None
        periods, throttled, throttled_ns = self._cpu.read(stat) if stat else (None, None, None)
        return CpuUsage(
            seconds=seconds,
            user_seconds=user / _TICKS,
            system_seconds=system / _TICKS,
            periods=periods,
            throttled_periods=throttled,
            throttled_seconds=None if throttled_ns is None else throttled_ns / 1e9,
        )

    def memory(self, files: CgroupFiles) -> MemoryUsage | None:
        """Read memory; this version counts no events but hits of the limit and OOM kills. None where the kernel lacks the controller."""
        if not files.has("memory"):
            return None
        usage = number(files.read("memory.usage_in_bytes", "memory"))
        (
            inactive,
            active,
            cache,
            rss,
            mapped,
            swap,
            dirty,
            writeback,
            faults,
            major,
            refaults_file,
            refaults_anon,
        ) = files.made_of("memory.stat", files.read("memory.stat", "memory"), self._memory.read)
        assert inactive is not None  # Fields saw to it
        return MemoryUsage(
            usage_bytes=usage,
            working_set_bytes=max(0, usage - inactive),
            cache_bytes=cache,
            rss_bytes=rss,
            mapped_file_bytes=mapped,
            swap_bytes=swap or 0,
            kernel_bytes=_number_if_any(files, "memory.kmem.usage_in_bytes"),
            max_usage_bytes=_number_if_any(files, "memory.max_usage_in_bytes"),
            active_file_bytes=active,
            inactive_file_bytes=inactive,
            dirty_file_bytes=dirty,
            writeback_file_bytes=writeback,
            limit_hits=_number_if_any(files, "memory.failcnt"),
            page_faults=faults,
            major_page_faults=major,
            refaults_file=refaults_file,
            refaults_anon=refaults_anon,
            oom_kills=self._oom_kills(files),
        )

    def _oom_kills(self, files: CgroupFiles) -> int | None:
        text = files.read_if_any("memory.oom_control", "memory")
        return None if text is None else self._oom.read(text)[0]

    def host_memory(self, files: CgroupFiles, *, swap: int | None) -> MemoryUsage | None:
        """Read the root's memory, which has the same files as every cgroup."""
        del swap
        return self.memory(files)

    def disk_io(self, files: CgroupFiles) -> tuple[DeviceIo, ...] | None:
        """Read I/O from the first group of files that has something to say."""
        if not files.has("blkio"):
            return None
        for counts_name, bytes_name in self._blkio_groups:
            counts = files.made_of(counts_name, files.read_if_any(counts_name, "blkio"), _by_device)
            if counts:
                sizes = _by_device(files.read_if_any(bytes_name, "blkio"))
                return tuple(
                    _device(self._devices.name(numbers), numbers, each, sizes.get(numbers, {}))
                    for numbers, each in counts.items()
                )
        return ()

    def pressure(self, files: CgroupFiles) -> Pressure | None:
        """Return None: this version does not measure it."""
        del files
        return None

    def limits(self, files: CgroupFiles) -> Limits:
        """Read the limits; the swap limit is of memory and swap together."""
        quota = files.read_if_any("cpu.cfs_quota_us", "cpu")
        quota_us = None if quota is None else int(quota)
        return Limits(
            cpu_quota_us=None if quota_us is None or quota_us < 0 else clamp(quota_us),
            cpu_period_us=_number_if_any(files, "cpu.cfs_period_us", "cpu"),
            cpu_shares=_number_if_any(files, "cpu.shares", "cpu"),
            memory_bytes=_limit_if_any(files, "memory.limit_in_bytes"),
            swap_bytes=_limit_if_any(files, "memory.memsw.limit_in_bytes") or 0,
            reservation_bytes=_limit_if_any(files, "memory.soft_limit_in_bytes"),
        )

    def host_limits(self, files: CgroupFiles) -> Limits:
        """Read the root's."""
        return self.limits(files)

    def pids(self, files: CgroupFiles) -> Pids | None:
        """Read the number of tasks; None without the pids controller, and for the root, which does not count them."""
        threads = _number_if_any(files, "pids.current", "pids")
        if threads is None:
            return None
        return Pids(threads=threads, threads_max=limit(files.read("pids.max", "pids")))


def _groups(folder: str | None) -> tuple[tuple[str, str], ...]:
    """Return those groups of files this kernel has: the root shows."""
    try:
        listed = frozenset(os.listdir(folder)) if folder else frozenset()  # noqa: PTH208 - names only
    except OSError:
        listed = frozenset()
    found = tuple(group for group in _BLKIO_GROUPS if group[0] in listed)
    # The last is the one before it without the cgroups below, for kernels that have nothing else.
    return found[:-1] if found[-2:] == _BLKIO_GROUPS[-2:] else found


def _number_if_any(files: CgroupFiles, name: str, controller: str = "memory") -> int | None:
    text = files.read_if_any(name, controller)
    return None if text is None else number(text)


def _limit_if_any(files: CgroupFiles, name: str) -> int | None:
    text = files.read_if_any(name, "memory")
    return None if text is None else limit(text)


def _by_device(text: bytes | None) -> dict[bytes, dict[bytes, int]]:
    """Read lines `8:0 Read 4096`; the line `Total 4096` at the end is of all devices."""
    found: dict[bytes, dict[bytes, int]] = {}
    for line in (text or b"").splitlines():
        words = line.split()
        if len(words) == 3:
            if words[0] not in found:
                device_numbers(words[0])
                found[words[0]] = {}
            found[words[0]][words[1]] = number(words[2])
        elif len(words) != 2 or words[0] != b"Total":
            raise ValueError("a line is not a device, an operation and a number")
    return found


def _device(name: str, numbers: bytes, counts: dict[bytes, int], sizes: dict[bytes, int]) -> DeviceIo:
    major, minor = device_numbers(numbers)
    return DeviceIo(
        device=name,
        major=major,
        minor=minor,
        read_bytes=sizes.get(b"Read", 0),
        written_bytes=sizes.get(b"Write", 0),
        reads=counts.get(b"Read", 0),
        writes=counts.get(b"Write", 0),
        operations=tuple((operation.decode(), size) for operation, size in sizes.items()),
    )
