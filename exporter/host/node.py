"""The host as node_exporter would describe it, in parts: what one of them cannot read costs its own families only."""

import errno
import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from exporter.host import kernelfiles
from exporter.host.files import read, reason, text
from exporter.host.filesystems import Filesystem, FilesystemProber
from exporter.host.kernelfiles import CpuTimes
from exporter.host.mounts import Mount, mounts
from exporter.host.mounttable import MountTable
from exporter.host.timex import ClockState, read_clock

__all__ = ["NodeCollector", "NodeReadings", "Part", "Uname"]

_T = TypeVar("_T")

_REMEDY: Final = "mount the host's /proc and say where with --path.procfs"
# A kernel may take back a little of a CPU's idle time; more than this is a CPU that was off.
_IDLE_JUMP_SECONDS: Final = 3.0
_IDLE: Final = kernelfiles.CPU_MODES.index("idle")
# Name of the family's middle, file, line.
_PRESSURES: Final = (
    ("cpu_waiting", "cpu", "some"),
    ("memory_waiting", "memory", "some"),
    ("memory_stalled", "memory", "full"),
    ("io_waiting", "io", "some"),
    ("io_stalled", "io", "full"),
)
# The kernel is older than that, or was built or booted without it.
_NO_PRESSURE: Final = frozenset({errno.ENOENT, errno.EOPNOTSUPP})


class Part(StrEnum):
    """What is read, each for itself; named as node_exporter's collectors are."""

    MEMINFO = "meminfo"
    VMSTAT = "vmstat"
    LOADAVG = "loadavg"
    PRESSURE = "pressure"
    STAT = "stat"
    FILESYSTEM = "filesystem"
    TIMEX = "timex"
    UNAME = "uname"


_REMEDIES: Final = {
    Part.FILESYSTEM: "mount the host's root directory and say where with --path.rootfs",
    Part.TIMEX: "allow adjtimex and clock_adjtime in the seccomp profile of the exporter's container",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Uname:
    """What uname(2) says.

    Attributes:
        nodename: Of our own container, if we are in one.
    """

    sysname: str
    release: str
    version: str
    machine: str
    nodename: str
    domainname: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReadings:
    """One reading of the host; empty or None is what could not be read, is switched off, or what this kernel does not have.

    Attributes:
        at: The host's clock when it was read, Unix seconds; None before the first reading.
        memory: See `kernelfiles.meminfo`.
        vmstat: Events since boot.
        pressure: Seconds by `cpu_waiting`, `memory_stalled` and so on.
        cpu: By CPU number; never less than in the reading before.
        faults: By part: place, fault and remedy.
    """

    at: float | None = None
    memory: Mapping[str, int] = field(default_factory=dict)
    vmstat: Mapping[str, int] = field(default_factory=dict)
    load: tuple[float, float, float] | None = None
    pressure: Mapping[str, float] = field(default_factory=dict)
    cpu: Mapping[str, CpuTimes] = field(default_factory=dict)
    boot_time: int | None = None
    filesystems: tuple[Filesystem, ...] = ()
    clock: ClockState | None = None
    uname: Uname | None = None
    faults: Mapping[Part, str] = field(default_factory=dict)


class NodeCollector:
    """Reads the host; one collection at a time, in a thread.

    Args:
        procfs: Where the host's /proc is.
        rootfs: Where the host's root directory is.
        parts: What to read.
        prober: Asks filesystems for their space.
        clock: Asks the kernel for the state of its clock.
        now: The host's clock, Unix seconds.
    """

    def __init__(
        self,
        *,
        procfs: Path = Path("/proc"),
        rootfs: Path = Path("/"),
        parts: Collection[Part] = tuple(Part),
        prober: FilesystemProber | None = None,
        clock: Callable[[], ClockState] = read_clock,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._procfs = str(procfs)
        self._rootfs = os.fsencode(rootfs)
        self._parts = frozenset(parts)
        self._prober = prober or FilesystemProber()
        self._clock = clock
        self._now = now
        self._ticks_per_second = os.sysconf("SC_CLK_TCK")
        self._cpu: dict[str, CpuTimes] = {}
        self._hosts_mounts = MountTable(f"{procfs}/1/mountinfo")
        self._own_mounts = MountTable(f"{procfs}/self/mountinfo")
        self._table: tuple[bytes, tuple[Mount, ...]] = (b"", ())

    def collect(self) -> NodeReadings:
        """Read all parts."""
        faults: dict[Part, str] = {}
        stat = self._part(Part.STAT, self._stat, faults)
        return NodeReadings(
            at=self._now(),
            memory=self._part(Part.MEMINFO, self._meminfo, faults) or {},
            vmstat=self._part(Part.VMSTAT, self._vmstat, faults) or {},
            load=self._part(Part.LOADAVG, self._load, faults),
            pressure=self._part(Part.PRESSURE, self._pressure, faults) or {},
            cpu=stat[0] if stat else {},
            boot_time=stat[1] if stat else None,
            filesystems=self._part(Part.FILESYSTEM, self._filesystems, faults) or (),
            clock=self._part(Part.TIMEX, self._clock, faults),
            uname=self._part(Part.UNAME, self._uname, faults),
            faults=faults,
        )

    def _part(self, part: Part, read_part: Callable[[], _T], faults: dict[Part, str]) -> _T | None:
        if part not in self._parts:
            return None
        try:
            return read_part()
        except (OSError, ValueError, RuntimeError) as exc:
            faults[part] = f"{reason(exc)}; {_REMEDIES.get(part, _REMEDY)}"
            return None

    def _meminfo(self) -> Mapping[str, int]:
        return self._parsed("meminfo", kernelfiles.meminfo)

    def _vmstat(self) -> Mapping[str, int]:
        return self._parsed("vmstat", kernelfiles.vmstat)

    def _load(self) -> tuple[float, float, float]:
        return self._parsed("loadavg", kernelfiles.load)

    def _pressure(self) -> Mapping[str, float]:
        found: dict[str, float] = {}
        for name, resource, line in _PRESSURES:
            try:
                seconds = self._parsed(f"pressure/{resource}", kernelfiles.pressure)
            except OSError as exc:
                if exc.errno in _NO_PRESSURE and self._procfs_is_there():
                    return {}
                raise
            if line in seconds:
                found[name] = seconds[line]
        return found

    def _stat(self) -> tuple[Mapping[str, CpuTimes], int]:
        content = self._read("stat")
        try:
            newest = kernelfiles.cpu_times(content, ticks_per_second=self._ticks_per_second)
            boot_time = kernelfiles.boot_time(content)
        except ValueError as exc:
            raise ValueError(f"{self._procfs}/stat: {exc}") from exc
        self._cpu = {cpu: _forward(self._cpu.get(cpu), times) for cpu, times in newest.items()}
        return self._cpu, boot_time

    def _filesystems(self) -> tuple[Filesystem, ...]:
        now = self._now()
        try:
            name = "1/mountinfo"
            content = self._hosts_mounts.read(now)
        except OSError:
            name = "self/mountinfo"
            content = self._own_mounts.read(now)
        if content != self._table[0]:
            try:
                self._table = (content, mounts(content, rootfs=self._rootfs))
            except ValueError as exc:
                raise ValueError(f"{self._procfs}/{name}: {exc}") from exc
        found = self._prober.probe(self._table[1])
        if not found and not self._prober.hanging:
            raise ValueError(f"{self._procfs}/{name}: shows no filesystem of the host")
        return found

    def _uname(self) -> Uname:
        found = os.uname()
        return Uname(
            sysname=found.sysname,
            release=found.release,
            version=found.version,
            machine=found.machine,
            nodename=found.nodename,
            domainname=text(self._read("sys/kernel/domainname").strip()),
        )

    def _parsed(self, name: str, parse: Callable[[bytes], _T]) -> _T:
        content = self._read(name)
        try:
            return parse(content)
        except ValueError as exc:
            raise ValueError(f"{self._procfs}/{name}: {exc}") from exc

    def _read(self, name: str) -> bytes:
        return read(f"{self._procfs}/{name}")

    def _procfs_is_there(self) -> bool:
        return Path(self._procfs, "stat").exists()


def _forward(old: CpuTimes | None, new: CpuTimes) -> CpuTimes:
    """Return times that never go back, unless the CPU was switched off in between."""
    if old is None or old[_IDLE] - new[_IDLE] >= _IDLE_JUMP_SECONDS:
        return new
    return tuple(map(max, old, new))
