"""Asking in the background: who is asked, how often, and what becomes of those who do not answer."""

import asyncio
import contextlib

import pytest

from exporter.docker.stats_collector import StatsCollector, pause_after
from exporter.errors import ContainerGoneError, DockerForbiddenError, DockerTimeoutError
from tests.exporter.stats.source import BOUND, Source


@contextlib.asynccontextmanager
async def collecting(source, **options):
    """Return a collector that rests for a moment only, and stop it afterwards."""
    collector = StatsCollector(source, **{"interval_seconds": 0.001, "clock": lambda: 1000.0} | options)
    try:
        yield collector
    finally:
        async with asyncio.timeout(BOUND):
            await collector.stop()


def threads(collector):
    """Return what is known, by container."""
    return {name: reading.usage.pids.threads for name, reading in collector.readings(1000.0).by_id.items()}


async def test_it_asks_again_and_again():
    """Everyone wanted is asked, more than once, and readings carry their time."""
    source = Source()
    async with collecting(source) as collector:
        collector.watch({"a": 1, "b": 2})
        await source.until(lambda: source.asked["a"] > 2 and source.asked["b"] > 2)
        readings = collector.readings(1000.0)
        assert readings.by_id.keys() == {"a", "b"}
        assert readings.by_id["a"].taken_at == readings.last_success_at == 1000.0
        assert readings.duration_seconds >= 0
        assert (readings.wanted, readings.fault) == (2, "")


async def test_devices_have_names():
    """The API tells a device's numbers; the name is looked up."""
    source = Source()
    moved = [{"major": 8, "minor": 0, "op": "read", "value": 1}]
    source.answers = {"a": {"blkio_stats": {"io_service_bytes_recursive": moved}}}
    async with collecting(source, device_name={b"8:0": "/dev/sda"}.get) as collector:
        collector.watch({"a": 1})
        await source.until(lambda: source.asked["a"] > 1)
        assert [one.device for one in collector.readings(1000.0).by_id["a"].usage.io] == ["/dev/sda"]


async def test_it_rests_unless_something_is_wanted():
    """Nobody is asked before `watch`, nor after nobody is wanted; what was known is forgotten."""
    source = Source()
    async with collecting(source) as collector:
        await source.until(lambda: True)
        assert (collector.readings(1000.0).wanted, source.asked.total()) == (0, 0)
        collector.watch({"a": 1})
        await source.until(lambda: source.asked["a"] > 1)
        collector.watch({})
        assert collector.readings(1000.0).by_id == {}
        assert collector.readings(1000.0).last_success_at is None
        collector.watch({"b": 2})
        before = source.asked["a"]
        await source.until(lambda: source.asked["b"] > 5)
        assert source.asked["a"] == before


async def test_eight_at_a_time():
    """However many are wanted."""
    source = Source()
    source.hanging = {str(number) for number in range(50)}
    async with collecting(source) as collector:
        collector.watch(dict.fromkeys(source.hanging, 1))
        await source.until(lambda: source.open == 8)
        source.release()
        await source.until(lambda: len(source.asked) == 50)
        assert source.most == 8


async def test_one_that_hangs_delays_no_other():
    """The others are asked on and on, and read; the one is not asked a second time meanwhile."""
    source = Source()
    source.hanging = {"stuck"}
    async with collecting(source) as collector:
        collector.watch({"stuck": 1, "a": 2, "b": 3})
        await source.until(lambda: source.asked["a"] > 20 and source.asked["b"] > 20)
        assert source.asked["stuck"] == 1
        assert collector.readings(1000.0).by_id.keys() == {"a", "b"}


async def test_many_that_never_answer_in_time_leave_room():
    """After their first timeout they wait for one another only: two at a time, the rest of the room is for the others."""
    source = Source()
    stuck = [f"stuck-{number}" for number in range(20)]
    source.failing = dict.fromkeys(stuck, DockerTimeoutError("too slow"))
    async with collecting(source) as collector:
        collector.watch(dict.fromkeys([*stuck, "a"], 1))
        await source.until(lambda: all(source.asked[one] for one in stuck))
        source.hanging = set(stuck)
        await source.until(lambda: source.open >= 2 and source.asked["a"] > 20)
        before = source.asked["a"]
        await source.until(lambda: source.asked["a"] > before + 20)
        assert source.open <= 3


async def test_the_room_is_given_back():
    """One that timed out and answers again is asked like any other."""
    source = Source()
    source.failing = {"a": DockerTimeoutError("too slow")}
    async with collecting(source) as collector:
        collector.watch({"a": 1})
        await source.until(lambda: source.asked["a"] > 2)
        assert collector.readings(1000.0).fault == "no stats of 1 of 1 containers: too slow"
        source.failing = {}
        answered = source.asked["a"] + 2
        await source.until(lambda: source.asked["a"] > answered)
        assert collector.readings(1000.0).fault == ""
        assert not collector._watched["a"].slow


async def test_gone_ones_are_dropped():
    """A container that is no longer wanted has no reading; one the daemon does not know has none, and is no fault."""
    source = Source()
    async with collecting(source) as collector:
        collector.watch({"a": 1, "b": 2})
        await source.until(lambda: source.asked["a"] > 1 and source.asked["b"] > 1)
        collector.watch({"b": 2})
        assert threads(collector).keys() == {"b"}
        source.failing = {"b": ContainerGoneError("no such container")}
        told = source.asked["b"] + 2
        await source.until(lambda: source.asked["b"] > told)
        assert threads(collector) == {}
        assert collector.readings(1000.0).fault == ""


async def test_a_container_that_ended_has_no_reading():
    """Docker's empty answer for one without processes is none."""
    source = Source()
    async with collecting(source) as collector:
        collector.watch({"a": 1})
        await source.until(lambda: source.asked["a"] > 1)
        assert threads(collector).keys() == {"a"}
        source.answers = {"a": {"read": "0001-01-01T00:00:00Z", "pids_stats": {"current": 1}}}
        told = source.asked["a"] + 2
        await source.until(lambda: source.asked["a"] > told)
        assert threads(collector) == {}


async def test_a_new_run_begins_anew():
    """A container that was started again is asked at once; what its last run used is forgotten, also if it comes late."""
    source = Source()
    async with collecting(source, interval_seconds=60.0) as collector:
        collector.watch({"a": 1})
        await source.until(lambda: source.asked["a"] == 1 and not source.open)
        source.hanging = {"a"}
        collector.watch({"a": 2})
        assert threads(collector) == {}
        await source.until(lambda: source.asked["a"] == 2)
        collector.watch({"a": 3})
        await source.until(lambda: source.asked["a"] == 3)
        source.release()
        await source.until(lambda: not source.open)
        assert threads(collector) == {"a": 3}


async def test_watching_the_same_changes_nothing():
    """Every scrape says who is wanted; that is no reason to ask."""
    source = Source()
    async with collecting(source, interval_seconds=60.0) as collector:
        for _ in range(3):
            collector.watch({"a": 1})
            await source.until(lambda: source.asked["a"] == 1)
        assert source.asked["a"] == 1


async def test_a_failure_keeps_the_last_reading_for_a_while():
    """A daemon that hangs leaves what was known, with a fault; after three minutes it describes nothing any more."""
    source = Source()
    async with collecting(source) as collector:
        collector.watch({"a": 1, "b": 2})
        await source.until(lambda: source.asked["a"] > 1 and source.asked["b"] > 1)
        source.failing = {"a": DockerForbiddenError("the proxy refuses")}
        told = source.asked["a"] + 2
        await source.until(lambda: source.asked["a"] > told)
        kept = collector.readings(1180.0)
        assert kept.by_id.keys() == {"a", "b"}
        assert kept.fault == "no stats of 1 of 2 containers: the proxy refuses"
        assert collector.readings(1180.1).by_id == {}


async def test_whatever_goes_wrong_it_asks_on(caplog):
    """An error nobody thought of is logged once, with its trace, and is a fault until the next answer."""
    source = Source()
    source.failing = {"a": RuntimeError("never heard of")}
    async with collecting(source) as collector:
        collector.watch({"a": 1})
        await source.until(lambda: source.asked["a"] > 1)
        assert (
            collector.readings(1000.0).fault == "no stats of 1 of 1 containers: RuntimeError: never heard of"
        )
        await source.until(lambda: source.asked["a"] > 4)
        assert [record.levelname for record in caplog.records if record.name.endswith("stats_collector")] == [
            "ERROR"
        ]
        source.failing = {}
        told = source.asked["a"] + 2
        await source.until(lambda: source.asked["a"] > told)
        assert collector.readings(1000.0).fault == ""


async def test_readings_do_not_change():
    """What was returned stays as it was, and cannot be written to."""
    source = Source()
    async with collecting(source) as collector:
        collector.watch({"a": 1})
        await source.until(lambda: source.asked["a"] > 1)
        before = collector.readings(1000.0)
        known = before.by_id["a"]
        collector.watch({"b": 1})
        assert dict(before.by_id) == {"a": known}
        with pytest.raises(TypeError):
            before.by_id["b"] = known


async def test_stopping_waits_for_nobody():
    """Questions that hang are given up."""
    source = Source()
    source.hanging = {"a"}
    async with collecting(source) as collector:
        collector.watch({"a": 1})
        await source.until(lambda: source.open == 1)
        async with asyncio.timeout(BOUND):
            await collector.stop()
        assert (source.open, collector.readings(1000.0).wanted) == (0, 0)


@pytest.mark.parametrize(
    ("waited", "interval", "expected"),
    [
        pytest.param(0.018, 10.0, 10.0, id="a fast daemon: the interval"),
        pytest.param(0.0, 10.0, 10.0, id="no answer: the interval"),
        pytest.param(37.0, 10.0, 37.0, id="150 containers at 2 s each: half of the time is the daemon's own"),
        pytest.param(300.0, 10.0, 60.0, id="after a long hang: a minute at most"),
        pytest.param(300.0, 90.0, 90.0, id="an interval above a minute is kept"),
    ],
)
def test_pause(waited, interval, expected):
    """How long the daemon is left alone about a container."""
    assert pause_after(waited, interval) == expected
