"""Which filesystems a host has mounted: reads a mountinfo table, without the mounts nobody stores anything in. Pure.

Source: proc(5); what is left out is what node_exporter leaves out by default, and everything below /run.
"""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from exporter.host.files import text

__all__ = ["Mount", "mounts"]

_PSEUDO_TYPES: Final = frozenset(
    b"autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs erofs fusectl hugetlbfs iso9660"
    b" mqueue nsfs overlay proc procfs pstore rpc_pipefs securityfs selinuxfs squashfs sysfs tracefs".split()
)
_EXCLUDED: Final = (b"/dev", b"/proc", b"/sys")
_EXCLUDED_BELOW: Final = (
    b"/dev/",
    b"/proc/",
    b"/sys/",
    b"/run/",
    b"/var/run/",
    b"/var/lib/docker/",
    b"/var/lib/containers/storage/",
)
# What Docker mounts for a container and for its layer, wherever its folder is.
_DOCKERS: Final = re.compile(
    rb"/containers/[0-9a-f]{64}/mounts/"
    rb"|/(?:overlay2|fuse-overlayfs)/[0-9a-z-]+/merged$"
    rb"|/(?:zfs/graph|aufs/mnt|devicemapper/mnt)/[0-9a-z-]+$"
)
_READ_ONLY: Final = frozenset((b"ro", b"emergency_ro"))
# How the kernel writes what would break a line apart.
_ESCAPES: Final = ((rb"\040", b" "), (rb"\011", b"\t"), (rb"\012", b"\n"), (rb"\134", b"\\"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One mounted filesystem.

    Attributes:
        mountpoint: Where the host sees it, as a label.
        path: Where we find it.
    """

    device: str
    fstype: str
    mountpoint: str
    path: bytes
    readonly: bool


def mounts(content: bytes, *, rootfs: bytes) -> tuple[Mount, ...]:
    """Read a `/proc/PID/mountinfo`.

    Args:
        content: The table: the host's own, or that of a container that has the host's root mounted at `rootfs`. Then only what
            lies below it counts, and it is read-only when the filesystem is: we have mounted it read-only ourselves.
        rootfs: Where we find the host's root directory, `/` on the host.

    Raises:
        ValueError: It is no such table.
    """
    entries = [_entry(line) for line in content.split(b"\n") if line]
    root = rootfs.rstrip(b"/")
    is_container = bool(root) and any(entry.point == root for entry in entries)
    found: dict[bytes, Mount] = {}
    for entry in entries:
        seen = entry.point
        if is_container:
            if seen != root and not seen.startswith(root + b"/"):
                continue
            seen = seen[len(root) :] or b"/"
        # Of mounts on top of each other only the last one is seen.
        found.pop(seen, None)
        if entry.fstype in _PSEUDO_TYPES or seen in _EXCLUDED or seen.startswith(_EXCLUDED_BELOW):
            continue
        if _DOCKERS.search(seen):
            continue
        readonly = not _READ_ONLY.isdisjoint(entry.super_options.split(b",")) or (
            not is_container and b"ro" in entry.options.split(b",")
        )
        found[seen] = Mount(
            device=text(entry.device),
            fstype=text(entry.fstype),
            mountpoint=text(seen),
            path=root + seen if seen != b"/" else root or b"/",
            readonly=readonly,
        )
    return tuple(found.values())


class _Entry(NamedTuple):
    """A line of the table; a tuple, because there are hundreds and all but a few are left out."""

    point: bytes
    options: bytes
    fstype: bytes
    device: bytes
    super_options: bytes


def _entry(line: bytes) -> _Entry:
    left, separator, right = line.partition(b" - ")
    head, tail = left.split(b" "), right.split(b" ")
    # Six fields, then any number of tags.
    if not separator or len(head) < 6 or len(tail) < 3 or not head[4].startswith(b"/"):
        raise ValueError("no table of mounts")
    return _Entry(_plain(head[4]), head[5], tail[0], _plain(tail[1]), tail[2])


def _plain(field: bytes) -> bytes:
    if b"\\" in field:
        for escape, character in _ESCAPES:
            field = field.replace(escape, character)
    return field
