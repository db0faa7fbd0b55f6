"""Reads the files of one cgroup, over and over, as cheaply as the kernel allows.

A cgroup file costs 10 µs when it is opened, read and closed, and 1.7 µs when a descriptor is kept and read again (Linux 6.18; an open
directory to start from saves only a fifth). 150 containers are some 2,500 files, so descriptors are kept. Each holds a
page of kernel memory, therefore their number is bounded; what is beyond the bound is opened each time. A kept descriptor does not
keep its cgroup alive: once that is removed, reading gives ENODEV.
"""

import errno
import os
import resource
import weakref
from collections.abc import Callable, Mapping
from typing import Final, TypeVar, cast

__all__ = ["CgroupFiles", "CgroupGoneError", "ControllerMissingError", "Descriptors"]

_Text = TypeVar("_Text", bytes, bytes | None)
_Made = TypeVar("_Made")
_CHUNK: Final = 16384
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC
# 240 containers' worth, 20 MB of kernel memory.
_MOST_KEPT: Final = 4096
# What a kept descriptor says once its cgroup (or, below /proc, its process) is gone.
_GONE: Final = frozenset({errno.ENODEV, errno.ESRCH})
_NO_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE})
# Not there in this kernel, switched off at boot (PSI), or not delegated.
_ABSENT: Final = frozenset({errno.ENOENT, errno.EOPNOTSUPP})


class CgroupGoneError(Exception):
    """The cgroup was removed: its container ended."""


class ControllerMissingError(Exception):
    """The kernel could count this, but does not for this cgroup.

    Attributes:
        controller: `memory`, say.
    """

    def __init__(self, controller: str) -> None:
        super().__init__(controller)
        self.controller = controller


class Descriptors:
    """How many descriptors may be kept, and are.

    Args:
        most: None: as many as leave half of RLIMIT_NOFILE to everything else, within reason.
    """

    def __init__(self, most: int | None = None) -> None:
        if most is None:
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            most = _MOST_KEPT if soft == resource.RLIM_INFINITY else min(_MOST_KEPT, soft // 2)
        self.free = most


class CgroupFiles:
    """The files of one cgroup: one folder, or in version 1 one folder per controller.

    Args:
        folders: Where they are, by controller; in version 2 the one key is the empty string.
        descriptors: The budget shared with all others.
    """

    __slots__ = ("__weakref__", "_budget", "_closed_by", "_folders", "_kept", "_last", "_made")

    def __init__(self, folders: Mapping[str, str], descriptors: Descriptors) -> None:
        self._folders = folders
        self._budget = descriptors
        self._kept: dict[str, int] = {}
        self._last = ("", "")
        self._made: dict[str, tuple[object, object]] = {}
        # Nobody must remember to close: what is dropped gives its descriptors back.
        self._closed_by = weakref.finalize(self, _close, self._kept, descriptors)

    @property
    def place(self) -> str:
        """The path of the file read last, for the sentence about what was wrong with it."""
        name, controller = self._last
        return f"{self._folders.get(controller, '')}/{name}"

    def has(self, controller: str) -> bool:
        """Whether the cgroup has a folder for this controller."""
        return controller in self._folders

    def read(self, name: str, controller: str = "") -> bytes:
        """Return the content of a file; file names are unique across the controllers of version 1.

        Raises:
            CgroupGoneError: The cgroup is not there (any more).
            OSError: The file is missing though its cgroup is there, or cannot be read.
        """
        self._last = (name, controller)
        kept = self._kept.get(name)
        try:
            if kept is None:
                return self._open(name, controller)
            text = os.pread(kept, _CHUNK, 0)
            return text if len(text) < _CHUNK else text + _rest(kept)
        except OSError as exc:
            if exc.errno in _NO_DESCRIPTORS and self._kept:
                self._budget.free -= len(self._kept)  # these are not ours to keep
                self.close()
                return self._open(name, controller)
            if exc.errno in _GONE or not os.path.isdir(self._folders[controller]):  # noqa: PTH112 - the hot path has strings
                self.close()
                raise CgroupGoneError from exc
            raise

    def read_if_any(self, name: str, controller: str = "") -> bytes | None:
        """Return the content of a file that not every kernel has; None when it is not there.

        Raises:
            CgroupGoneError: As `read`.
            OSError: It is there and cannot be read.
        """
        if controller not in self._folders:
            return None
        try:
            return self.read(name, controller)
        except OSError as exc:
            if exc.errno in _ABSENT:
                return None
            raise

    def made_of(self, name: str, text: _Text, make: Callable[[_Text], _Made]) -> _Made:
        """Return what is made of a file's text; made once for as long as the text is the same.

        Most containers do nothing between two scrapes, and making sense of a long file costs as much as reading it.

        Args:
            name: The file.
            text: What it says now.
            make: The same for every text of this file.
        """
        known = self._made.get(name)
        if known is not None and known[0] == text:
            return cast("_Made", known[1])
        made = make(text)
        self._made[name] = (text, made)
        return made

    def close(self) -> None:
        """Give the descriptors back; reading again opens them again."""
        _close(self._kept, self._budget)

    def _open(self, name: str, controller: str) -> bytes:
        descriptor = os.open(f"{self._folders[controller]}/{name}", _FLAGS)
        keep = False
        try:
            text = os.pread(descriptor, _CHUNK, 0)
            if len(text) == _CHUNK:
                text += _rest(descriptor)
            keep = self._budget.free > 0
        finally:
            if not keep:
                os.close(descriptor)
        if keep:
            self._budget.free -= 1
            self._kept[name] = descriptor
        return text


def _rest(descriptor: int) -> bytes:
    """Read what is beyond the first chunk: `io.stat` of a host with hundreds of disks."""
    parts: list[bytes] = []
    offset = _CHUNK
    while chunk := os.pread(descriptor, _CHUNK, offset):
        parts.append(chunk)
        offset += len(chunk)
    return b"".join(parts)


def _close(kept: dict[str, int], budget: Descriptors) -> None:
    while kept:
        _, descriptor = kept.popitem()
        budget.free += 1
        os.close(descriptor)
