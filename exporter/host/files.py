"""Reads small kernel files, and says in a few words why one cannot be read."""

import os
from typing import Final

__all__ = ["GONE", "read", "read_open", "reason", "text"]

# Removed, or not yet there, or between the two.
GONE: Final = (FileNotFoundError, ProcessLookupError, NotADirectoryError)

_CHUNK: Final = 65536


def read(path: str) -> bytes:
    """Return a file's content.

    The kernel hands out a long table (`net/dev`, `mountinfo`, `vmstat`) in pieces of at most a page, however large the buffer, so only an
    empty answer is the end.

    Raises:
        OSError: It cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return read_open(descriptor, path)
    finally:
        os.close(descriptor)


def read_open(descriptor: int, path: str) -> bytes:
    """Return the content of a file that is open, from where it stands; see `read`.

    Args:
        descriptor: The file's.
        path: For the error.

    Raises:
        OSError: It cannot be read.
    """
    pieces: list[bytes] = []
    try:
        while piece := os.read(descriptor, _CHUNK):
            pieces.append(piece)
    except OSError as exc:
        # Only opening says which file it was.
        exc.filename = path
        raise
    return b"".join(pieces)


def text(value: bytes) -> str:
    """Return bytes as text that can be written as UTF-8, different bytes as different text."""
    return value.decode("utf-8", "backslashreplace")


def reason(exc: Exception) -> str:
    """Return what went wrong, with the file where it is known."""
    if isinstance(exc, OSError) and exc.strerror:
        return f"{exc.filename}: {exc.strerror}" if exc.filename else exc.strerror
    return str(exc) or type(exc).__name__
