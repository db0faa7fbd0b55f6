"""Collects the slow facts, each on its own schedule, and keeps what was found out for the scrapes to read.

One loop looks at the containers every few seconds, begins what the schedules say, and waits. A call that hangs is given up after its
time and holds a place of its own schedule until then, nothing else; a scrape only ever copies what is known. What is known of a
container, or an image, goes with it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from exporter.docker.disk import Layer, Volume
from exporter.docker.snapshot import Snapshot
from exporter.errors import ContainerGoneError
from exporter.families.model import CollectorStatus
from exporter.slow.fact import Clocks, Fact
from exporter.slow.files import LogSizes, log_sizes, partition_of
from exporter.slow.readings import NOTHING, LayerSize, SlowReadings
from exporter.slow.schedule import Pace
from exporter.worker import Worker
from vakhta import logs

__all__ = ["FACTS", "SIZE_SECONDS", "VOLUMES_SECONDS", "Engine", "Options", "SlowFacts"]

_log: Final = logs.get(__name__)

FACTS: Final = ("size", "logs", "images", "volumes")

# How soon a new container is noticed, and a removed one forgotten.
_LOOK_SECONDS: Final = 5.0
# A layer of a million files takes the daemon a minute; a call that hangs is to be noticed, a slow one not cut short. A proxy before the
# daemon must wait as long, see compose/socket-proxy.
SIZE_SECONDS: Final = 120.0
_FILES_SECONDS: Final = 10.0
_IMAGE_SECONDS: Final = 10.0
VOLUMES_SECONDS: Final = 600.0
# The key of a fact that is one question about everything.
_ALL: Final = ""


class Engine(Protocol):
    """What is asked of the daemon; a call ends, or fails, within its `seconds`."""

    async def size_of(self, container: str, *, seconds: float) -> Layer:
        """Measure a container's writable layer."""

    async def image_created(self, image: str, *, seconds: float) -> float | None:
        """Return when an image was built, Unix seconds."""

    async def volumes(self, *, seconds: float) -> tuple[Volume, ...]:
        """Measure all volumes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Which facts, how often (seconds), and where the host's files are.

    Attributes:
        enabled: Of FACTS. Volumes are not among the defaults: measuring them makes the daemon read every folder of every volume.
        rootfs: Where the host's root directory is; `/` on the host itself.
        procfs: Where the host's /proc is.
    """

    enabled: frozenset[str] = frozenset(FACTS) - {"volumes"}
    size_interval: float = 300.0
    logs_interval: float = 30.0
    images_interval: float = 86_400.0
    volumes_interval: float = 3600.0
    rootfs: Path = Path("/")
    procfs: Path = Path("/proc")


class SlowFacts:
    """Runs until cancelled; `readings` and `statuses` may be asked at any time.

    Args:
        engine: The daemon.
        snapshot: Returns what containers there are now.
        options: Which, how often, where.
        clocks: By which time passes.
    """

    def __init__(
        self,
        engine: Engine,
        snapshot: Callable[[], Snapshot],
        *,
        options: Options | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        self._engine = engine
        self._snapshot = snapshot
        self._options = wanted = options or Options()
        self._clocks = clocks = clocks or Clocks()
        self._layer_files, self._log_files = Worker("layers"), Worker("logs")
        self._containers: frozenset[str] = frozenset()
        self._log_paths: tuple[tuple[str, str], ...] = ()
        self._hidden = ""
        self._readings = NOTHING
        self._sizes: Fact[LayerSize] = Fact(
            "size",
            self._size,
            pace=Pace(interval=wanted.size_interval, at_once=2),
            seconds=SIZE_SECONDS,
            clocks=clocks,
        )
        self._logs: Fact[LogSizes] = Fact(
            "logs",
            self._log_sizes,
            pace=Pace(interval=wanted.logs_interval),
            seconds=_FILES_SECONDS,
            clocks=clocks,
        )
        # An image never changes under its id; once a day is for a date that was refused by a daemon since replaced.
        self._images: Fact[float] = Fact(
            "images",
            self._image,
            pace=Pace(interval=wanted.images_interval, at_once=2),
            seconds=_IMAGE_SECONDS,
            clocks=clocks,
        )
        self._volumes: Fact[tuple[Volume, ...]] = Fact(
            "volumes",
            self._volume_sizes,
            pace=Pace(interval=wanted.volumes_interval, retry=300.0),
            seconds=VOLUMES_SECONDS,
            clocks=clocks,
        )
        every: tuple[Fact[Any], ...] = (self._sizes, self._logs, self._images, self._volumes)
        self._facts = tuple(fact for fact in every if fact.name in wanted.enabled)

    async def run(self) -> None:
        """Collect until cancelled; nothing that fails ends it."""
        while True:
            try:
                await self._collect()
            except Exception:  # noqa: BLE001 - the top of a loop: collecting goes on
                _log.exception("collecting slow facts failed")
            await asyncio.sleep(_LOOK_SECONDS)

    def readings(self) -> SlowReadings:
        """Return what is known now; it does not change afterwards, and is the same object as long as nothing new is known."""
        found = self._logs.values.get(_ALL)
        known = self._containers
        readings = SlowReadings(
            sizes=dict(self._sizes.values),
            logs={key: size for key, size in found.sizes.items() if key in known} if found else {},
            images=dict(self._images.values),
            volumes=self._volumes.values.get(_ALL, ()),
            taken_at={fact.name: min(fact.taken_at.values()) for fact in self._facts if fact.taken_at},
        )
        if readings != self._readings:
            self._readings = readings
        return self._readings

    def statuses(self) -> tuple[CollectorStatus, ...]:
        """Return how each fact that runs is doing; logs that cannot be seen from here are no failure and have no status."""
        return tuple(fact.status for fact in self._facts if fact is not self._logs or not self._hidden)

    def hidden(self) -> str:
        """Return why no log can be measured and what to do; empty when they can, or none is kept in a file."""
        return self._hidden

    async def _collect(self) -> None:
        calls: set[asyncio.Task[None]] = set()
        look_at = self._clocks.monotonic()
        try:
            while True:
                now = self._clocks.monotonic()
                if now >= look_at:
                    self._look(now)
                    look_at = now + _LOOK_SECONDS
                begun = ((fact, key) for fact in self._facts for key in fact.take(now))
                calls |= {asyncio.create_task(fact.ask(key)) for fact, key in begun}
                due = (fact.wakes_at() for fact in self._facts)
                wake = min((look_at, *(at for at in due if at is not None)))
                calls = await _until_one_ends(calls, max(0.0, wake - now))
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    def _look(self, now: float) -> None:
        """Take in which containers there are."""
        views = [view for view in self._snapshot().containers if view.published]
        self._containers = frozenset(view.id for view in views)
        self._log_paths = tuple((view.id, view.facts.log_path) for view in views if view.facts.log_path)
        if not self._log_paths:
            self._hidden = ""
        self._sizes.keep(self._containers, now)
        self._images.keep({view.facts.image_id for view in views if view.facts.image_id}, now)
        self._logs.keep((_ALL,) if self._log_paths else (), now)
        self._volumes.keep((_ALL,), now)

    async def _size(self, container: str) -> LayerSize | None:
        try:
            layer = await self._engine.size_of(container, seconds=SIZE_SECONDS)
        except ContainerGoneError:
            return None
        if not layer.path:
            return LayerSize(rw_bytes=layer.rw_bytes)
        partition = await self._layer_files.do(
            lambda: partition_of(layer.path, self._options.rootfs, _mounts(self._options.procfs)),
            seconds=_FILES_SECONDS,
        )
        return LayerSize(rw_bytes=layer.rw_bytes, partition=partition)

    async def _image(self, image: str) -> float | None:
        return await self._engine.image_created(image, seconds=_IMAGE_SECONDS)

    async def _volume_sizes(self, _: str) -> tuple[Volume, ...]:
        found = await self._engine.volumes(seconds=VOLUMES_SECONDS)
        return tuple(sorted(found, key=lambda volume: volume.name))

    async def _log_sizes(self, _: str) -> LogSizes:
        paths, root = self._log_paths, self._options.rootfs
        found = await self._log_files.do(lambda: log_sizes(paths, root), seconds=_FILES_SECONDS)
        if found.hidden and not self._hidden:
            _log.info("the sizes of container logs are not collected", reason=found.hidden)
        self._hidden = found.hidden
        if found.fault and not found.sizes:
            raise OSError(found.fault)
        return found


def _mounts(procfs: Path) -> str:
    """Return the host's mount table; empty where its first process may not be looked at."""
    try:
        return (procfs / "1" / "mountinfo").read_text(errors="replace")
    except OSError:
        return ""


async def _until_one_ends(calls: set[asyncio.Task[None]], seconds: float) -> set[asyncio.Task[None]]:
    """Wait until a call ends or the time is over; return those still under way."""
    if not calls:
        await asyncio.sleep(seconds)
        return calls
    _, pending = await asyncio.wait(calls, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return pending
