"""What the machine is: CPUs, memory, identity, and the versions that run on it. Read once and again every few minutes."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from exporter.host import kernelfiles
from exporter.host.files import GONE, read, reason, text

__all__ = ["MachineFacts", "MachineReader", "Topology", "cpu_list", "topology_from_cpuinfo"]

_T = TypeVar("_T")

_REMEDY: Final = "mount the host's /proc and /sys and say where with --path.procfs and --path.sysfs"
_MOST_CPUS: Final = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """The machine; None or empty is what cannot be read.

    Attributes:
        cpu_cores: Logical CPUs that are online.
        cpu_physical_cores: A core counts once for each socket that has one of its number.
        system_uuid: The mainboard's, readable by root; a machine without one has its machine id there, as with cAdvisor.
        boot_id: Another one after each boot.
        kernel: Its release.
        os: As the distribution calls itself.
        fault: Why something that should be readable is not; empty when all is well.
    """

    cpu_cores: int | None = None
    cpu_physical_cores: int | None = None
    cpu_sockets: int | None = None
    memory_bytes: int | None = None
    swap_bytes: int | None = None
    machine_id: str = ""
    system_uuid: str = ""
    boot_id: str = ""
    kernel: str = ""
    os: str = ""
    fault: str = ""


# Of each logical CPU, its socket and the number of its core in there.
Topology = tuple[tuple[str, str], ...]


def cpu_list(content: bytes) -> tuple[int, ...]:
    """Read a list of CPUs as the kernel writes it: `0-3,6`.

    Raises:
        ValueError: It is no such list.
    """
    found: list[int] = []
    for part in content.strip().split(b","):
        first, dash, last = part.partition(b"-")
        if not first.isdigit() or (dash and not last.isdigit()) or len(part) > 12:
            raise ValueError("no list of CPUs")
        end = int(last) if dash else int(first)
        if end > _MOST_CPUS:
            raise ValueError("more CPUs than there can be")
        found.extend(range(int(first), end + 1))
    return tuple(found)


def topology_from_cpuinfo(content: bytes) -> Topology:
    """Read `/proc/cpuinfo`; empty where the architecture does not write sockets and cores there."""
    found: list[tuple[str, str]] = []
    socket = core = ""
    for line in (*content.split(b"\n"), b""):
        name, _, value = line.partition(b":")
        match name.strip():
            case b"physical id":
                socket = text(value.strip())
            case b"core id":
                core = text(value.strip())
            case b"" if socket and core:
                found.append((socket, core))
                socket = core = ""
    return tuple(found)


class MachineReader:
    """Reads the machine's facts; blocking, meant for a thread.

    Args:
        procfs: Where the host's /proc is.
        sysfs: Where its /sys is.
        rootfs: Where its root directory is.
    """

    def __init__(
        self, *, procfs: Path = Path("/proc"), sysfs: Path = Path("/sys"), rootfs: Path = Path("/")
    ) -> None:
        self._procfs = str(procfs)
        self._sysfs = str(sysfs)
        self._rootfs = str(rootfs).rstrip("/")

    def read(self) -> MachineFacts:
        """Read them all."""
        faults: list[str] = []
        memory = self._read(faults, lambda: self._parsed("meminfo", kernelfiles.meminfo)) or {}
        cpus = self._read(faults, self._cpus) or ()
        cores = self._read(faults, lambda: self._topology(cpus)) or ()
        machine_id = self._first(("etc/machine-id", "var/lib/dbus/machine-id"), self._rootfs)
        return MachineFacts(
            cpu_cores=len(cpus) or None,
            cpu_physical_cores=len(set(cores)) or None,
            cpu_sockets=len({socket for socket, _ in cores}) or None,
            memory_bytes=memory.get("MemTotal_bytes"),
            swap_bytes=memory.get("SwapTotal_bytes"),
            machine_id=machine_id,
            system_uuid=self._system_uuid(machine_id),
            boot_id=self._first(("sys/kernel/random/boot_id",), self._procfs),
            kernel=os.uname().release,
            os=self._os_name(),
            fault=f"{faults[0]}; {_REMEDY}" if faults else "",
        )

    def _read(self, faults: list[str], read_part: Callable[[], _T]) -> _T | None:
        try:
            return read_part()
        except (OSError, ValueError) as exc:
            faults.append(reason(exc))
            return None

    def _parsed(self, name: str, parse: Callable[[bytes], _T]) -> _T:
        content = read(f"{self._procfs}/{name}")
        try:
            return parse(content)
        except ValueError as exc:
            raise ValueError(f"{self._procfs}/{name}: {exc}") from exc

    def _cpus(self) -> tuple[int, ...]:
        try:
            return cpu_list(read(f"{self._sysfs}/devices/system/cpu/online"))
        except (OSError, ValueError):
            found = self._parsed("stat", lambda content: kernelfiles.cpu_times(content, ticks_per_second=1))
            return tuple(int(cpu) for cpu in found)

    def _topology(self, cpus: Iterable[int]) -> Topology:
        found = self._parsed("cpuinfo", topology_from_cpuinfo)
        return found or tuple(self._topology_from_sysfs(cpus))

    def _topology_from_sysfs(self, cpus: Iterable[int]) -> Iterable[tuple[str, str]]:
        for cpu in cpus:
            folder = f"{self._sysfs}/devices/system/cpu/cpu{cpu}/topology"
            try:
                yield (
                    text(read(f"{folder}/physical_package_id").strip()),
                    text(read(f"{folder}/core_id").strip()),
                )
            except GONE:
                # This machine does not say.
                continue

    def _system_uuid(self, machine_id: str) -> str:
        board = f"{self._sysfs}/class/dmi/id/product_uuid"
        try:
            return text(read(board).strip())
        except GONE:
            return self._first(("device-tree/system-id", "device-tree/vm,uuid"), self._procfs) or machine_id
        except OSError:
            return ""

    def _os_name(self) -> str:
        for line in self._first(("etc/os-release", "usr/lib/os-release"), self._rootfs).splitlines():
            name, _, value = line.partition("=")
            if name == "PRETTY_NAME":
                return value.strip().strip("\"'")
        return ""

    def _first(self, names: Iterable[str], folder: str) -> str:
        """Return the content of the first of these files that can be read, without the blanks around it."""
        for name in names:
            try:
                return text(read(f"{folder}/{name}")).strip().strip("\0")
            except OSError:
                continue
        return ""
