"""When groups are evaluated: slots, ticks, first looks."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.labels import METRIC_NAME, Labels
from alerting.promql.backend import Embedded
from alerting.promql.engine import Engine
from alerting.rules.group import GroupEvaluator, World
from alerting.rules.load import read_document
from alerting.rules.schedule import Scheduler, next_slot
from alerting.window import Window
from vakhta.yamlnodes import parse

BOUND = 5  # seconds that a test waits at most
HOUR = timedelta(hours=1)
RULES = """
groups:
  - {name: containers, rules: [{alert: Down, expr: container_state_status == 0}]}
  - {name: host, rules: [{record: free, expr: node_free / node_size}]}
  - {name: any, rules: [{record: all, expr: 'count({job="x"})'}]}
"""
INTERVALS = st.integers(1, 86_400_000).map(lambda ms: timedelta(milliseconds=ms))


@given(now=st.floats(0, 4e9), interval=INTERVALS, key=st.text(max_size=20))
def test_law_the_next_slot_is_ahead_by_an_interval_at_most(now, interval, key):
    """Never now or in the past, never farther than one interval; a millionth of a second is lost to floats."""
    ahead = next_slot(now, interval, key) - now
    assert -1e-6 < ahead <= interval.total_seconds() + 1e-6


@given(start=st.integers(0, 4_000_000_000), seconds=st.integers(1, 3600), key=st.text(max_size=20))
def test_law_slots_are_an_interval_apart(start, seconds, key):
    """From one slot the next is exactly one interval later, wherever one starts to count."""
    interval = timedelta(seconds=seconds)
    slot = next_slot(start, interval, key)
    assert next_slot(slot + 1e-3, interval, key) == pytest.approx(slot + seconds, abs=1e-5)
    assert next_slot(start + seconds, interval, key) == pytest.approx(slot + seconds, abs=1e-5)


def test_groups_are_spread_over_the_interval():
    """Different keys have different offsets; the same key always has the same."""
    slots = [next_slot(1_790_000_000, HOUR, f"rules.yml;group {n}") for n in range(20)]
    assert len({round(slot) for slot in slots}) == 20
    assert slots[0] == next_slot(1_790_000_000, HOUR, "rules.yml;group 0")


def test_a_slots_place_is_part_of_the_promise():
    """The offset comes from a hash that is the same in every process and version, so a restart moves no slot."""
    assert next_slot(
        1_790_000_000, timedelta(seconds=60), "rules/containers.yml;containers"
    ) == pytest.approx(1_790_000_028.0910144, abs=1e-6)


class Desk:
    """A scheduler over real groups, with a clock that is set by hand and a sink that notes what arrives."""

    def __init__(self, *, interval: timedelta, now: float) -> None:
        self.now = now
        self.window = Window(keep=None)
        self.before: list[float] = []
        self.rounds: asyncio.Queue[tuple[list[str], datetime, frozenset[str], datetime | None]] = (
            asyncio.Queue()
        )
        world = World(
            backend=Embedded(Engine(), self.window),
            window=self.window,
            latest_at=lambda at_ms: lambda matchers: self.window.latest(matchers, at_ms),
            query_at=lambda _at_ms: lambda _text: [],
        )
        groups = read_document(parse(RULES, file="rules.yml"), interval=interval)
        self.evaluators = [GroupEvaluator(group, world) for group in groups]
        self.scheduler = Scheduler(
            self.evaluators, self._sink, before=self.before.append, clock=lambda: self.now
        )

    async def _sink(self, evaluators, outcomes, new, event_at):
        assert [e.group for e in evaluators] == [o.group for o in outcomes]
        assert len({o.at for o in outcomes}) == 1
        names = [evaluator.group.name for evaluator in evaluators]
        await self.rounds.put((names, outcomes[0].at, new, event_at))

    async def next(self):
        """Wait for the next round that was handed on."""
        return await asyncio.wait_for(self.rounds.get(), BOUND)

    async def settle(self):
        """Let the scheduler get as far as it can without time passing."""
        for _ in range(50):
            await asyncio.sleep(0)


@asynccontextmanager
async def desk(*, interval: timedelta = HOUR, now: float = 1_790_000_000.25):
    """Run a scheduler."""
    made = Desk(interval=interval, now=now)
    task = asyncio.create_task(made.scheduler.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


TICKS = [
    pytest.param({"container_state_status"}, ["containers", "any"], id="a family that one group selects"),
    pytest.param({"node_size"}, ["host", "any"], id="any family of its expressions counts"),
    pytest.param({"container_state_status", "node_free"}, ["containers", "host", "any"], id="two families"),
    pytest.param(
        {"unheard_of"}, ["any"], id="a group that selects by other labels than the name is always picked"
    ),
]


@pytest.mark.parametrize(("changed", "expected"), TICKS)
async def test_a_tick_evaluates_the_groups_it_concerns(changed, expected):
    """At once, in file order, at the time of the clock in whole milliseconds, with the time of the event."""
    async with desk() as d:
        event = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)
        d.scheduler.tick(frozenset(changed), event)
        assert await d.next() == (expected, datetime.fromtimestamp(1_790_000_000.25, UTC), frozenset(), event)
        assert d.before == [1_790_000_000.25]


async def test_ticks_that_come_together_are_one_round():
    """Their families add up, and the earliest event counts; an event belongs to one round only."""
    async with desk() as d:
        early, late = datetime(2026, 9, 21, tzinfo=UTC), datetime(2026, 9, 22, tzinfo=UTC)
        d.scheduler.tick(frozenset({"node_free"}), late)
        d.scheduler.tick(frozenset({"container_state_status"}), early)
        d.scheduler.tick(frozenset(), None)
        names, _, _, event_at = await d.next()
        assert (names, event_at) == (["containers", "host", "any"], early)
        d.scheduler.tick(frozenset({"node_free"}), None)
        names, _, _, event_at = await d.next()
        assert (names, event_at) == (["host", "any"], None)


async def test_a_first_look_evaluates_everything_once():
    """The sink hears of the targets that were seen for the first time, and of each only once."""
    async with desk() as d:
        d.scheduler.first_look(frozenset({"h1"}))
        d.scheduler.first_look(frozenset({"h2"}))
        names, _, new, _ = await d.next()
        assert (names, new) == (["containers", "host", "any"], {"h1", "h2"})
        d.scheduler.tick(frozenset({"node_free"}), None)
        assert (await d.next())[2] == frozenset()


async def test_a_tick_does_not_move_the_slots():
    """A tick just before a slot is a round of its own; the slot comes when it is due."""
    async with desk(interval=timedelta(seconds=100)) as d:
        await d.settle()
        key = d.evaluators[1].group.key
        slot = next_slot(d.now, timedelta(seconds=100), key)
        d.now = slot - 0.001
        d.scheduler.tick(frozenset({"node_free"}), None)
        while "host" not in (await d.next())[0]:
            pass
        d.now = slot
        d.scheduler.tick(frozenset(), None)
        names, at, _, _ = await d.next()
        assert "host" in names
        assert at.timestamp() == pytest.approx(slot, abs=1e-3)


async def test_late_slots_are_counted_and_not_made_up_for():
    """After a pause of 10 min with an interval of 1 min there is one evaluation of each group, and the rest is missed."""
    async with desk(interval=timedelta(seconds=60)) as d:
        await d.settle()
        slots = [next_slot(d.now, timedelta(seconds=60), e.group.key) for e in d.evaluators]
        d.now += 600
        expected = sum(int((d.now - slot) // 60) for slot in slots)
        d.scheduler.tick(frozenset(), None)
        assert (await d.next())[0] == ["containers", "host", "any"]
        await d.settle()
        assert d.scheduler.missed == expected
        assert d.rounds.empty()


async def test_a_clock_that_was_set_back_does_not_stop_the_evaluations():
    """Slots an hour ahead are given up for the next one of the new time, and nothing counts as missed."""
    async with desk(interval=timedelta(seconds=60)) as d:
        await d.settle()
        d.now -= 3600
        d.scheduler.tick(frozenset(), None)
        assert (await d.next())[0] == ["containers", "host", "any"]
        d.now = max(next_slot(d.now, timedelta(seconds=60), e.group.key) for e in d.evaluators)
        d.scheduler.tick(frozenset(), None)
        assert (await d.next())[0] == ["containers", "host", "any"]
        assert d.scheduler.missed == 0


async def test_slots_come_by_themselves():
    """With real time: two evaluations of each group, no tick needed."""
    made = Desk(interval=timedelta(milliseconds=50), now=0)
    loop = asyncio.get_running_loop()
    made.scheduler = Scheduler(made.evaluators, made._sink, clock=lambda: 1_790_000_000 + loop.time())
    task = asyncio.create_task(made.scheduler.run())
    seen: list[str] = []
    try:
        while min(seen.count(name) for name in ("containers", "host", "any")) < 2:
            seen += (await made.next())[0]
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_one_group_writes_is_seen_by_the_next():
    """Rounds run in file order, so an alert may read a series that a rule above has recorded."""
    async with desk() as d:
        for name, value in (("node_free", 1.0), ("node_size", 4.0)):
            d.window.append(Labels({METRIC_NAME: name, "job": "x"}), 1_790_000_000_000, value)
        d.scheduler.first_look(frozenset())
        await d.next()
        at = 1_790_000_000_250
        (free,) = [s for s in d.window.select([], at - 1000, at) if s.labels.metric == "free"]
        (everything,) = [s for s in d.window.select([], at - 1000, at) if s.labels.metric == "all"]
        assert (list(free.v), list(everything.v)) == ([0.25], [3.0])


async def test_after_an_absence_or_a_step_of_the_clock_it_looks_before_it_judges():
    """A process that was frozen, or whose wall clock was set, asks for fresh samples before the next evaluation."""
    asked: list[float] = []

    async def afresh(step: float) -> None:
        asked.append(step)

    wall, steady = [1_000.0], [50.0]
    scheduler = Scheduler(
        [], Desk._sink, after_gap=afresh, clock=lambda: wall[0], monotonic=lambda: steady[0]
    )
    await scheduler._notice_gap(995.0, 45.0, 1_000.0)
    assert asked == []
    await scheduler._notice_gap(400.0, -550.0, 405.0)  # both clocks went on: away
    await scheduler._notice_gap(1_030.0, 45.0, 1_035.0)  # the wall clock went back by 35 s meanwhile
    assert asked == [0.0, pytest.approx(-35.0)]
