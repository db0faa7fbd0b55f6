"""A mountinfo file that is read when it has changed: with hundreds of containers the kernel takes milliseconds to write it.

The kernel tells of what is mounted, unmounted and remounted (poll(2), see proc(5)), but not of a filesystem that an error has made
read-only, so the file is read every now and then in any case.
"""

import os
import select
import weakref
from collections.abc import Callable
from typing import Final

from exporter.host.files import read_open

__all__ = ["REREAD_SECONDS", "MountTable", "has_changed"]

REREAD_SECONDS: Final = 30.0


def has_changed(descriptor: int) -> bool:
    """Whether mounts have changed since this was last asked of the open file, or since it was opened."""
    poll = select.poll()
    poll.register(descriptor, select.POLLPRI | select.POLLERR)
    return bool(poll.poll(0))


class MountTable:
    """One such file; it is kept open.

    Args:
        path: The file.
        changed: Whether the table has changed, by its descriptor.
    """

    def __init__(self, path: str, *, changed: Callable[[int], bool] = has_changed) -> None:
        self._path = path
        self._changed = changed
        self._descriptor = -1
        self._close: Callable[[], object] = _nothing
        self._content = b""
        self._read_at = 0.0

    def read(self, now: float) -> bytes:
        """Return the content, as it is now or, if only a filesystem has gone read-only, was a short while ago.

        Args:
            now: In seconds; a clock that may be set.

        Raises:
            OSError: It cannot be read.
        """
        if self._descriptor < 0:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            self._close = weakref.finalize(self, os.close, self._descriptor)
        elif not self._changed(self._descriptor) and 0 <= now - self._read_at < REREAD_SECONDS:
            return self._content
        try:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            self._content = read_open(self._descriptor, self._path)
        except OSError:
            self._close()
            self._descriptor = -1
            raise
        self._read_at = now
        return self._content


def _nothing() -> None:
    """Close what is not open."""
