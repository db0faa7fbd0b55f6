"""The way over to the API and back, as scrapes see it."""

import asyncio

import pytest

from exporter.cgroups.usage import Pids, Usage
from exporter.docker.containers import Facts, Status
from exporter.docker.snapshot import Snapshot, view_of
from exporter.docker.stats import Part
from exporter.docker.stats_collector import StatsCollector, StatsFallback
from exporter.errors import DockerForbiddenError
from exporter.memory import Book
from tests.exporter.stats.source import BOUND, Source

NETWORK = {"networks": {"eth0": {"rx_bytes": 7}}}
NAMES = ("a", "b")


class Scrapes:
    """Scrapes of two containers; what the files tell is the test's to say."""

    def __init__(self, source, collector):
        self.source = source
        self._fallback = StatsFallback(collector)

    def scrape(self, *, usage=(), interfaces=()):
        """Return what one scrape publishes when the files tell of these; None: they were not asked."""
        facts = (
            Facts(
                id=name, name=name, image="x", labels={}, status=Status.RUNNING, pid=1, network_mode="bridge"
            )
            for name in NAMES
        )
        views = tuple(view_of(one, Book(id=one.id, first_seen=0.0)) for one in facts)
        read = Usage(pids=Pids(threads=99, threads_max=0))
        return self._fallback.fill(
            Snapshot(at=1000.0, containers=views),
            usage=None if usage is None else dict.fromkeys(usage, read),
            interfaces=None if interfaces is None else dict.fromkeys(interfaces, ()),
            now=1000.0,
        )

    async def answered(self):
        """Wait until everyone was asked once more and has answered."""
        before = dict(self.source.asked)
        await self.source.until(lambda: all(self.source.asked[name] > before.get(name, 0) for name in NAMES))
        await self.source.until(lambda: not self.source.open)


@pytest.fixture
async def scrapes():
    """Scrapes with an API that answers once, and again when it is asked anew."""
    source = Source()
    source.answers = {name: {"pids_stats": {"current": 1}} | NETWORK for name in NAMES}
    collector = StatsCollector(source, interval_seconds=60.0, clock=lambda: 1000.0)
    yield Scrapes(source, collector)
    async with asyncio.timeout(BOUND):
        await collector.stop()


def threads(filled):
    """Return the threads of everyone who has a reading."""
    return {name: usage.pids.threads for name, usage in filled.usage.items()}


async def test_the_files_serve(scrapes):
    """While they can be read nobody is asked, and the API claims no success."""
    filled = scrapes.scrape(usage=NAMES, interfaces=NAMES)
    assert threads(filled) == {"a": 99, "b": 99}
    assert filled.interfaces.keys() == {"a", "b"}
    assert (filled.by_api, filled.success, filled.readings.wanted) == (frozenset(), False, 0)
    await scrapes.source.until(lambda: True)
    assert scrapes.source.asked.total() == 0


async def test_over_and_back(scrapes):
    """The scrape that finds the files missing asks, the next one publishes, and the files take over once they can be read."""
    filled = scrapes.scrape()
    assert (filled.usage, filled.by_api, filled.success) == ({}, frozenset(Part), False)
    await scrapes.answered()
    filled = scrapes.scrape()
    assert threads(filled) == {"a": 1, "b": 1}
    assert [one.receive_bytes for one in filled.interfaces["a"]] == [7]
    assert (filled.success, scrapes.source.asked["a"]) == (True, 1)
    filled = scrapes.scrape(usage=NAMES, interfaces=NAMES)
    assert threads(filled) == {"a": 99, "b": 99}
    assert (filled.by_api, filled.success, filled.readings.wanted) == (frozenset(), False, 0)


async def test_part_by_part(scrapes):
    """Only what cannot be read comes from the API."""
    scrapes.scrape(usage=NAMES)
    await scrapes.answered()
    filled = scrapes.scrape(usage=NAMES)
    assert filled.by_api == {Part.NETWORK}
    assert threads(filled) == {"a": 99, "b": 99}
    assert [one.receive_bytes for one in filled.interfaces["b"]] == [7]


async def test_a_part_that_follows_begins_anew(scrapes):
    """What was asked for the network's sake is older than the last reading of a cgroup: counters would go backwards."""
    scrapes.scrape(usage=NAMES)
    await scrapes.answered()
    filled = scrapes.scrape()
    assert (filled.usage, filled.by_api) == ({}, frozenset(Part))
    await scrapes.answered()
    assert threads(scrapes.scrape()) == {"a": 1, "b": 1}


async def test_a_part_that_goes_back_leaves_the_other(scrapes):
    """Cgroups can be read again, processes cannot: what is known of interfaces stays."""
    scrapes.scrape()
    await scrapes.answered()
    filled = scrapes.scrape(usage=NAMES)
    assert threads(filled) == {"a": 99, "b": 99}
    assert filled.interfaces.keys() == {"a", "b"}


async def test_an_api_that_fails_is_no_success(scrapes):
    """Neither path serves: both say so."""
    scrapes.source.failing = {"a": DockerForbiddenError("the proxy refuses")}
    scrapes.scrape()
    await scrapes.answered()
    filled = scrapes.scrape()
    assert threads(filled) == {"b": 1}
    assert not filled.success
    assert filled.readings.fault == "no stats of 1 of 2 containers: the proxy refuses"


async def test_one_without_processes_is_no_failure(scrapes):
    """A container that has just ended has no reading, and is nobody's fault."""
    scrapes.source.answers["a"] = {}
    scrapes.scrape()
    await scrapes.answered()
    filled = scrapes.scrape()
    assert (threads(filled), filled.success) == ({"b": 1}, True)


async def test_a_change_is_logged_once(scrapes, caplog):
    """Each way, and nothing in between."""
    for readable in (NAMES, (), (), NAMES, NAMES):
        scrapes.scrape(usage=readable, interfaces=readable)
    assert [record.getMessage() for record in caplog.records] == ["the source of usage changed"] * 2


async def test_files_that_are_not_asked_are_no_failure(scrapes):
    """Switched off, or late: whoever served goes on, and nobody else begins."""
    assert scrapes.scrape(usage=None, interfaces=None).by_api == frozenset()
    assert scrapes.scrape(usage=(), interfaces=NAMES).by_api == {Part.USAGE}
    await scrapes.answered()
    filled = scrapes.scrape(usage=None, interfaces=None)
    assert (filled.by_api, threads(filled)) == ({Part.USAGE}, dict.fromkeys(NAMES, 1))
