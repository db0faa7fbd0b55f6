"""What files and file systems say: log sizes, and the partition of a writable layer. Blocking; call it through a worker.

Paths come from the daemon and are the host's; they are looked up below a root, where a container has the host's files mounted. What
cannot be seen there is unknown, not an error: most containers have no business seeing Docker's folder.
"""

import contextlib
import os
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from exporter.slow.readings import Partition

__all__ = ["LogSizes", "device_of", "log_sizes", "partition_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSizes:
    """What a look at all logs found.

    Attributes:
        sizes: Bytes by container id.
        hidden: Why none can be seen, when Docker's folder is not there or closed to us; empty otherwise.
        fault: The first file that was there and could not be read; empty when all is well.
    """

    sizes: dict[str, int]
    hidden: str = ""
    fault: str = ""


def log_sizes(logs: Iterable[tuple[str, str]], root: Path) -> LogSizes:
    """Add up each log and its rotated siblings (`…-json.log`, `.1`, `.2.gz`).

    Args:
        logs: Pairs of container id and the log's path on the host.
        root: Where the host's files are.
    """
    sizes: dict[str, int] = {}
    hidden = fault = ""
    for container, path in logs:
        folder, name = posixpath.split(_below(root, path))
        try:
            sizes[container] = _size(folder, name)
        except FileNotFoundError:
            # The container may just have gone; its neighbours' folder goes with the mount only.
            if not _is_visible(posixpath.dirname(folder)):
                hidden = f"{posixpath.dirname(folder)} is not there; mount the host's folder of that name read-only"
        except PermissionError:
            hidden = f"{folder} may not be read by this user; run as root to have the sizes of logs"
        except OSError as exc:
            fault = fault or f"{folder}: {exc.strerror}"
    return LogSizes(sizes=sizes, hidden="" if sizes or fault else hidden, fault=fault)


def partition_of(path: str, root: Path, mounts: str) -> Partition | None:
    """Return the partition that holds a folder of the host; None when it cannot be seen which that is.

    Docker's folder is closed to all but root, but may itself be asked: where we may not go on, the folder before it answers, if by the
    mount table it lies on the same partition.

    Args:
        path: The folder, as the host has it.
        root: Where the host's files are.
        mounts: The host's mount table (`/proc/1/mountinfo`); empty when unknown, and then the device is.
    """
    seen = path = _plain(path)
    found = None
    while found is None:
        try:
            found = os.statvfs(_below(root, seen))
        except PermissionError:
            if seen == posixpath.dirname(seen):
                return None
            seen = posixpath.dirname(seen)
        except OSError:
            return None
    mount = _mount_of(path, mounts)
    if mount != _mount_of(seen, mounts):
        return None
    return Partition(
        device=mount[1],
        size_bytes=found.f_frsize * found.f_blocks,
        inodes=found.f_files or None,
        inodes_free=found.f_ffree if found.f_files else None,
    )


def device_of(path: str, mounts: str) -> str:
    """Return the source of the mount a path lies on: the longest mount point above it, the last one where several cover each other."""
    return _mount_of(path, mounts)[1]


def _mount_of(path: str, mounts: str) -> tuple[str, str]:
    """Return its mount point and its source; empty ones when the table does not say."""
    best, device = "", ""
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        parts, source = fields.split(), rest.split()
        if len(parts) < 5 or len(source) < 2:
            continue
        point = _unescaped(parts[4])
        if len(point) >= len(best) and _holds(point, path):
            best, device = point, _unescaped(source[1])
    return best, device


def _below(root: Path, path: str) -> str:
    return f"{root}{_plain(path)}".replace("//", "/")


def _plain(path: str) -> str:
    # "/.." is "/": nothing leads out of the root by dots. Two slashes at the beginning would stay two.
    return posixpath.normpath(f"/{path.lstrip('/')}")


def _size(folder: str, name: str) -> int:
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name == name or entry.name.startswith(f"{name}."):
                with contextlib.suppress(FileNotFoundError):  # rotated away since the folder was read
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def _is_visible(folder: str) -> bool:
    return Path(folder).is_dir()


def _holds(point: str, path: str) -> bool:
    return point in ("/", path) or path.startswith(f"{point}/")


def _unescaped(text: str) -> str:
    """Undo the kernel's octal escapes of space, tab, newline and backslash."""
    if "\\" not in text:
        return text
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
