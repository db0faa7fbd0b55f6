"""What the files of cgroup version 2 say.

Where it is more than cAdvisor reads: the reservation is `memory.low` (runtimes write it there), limit hits are `memory.events` max,
kernel memory is `memory.stat` kernel.

Source: https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

import os
from pathlib import Path
from typing import Final

from exporter.cgroups.devices import BlockDevices
from exporter.cgroups.fields import Fields, device_numbers, limit, number
from exporter.cgroups.files import CgroupFiles, ControllerMissingError, Descriptors
from exporter.cgroups.paths import Membership
from exporter.cgroups.usage import CpuUsage, DeviceIo, Limits, MemoryUsage, Pids, Pressure

__all__ = ["Version2"]

# Files of every cgroup but the root.
_NOT_IN_ROOT: Final = ("cgroup.events", "memory.current")
_CONTROLLERS: Final = ("cpu", "io", "memory", "pids")
_PSI_FILES: Final = ("cpu.pressure", "memory.pressure", "io.pressure")


class Version2:
    """Reads the parts of a reading from the unified hierarchy.

    Args:
        root: Where it is mounted.
        devices: Names of the host's disks.
        descriptors: How many may be kept open.
    """

    procs = ""

    def __init__(self, root: Path, *, devices: BlockDevices, descriptors: Descriptors) -> None:
        self._root = str(root)
        self._devices = devices
        self._descriptors = descriptors
        self._cpu = Fields(
            "usage_usec",
            "user_usec",
            "system_usec",
            "nr_periods",
            "nr_throttled",
            "throttled_usec",
            "nr_bursts",
            "burst_usec",
            required=3,
        )
        self._memory = Fields(
            "anon",
            "file",
            "inactive_file",
            "active_file",
            "file_mapped",
            "kernel",
            "file_dirty",
            "file_writeback",
            "pgfault",
            "pgmajfault",
            "pgscan",
            "pgsteal",
            "workingset_refault_file",
            "workingset_refault_anon",
            required=3,
        )
        self._events = Fields("high", "max", "oom_kill")
        self.missing = _missing(self._root)

    def is_root(self) -> bool:
        """Whether it is the root of the hierarchy."""
        return not any(os.path.exists(f"{self._root}/{name}") for name in _NOT_IN_ROOT)  # noqa: PTH110 - Path's raises where it may not look

    def files(self, place: Membership) -> CgroupFiles:
        """Return the files of a container's cgroup."""
        return CgroupFiles({"": self._root + (place.unified or place.path)}, self._descriptors)

    def host_files(self) -> CgroupFiles:
        """Return the files of the root, which has fewer."""
        return CgroupFiles({"": self._root}, self._descriptors)

    def cpu(self, files: CgroupFiles) -> CpuUsage:
        """Read CPU time; bandwidth control only with a quota."""
        usage, user, system, periods, throttled, throttled_us, bursts, burst_us = self._cpu.read(
            files.read("cpu.stat")
        )
        assert usage is not None and user is not None and system is not None  # noqa: PT018 - one requirement: Fields saw to it
        quota = files.read_if_any("cpu.max")
        if not quota or quota.startswith(b"max"):
            return CpuUsage(seconds=usage / 1e6, user_seconds=user / 1e6, system_seconds=system / 1e6)
        return CpuUsage(
            seconds=usage / 1e6,
            user_seconds=user / 1e6,
            system_seconds=system / 1e6,
            periods=periods,
            throttled_periods=throttled,
            throttled_seconds=None if throttled_us is None else throttled_us / 1e6,
            bursts=bursts,
            burst_seconds=None if burst_us is None else burst_us / 1e6,
        )

    def memory(self, files: CgroupFiles) -> MemoryUsage | None:
        """Read memory and its events; None where the kernel lacks the controller."""
        # Each file is understood before the next is read: a fault names the file read last.
        usage = _number_if_any(files, "memory.current")
        if usage is None:
            if "memory" in self.missing:
                return None
            raise ControllerMissingError("memory")
        events = files.read_if_any("memory.events")
        return self._memory_of(
            files,
            events=[None] * 3 if events is None else self._events.read(events),
            usage=usage,
            # Without swap accounting there is no file, and 0 is what cAdvisor's users are used to.
            swap=_number_if_any(files, "memory.swap.current") or 0,
            peak=_number_if_any(files, "memory.peak"),
        )

    def host_memory(self, files: CgroupFiles, *, swap: int | None) -> MemoryUsage | None:
        """Read the root's memory: it has no `memory.current`, usage is what `memory.stat` has as anon and file."""
        if "memory" in self.missing:
            return None
        return self._memory_of(files, usage=None, swap=swap, peak=None, events=[None] * 3)

    def _memory_of(
        self,
        files: CgroupFiles,
        *,
        usage: int | None,
        swap: int | None,
        peak: int | None,
        events: list[int | None],
    ) -> MemoryUsage:
        (
            anon,
            file,
            inactive,
            active,
            mapped,
            kernel,
            dirty,
            writeback,
            faults,
            major,
            scanned,
            stolen,
            refaults_file,
            refaults_anon,
        ) = files.made_of("memory.stat", files.read("memory.stat"), self._memory.read)
        assert anon is not None and file is not None and inactive is not None  # noqa: PT018 - one requirement: Fields saw to it
        if usage is None:
            usage = anon + file
        high, hits, kills = events
        return MemoryUsage(
            usage_bytes=usage,
            working_set_bytes=max(0, usage - inactive),
            cache_bytes=file,
            rss_bytes=anon,
            mapped_file_bytes=mapped,
            swap_bytes=swap,
            kernel_bytes=kernel,
            max_usage_bytes=peak,
            active_file_bytes=active,
            inactive_file_bytes=inactive,
            dirty_file_bytes=dirty,
            writeback_file_bytes=writeback,
            limit_hits=hits,
            high_events=high,
            max_events=hits,
            page_faults=faults,
            major_page_faults=major,
            pages_scanned=scanned,
            pages_stolen=stolen,
            refaults_file=refaults_file,
            refaults_anon=refaults_anon,
            oom_kills=kills,
        )

    def disk_io(self, files: CgroupFiles) -> tuple[DeviceIo, ...] | None:
        """Read `io.stat`; a device appears with its first I/O.

        Some kernels leave out the line break after a device without numbers, so lines mean nothing here.
        """
        text = files.read_if_any("io.stat")
        if not text:
            return None if text is None else ()
        found: list[tuple[bytes, tuple[int, int], dict[bytes, bytes]]] = []
        for word in text.split():
            key, equals, value = word.partition(b"=")
            if equals:
                found[-1][2][key] = value
            else:
                found.append((word, device_numbers(word), {}))
        return tuple(
            _device(self._devices.name(word), numbers, counts) for word, numbers, counts in found if counts
        )

    def pressure(self, files: CgroupFiles) -> Pressure | None:
        """Read pressure; None where the kernel does not measure it."""
        found = [_stalls(text) for name in _PSI_FILES if (text := files.read_if_any(name)) is not None]
        if len(found) != len(_PSI_FILES):
            return None
        (cpu_some, cpu_full), (memory_some, memory_full), (io_some, io_full) = found
        return Pressure(
            cpu_some=cpu_some,
            cpu_full=cpu_full,
            memory_some=memory_some,
            memory_full=memory_full,
            io_some=io_some,
            io_full=io_full,
        )

    def limits(self, files: CgroupFiles) -> Limits:
        """Read the limits; the CPU weight is left to Docker, which knows the shares it was made of."""
        bandwidth = files.read_if_any("cpu.max")
        quota: int | None = None
        period: int | None = None
        if bandwidth is not None:
            first, second = bandwidth.split()
            quota = None if first == b"max" else number(first)
            period = number(second)
        return Limits(
            cpu_period_us=period,
            cpu_quota_us=quota,
            memory_bytes=_limit_if_any(files, "memory.max"),
            swap_bytes=_limit_if_any(files, "memory.swap.max") or 0,
            reservation_bytes=_limit_if_any(files, "memory.low"),
        )

    def host_limits(self, files: CgroupFiles) -> Limits:
        """Return the root's, which has none; a period of 0 as cAdvisor says."""
        del files
        return Limits(cpu_period_us=0, reservation_bytes=0)

    def pids(self, files: CgroupFiles) -> Pids | None:
        """Read the number of tasks; None without the pids controller."""
        threads = _number_if_any(files, "pids.current")
        return None if threads is None else Pids(threads=threads, threads_max=limit(files.read("pids.max")))


def _missing(root: str) -> frozenset[str]:
    """Return which controllers the kernel lacks; CPU time it counts without one."""
    try:
        listed = Path(root, "cgroup.controllers").read_text(errors="replace").split()
    except OSError:
        return frozenset()
    return frozenset(_CONTROLLERS).difference(listed)


def _number_if_any(files: CgroupFiles, name: str) -> int | None:
    text = files.read_if_any(name)
    return None if text is None else number(text)


def _limit_if_any(files: CgroupFiles, name: str) -> int | None:
    text = files.read_if_any(name)
    return None if text is None else limit(text)


def _device(name: str, numbers: tuple[int, int], counts: dict[bytes, bytes]) -> DeviceIo:
    major, minor = numbers
    read, written = number(counts.get(b"rbytes", b"0")), number(counts.get(b"wbytes", b"0"))
    return DeviceIo(
        device=name,
        major=major,
        minor=minor,
        read_bytes=read,
        written_bytes=written,
        reads=number(counts.get(b"rios", b"0")),
        writes=number(counts.get(b"wios", b"0")),
        operations=(("Read", read), ("Write", written)),
    )


def _stalls(text: bytes) -> tuple[float, float]:
    """Return the seconds of `some` and `full`; before Linux 5.13 `cpu.pressure` has no line `full`."""
    words = text.split()
    if words[0] != b"some" or not words[4].startswith(b"total="):
        raise ValueError("no line some with a total")
    some = number(words[4][6:]) / 1e6
    if len(words) == 5:
        return some, 0.0
    if words[5] != b"full" or not words[9].startswith(b"total="):
        raise ValueError("no line full with a total")
    return some, number(words[9][6:]) / 1e6
