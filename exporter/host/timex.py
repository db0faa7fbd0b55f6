"""What the kernel thinks of the host's clock: adjtimex(2), asked without changing anything.

The clock is the host's in every container; a seccomp profile may forbid the question.
"""

import ctypes
import os
from dataclasses import dataclass
from typing import Final

__all__ = ["ClockState", "read_clock"]

_NOT_SYNCHRONIZED: Final = 5
_STA_NANO: Final = 0x2000
# The kernel holds the offset below half a second; a virtual machine's may overflow into seconds, and means nothing then.
# Source: https://github.com/prometheus/node_exporter/issues/3764.
_MOST_OFFSET: Final = 4.0


class _Timex(ctypes.Structure):
    """`struct timex` of the C library."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time_sec", ctypes.c_long),
        ("time_usec", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("pps_freq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        # The kernel's own padding, and room for what it may add.
        ("reserved", ctypes.c_int * 32),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """The clock as the kernel disciplines it.

    Attributes:
        offset_seconds: To the reference; None when the kernel's number cannot be one.
        maxerror_seconds: Grows while nothing synchronizes the clock.
    """

    offset_seconds: float | None
    maxerror_seconds: float
    synchronized: bool


def read_clock() -> ClockState:
    """Ask the kernel.

    Raises:
        OSError: It refuses.
    """
    library = ctypes.CDLL(None, use_errno=True)
    try:
        ask = library.adjtimex
    except AttributeError as exc:
        raise OSError("adjtimex: this C library has none") from exc
    found = _Timex()
    state = ask(ctypes.byref(found))
    if state < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "adjtimex")
    offset = found.offset / (1e9 if found.status & _STA_NANO else 1e6)
    return ClockState(
        offset_seconds=offset if abs(offset) <= _MOST_OFFSET else None,
        maxerror_seconds=found.maxerror / 1e6,
        synchronized=state != _NOT_SYNCHRONIZED,
    )
