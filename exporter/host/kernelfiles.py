"""What the host's files in /proc say, under node_exporter's names for it. Pure: bytes in, plain values out.

Every function raises ValueError, and nothing else, for a file that does not hold what it should.
Source: the files are described in proc(5); the names are node_exporter's, https://github.com/prometheus/node_exporter.
"""

from collections.abc import Mapping
from typing import Final

__all__ = [
    "CPU_MODES",
    "VMSTAT",
    "CpuTimes",
    "boot_time",
    "cpu_times",
    "load",
    "meminfo",
    "pressure",
    "vmstat",
]

CPU_MODES: Final = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
VMSTAT: Final = ("oom_kill", "pgfault", "pgmajfault", "pgpgin", "pgpgout", "pswpin", "pswpout")

# Seconds in each of CPU_MODES.
CpuTimes = tuple[float, ...]

_WANTED: Final = frozenset(name.encode() for name in VMSTAT)
# A file full of digits would otherwise become a number no float can hold.
_MOST_DIGITS: Final = 20


def meminfo(content: bytes) -> Mapping[str, int]:
    """Read `/proc/meminfo`: by node_exporter's name without its prefix, `MemTotal_bytes`, `Active_anon_bytes`, `HugePages_Total`.

    A line that is not `Name: number [kB]` is passed over; kernels and their emulations add lines of their own.
    """
    found: dict[str, int] = {}
    for line in content.split(b"\n"):
        name, _, rest = line.partition(b":")
        words = rest.split()
        if not words or not _is_number(words[0]):
            continue
        key = name.decode("ascii", "replace").replace("(", "_").replace(")", "")
        if words[1:] == [b"kB"]:
            found[f"{key}_bytes"] = int(words[0]) * 1024
        else:
            found[key] = int(words[0])
    if "MemTotal_bytes" not in found:
        raise ValueError("no MemTotal")
    return found


def vmstat(content: bytes) -> Mapping[str, int]:
    """Read those counters of `/proc/vmstat` that tell of memory running short: VMSTAT, as far as the kernel has them."""
    words = content.split()
    found = {
        name.decode(): _number(value)
        for name, value in zip(words[::2], words[1::2], strict=False)
        if name in _WANTED
    }
    if not found:
        raise ValueError("none of the counters of memory")
    return found


def load(content: bytes) -> tuple[float, float, float]:
    """Read `/proc/loadavg`: the load of the last 1, 5 and 15 minutes."""
    words = content.split()
    if len(words) < 3:
        raise ValueError("fewer than three averages")
    return _decimal(words[0]), _decimal(words[1]), _decimal(words[2])


def pressure(content: bytes) -> Mapping[str, float]:
    """Read a file of `/proc/pressure`: seconds in which `some` and `full` (all) tasks waited."""
    found: dict[str, float] = {}
    for line in content.split(b"\n"):
        words = line.split()
        if words and words[0] in (b"some", b"full") and words[-1].startswith(b"total="):
            found[words[0].decode()] = _number(words[-1][6:]) / 1e6
    if "some" not in found:
        raise ValueError("no line of pressure")
    return found


def cpu_times(content: bytes, *, ticks_per_second: int) -> Mapping[str, CpuTimes]:
    """Read the CPUs of `/proc/stat`: by number, the seconds in each of CPU_MODES."""
    found: dict[str, CpuTimes] = {}
    for line in content.split(b"\n"):
        if not line.startswith(b"cpu"):
            continue
        words = line.split()
        cpu = words[0][3:]
        # The first line is their sum.
        if cpu and _is_number(cpu):
            if len(words) <= len(CPU_MODES):
                raise ValueError(f"CPU {cpu.decode()} has {len(words) - 1} columns")
            found[cpu.decode()] = tuple(
                _number(word) / ticks_per_second for word in words[1 : len(CPU_MODES) + 1]
            )
    if not found:
        raise ValueError("no CPU")
    return found


def boot_time(content: bytes) -> int:
    """Read from `/proc/stat` when the host was started, Unix seconds."""
    for line in content.split(b"\n"):
        if line.startswith(b"btime "):
            return _number(line[6:].strip())
    raise ValueError("no btime")


def _is_number(word: bytes) -> bool:
    return word.isdigit() and len(word) <= _MOST_DIGITS


def _number(word: bytes) -> int:
    if not _is_number(word):
        raise ValueError(f"{word[:_MOST_DIGITS]!r} is no number")
    return int(word)


def _decimal(word: bytes) -> float:
    whole, _, fraction = word.partition(b".")
    if not _is_number(whole) or not (_is_number(fraction) or not fraction):
        raise ValueError(f"{word[:_MOST_DIGITS]!r} is no number")
    return float(word)
