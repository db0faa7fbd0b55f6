"""Reads one cgroup, part by part: what is wrong with one file costs the part it belongs to, and is said.

Blocking file reads, meant to run in a thread.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from exporter.cgroups.devices import BlockDevices
from exporter.cgroups.fields import number
from exporter.cgroups.files import CgroupFiles, CgroupGoneError, ControllerMissingError, Descriptors
from exporter.cgroups.paths import Membership
from exporter.cgroups.usage import CpuUsage, DeviceIo, Limits, MemoryUsage, Pids, Pressure, Usage
from exporter.cgroups.v1 import Version1, controller_folders
from exporter.cgroups.v2 import Version2
from vakhta import logs

__all__ = ["ALL_PARTS", "DEFAULT_PARTS", "CgroupReader", "Faults"]

_log: Final = logs.get(__name__)


# The parts that are read unless somebody wants others; `processes` looks at every process of every container.
DEFAULT_PARTS: Final = frozenset({"cpu", "memory", "disk_io", "pressure", "limits", "pids"})
ALL_PARTS: Final = DEFAULT_PARTS | {"processes"}

# By part, the first sentence about it.
Faults = dict[str, str]

# All that a file with any content, or without permission to read it, can raise.
_UNREADABLE: Final = (OSError, ValueError, LookupError, ControllerMissingError)
_FIELDS: Final = {
    "cpu": "cpu",
    "memory": "memory",
    "disk_io": "io",
    "pressure": "pressure",
    "limits": "limits",
    "pids": "pids",
}
_PAGE_OF_TEXT: Final = 60


class _Version(Protocol):
    """What both versions offer."""

    @property
    def procs(self) -> str:
        """The controller whose `cgroup.procs` is read."""

    @property
    def missing(self) -> frozenset[str]:
        """The controllers this kernel lacks, of those that are read."""

    def is_root(self) -> bool: ...
    def files(self, place: Membership) -> CgroupFiles: ...
    def host_files(self) -> CgroupFiles: ...
    def cpu(self, files: CgroupFiles) -> CpuUsage | None: ...
    def memory(self, files: CgroupFiles) -> MemoryUsage | None: ...
    def disk_io(self, files: CgroupFiles) -> tuple[DeviceIo, ...] | None: ...
    def pressure(self, files: CgroupFiles) -> Pressure | None: ...
    def limits(self, files: CgroupFiles) -> Limits: ...
    def pids(self, files: CgroupFiles) -> Pids | None: ...
    def host_memory(self, files: CgroupFiles, *, swap: int | None) -> MemoryUsage | None: ...
    def host_limits(self, files: CgroupFiles) -> Limits: ...


class _PartlyReadError(Exception):
    """Something of a part cannot be read, and is told of as a part of its own.

    Attributes:
        found: What can.
        part: What cannot.
        why: The error.
    """

    def __init__(self, found: object, *, part: str, why: Exception) -> None:
        super().__init__(part)
        self.found = found
        self.part = part
        self.why = why


_Step = tuple[str, str, Callable[[CgroupFiles], object]]


class CgroupReader:
    """Reads cgroups below a mount of cgroupfs.

    Args:
        cgroupfs: Where it is mounted; `/sys/fs/cgroup` on a host.
        procfs: The host's `/proc`.
        sysfs: The host's `/sys`, for the names of disks.
        parts: Which parts to read, of `ALL_PARTS`.
        keep: How many files may be kept open; None: what the limit of open files allows.
    """

    def __init__(
        self,
        *,
        cgroupfs: Path,
        procfs: Path,
        sysfs: Path = Path("/sys"),
        parts: frozenset[str] = DEFAULT_PARTS,
        keep: int | None = None,
    ) -> None:
        self._procfs = str(procfs)
        self._parts = parts
        self._devices = BlockDevices(sysfs)
        self._version = _version(cgroupfs, self._devices, Descriptors(keep))
        self._host = self._version.host_files() if self._version else None
        self._at_root = self._version is not None and self._version.is_root()
        self._proc = CgroupFiles({"": self._procfs}, Descriptors(1))
        self._steps: tuple[_Step, ...] = ()
        self._steps_but_limits: tuple[_Step, ...] = ()
        self._host_steps: tuple[_Step, ...] = ()
        if self._version:
            self._steps = self._chosen(
                self._version, memory=self._version.memory, limits=self._version.limits
            )
            self._steps_but_limits = tuple(step for step in self._steps if step[0] != "limits")
            self._host_steps = self._chosen(self._version, memory=self._host_memory, limits=self._host_limits)
            for controller in sorted(self._version.missing):
                _log.warning(
                    "the kernel does not count this: its families are absent",
                    controller=controller,
                    remedy=f"boot a kernel that has it, with cgroup_enable={controller}",
                )

    @property
    def mounted(self) -> bool:
        """Whether there are cgroups at all."""
        return self._version is not None

    @property
    def at_root(self) -> bool:
        """Whether what is mounted is the whole host's. In a container, without a mount, it is that container's own cgroup."""
        return self._at_root

    @property
    def host_place(self) -> str:
        """The path of the host's file read last."""
        return self._host.place if self._host else ""

    def refresh(self) -> None:
        """Prepare for a round of readings."""
        self._devices.refresh()

    def files(self, place: Membership) -> CgroupFiles:
        """Return the files of a container's cgroup; to be kept as long as its process lives.

        Raises:
            CgroupGoneError: There are no cgroups at all.
        """
        if self._version is None:
            raise CgroupGoneError
        return self._version.files(place)

    def read(self, files: CgroupFiles, faults: Faults, *, whose: str, limits: Limits | None = None) -> Usage:
        """Read a container's usage.

        Args:
            files: Its files.
            faults: Gets what is wrong, by part, where nothing is said yet.
            whose: Whom a fault is about: `container web`.
            limits: Known already; None: read them too.

        Raises:
            CgroupGoneError: The cgroup is gone.
        """
        if limits is None:
            return _usage(self._steps, files, faults, whose)
        return _usage(self._steps_but_limits, files, faults, whose, limits=limits)

    def read_host(self, faults: Faults) -> Usage | None:
        """Read the whole host's usage; None when nothing of it can be read. `faults` as in `read`."""
        if self._host is None:
            return None
        try:
            found = _usage(self._host_steps, self._host, faults, "host")
        except CgroupGoneError:
            faults.setdefault("cgroups", f"host: {self._host.place} is gone; was the cgroupfs unmounted?")
            return None
        return found if found != Usage() else None

    def _chosen(
        self,
        version: _Version,
        *,
        memory: Callable[[CgroupFiles], object],
        limits: Callable[[CgroupFiles], object],
    ) -> tuple[_Step, ...]:
        steps: dict[str, Callable[[CgroupFiles], object]] = {
            "cpu": version.cpu,
            "memory": memory,
            "disk_io": version.disk_io,
            "pressure": version.pressure,
            "limits": limits,
            "pids": version.pids,
        }
        wanted = set(self._parts)
        if "processes" in wanted:
            wanted.add("pids")
            steps["pids"] = self._pids_and_processes
        return tuple((part, _FIELDS[part], step) for part, step in steps.items() if part in wanted)

    def _host_memory(self, files: CgroupFiles) -> MemoryUsage | None:
        assert self._version is not None  # there are no steps without it
        try:
            _, total, free = self._meminfo()
            swap = max(0, total - free)
        except (OSError, ValueError, LookupError, CgroupGoneError):
            return self._version.host_memory(files, swap=None)  # the limits' fault
        found = self._version.host_memory(files, swap=swap)
        return None if found is None else replace(found, oom_kills=None)

    def _host_limits(self, files: CgroupFiles) -> Limits:
        """Return what the machine has: that is what cAdvisor calls the root's limit."""
        assert self._version is not None  # there are no steps without it
        found = self._version.host_limits(files)
        try:
            memory, swap, _ = self._meminfo()
        except CgroupGoneError:
            raise ValueError(f"{self._procfs}/meminfo is not there") from None
        return replace(found, memory_bytes=memory, swap_bytes=swap)

    def _meminfo(self) -> tuple[int, int, int]:
        words = self._proc.read("meminfo").split()
        return (
            _kibibytes(words, b"MemTotal:"),
            _kibibytes(words, b"SwapTotal:"),
            _kibibytes(words, b"SwapFree:"),
        )

    def _pids_and_processes(self, files: CgroupFiles) -> Pids | None:
        assert self._version is not None  # there are no steps without it
        found = self._version.pids(files)
        if found is None:
            return None
        try:
            pids = files.read("cgroup.procs", self._version.procs).split()
            found = replace(found, processes=len(pids))
            # A process outside our pid namespace is shown as 0: it is there, but cannot be looked at.
            if b"0" in pids:
                return found
            descriptors = [name for pid in pids for name in _open_files(f"{self._procfs}/{int(pid)}/fd")]
        except (OSError, ValueError) as exc:
            raise _PartlyReadError(found, part="processes", why=exc) from exc
        sockets = sum(name.startswith("socket:") for name in descriptors)
        return replace(found, file_descriptors=len(descriptors), sockets=sockets)


def _usage(
    steps: tuple[_Step, ...], files: CgroupFiles, faults: Faults, whose: str, **found: object
) -> Usage:
    for part, field, step in steps:
        try:
            found[field] = step(files)
        except _UNREADABLE as exc:
            if part not in faults:
                faults[part] = f"{whose}: {_sentence(exc, files.place)}"
        except _PartlyReadError as exc:
            found[field] = exc.found
            if exc.part not in faults:
                faults[exc.part] = f"{whose}: {_sentence(exc.why, files.place)}"
    return Usage(**found)  # type: ignore[arg-type] # every step returns what its field holds


def _sentence(exc: Exception, place: str) -> str:
    match exc:
        case ControllerMissingError():
            return (
                f"{place}: the {exc.controller} controller is not enabled there; have whoever made this cgroup enable it "
                f"(cgroup.subtree_control above it; with systemd Delegate={exc.controller})"
            )
        case PermissionError():
            return f"{exc.filename or place}: {exc.strerror}; let the exporter's user read it, or run the exporter as root"
        case OSError():
            return f"{exc.filename or place}: {exc.strerror}; see whether other programs can read it"
        case _:
            text = str(exc)
            return f"{place}: {text if len(text) <= _PAGE_OF_TEXT else text[:_PAGE_OF_TEXT] + '…'}; report this with the output of `uname -r`"


def _version(cgroupfs: Path, devices: BlockDevices, descriptors: Descriptors) -> _Version | None:
    if (cgroupfs / "cgroup.controllers").exists():
        return Version2(cgroupfs, devices=devices, descriptors=descriptors)
    folders = controller_folders(cgroupfs)
    return Version1(folders, devices=devices, descriptors=descriptors) if folders else None


def _kibibytes(words: list[bytes], name: bytes) -> int:
    return number(words[words.index(name) + 1]) * 1024


def _open_files(folder: str) -> list[str]:
    """Return what the descriptors of a process are; a process, or a descriptor, may end while we look."""
    found: list[str] = []
    try:
        names = os.listdir(folder)  # noqa: PTH208 - thousands of names
    except (FileNotFoundError, ProcessLookupError):
        return found
    for name in names:
        try:
            found.append(os.readlink(f"{folder}/{name}"))  # noqa: PTH115 - as above
        except FileNotFoundError:
            continue
    return found
