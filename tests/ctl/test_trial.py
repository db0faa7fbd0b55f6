"""What a delivery test waits for, what ends it, and what it leaves behind; minutes pass in milliseconds."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, timedelta
from types import SimpleNamespace

import pytest

from alerting.telegram.announce import Chat as Destination
from alerting.telegram.draft import Kind
from alerting.telegram.sample import Order
from alerting.telegram.shot import Pace
from alerting.telegram.trial import Trial
from tests.telegram.world import world
from tests.telegram_api import GROUP, PRIVATE, TOKEN, Fault, Standing, Trouble
from vakhta.secrets import Secret


@asynccontextmanager
async def trial_of(*chats, **more):
    """A world with something that tests it."""
    async with world() as w:
        await w.outbox._recovered.wait()  # in threads, of which the clock knows nothing
        made = Trial(
            w.outbox,
            (),
            {"telegram": [Destination(chat_id=chat) for chat in chats or (GROUP,)]},
            zone=UTC,
            token=Secret(TOKEN),
            api_url="http://stand.in",
            clock=w.clock,
            **more,
        )
        w.trial = made
        try:
            yield w
        finally:
            await made.close()


async def run(w, order=None, *, seconds=120.0):
    """Run a test to its end; return its reports and how long it took."""
    began = w.clock.seconds
    plan = w.trial.plan(order or Order())
    reports = []

    async def listen():
        reports.extend([report async for report in w.trial.run(plan)])

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0)  # the clock jumps only over those it knows of: let them begin
    tasks = list(w.trial._tasks)
    assert await w.clock.run(lambda: all(task.done() for task in tasks), seconds=seconds)
    took = w.clock.seconds - began
    await listening
    return SimpleNamespace(reports=reports, passed=plan.passed(reports), seconds=took)


def words(test):
    """Return the reports in short."""
    return [(report.stage.value, report.ok, report.reason) for report in test.reports]


async def test_one_message_that_turns_two_seconds_later():
    """Fired with a sound, resolved by an edit of the same message after two seconds, and never repeated."""
    async with trial_of() as w:
        test = await run(w)
        await w.clock.run(seconds=86_400)
        (message,) = w.api.chats[GROUP].messages.values()
        assert w.methods() == ["sendMessage", "editMessageText"]
        assert [report.message_id for report in test.reports] == [message.id, message.id]
        first, second = w.api.ledger.writes(GROUP)
        assert second.at - first.at == pytest.approx(2.0, abs=0.1)
        assert first.text.startswith("🔵 Test from alertctl — delivery works\ntelegram · chat ")
        assert second.text.startswith("✅ Test from alertctl is over — delivered in 0.00 s\n")
        assert not message.silent
        assert test.passed


@pytest.mark.parametrize(
    ("order", "silent"),
    [
        pytest.param(Order(), False, id="a warning sounds"),
        pytest.param(Order(severity="critical"), False, id="a critical one sounds"),
        pytest.param(Order(severity="info"), True, id="info is silent"),
    ],
)
async def test_sound(order, silent):
    """As a real alert of that severity."""
    async with trial_of() as w:
        await run(w, order)
        (message,) = w.api.chats[GROUP].messages.values()
        assert message.silent is silent


@pytest.mark.parametrize(
    ("fault", "reason", "at_most"),
    [
        pytest.param(Fault(trouble=Trouble.HTML, status=404, times=None), "not_found", 0.5, id="a page: at once"),
        pytest.param(Fault(trouble=Trouble.FLOOD, seconds=300, times=None), "flood", 0.5, id="a long 429: at once"),
        pytest.param(Fault(trouble=Trouble.REFUSE, times=None), "connect", 5, id="no network: after the second try"),
        pytest.param(Fault(trouble=Trouble.HTML, status=502, times=None), "server", 15, id="502: after the second try"),
        pytest.param(Fault(trouble=Trouble.DROP_BEFORE, times=None), "connection_lost", 15, id="cut: after the second try"),
    ],
)  # fmt: skip
async def test_when_a_fault_ends_it(fault, reason, at_most):
    """Only a person can mend it, or it happened twice; and nothing of the test is sent afterwards."""
    async with trial_of() as w:
        w.api.faults.add(fault)
        test = await run(w)
        assert words(test) == [("firing", False, reason)]
        assert not test.passed
        assert test.seconds <= at_most
        assert await w.clock.run(lambda: w.outbox.oldest_queued_at is None, seconds=1)
        w.api.faults.clear()
        before = len(w.api.ledger.writes())
        await w.clock.run(seconds=3600)
        assert len(w.api.ledger.writes()) == before


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(trouble=Trouble.REFUSE), id="one refused connection"),
        pytest.param(Fault(trouble=Trouble.FLOOD, seconds=3), id="a short 429"),
        pytest.param(Fault(trouble=Trouble.STATUS, status=500), id="one 500"),
    ],
)
async def test_what_it_gets_over(fault):
    """A fault by chance is what the outbox is for."""
    async with trial_of() as w:
        w.api.faults.add(fault)
        test = await run(w)
        assert words(test) == [("firing", True, ""), ("resolved", True, "")]
        assert test.passed


async def test_a_queue_in_front_of_it():
    """A group that has had its messages of the minute: given up after 30 s, and taken back."""
    async with trial_of() as w:
        for number in range(20):
            await w.put(f"k{number}")
        await w.clock.run(lambda: len(w.texts()) >= 18)
        test = await run(w)
        assert words(test) == [("firing", False, "flood")]
        assert test.seconds == pytest.approx(30, abs=0.5)
        await w.settle()
        assert len(w.texts()) == 20


async def test_mended_and_tested_again():
    """A test does not sit out the pause that the fault left: the bot is back, the next test passes, real messages go on."""
    async with trial_of() as w:
        w.api.chats[GROUP].standing = Standing.KICKED
        await w.put("real")
        assert await w.clock.run(lambda: GROUP in w.outbox.parked, seconds=1)
        assert words(await run(w)) == [("firing", False, "chat_unreachable")]
        w.api.chats[GROUP].standing = Standing.OK
        test = await run(w)
        assert test.passed
        assert test.seconds < 5
        assert "down" in w.texts()


async def test_a_known_bot_again():
    """An open circuit is asked about at once."""
    async with trial_of() as w:
        w.api.faults.add(Fault(trouble=Trouble.STATUS, status=401, description="Unauthorized", times=3))
        assert words(await run(w)) == [("firing", False, "token")]
        assert w.outbox.circuit_open
        assert words(await run(w)) == [("firing", False, "token")]
        assert w.outbox.circuit_open
        w.api.faults.clear()
        assert (await run(w)).passed
        assert not w.outbox.circuit_open


async def test_the_end_asks_nothing():
    """An outbox that ends while Telegram does not know the bot does not ask once more."""
    async with trial_of() as w:
        w.api.faults.add(Fault(trouble=Trouble.STATUS, status=401, description="Unauthorized", times=None))
        await run(w)
        await w.stop()
        assert [entry.method for entry in w.api.ledger.entries] == ["sendMessage"]


async def test_what_another_chat_met_first():
    """A bot that Telegram does not know is news for a chat that still waits for its turn."""
    async with trial_of(GROUP, PRIVATE) as w:
        w.api.faults.add(Fault(trouble=Trouble.STATUS, status=401, description="Unauthorized", times=None))
        w.outbox._limiter.punish(GROUP, 10, w.clock.monotonic())
        test = await run(w)
        assert words(test) == [("firing", False, "token")] * 2
        assert test.seconds < 1


async def test_a_429_is_obeyed():
    """While Telegram's own pause lasts, a test asks nothing."""
    async with trial_of() as w:
        w.api.faults.add(Fault(trouble=Trouble.FLOOD, seconds=300))
        await w.put("real")
        assert await w.clock.run(lambda: GROUP in w.outbox.parked, seconds=1)
        before = len(w.api.ledger.writes())
        test = await run(w)
        assert words(test) == [("firing", False, "flood")]
        assert "for 5 min" in test.reports[0].error
        assert len(w.api.ledger.writes()) == before


async def test_chats_do_not_wait_for_each_other():
    """One chat is broken, the other passes; together the test did not."""
    async with trial_of(GROUP, -1009) as w:
        test = await run(w)
        assert sorted((r.chat_id, r.ok) for r in test.reports) == [
            (GROUP, True),
            (GROUP, True),
            (-1009, False),
        ]
        assert not test.passed


async def test_nobody_listens_any_more():
    """Who fires and leaves leaves no message that looks like trouble."""
    async with trial_of() as w:
        plan = w.trial.plan(Order())
        listening = w.trial.run(plan)
        first = asyncio.ensure_future(anext(listening))
        assert await w.clock.run(first.done, seconds=5)
        await listening.aclose()
        assert await w.clock.run(lambda: "editMessageText" in w.methods(), seconds=10)
        assert w.texts()[0].startswith("✅")


async def test_a_cut_answer():
    """Telegram announced success but its answer cannot be read: not confirmed."""
    async with trial_of() as w:
        w.api.faults.add(Fault(trouble=Trouble.TRUNCATED))
        test = await run(w)
        assert words(test) == [("firing", False, "bad_answer")]


async def test_limit_is_an_argument():
    """The time limit is for each message."""
    async with trial_of(pace=Pace(limit=timedelta(seconds=7))) as w:
        w.outbox._limiter.punish(GROUP, 1000, w.clock.monotonic())
        test = await run(w)
        assert words(test) == [("firing", False, "flood")]
        assert test.seconds == pytest.approx(7, abs=0.5)


async def test_a_message_somebody_deleted():
    """The end is told in a new message, as for a real incident."""
    async with trial_of() as w:
        plan = w.trial.plan(Order())
        reports = []

        async def listen():
            async for report in w.trial.run(plan):
                reports.append(report)
                if len(reports) == 1:
                    w.api.chats[GROUP].messages.clear()

        listening = asyncio.create_task(listen())
        assert await w.clock.run(listening.done, seconds=60)
        assert [report.ok for report in reports] == [True, True]
        assert reports[1].message_id != reports[0].message_id


async def test_ordinary_drafts_are_nobodys_news():
    """Following one conversation says nothing of another, and ends with its block."""
    async with trial_of() as w:
        with w.outbox.follow("a", GROUP) as news:
            await w.put("b", kind=Kind.SEND)
            await w.settle()
            assert news.take() is None
            await w.put("a", kind=Kind.SEND)
            await w.settle()
            assert news.take().message_id == 2
        await w.put("a", kind=Kind.EDIT, html="<b>over</b>")
        await w.settle()
        assert news.take() is None
