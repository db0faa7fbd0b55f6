"""Asks Docker's stats API in the background while the files of cgroups or processes cannot be read.

One answer takes the daemon 18 ms to 2 s, so a scrape never asks: it takes what there is. While the files can be read nobody is asked, and what
was known is forgotten. That also keeps counters from going backwards: when a part changes over to the API, everything served
was asked after the last reading of a file.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol

from exporter.cgroups.usage import Usage
from exporter.docker.snapshot import Snapshot
from exporter.docker.stats import (
    Part,
    StatsReading,
    StatsReadings,
    choose,
    coverage,
    interfaces_of,
    nameless,
    targets,
    usage_from_stats,
    usage_of,
)
from exporter.errors import ContainerGoneError, DockerError, DockerTimeoutError
from exporter.host.netdev import InterfaceCounters
from vakhta import logs

__all__ = ["Filled", "StatsCollector", "StatsFallback", "StatsSource", "pause_after"]

_log: Final = logs.get(__name__)

# The daemon's own limit is the disk and the runtime behind it: more at a time makes every answer slower.
_CONCURRENCY: Final = 8
# Containers whose last question timed out wait here, for one another only.
_SLOW_CONCURRENCY: Final = 2
_INTERVAL_SECONDS: Final = 10.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
# Older than this, a reading is no description of now: three times the longest pause.
_OLDEST_SECONDS: Final = 180.0
_EMPTY: Final = Usage()


class StatsSource(Protocol):
    """Whoever answers, in bounded time or with a DockerError; `DockerEngine` does."""

    async def stats(self, container: str) -> Mapping[str, Any]:
        """Return the raw answer for one container."""


class StatsCollector:
    """Asks about containers in the background, each on its own schedule: one that hangs delays no other.

    Args:
        source: Whom to ask.
        interval_seconds: How long to rest between an answer and the next question about the same container; more if answers
            are slow to come.
        device_name: Returns `/dev/sda` for `8:0`.
        clock: Tells Unix seconds.
    """

    def __init__(
        self,
        source: StatsSource,
        *,
        interval_seconds: float = _INTERVAL_SECONDS,
        device_name: Callable[[bytes], str] = nameless,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._interval = interval_seconds
        self._device_name = device_name
        self._clock = clock
        self._gate = asyncio.Semaphore(_CONCURRENCY)
        self._slow_gate = asyncio.Semaphore(_SLOW_CONCURRENCY)
        self._watched: dict[str, _Watched] = {}

    def watch(self, wanted: Mapping[str, int]) -> None:
        """Ask about these containers from now on, and about no others; called at every scrape, returns at once.

        What is known of a container that is wanted no more, or runs anew, is forgotten.

        Args:
            wanted: Pid by id, as `targets` gives them; empty: rest.
        """
        for container, watched in tuple(self._watched.items()):
            if wanted.get(container) != watched.pid:
                del self._watched[container]
                watched.end()
        for container in wanted.keys() - self._watched.keys():
            watched = self._watched[container] = _Watched(wanted[container])
            watched.task = asyncio.create_task(self._keep_asking(container, watched))

    def readings(self, now: float) -> StatsReadings:
        """Return what is known; it never changes afterwards.

        Args:
            now: Unix seconds.
        """
        known = {
            container: watched.reading
            for container, watched in self._watched.items()
            if watched.reading is not None and now - watched.reading.taken_at <= _OLDEST_SECONDS
        }
        faults = [watched.fault for watched in self._watched.values() if watched.fault]
        number = len(self._watched)
        return StatsReadings(
            by_id=MappingProxyType(known),
            wanted=number,
            fault=f"no stats of {len(faults)} of {number} containers: {faults[0]}" if faults else "",
        )

    async def stop(self) -> None:
        """End; answers still to come are not waited for."""
        tasks = [watched.task for watched in self._watched.values() if watched.task is not None]
        self.watch({})
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_asking(self, container: str, watched: "_Watched") -> None:
        while True:
            began = time.monotonic()
            async with self._slow_gate if watched.slow else self._gate:
                await self._ask(container, watched)
            waited = 0.0 if watched.fault else time.monotonic() - began
            await asyncio.sleep(pause_after(waited, self._interval))

    async def _ask(self, container: str, watched: "_Watched") -> None:
        began = time.monotonic()
        try:
            raw = await self._source.stats(container)
        except ContainerGoneError:
            # The inventory will hear of it; until then there is nothing to tell.
            watched.reading, watched.fault, watched.slow = None, "", False
            return
        except DockerError as exc:
            watched.fault, watched.slow = str(exc), isinstance(exc, DockerTimeoutError)
            return
        except Exception as exc:  # noqa: BLE001 - the top of a loop: asking goes on
            fault = f"{type(exc).__name__}: {exc}"
            if fault != watched.fault:
                _log.exception("asking Docker for stats failed")
            watched.fault, watched.slow = fault, False
            return
        usage, interfaces = usage_from_stats(raw, device_name=self._device_name)
        watched.fault, watched.slow = "", False
        watched.reading = None if usage == _EMPTY else StatsReading(
            usage=usage,
            interfaces=interfaces,
            taken_at=self._clock(),
            seconds=time.monotonic() - began,
        )  # fmt: skip


class _Watched:
    """One container that is asked about, as far as it is known; `slow` while its last question was not answered in time."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.task: asyncio.Task[None] | None = None
        self.reading: StatsReading | None = None
        self.fault = ""
        self.slow = False

    def end(self) -> None:
        """Ask no more."""
        if self.task is not None:
            self.task.cancel()


def pause_after(waited: float, interval: float) -> float:
    """Return how long to rest before the next question about a container.

    As long as it waited for its turn and its answer, so that the daemon is idle at least half of the time; not below the
    interval, and not above a minute unless the interval is.

    Args:
        waited: Seconds; 0 for a question without an answer.
        interval: Seconds.
    """
    return max(interval, min(waited, _LONGEST_PAUSE_SECONDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What one scrape publishes, from whichever path serves it.

    Attributes:
        usage: By container id.
        interfaces: By container id.
        by_api: The parts that the API serves; none while the files can be read.
        readings: What the API has said.
    """

    usage: Mapping[str, Usage]
    interfaces: Mapping[str, tuple[InterfaceCounters, ...]]
    by_api: frozenset[Part]
    readings: StatsReadings

    @property
    def success(self) -> bool:
        """Whether the API serves, and fails nobody; one that has just started or ended may have no reading."""
        told = bool(self.readings.by_id) or not self.readings.wanted
        return bool(self.by_api) and told and not self.readings.fault


class StatsFallback:
    """Puts the API in place of files that cannot be read, part by part, and takes it away again.

    Args:
        collector: Asks the API; told at every scrape about whom.
    """

    def __init__(self, collector: StatsCollector) -> None:
        self._collector = collector
        self._by_api: frozenset[Part] = frozenset()

    def fill(
        self,
        snapshot: Snapshot,
        *,
        usage: Mapping[str, Usage] | None,
        interfaces: Mapping[str, tuple[InterfaceCounters, ...]] | None,
        now: float,
    ) -> Filled:
        """Return what was read from the files, or what the API has said where they fail; returns at once.

        Args:
            snapshot: The containers the files were read for.
            usage: What was read, by id; None: nobody knows what could be, and whoever serves goes on.
            interfaces: As `usage`.
            now: Unix seconds.
        """
        before, unknown = (
            self._by_api,
            frozenset(
                part for part, read in ((Part.USAGE, usage), (Part.NETWORK, interfaces)) if read is None
            ),
        )
        usage, interfaces = usage or {}, interfaces or {}
        chosen = choose(coverage(snapshot, usage, interfaces), before)
        self._by_api = (chosen - unknown) | (before & unknown)
        if self._by_api - before:
            # What the API said for another part's sake is older than what the files have said of this one.
            self._collector.watch({})
        if self._by_api != before:
            _log.warning(
                "the source of usage changed",
                docker_api=",".join(sorted(self._by_api)),
                files=",".join(sorted(frozenset(Part) - self._by_api)),
            )
        self._collector.watch(targets(snapshot) if self._by_api else {})
        readings = self._collector.readings(now)
        return Filled(
            usage=usage_of(snapshot, readings) if Part.USAGE in self._by_api else usage,
            interfaces=interfaces_of(snapshot, readings) if Part.NETWORK in self._by_api else interfaces,
            by_api=self._by_api,
            readings=readings,
        )
