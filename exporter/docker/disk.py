"""What the daemon says about disk space and images, as far as the exporter wants to know. Pure: answers in, values out."""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

__all__ = ["Layer", "Volume", "created_of_image", "layer_of_inspect", "volumes_of_usage"]

_PROJECT: Final = "com.docker.compose.project"
# Docker's first release is of 2013: an image said to be older was built reproducibly and carries a made-up date (1970, 1980).
_FIRST_IMAGE: Final = datetime.fromisoformat("2013-01-01T00:00:00+00:00").timestamp()
# These keep their layers below the daemon's own folder; others (zfs, devicemapper, containerd's snapshotters) need not.
_BELOW_ROOT: Final = frozenset({"overlay2", "overlay", "fuse-overlayfs", "aufs", "vfs", "btrfs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A container's writable layer.

    Attributes:
        rw_bytes: What the container wrote; None when the daemon does not say.
        path: A folder on the partition that holds it, as the host has it; empty when nobody says where that is.
    """

    rw_bytes: int | None
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A local volume; `project` is empty for one that Compose did not make."""

    name: str
    project: str
    size_bytes: int


def layer_of_inspect(raw: Mapping[str, Any]) -> Layer:
    """Read the answer of `GET /containers/{id}/json?size=1`."""
    driver = raw.get("GraphDriver") or {}
    path = (driver.get("Data") or {}).get("UpperDir") or ""
    if not path and driver.get("Name") in _BELOW_ROOT:
        # <root>/containers/<id>/resolv.conf, whatever the log driver and the network are
        path = posixpath.dirname(
            posixpath.dirname(posixpath.dirname(raw.get("ResolvConfPath") or ""))
        ).removesuffix("/")
    size = raw.get("SizeRw")
    # The daemon says -1 when it could not measure.
    return Layer(rw_bytes=int(size) if size is not None and size >= 0 else None, path=path)


def volumes_of_usage(raw: Mapping[str, Any]) -> tuple[Volume, ...]:
    """Read the answer of `GET /system/df`; volumes whose driver cannot tell a size are left out."""
    sized = ((volume, (volume.get("UsageData") or {}).get("Size")) for volume in raw.get("Volumes") or ())
    return tuple(
        Volume(
            name=volume["Name"], project=(volume.get("Labels") or {}).get(_PROJECT, ""), size_bytes=int(size)
        )
        for volume, size in sized
        if size is not None and size >= 0
    )


def created_of_image(raw: Mapping[str, Any]) -> float | None:
    """Read when an image was built (Unix seconds) off `GET /images/{id}/json`; None for a date that cannot be true."""
    try:
        created = datetime.fromisoformat(raw.get("Created") or "").timestamp()
    except ValueError:
        return None
    return created if created >= _FIRST_IMAGE else None
