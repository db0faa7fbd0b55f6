"""What a scrape does: read the cgroups, put the world together, render it. It never waits for Docker.

Scrapes that wait at the same time share one collection, but only one that began after they came: a scrape made because of a tick must
see what the tick is about.
"""

import asyncio
import gzip
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from exporter.cgroups.collector import CgroupCollector, Readings
from exporter.docker.inventory import Inventory
from exporter.docker.status import DaemonStatus
from exporter.exposition import Renderer
from exporter.families import CollectorStatus, LabelSets, World, world
from vakhta import logs

__all__ = ["Scraper"]

_log: Final = logs.get(__name__)

# The wire is loopback or a local network: the fastest level halves the time of the default one and costs a tenth more bytes.
_GZIP_LEVEL: Final = 1


class Scraper:
    """Collects and renders.

    Args:
        inventory: What is known of containers.
        cgroups: Reads their usage; None when that is switched off.
        renderer: Writes the text.
        daemon: The daemon's status, asked at each scrape.
        storage_ok: Whether the state file can be written, asked at each scrape.
        version: The exporter's own.
        host_name: What the configuration calls this host.
    """

    def __init__(
        self,
        *,
        inventory: Inventory,
        cgroups: CgroupCollector | None,
        renderer: Renderer,
        daemon: Callable[[], DaemonStatus],
        storage_ok: Callable[[], bool],
        version: str,
        host_name: str = "",
    ) -> None:
        self._inventory = inventory
        self._cgroups = cgroups
        self._renderer = renderer
        self._daemon = daemon
        self._storage_ok = storage_ok
        self._version = version
        self._host_name = host_name
        self._running: asyncio.Task[World] | None = None
        self._next: asyncio.Task[World] | None = None
        self._rendering = asyncio.Lock()
        self._texts: tuple[World | None, dict[tuple[bool, bool], bytes]] = (None, {})
        self._status = CollectorStatus(
            name="cgroups", success=False, duration_seconds=None, last_success_at=None
        )
        self._fault = ""
        self._labels = LabelSets()

    async def scrape(self, *, as_openmetrics: bool, compressed: bool) -> bytes:
        """Return an exposition no older than this call."""
        world = await self.world()
        async with self._rendering:
            if self._texts[0] is not world:
                self._texts = (world, {})
            return await self._text(
                self._texts[1], world, as_openmetrics=as_openmetrics, compressed=compressed
            )

    async def world(self) -> World:
        """Return what there is to publish, collected after this call."""
        if self._next is None:
            self._next = asyncio.create_task(self._collect_after(self._running))
        # One scrape that gives up must not take the others' collection with it.
        return await asyncio.shield(self._next)

    async def _collect_after(self, previous: asyncio.Task[World] | None) -> World:
        if previous is not None:
            await asyncio.wait([previous])
        self._running, self._next = self._next, None
        return await self._collect()

    async def _collect(self) -> World:
        readings = await self._read()
        snapshot = self._inventory.snapshot(time.time())
        daemon = self._daemon()
        return world(
            snapshot,
            readings,
            daemon,
            labels=self._labels,
            collectors=(_docker_collector(daemon), *((self._status,) if self._cgroups else ())),
            storage_ok=self._storage_ok(),
            version=self._version,
            host_name=self._host_name,
        )

    async def _read(self) -> Readings:
        if self._cgroups is None:
            return Readings(usage={}, paths={}, host=None)
        began, clock = time.time(), time.perf_counter()
        snapshot = self._inventory.snapshot(began)
        info = self._daemon().info
        driver = info.cgroup_driver if info else ""
        readings = await asyncio.to_thread(self._cgroups.collect, snapshot, driver=driver)
        self._inventory.count_ooms(readings.ooms(snapshot), time.time())
        status = replace(
            self._status, success=not readings.fault, duration_seconds=time.perf_counter() - clock
        )
        self._status = replace(status, last_success_at=time.time()) if status.success else status
        if readings.fault != self._fault:
            self._fault = readings.fault
            if readings.fault:
                _log.warning("usage cannot be read completely", error=readings.fault)
            else:
                _log.info("usage can be read again")
        return readings

    async def _text(
        self, texts: dict[tuple[bool, bool], bytes], newest: World, *, as_openmetrics: bool, compressed: bool
    ) -> bytes:
        if (as_openmetrics, False) not in texts:
            texts[as_openmetrics, False] = await asyncio.to_thread(
                self._renderer.render, newest, as_openmetrics=as_openmetrics
            )
        if compressed and (as_openmetrics, True) not in texts:
            plain = texts[as_openmetrics, False]
            texts[as_openmetrics, True] = await asyncio.to_thread(gzip.compress, plain, _GZIP_LEVEL, mtime=0)
        return texts[as_openmetrics, compressed]


def _docker_collector(daemon: DaemonStatus) -> CollectorStatus:
    return CollectorStatus(
        name="docker",
        success=daemon.up and daemon.look_ok,
        duration_seconds=daemon.look_seconds,
        last_success_at=daemon.confirmed_at,
    )
