"""What a scrape reads afresh: cgroups, network namespaces, the host. Each in a thread, none waited for longer than the scrape has time.

A source that is late, or stuck in a file that does not answer, costs its own families in this scrape; the others are published. While
one is stuck it is not asked again; but of cgroups what was read is published, and the next scrape goes around what hangs.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Generic, TypeVar

from exporter.cgroups.collector import CgroupCollector, Readings
from exporter.docker.snapshot import Snapshot
from exporter.families import CollectorStatus
from exporter.host.network import NetworkCollector, NetworkReadings
from exporter.host.node import NodeCollector, NodeReadings
from exporter.worker import Worker
from vakhta import logs

__all__ = ["Gathered", "Sources"]

_log: Final = logs.get(__name__)
_NO_READINGS: Final = Readings(usage={}, paths={}, host=None)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What one scrape has read; None is what is switched off or did not answer in time.

    Attributes:
        readings: Of those containers that were read in time.
        complete: Whether the readings are of all containers.
        statuses: How each source did, and each part of one that fails.
    """

    readings: Readings
    complete: bool
    network: NetworkReadings | None
    node: NodeReadings | None
    statuses: tuple[CollectorStatus, ...]


class Sources:
    """Reads them one after the other.

    Args:
        cgroups: Usage; None: switched off.
        network: Traffic; None: switched off.
        node: The host; None: switched off.
    """

    def __init__(
        self,
        *,
        cgroups: CgroupCollector | None = None,
        network: NetworkCollector | None = None,
        node: NodeCollector | None = None,
    ) -> None:
        self._cgroups = (cgroups, _Source("cgroups", _cgroup_faults)) if cgroups is not None else None
        self._network = (network, _Source("network", _network_faults)) if network is not None else None
        self._node = (node, _Source("node", _node_faults)) if node is not None else None
        self._paths: Mapping[str, str] = {}

    async def gather(self, snapshot: Snapshot, *, driver: str, until: float) -> Gathered:
        """Read everything.

        Args:
            snapshot: The containers.
            driver: Docker's cgroup driver.
            until: The loop's time at which whatever is not there is done without.
        """
        hurry = _Hurry(until)
        readings, complete = _NO_READINGS, False
        network: NetworkReadings | None = None
        node: NodeReadings | None = None
        if self._cgroups is not None:
            cgroups, source = self._cgroups
            collect = partial(cgroups.collect, snapshot, driver=driver)
            found = await source.read(collect, hurry, so_far=cgroups.so_far)
            readings, complete = found or _NO_READINGS, found is not None and not hurry.spent_by
            # A series keeps its name when its container is late.
            known = {view.id: self._paths[view.id] for view in snapshot.containers if view.id in self._paths}
            readings = replace(readings, paths={**known, **readings.paths})
            self._paths = readings.paths
        if self._network is not None:
            traffic, source_of_traffic = self._network
            network = await source_of_traffic.read(partial(traffic.collect, snapshot.containers), hurry)
        if self._node is not None:
            host, source_of_host = self._node
            node = await source_of_host.read(host.collect, hurry)
        sources = [pair[1] for pair in (self._cgroups, self._network, self._node) if pair is not None]
        return Gathered(
            readings=readings,
            complete=complete,
            network=network,
            node=node,
            statuses=tuple(status for source in sources for status in source.statuses),
        )


class _Hurry:
    """The time sources share, and the one that used it up.

    Args:
        until: The loop's time at which it is over.
    """

    def __init__(self, until: float) -> None:
        self._until = until
        self.spent_by = ""

    def left(self) -> float:
        """How many seconds there are; 0 when one has used them up."""
        return max(0.0, self._until - asyncio.get_running_loop().time())


class _Source(Generic[_T]):
    """One of them, and how it does.

    Args:
        name: The collector's, in metrics and log.
        faults: Reads off what was collected why something that should be readable is not, by part; the source's own name
            stands for all of it.
    """

    def __init__(self, name: str, faults: Callable[[_T], Mapping[str, str]]) -> None:
        self._name = name
        self._faults_of = faults
        self._worker = Worker(name)
        self._faults: Mapping[str, str] = {}
        self._seconds: float | None = None
        self._succeeded_at: float | None = None

    async def read(
        self, collect: Callable[[], _T], hurry: _Hurry, *, so_far: Callable[[], _T] | None = None
    ) -> _T | None:
        """Return what is collected, or None when it cannot be in time.

        Args:
            collect: Collects.
            hurry: The time there is.
            so_far: Returns what a collection that is stuck has read, and lets go of it; it sees to it that not too many are stuck.
        """
        began = time.perf_counter()
        found: _T | None = None
        faults: Mapping[str, str]
        if hurry.spent_by:
            faults = {self._name: f"not read: {hurry.spent_by} took all the time that the scrape has"}
        else:
            try:
                found = await self._worker.do(collect, seconds=hurry.left())
                faults = self._faults_of(found)
            except TimeoutError as exc:
                hurry.spent_by, faults = self._name, {self._name: str(exc)}
                if so_far is not None:
                    found, self._worker = so_far(), Worker(self._name)
                    faults = {**faults, **self._faults_of(found)}
            except Exception as exc:  # noqa: BLE001 - whatever it is, it costs this source only
                faults = {self._name: f"{type(exc).__name__}: {exc}; please report this with the log"}
                if faults != self._faults:
                    _log.exception("reading failed", collector=self._name)
        self._seconds = time.perf_counter() - began
        if self._name not in faults:
            self._succeeded_at = time.time()
        self._say(faults)
        return found

    @property
    def statuses(self) -> tuple[CollectorStatus, ...]:
        """Its own, and one for each part that fails: `cgroups:pressure`."""
        whole = CollectorStatus(
            name=self._name,
            success=self._name not in self._faults,
            duration_seconds=self._seconds,
            last_success_at=self._succeeded_at,
        )
        parts = (
            CollectorStatus(
                name=f"{self._name}:{part}", success=False, duration_seconds=None, last_success_at=None
            )
            for part in sorted(self._faults)
            if part != self._name
        )
        return (whole, *parts)

    def _say(self, faults: Mapping[str, str]) -> None:
        for part in faults.keys() - self._faults.keys():
            _log.warning("not everything can be read", collector=self._name, part=part, error=faults[part])
        for part in self._faults.keys() - faults.keys():
            _log.info("it can be read again", collector=self._name, part=part)
        self._faults = faults


def _cgroup_faults(readings: Readings) -> Mapping[str, str]:
    return readings.faults


def _network_faults(readings: NetworkReadings) -> Mapping[str, str]:
    return {"network": readings.fault} if readings.fault else {}


def _node_faults(readings: NodeReadings) -> Mapping[str, str]:
    return {str(part): fault for part, fault in readings.faults.items()}
