"""Reads the usage of one cgroup, version 1 or 2.

Blocking file reads, meant to run in a thread: a cgroup file costs some 20 µs. Opened with `os.open`, because the hot path of a scrape
is here: 150 containers are 600 files.
"""

import os
from pathlib import Path
from typing import Final

from exporter.cgroups.paths import Membership
from exporter.cgroups.usage import CpuUsage, MemoryUsage, Usage

__all__ = ["CgroupReader"]

_CHUNK: Final = 16384
_CPUACCT_FOLDERS: Final = ("cpuacct", "cpu,cpuacct", "cpuacct,cpu")


class CgroupReader:
    """Reads cgroups below a mount of cgroupfs.

    Args:
        root: Where it is mounted; `/sys/fs/cgroup` on a host.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._cpuacct = next((name for name in _CPUACCT_FOLDERS if (root / name).is_dir()), "cpuacct")
        self._unified = root if (root / "cgroup.controllers").exists() else root / "unified"

    @property
    def is_unified(self) -> bool:
        """Whether memory and CPU are accounted in version 2."""
        return str(self._unified) == self._root

    def read(self, place: Membership) -> Usage:
        """Read a container's usage.

        Raises:
            OSError: The cgroup is gone or cannot be read.
            ValueError: A file does not hold what it should.
        """
        if place.memory is not None and not self.is_unified:
            return self._read_v1(place.memory, place.cpuacct or place.memory)
        return self._read_v2(place.unified or place.path)

    def read_host(self) -> Usage:
        """Read the whole host's usage.

        The root of version 2 has no `memory.current`: usage is what its `memory.stat` has as anon and file, as cAdvisor takes it.

        Raises:
            OSError: The files cannot be read.
            ValueError: A file does not hold what it should.
        """
        if not self.is_unified:
            return self._read_v1("", "")
        stat = _fields(f"{self._root}/memory.stat")
        usage = stat["anon"] + stat["file"]
        cpu = _cpu_v2(self._root)
        return Usage(
            cpu=cpu,
            memory=MemoryUsage(usage_bytes=usage, working_set_bytes=max(0, usage - stat["inactive_file"])),
        )

    def _read_v1(self, memory_path: str, cpu_path: str) -> Usage:
        memory = f"{self._root}/memory{memory_path}"
        usage = int(_text(f"{memory}/memory.usage_in_bytes"))
        inactive = _fields(f"{memory}/memory.stat").get("total_inactive_file", 0)
        cpuacct = f"{self._root}/{self._cpuacct}{cpu_path}"
        ticks: dict[str, int] = {}
        cpu = CpuUsage(
            seconds=int(_text(f"{cpuacct}/cpuacct.usage")) / 1e9,
            user_seconds=ticks.get("user", 0) / 100,
            system_seconds=ticks.get("system", 0) / 100,
        )
        kills = _fields(f"{memory}/memory.oom_control").get("oom_kill") if memory_path else None
        return Usage(
            cpu=cpu,
            memory=MemoryUsage(
                usage_bytes=usage, working_set_bytes=max(0, usage - inactive), oom_kills=kills
            ),
        )

    def _read_v2(self, path: str) -> Usage:
        folder = f"{self._unified}{path}"
        usage = int(_text(f"{folder}/memory.current"))
        inactive = _fields(f"{folder}/memory.stat")["inactive_file"]
        cpu = _cpu_v2(folder)
        kills = _fields(f"{folder}/memory.events").get("oom_kill")
        return Usage(
            cpu=cpu,
            memory=MemoryUsage(
                usage_bytes=usage, working_set_bytes=max(0, usage - inactive), oom_kills=kills
            ),
        )


def _cpu_v2(folder: str) -> CpuUsage:
    stat = _fields(f"{folder}/cpu.stat")
    return CpuUsage(
        seconds=stat["usage_usec"] / 1e6,
        user_seconds=stat["user_usec"] / 1e6,
        system_seconds=stat["system_usec"] / 1e6,
    )


def _text(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _CHUNK)
    finally:
        os.close(descriptor)


def _fields(path: str) -> dict[str, int]:
    """Read a file of `name value` lines."""
    words = _text(path).decode("ascii", "replace").split()
    return {name: int(value) for name, value in zip(words[::2], words[1::2], strict=False)}
