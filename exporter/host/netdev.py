"""What a `/proc/PID/net/dev` says: the counters of the interfaces of one network namespace. Pure."""

from dataclasses import dataclass
from typing import Final

from exporter.host.files import text

__all__ = ["InterfaceCounters", "interfaces"]

# Loopback, and the host's ends of what the containers count themselves: cAdvisor leaves them out too.
_SKIPPED: Final = (b"lo", b"veth", b"docker", b"nerdctl")
_HEAD_LINES: Final = 2
_COLUMNS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceCounters:
    """One interface since it was made."""

    interface: str
    receive_bytes: int
    receive_packets: int
    receive_errors: int
    receive_dropped: int
    transmit_bytes: int
    transmit_packets: int
    transmit_errors: int
    transmit_dropped: int


def interfaces(content: bytes) -> tuple[InterfaceCounters, ...]:
    """Read the table, without the interfaces that are left out.

    Raises:
        ValueError: It is no such table.
    """
    lines = content.split(b"\n")
    if b"bytes" not in lines[min(1, len(lines) - 1)]:
        raise ValueError("no table of network interfaces")
    found: list[InterfaceCounters] = []
    for line in lines[_HEAD_LINES:]:
        # A name may be anything without a blank, a slash or a colon.
        name, colon, rest = line.partition(b":")
        name = name.strip()
        if not name or name.lower().startswith(_SKIPPED):
            continue
        columns = rest.split()
        if not colon or len(columns) < _COLUMNS:
            raise ValueError(f"a line of the network interfaces with {len(columns)} columns")
        found.append(
            InterfaceCounters(
                interface=text(name),
                receive_bytes=int(columns[0]),
                receive_packets=int(columns[1]),
                receive_errors=int(columns[2]),
                receive_dropped=int(columns[3]),
                transmit_bytes=int(columns[8]),
                transmit_packets=int(columns[9]),
                transmit_errors=int(columns[10]),
                transmit_dropped=int(columns[11]),
            )
        )
    return tuple(found)
