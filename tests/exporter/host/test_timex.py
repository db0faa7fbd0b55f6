"""The kernel's view of the clock."""

import ctypes
import time

from exporter.host import timex


def test_structure_is_the_kernels():
    """The time in the kernel's answer is now and a tick is about ten milliseconds: the fields are where we look for them."""
    found = timex._Timex()
    assert ctypes.CDLL(None).adjtimex(ctypes.byref(found)) >= 0
    assert abs(found.time_sec - time.time()) < 60
    assert 9000 <= found.tick <= 11000


def test_read_clock():
    """Asking changes nothing and needs no right."""
    state = timex.read_clock()
    assert state.offset_seconds is None or abs(state.offset_seconds) <= 4
    assert state.maxerror_seconds >= 0
    assert isinstance(state.synchronized, bool)
