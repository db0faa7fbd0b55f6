"""What the slow facts are: pure data that a scrape reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from exporter.docker.disk import Volume

__all__ = ["NOTHING", "LayerSize", "Partition", "SlowReadings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """The filesystem that holds a writable layer.

    Attributes:
        device: As the mount table has it (`/dev/sda1`); empty when that cannot be read.
        inodes, inodes_free: None on a filesystem that makes them as it goes (btrfs).
    """

    device: str
    size_bytes: int
    inodes: int | None = None
    inodes_free: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSize:
    """The size of a writable layer; `partition` is None where Docker's folder cannot be seen."""

    rw_bytes: int | None
    partition: Partition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowReadings:
    """Everything the background has found out and not forgotten, as it is at one instant.

    Attributes:
        sizes: By container id.
        logs: Bytes of the log and its rotated siblings, by container id; only where they can be read.
        images: When an image was built (Unix seconds), by image id; only where that is known.
        volumes: In the order of names.
        taken_at: When the oldest value of a fact that is still given was taken (Unix seconds), by the fact's name.
    """

    sizes: Mapping[str, LayerSize] = field(default_factory=dict)
    logs: Mapping[str, int] = field(default_factory=dict)
    images: Mapping[str, float] = field(default_factory=dict)
    volumes: tuple[Volume, ...] = ()
    taken_at: Mapping[str, float] = field(default_factory=dict)


NOTHING: Final = SlowReadings(
    sizes=MappingProxyType({}),
    logs=MappingProxyType({}),
    images=MappingProxyType({}),
    taken_at=MappingProxyType({}),
)
