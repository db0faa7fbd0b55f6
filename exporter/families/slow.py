"""Families of the slow facts: sizes, logs, images, volumes, and how old each is.

cAdvisor's four families of filesystem capacity are here too. Two of them are deliberately not as it has them: inodes are the partition's real
figures (cAdvisor says 0 free for every container, on which the public rule about volumes fires for ever; a filesystem that makes
inodes as it goes has none to count), and usage is the daemon's own
count of the writable layer with the log added where it can be read, so that it is there with every storage driver.
"""

from collections.abc import Callable, Iterable
from typing import Final

from exporter.families.labels import HOST, NO_LABELS, Labels, LabelSet
from exporter.families.model import Family, Known, MetricType, Sample, World
from exporter.host.filesystems import Space
from exporter.host.node import NodeReadings
from exporter.slow.readings import NOTHING, LayerSize, Partition, SlowReadings
from exporter.slow.rotation import rotates

__all__ = ["FAMILIES"]

_NONE: Final[Labels] = ()
_Samples = Callable[[World], Iterable[Sample]]
_Basis = Callable[[World], tuple[object, ...]]


def _slow(world: World) -> SlowReadings:
    return world.slow if isinstance(world.slow, SlowReadings) else NOTHING


def _per_container(read: Callable[[SlowReadings, Known], float | None]) -> _Samples:
    def samples(world: World) -> Iterable[Sample]:
        slow = _slow(world)
        for known in world.containers:
            if known.view.published:
                value = read(slow, known)
                if value is not None:
                    yield known.ours, _NONE, value

    return samples


def _size(slow: SlowReadings, known: Known) -> float | None:
    size = slow.sizes.get(known.view.id)
    return None if size is None else size.rw_bytes


def _log_size(slow: SlowReadings, known: Known) -> float | None:
    return slow.logs.get(known.view.id)


def _image_created(slow: SlowReadings, known: Known) -> float | None:
    return slow.images.get(known.view.facts.image_id)


def _rotation(world: World) -> Iterable[Sample]:
    for known in world.containers:
        if known.view.published:
            facts = known.view.facts
            answer = rotates(facts.log_driver, facts.log_options)
            if answer is not None:
                yield known.ours, (("driver", facts.log_driver),), answer


def _volumes(world: World) -> Iterable[Sample]:
    for volume in _slow(world).volumes:
        yield LabelSet((("volume", volume.name), ("project", volume.project))), _NONE, volume.size_bytes


def _ages(world: World) -> Iterable[Sample]:
    for fact, taken_at in _slow(world).taken_at.items():
        yield NO_LABELS, (("fact", fact),), max(0.0, world.at - taken_at)


def _filesystem(
    of_host: Callable[[Space], float | None], of_container: Callable[[LayerSize, int | None], float | None]
) -> tuple[_Samples, _Basis]:
    """Make a reader of one of cAdvisor's: the host's partitions, then each container that has processes, with its own partition."""

    def totals(world: World) -> tuple[tuple[str, float], ...]:
        return tuple(
            (device, total) for device, space in _partitions(world) if (total := of_host(space)) is not None
        )

    def samples(world: World) -> Iterable[Sample]:
        for device, total in totals(world):
            yield HOST, (("device", device),), total
        slow = _slow(world)
        for known in world.containers:
            view = known.view
            size = slow.sizes.get(view.id) if view.published and view.status.alive else None
            if size is not None:
                value = of_container(size, slow.logs.get(view.id))
                if value is not None:
                    device = size.partition.device if size.partition else ""
                    yield known.cadvisor, (("device", device),), value

    return samples, lambda world: (world.published, world.slow, totals(world))


def _partitions(world: World) -> Iterable[tuple[str, Space]]:
    """Return the host's partitions by device, each once: bind mounts and subvolumes show one again. Those in memory go by mount point, as in cAdvisor."""
    if not isinstance(world.node, NodeReadings):
        return ()
    found: dict[str, Space] = {}
    for filesystem in world.node.filesystems:
        mount = filesystem.mount
        if filesystem.space is not None:
            in_memory = mount.fstype in ("tmpfs", "ramfs")
            found[mount.mountpoint if in_memory else mount.device] = filesystem.space
    return found.items()


def _facts(world: World) -> tuple[object, ...]:
    return (world.published, world.slow)


def _usage(size: LayerSize, log: int | None) -> float | None:
    return None if size.rw_bytes is None else size.rw_bytes + (log or 0)


def _partition(read: Callable[[Partition], float | None]) -> Callable[[LayerSize, int | None], float | None]:
    return lambda size, _: None if size.partition is None else read(size.partition)


FAMILIES: Final = tuple(
    Family(name=name, type=MetricType.GAUGE, help=help_, samples=samples, rests_on=basis)
    for name, help_, (samples, basis) in (
        (
            "container_size_rw_bytes",
            "What the container wrote to its own layer: not to volumes, not to its log.",
            (_per_container(_size), _facts),
        ),
        (
            "container_log_size_bytes",
            "Size of the container's json-file log with its rotated files.",
            (_per_container(_log_size), _facts),
        ),
        (
            "container_log_rotation_enabled",
            "Whether Docker keeps the container's log from growing without end, or has no such file.",
            (_rotation, _facts),
        ),
        (
            "container_image_created_timestamp_seconds",
            "When the container's image was built.",
            (_per_container(_image_created), _facts),
        ),
        ("container_volume_size_bytes", "Size of the volume.", (_volumes, lambda world: (world.slow,))),
        (
            "vakhta_slow_fact_age_seconds",
            "Age of the oldest value exported of what is collected in the background.",
            (_ages, None),
        ),
        (
            "container_fs_usage_bytes",
            "What the container's layer and log take, or what is used of the host's partition.",
            _filesystem(lambda space: space.size_bytes - space.free_bytes, _usage),
        ),
        (
            "container_fs_limit_bytes",
            "Size of the partition.",
            _filesystem(lambda space: space.size_bytes, _partition(lambda partition: partition.size_bytes)),
        ),
        (
            "container_fs_inodes_total",
            "Inodes of the partition.",
            _filesystem(lambda space: space.files or None, _partition(lambda partition: partition.inodes)),
        ),
        (
            "container_fs_inodes_free",
            "Free inodes of the partition.",
            _filesystem(
                lambda space: space.files_free if space.files else None,
                _partition(lambda partition: partition.inodes_free),
            ),
        ),
    )
)
