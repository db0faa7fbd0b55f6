"""What a scrape does: read what is read afresh, put the world together, render it. It never waits for Docker.

Scrapes that wait at the same time share one collection, but only one that began after they came: a scrape made because of a tick must
see what the tick is about. A scrape answers before its scraper gives up, with what there is by then.
"""

import asyncio
import gzip
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from exporter.details.store import Details
from exporter.docker.compose import ComposeExpectations
from exporter.docker.inventory import Inventory
from exporter.docker.snapshot import Snapshot
from exporter.docker.stats import Part
from exporter.docker.stats_collector import Filled, StatsFallback
from exporter.docker.status import DaemonStatus
from exporter.exposition import Renderer
from exporter.families import CollectorStatus, LabelSets, World, world
from exporter.families.labels import DEFAULT_ALLOWED, AllowedLabels
from exporter.host.network import NetworkReadings
from exporter.machine import MachineWatch
from exporter.slow.facts import SlowFacts
from exporter.sources import Gathered, Sources

__all__ = ["Background", "Identity", "Scraper", "time_to_read"]

# The wire is loopback or a local network: the fastest level halves the time of the default one and costs a tenth more bytes.
_GZIP_LEVEL: Final = 1
_DEFAULT_TIMEOUT_SECONDS: Final = 10.0
_SHORTEST_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who publishes: our version, what the configuration calls this host, and which labels of a container its series have."""

    version: str
    host_name: str = ""
    label_allow: AllowedLabels = DEFAULT_ALLOWED


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """What is collected or learnt elsewhere and only looked at by a scrape.

    Attributes:
        daemon: The daemon's status.
        storage_ok: Whether the state file can be written.
        expectations: Learns from every scrape how many containers a service should have.
        details: Learns from every scrape what messages will want to know.
        machine: Of what the host is made; None: switched off.
        slow: None: switched off.
        fallback: Docker's stats API in place of files that cannot be read; None: switched off.
    """

    daemon: Callable[[], DaemonStatus]
    storage_ok: Callable[[], bool]
    expectations: ComposeExpectations
    details: Details
    machine: MachineWatch | None = None
    slow: SlowFacts | None = None
    fallback: StatsFallback | None = None


def time_to_read(headers: Mapping[str, str]) -> float:
    """Return how many seconds a scrape may read files, by what its scraper says about its own patience; a tenth is left for the answer."""
    try:
        patience = float(headers.get("X-Prometheus-Scrape-Timeout-Seconds", ""))
    except ValueError:
        patience = _DEFAULT_TIMEOUT_SECONDS
    if not 0 < patience < float("inf"):
        patience = _DEFAULT_TIMEOUT_SECONDS
    return max(_SHORTEST_SECONDS, patience - max(0.25, patience / 10))


class Scraper:
    """Collects and renders.

    Args:
        inventory: What is known of containers.
        sources: What is read at each scrape.
        background: What is looked at.
        renderer: Writes the text.
        identity: Who we are.
    """

    def __init__(
        self,
        *,
        inventory: Inventory,
        sources: Sources,
        background: Background,
        renderer: Renderer,
        identity: Identity,
    ) -> None:
        self._inventory = inventory
        self._sources = sources
        self._background = background
        self._renderer = renderer
        self._identity = identity
        self._running: asyncio.Task[World] | None = None
        self._next: asyncio.Task[World] | None = None
        self._patience = 0.0
        self._rendering = asyncio.Lock()
        self._texts: tuple[World | None, dict[tuple[bool, bool], bytes]] = (None, {})
        self._labels = LabelSets()

    async def scrape(
        self, *, as_openmetrics: bool, compressed: bool, seconds: float = _DEFAULT_TIMEOUT_SECONDS
    ) -> bytes:
        """Return an exposition no older than this call; what cannot be read in so many seconds is left out."""
        world = await self.world(seconds)
        async with self._rendering:
            if self._texts[0] is not world:
                self._texts = (world, {})
            return await self._text(
                self._texts[1], world, as_openmetrics=as_openmetrics, compressed=compressed
            )

    async def world(self, seconds: float = _DEFAULT_TIMEOUT_SECONDS) -> World:
        """Return what there is to publish, collected after this call."""
        # The least patient of those who share a collection decides how long it may take.
        self._patience = seconds if self._next is None else min(self._patience, seconds)
        if self._next is None:
            self._next = asyncio.create_task(self._collect_after(self._running))
        # One scrape that gives up must not take the others' collection with it.
        return await asyncio.shield(self._next)

    async def _collect_after(self, previous: asyncio.Task[World] | None) -> World:
        until = asyncio.get_running_loop().time() + self._patience
        if previous is not None:
            await asyncio.wait([previous])
        self._running, self._next = self._next, None
        return await self._collect(until)

    async def _collect(self, until: float) -> World:
        background, began = self._background, time.time()
        before = self._inventory.snapshot(began)
        info = background.daemon().info
        gathered = await self._sources.gather(before, driver=info.cgroup_driver if info else "", until=until)
        now = time.time()
        self._inventory.count_ooms(gathered.readings.ooms(before), now)
        snapshot, daemon = self._inventory.snapshot(now), background.daemon()
        gathered = self._filled(before, gathered, now)
        background.details.observe(snapshot, gathered.readings.usage, now)
        if daemon.up:
            background.expectations.observe(snapshot, now)
        slow, machine = background.slow, background.machine
        return world(
            snapshot,
            gathered.readings,
            daemon,
            labels=self._labels,
            collectors=(
                _docker_collector(daemon),
                *gathered.statuses,
                *((machine.status(),) if machine is not None else ()),
                *(slow.statuses() if slow is not None else ()),
            ),
            storage_ok=background.storage_ok(),
            version=self._identity.version,
            label_allow=self._identity.label_allow,
            expected=background.expectations.expected(),
            host_name=self._identity.host_name,
            network=gathered.network,
            machine=machine.facts if machine is not None else None,
            node=gathered.node,
            slow=slow.readings() if slow is not None else None,
        )

    def _filled(self, snapshot: Snapshot, gathered: Gathered, now: float) -> Gathered:
        """Put what Docker's stats API says in place of files that cannot be read.

        Being late, or switched off, is no reason to ask it; neither is a lone container that has just ended, of which nobody complains.
        """
        if self._background.fallback is None:
            return gathered
        readings, network = gathered.readings, gathered.network
        has_usage = gathered.complete and (readings.usage or "cgroups" in readings.faults)
        has_traffic = network is not None and (network.by_container or network.fault)
        filled = self._background.fallback.fill(
            snapshot,
            usage=readings.usage if has_usage else None,
            interfaces=network.by_container if network is not None and has_traffic else None,
            now=now,
        )
        if not filled.by_api:
            return gathered
        if Part.USAGE in filled.by_api:
            readings = replace(readings, usage=filled.usage)
        if Part.NETWORK in filled.by_api:
            network = replace(network or NetworkReadings(), by_container=filled.interfaces)
        # It has a status while it serves: at rest nothing of it can fail.
        statuses = (*gathered.statuses, _stats_collector(filled))
        return replace(gathered, readings=readings, network=network, statuses=statuses)

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


def _stats_collector(filled: Filled) -> CollectorStatus:
    return CollectorStatus(
        name="stats",
        success=filled.success,
        duration_seconds=filled.readings.duration_seconds,
        last_success_at=filled.readings.last_success_at,
    )
