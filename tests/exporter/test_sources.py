"""What a scrape reads when a source is late, stuck, broken or switched off."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from exporter.cgroups.collector import Readings
from exporter.cgroups.usage import Pids, Usage
from exporter.docker.snapshot import Snapshot
from exporter.host.network import NetworkReadings
from exporter.sources import Sources
from tests.exporter.stories import ID, Story, facts

USAGE = Usage(pids=Pids(threads=1, threads_max=0))
READ = Readings(usage={ID: USAGE}, paths={ID: "/parent/docker/x"}, host=None)
SOME = Readings(usage={"other": USAGE}, paths={"other": "/y"}, host=None)
SNAPSHOT = Snapshot(at=0.0, containers=Story(facts()).inventory.snapshot(0.0).containers)


class Cgroups:
    """Does what it is told to."""

    def __init__(self, do: Callable[[], Readings] = lambda: READ):
        self.do = do

    def collect(self, *_: object, **__: object) -> Readings:
        """Do it."""
        return self.do()

    def so_far(self) -> Readings:
        """One container was read before the other got stuck."""
        return SOME


class Network:
    """Does what it is told to."""

    def __init__(self, do: Callable[[], NetworkReadings] = NetworkReadings):
        self.do = do

    def collect(self, *_: object) -> NetworkReadings:
        """Do it."""
        return self.do()


class Stuck:
    """A file system that does not answer until it is let go."""

    def __init__(self):
        self._go = threading.Event()

    def __call__(self) -> Readings:
        """Wait."""
        assert self._go.wait(10)
        return READ

    def let_go(self) -> None:
        """Answer after all."""
        self._go.set()


@pytest.fixture
def stuck():
    """A file system that hangs as long as the test lasts."""
    it = Stuck()
    yield it
    it.let_go()


async def gather(sources: Sources, seconds: float = 5.0):
    """Gather once."""
    until = asyncio.get_running_loop().time() + seconds
    return await sources.gather(SNAPSHOT, driver="cgroupfs", until=until)


def success(gathered) -> dict[str, bool]:
    """Return how the sources did."""
    return {status.name: status.success for status in gathered.statuses}


async def test_what_was_read_before_the_deadline_is_published(stuck):
    """One container whose file hangs costs the others nothing; the readings are known to be incomplete."""
    cgroups = Cgroups(stuck)
    sources = Sources(cgroups=cgroups)
    gathered = await gather(sources, 0.05)
    assert (gathered.readings.usage, gathered.complete) == ({"other": USAGE}, False)
    assert success(gathered) == {"cgroups": False}
    cgroups.do = lambda: READ  # which goes around it
    gathered = await gather(sources)
    assert (gathered.readings.usage, gathered.complete) == (READ.usage, True)
    assert success(gathered) == {"cgroups": True}


async def test_a_late_container_keeps_its_path(stuck):
    """Otherwise its series would go and come back under another id."""
    cgroups = Cgroups()
    sources = Sources(cgroups=cgroups)
    assert (await gather(sources)).readings.paths == READ.paths
    cgroups.do = stuck
    for _ in range(2):
        assert (await gather(sources, 0.05)).readings.paths == {**READ.paths, **SOME.paths}


async def test_a_source_without_time_names_the_one_that_took_it(stuck, caplog):
    """It is not blamed for files it never read."""
    gathered = await gather(Sources(cgroups=Cgroups(stuck), network=Network()), 0.05)
    assert success(gathered) == {"cgroups": False, "network": False}
    (said,) = [record.facts["error"] for record in caplog.records if record.facts["part"] == "network"]
    assert said == "not read: cgroups took all the time that the scrape has"


async def test_a_fault_of_ours_costs_its_source_only(caplog):
    """Whatever it is: it is logged once, with its trace, and the others are published."""

    def fail():
        raise TypeError("oops")

    sources = Sources(cgroups=Cgroups(), network=Network(fail))
    for _ in range(2):
        gathered = await gather(sources)
        assert (gathered.readings.usage, gathered.network) == (READ.usage, None)
        assert success(gathered) == {"cgroups": True, "network": False}
    assert len([record for record in caplog.records if record.exc_info]) == 1
