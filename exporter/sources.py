"""What a scrape reads afresh: cgroups, network namespaces, the host. Each in a thread, none waited for longer than the scrape has time.

A source that is late, or stuck in a file that does not answer, costs its own families in this scrape; the others are published. While
one is stuck it is not asked again.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
        late: Whether a source had no time to finish.
        statuses: How each source did, and each part of one that fails.
    """

    readings: Readings
    network: NetworkReadings | None
    node: NodeReadings | None
    late: bool
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
        self._cgroups = None if cgroups is None else _Source("cgroups", _cgroup_faults)
        self._network = None if network is None else _Source("network", _network_faults)
        self._node = None if node is None else _Source("node", _node_faults)
        self._collect_cgroups = cgroups.collect if cgroups is not None else None
        self._collect_network = network.collect if network is not None else None
        self._collect_node = node.collect if node is not None else None

    async def gather(self, snapshot: Snapshot, *, driver: str, until: float) -> Gathered:
        """Read everything.

        Args:
            snapshot: The containers.
            driver: Docker's cgroup driver.
            until: The loop's time at which whatever is not there is done without.
        """
        readings, network, node = _NO_READINGS, None, None
        if self._cgroups is not None and (collect := self._collect_cgroups) is not None:
            readings = await self._cgroups.read(lambda: collect(snapshot, driver=driver), until) or readings
        if self._network is not None and (count := self._collect_network) is not None:
            network = await self._network.read(lambda: count(snapshot.containers), until)
        if self._node is not None and self._collect_node is not None:
            node = await self._node.read(self._collect_node, until)
        sources = [source for source in (self._cgroups, self._network, self._node) if source is not None]
        return Gathered(
            readings=readings,
            network=network,
            node=node,
            late=any(source.late for source in sources),
            statuses=tuple(status for source in sources for status in source.statuses),
        )


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
        self.late = False
        self._seconds: float | None = None
        self._succeeded_at: float | None = None

    async def read(self, collect: Callable[[], _T], until: float) -> _T | None:
        """Return what is collected, or None when it cannot be in time."""
        began = time.perf_counter()
        left = max(0.0, until - asyncio.get_running_loop().time())
        found: _T | None = None
        try:
            found = await self._worker.do(collect, seconds=left)
            self.late, faults = False, self._faults_of(found)
        except TimeoutError as exc:
            self.late, faults = True, {self._name: str(exc)}
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
