"""The outbox in an orderly world: order, folding, priorities, latency, the end."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from alerting.telegram.outbox import Button, Kind, Priority
from tests.telegram.world import LIMIT, world
from tests.telegram_api import GROUP, PRIVATE, Fault, Trouble

SEND, EDIT, REPLY, DELETE = Kind.SEND, Kind.EDIT, Kind.REPLY, Kind.DELETE


async def test_a_conversation_from_first_word_to_last():
    """Sent, edited in place, answered by a reply, the reply deleted."""
    async with world() as w:
        await w.put("a", buttons=((Button(text="Ack", data="v1:ack"),),))
        await w.settle()
        number = await w.outbox.message_id("a")
        await w.put("a", EDIT, Priority.EDIT, "<b>up</b>")
        await w.put("a/end", REPLY, Priority.INFO, "back after 7 min", reply_to_key="a", silent=True)
        await w.settle()
        message, reply = w.api.chats[GROUP].messages.values()
        assert (message.id, message.text, message.edits, message.buttons) == (number, "up", 1, [])
        assert (reply.text, reply.reply_to, reply.silent, message.silent) == (
            "back after 7 min",
            number,
            True,
            False,
        )
        assert await w.outbox.message_id("a/end") == reply.id
        await w.put("a/end", DELETE, Priority.INFO)
        await w.settle()
        assert w.texts() == ["up"]
        assert await w.outbox.message_id("a/end") is None
        assert await w.states() == ["sent"] * 4
        assert not w.outbox.failures


async def test_link_previews_are_always_off():
    """Telegram would fetch the first link of an alert."""
    async with world() as w:
        await w.put("a", html='<a href="https://x.org">Runbook</a>')
        await w.put("a", EDIT, html='<a href="https://x.org">Runbook</a> !')
        await w.settle()
        assert {e.params["link_preview_options"] for e in w.api.ledger.writes()} == {'{"is_disabled": true}'}


async def test_a_delivery_is_told_with_its_latency():
    """Key, message number, draft as it was sent, and the seconds since the event."""
    async with world() as w:
        event = w.clock.now() - timedelta(seconds=2)
        await w.put("a", event_at=event, thread_id=None)
        await w.settle()
        ((key, number, draft, seconds),) = w.delivered
        assert (key, number, draft.html, draft.event_at) == ("a", 1, "<b>down</b>", event)
        assert seconds == pytest.approx(2)
        assert w.outbox.last_success == w.clock.now()


async def test_what_waits_is_replaced_by_what_is_newer():
    """A message nobody has seen is sent once, with the newest content; of several edits the last one is made."""
    async with world(start=False) as w:
        w.start()
        await w.stop()
        for text in ("first", "second"):
            await w.put("a", html=text)
        await w.put("a", EDIT, Priority.EDIT, "third")
        await w.put("b", EDIT, Priority.EDIT, "never sent before")
        w.start()
        await w.settle()
        assert w.texts() == ["third", "never sent before"]
        for text in ("fourth", "fifth", "sixth"):
            await w.database.write(lambda c, t=text: w.outbox.enqueue(c, w.draft("a", EDIT, html=t)))
        await w.settle()
        assert w.texts()[0] == "sixth"
        assert w.methods().count("editMessageText") < 3


async def test_folding_keeps_the_sound_of_the_first_message():
    """An edit is silent by nature; the message it folds into is still to be heard, and as urgent."""
    async with world(start=False) as w:
        w.start()
        await w.stop()
        await w.put("a", html="down", priority=Priority.CRITICAL)
        await w.put("a", EDIT, Priority.EDIT, "up", silent=True)
        w.start()
        await w.settle()
        assert [message.silent for message in w.api.chats[GROUP].messages.values()] == [False]
        assert await w.states() == ["sent"]


async def test_an_edit_waits_for_its_message():
    """While the message is on its way, its edit waits; then it is made, never sent as a message of its own."""
    async with world() as w:
        w.api.faults.add(Fault(trouble=Trouble.DELAY, seconds=0.05, methods=("sendMessage",)))
        await w.put("a", html="down")
        await w.clock.run(lambda: w.api.ledger.of("sendMessage"))
        await w.put("a", EDIT, Priority.EDIT, "up")
        await w.settle()
        assert w.methods() == ["sendMessage", "editMessageText"]
        assert w.texts() == ["up"]


async def test_a_reply_waits_for_what_it_answers():
    """Even when it is more urgent."""
    async with world(start=False) as w:
        w.start()
        await w.stop()
        await w.put("a", priority=Priority.INFO, html="down")
        await w.put("a/r", REPLY, Priority.CRITICAL, "still down", reply_to_key="a")
        w.start()
        await w.settle()
        first, second = w.api.chats[GROUP].messages.values()
        assert (first.text, second.text, second.reply_to) == ("down", "still down", first.id)


async def test_a_reply_to_nothing_is_a_message():
    """Nobody is left without the news because its parent is unknown."""
    async with world() as w:
        await w.put("a/r", REPLY, html="still down", reply_to_key="unknown")
        await w.settle()
        assert w.texts() == ["still down"]


async def test_a_reply_in_its_own_conversation_does_not_take_its_place():
    """Later edits still go to the first message."""
    async with world() as w:
        await w.put("a", html="down")
        await w.settle()
        await w.put("a", REPLY, Priority.ONCALL, "acknowledged", reply_to_key="a")
        await w.settle()
        await w.put("a", EDIT, Priority.EDIT, "up")
        await w.settle()
        assert w.texts() == ["up", "acknowledged"]


async def test_the_urgent_go_first():
    """In a chat that cannot take everything at once, priority decides, then age."""
    async with world(start=False) as w:
        w.start()
        await w.stop()
        for name in ("CHART", "INFO", "WARNING", "CRITICAL", "WARNING", "ONCALL"):
            await w.put(f"{name}{len(await w.states())}", priority=Priority[name], html=name)
        w.start()
        await w.settle()
        assert w.texts() == ["CRITICAL", "ONCALL", "WARNING", "WARNING", "INFO", "CHART"]


async def test_a_critical_message_overtakes_a_full_group():
    """500 alerts in 10 s: no 60 s hold more than 18 writes, nothing is refused, criticals leave within 5 s."""
    async with world() as w:
        for index in range(60):
            await w.put(f"w{index}", priority=Priority.WARNING, html=f"warning {index}")
        await w.clock.run(lambda: len(w.texts()) >= 14)
        await w.put("c", html="critical", event_at=w.clock.now())
        assert await w.clock.run(lambda: "critical" in w.texts(), seconds=5)
        await w.settle()
        assert len(w.texts()) == 61
        assert w.api.ledger.busiest(GROUP) <= 18
        assert not w.api.ledger.refusals()


async def test_chats_do_not_wait_for_each_other():
    """A chat that takes its time holds up nobody else."""
    async with world() as w:
        w.api.faults.add(Fault(trouble=Trouble.FLOOD, seconds=90, chat_id=GROUP))
        await w.put("a")
        await w.put("b", chat_id=PRIVATE)
        assert await w.clock.run(lambda: w.texts(PRIVATE), seconds=1)
        assert not w.texts(GROUP)
        await w.settle()
        assert w.api.ledger.of("sendMessage", GROUP)[-1].at == pytest.approx(91, abs=0.1)
        assert w.outbox.failures == {"flood": 1}


async def test_deleting_what_was_not_sent_sends_nothing():
    """The queue forgets it."""
    async with world(start=False) as w:
        w.start()
        await w.stop()
        await w.put("a")
        await w.put("a", DELETE)
        w.start()
        await w.settle()
        assert not w.methods()
        assert await w.states() == ["superseded", "superseded"]


async def test_what_is_not_worth_telling_any_more_is_given_up():
    """A row's time runs out while its chat is closed; somebody is told, nothing is sent."""
    async with world() as w:
        w.api.faults.add(Fault(trouble=Trouble.REFUSE, times=None))
        await w.put("test", html="test", give_up_after=timedelta(seconds=30))
        await w.put("real", html="real")
        await w.clock.run(lambda: w.dead)
        assert w.clock.seconds == pytest.approx(30, abs=1)
        w.api.faults.clear()
        await w.settle()
        assert [key for key, _, _ in w.dead] == ["test"]
        assert w.texts() == ["real"]
        assert w.outbox.failures["expired"] == 1


async def test_what_comes_while_it_starts_is_not_forgotten():
    """A draft that is committed together with the recovery is sent without another one to wake its chat."""
    async with world(start=False) as w:
        loop, entered, free = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

        def hold(_):
            loop.call_soon_threadsafe(entered.set)
            asyncio.run_coroutine_threadsafe(free.wait(), loop).result(LIMIT)

        holding = asyncio.ensure_future(w.database.write(hold))
        await asyncio.wait_for(entered.wait(), LIMIT)
        w.start()
        await asyncio.sleep(0)
        putting = asyncio.ensure_future(w.put("a", html="early"))
        await asyncio.sleep(0)
        free.set()
        await asyncio.gather(holding, putting)
        assert await w.clock.run(lambda: w.texts() == ["early"])


async def test_a_write_that_is_undone_queues_nothing():
    """Dispatch writes alert state and drafts in one transaction: both or neither."""
    async with world() as w:

        def half(connection):
            w.outbox.enqueue(connection, w.draft("a"))
            raise ValueError("undo")

        with pytest.raises(ValueError, match="undo"):
            await w.database.write(half)
        await w.put("b", html="whole")
        await w.settle()
        assert w.texts() == ["whole"]


async def test_what_waits_can_be_seen():
    """The age of the oldest row is known while it waits, and gone with it."""
    async with world() as w:
        w.api.faults.add(Fault(trouble=Trouble.REFUSE, times=3))
        asked = w.clock.now()
        await w.put("a")
        await w.clock.run(lambda: w.outbox.failures["connect"] == 2)
        assert w.outbox.oldest_queued_at == asked
        await w.settle()
        assert w.outbox.oldest_queued_at is None


async def test_the_end_waits_for_what_is_in_flight_and_takes_nothing_new():
    """SIGTERM: the request on its way is finished and settled, the next row stays for the next start."""
    async with world(start=False) as w:
        w.start()
        w.api.faults.add(Fault(trouble=Trouble.DELAY, seconds=0.05))
        await w.put("a", html="in flight")
        await w.put("b", html="next")
        await w.clock.run(lambda: w.api.ledger.entries)
        await w.stop()
        assert await w.states() == ["sent", "queued"]
        w.start()
        await w.settle()
        assert w.texts() == ["in flight", "next"]


async def test_the_end_cuts_off_what_hangs():
    """When the grace is over the row counts as in doubt at the next start, and the copy says so."""
    async with world(start=False) as w:
        w.start()
        w.api.faults.add(Fault(trouble=Trouble.DELAY, seconds=LIMIT * 10))
        await w.put("a", html="hangs")
        await w.clock.run(lambda: w.api.ledger.entries)
        ending = asyncio.ensure_future(w.outbox.drain(4))
        await asyncio.sleep(0)
        w.clock.force(4)
        await asyncio.wait_for(ending, LIMIT)
        assert await w.states() == ["sending"]
        w.start()
        await w.settle()
        assert w.texts() == ["hangs", "hangs\n(possible duplicate)"]


async def test_drain_before_run_is_harmless():
    """A process that ends while it starts."""
    async with world(start=False) as w:
        w.start()
        await w.stop()
        await w.outbox.drain(1)
