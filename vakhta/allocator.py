"""Keeps memory that was needed for a moment from staying with the process.

glibc keeps a heap per thread, and what is freed in the middle of one stays resident: an exporter that renders megabytes in several threads
ends up with tens of megabytes of nothing.
"""

import ctypes
from typing import Final

__all__ = ["return_freed_memory"]

# malloc.h
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_LARGE_BYTES: Final = 1 << 20


def return_freed_memory() -> bool:
    """Have one heap for all threads, and large pieces outside it; to be called before there are threads.

    Returns:
        Whether the C library has such a thing; musl gives memory back without being asked.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    options = ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _LARGE_BYTES), (_M_TRIM_THRESHOLD, _LARGE_BYTES))
    return {mallopt(option, value) for option, value in options} == {1}
