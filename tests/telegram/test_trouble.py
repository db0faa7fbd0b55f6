"""The outbox when Telegram, the network, the disk or the process fails."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.telegram.outbox import Button, Kind, Priority
from tests.size import examples
from tests.telegram.world import LIMIT, world
from tests.telegram_api import GROUP, PRIVATE, TOKEN, Chat, Fault, StandIn, Standing, Trouble, until

SEND, EDIT, REPLY = Kind.SEND, Kind.EDIT, Kind.REPLY
DUPLICATE = "\n(possible duplicate)"


def broken(trouble, **more):
    """A fault of sendMessage."""
    return Fault(trouble=trouble, methods=("sendMessage",), **more)


# ---- what a message can be refused for ----


@pytest.mark.parametrize(
    ("given", "shown", "requests"),
    [
        pytest.param({"html": "load <no value>", "plain": "load unknown"}, "load unknown", 2, id="markup"),
        pytest.param({"html": "a < b && c"}, "a < b && c", 2, id="markup-without-plain-text"),
        pytest.param(
            {"html": "x" * 5000, "plain": "y" * 5000}, "y" * 3985 + "… (+1015 chars)", 2, id="too-long"
        ),
        pytest.param({"html": "<b></b>x" * 5000}, "x" * 3985 + "… (+1015 chars)", 2, id="markup-too-heavy"),
        pytest.param({"html": "<b> </b>"}, "message without text: a", 2, id="empty"),
        pytest.param({"html": "x", "thread_id": 77}, "[topic missing]\nx", 2, id="topic-gone"),
        pytest.param({"html": "x", "thread_id": 5}, "[topic missing]\nx", 2, id="topic-closed"),
        pytest.param(
            {"html": "x", "buttons": ((Button(text="Dashboard", url="http://grafana:3000"),),)},
            "x",
            2,
            id="button",
        ),
        pytest.param(
            {"html": "half \ud800 a character", "plain": ""}, "half  a character", 1, id="surrogate"
        ),
        pytest.param({"html": "😀" * 4000}, "😀" * 4000, 1, id="4000-emoji"),
        pytest.param({"html": "`code` \0 \u202e rtl"}, "`code`    rtl", 1, id="odd-characters"),
    ],
)
async def test_whatever_a_message_holds_it_is_delivered(given, shown, requests):
    """What Telegram refuses is left off or replaced, once; nothing loops."""
    async with world(chats=[Chat(id=GROUP, topics={4, 5}, closed_topics={5})]) as w:
        await w.put("a", **given)
        await w.settle()
        assert w.texts() == [shown]
        assert len(w.api.ledger) == requests


async def test_an_unknown_refusal_is_tried_bare_once_then_given_up():
    """Without markup, buttons, topic and reply; then the row is a dead letter and somebody is told."""
    async with world() as w:
        w.api.faults.add(broken(Trouble.STATUS, status=400, description="Bad Request: who knows", times=None))
        await w.put("a", thread_id=7, buttons=((Button(text="Ack", data="x"),),))
        await w.clock.run(lambda: w.dead)
        first, second = w.api.ledger.of("sendMessage")
        assert {"parse_mode", "reply_markup", "message_thread_id"} <= first.params.keys()
        assert second.params.keys() == {"chat_id", "text", "link_preview_options"}
        assert w.dead[0][2] == "refused: Who knows"
        assert await w.states() == ["dead"]


async def test_a_refusal_that_does_not_end_is_given_up():
    """Leaving off what it names does not help: bare once, then a dead letter."""
    async with world() as w:
        w.api.faults.add(
            broken(Trouble.STATUS, status=400, description="Bad Request: BUTTON_DATA_INVALID", times=None)
        )
        await w.put("a", buttons=((Button(text="Ack", data="x"),),))
        await w.clock.run(lambda: w.dead)
        asked = [("reply_markup" in e.params, "parse_mode" in e.params) for e in w.api.ledger]
        assert asked == [(True, True), (False, True), (False, False)]


async def test_an_edit_that_changes_nothing_is_done():
    """Telegram refuses it; it is as it should be."""
    async with world() as w:
        for kind in (SEND, EDIT):
            await w.put("a", kind, html="same")
            await w.settle()
        assert await w.states() == ["sent", "sent"]
        assert w.outbox.failures == {"not_modified": 1}


async def test_the_edit_of_a_message_somebody_deleted_is_sent_anew():
    """And further edits go to the new one."""
    async with world() as w:
        await w.put("a", html="down")
        await w.settle()
        w.api.chats[GROUP].messages.clear()
        for text in ("worse", "up"):
            await w.put("a", EDIT, html=text)
            await w.settle()
        assert w.texts() == ["up"]
        assert w.methods() == ["sendMessage", "editMessageText", "sendMessage", "editMessageText"]


async def test_a_group_that_became_a_supergroup_is_followed():
    """Everything waiting moves, old message numbers are forgotten, later drafts go to the new one."""
    async with world(chats=[Chat(id=-5)]) as w:
        await w.put("a", chat_id=-5, html="before")
        await w.settle()
        w.api.migrate(-5, GROUP)
        await w.put("a", EDIT, chat_id=-5, html="after")
        await w.put("b", chat_id=-5, html="more")
        await w.settle()
        await w.put("c", chat_id=-5, html="and more")
        await w.settle()
        assert w.texts() == ["after", "more", "and more"]
        assert len(w.api.ledger.of("sendMessage", -5)) == 1


@pytest.mark.parametrize("standing", [s for s in Standing if s is not Standing.OK])
async def test_a_chat_that_cannot_be_written_to_keeps_its_rows(standing):
    """It is tried every few minutes, others go on, and when it is back everything is told once."""
    async with world() as w:
        w.api.chats[GROUP].standing = standing
        await w.put("a", html="kept")
        await w.put("b", chat_id=PRIVATE, html="other")
        assert await w.clock.run(lambda: w.texts(PRIVATE), seconds=1)
        await w.clock.run(seconds=3500)
        assert GROUP in w.outbox.parked
        assert 4 <= len(w.api.ledger.of("sendMessage", GROUP)) <= 8
        w.api.chats[GROUP].standing = Standing.OK
        await w.settle()
        assert w.texts() == ["kept"]
        assert not w.outbox.parked


# ---- what may have arrived ----


async def test_a_warning_in_doubt_is_sent_once_more_and_then_left():
    """Two copies at most, the second one marked; then it counts as unconfirmed."""
    async with world() as w:
        w.api.faults.add(broken(Trouble.DROP_AFTER, times=None))
        await w.put("a", priority=Priority.WARNING, html="x")
        await w.settle()
        assert w.texts() == ["x", f"x{DUPLICATE}"]
        assert await w.states() == ["unconfirmed"]
        assert w.outbox.unconfirmed == 1
        assert not w.dead


async def test_an_edit_that_has_to_be_a_message_is_bounded_like_one():
    """Nothing to edit: it makes copies when it is sent in doubt, so it is not repeated for ever."""
    async with world() as w:
        w.api.faults.add(broken(Trouble.DROP_AFTER, times=None))
        await w.put("a", EDIT, Priority.WARNING, "x")
        await w.clock.run(lambda: w.outbox.failures)
        assert await w.states() == ["unknown"]
        await w.settle()
        assert w.texts() == ["x", f"x{DUPLICATE}"]
        assert await w.states() == ["unconfirmed"]


async def test_a_critical_message_in_doubt_is_sent_until_one_is_confirmed():
    """After 10 s, 60 s, then every 10 min: four copies in 12 min at most."""
    async with world() as w:
        w.api.faults.add(broken(Trouble.DROP_AFTER, times=4))
        await w.put("a", html="x")
        await w.settle(seconds=7200)
        assert [e.at for e in w.api.ledger] == pytest.approx([0, 10, 70, 670, 1270], abs=1)
        assert w.texts() == ["x"] + [f"x{DUPLICATE}"] * 4
        assert await w.outbox.message_id("a") == 5
        assert await w.states() == ["sent"]


async def test_a_message_in_doubt_is_told_with_its_newest_state():
    """Resolved before it was confirmed: the copy says so, and nothing more is sent."""
    async with world() as w:
        w.api.faults.add(broken(Trouble.DROP_BEFORE))
        await w.put("a", html="down")
        await w.clock.run(lambda: w.outbox.failures)
        await w.put("a", EDIT, html="was down 5 s")
        await w.settle()
        assert w.texts() == [f"was down 5 s{DUPLICATE}"]


@pytest.mark.parametrize(
    "trouble", [Trouble.DROP_AFTER, Trouble.DROP_BEFORE, Trouble.NO_RESULT, Trouble.STATUS]
)
async def test_an_edit_in_doubt_is_simply_made_again(trouble):
    """Edits are idempotent: no copy, no mark."""
    async with world() as w:
        await w.put("a", html="down")
        await w.settle()
        w.api.faults.add(Fault(trouble=trouble, times=3))
        await w.put("a", EDIT, html="up")
        await w.settle()
        assert w.texts() == ["up"]
        assert await w.states() == ["sent", "sent"]


async def test_an_answer_cut_off_after_ok_counts_as_delivered():
    """Its number is unknown, so the next edit becomes a message."""
    async with world() as w:
        w.api.faults.add(broken(Trouble.TRUNCATED))
        await w.put("a", html="down")
        await w.settle()
        assert w.delivered[0][1] is None
        await w.put("a", EDIT, html="up")
        await w.settle()
        assert w.texts() == ["down", "up"]


# ---- when nothing can be sent ----


async def test_ten_minutes_without_a_network_lose_nothing_and_repeat_nothing():
    """Everything queued arrives once, in order, as soon as there is a way again."""
    async with world() as w:
        w.api.faults.add(Fault(trouble=Trouble.REFUSE, times=None))
        for index in range(5):
            await w.put(f"c{index}", html=f"critical {index}")
        await w.clock.run(seconds=600)
        w.api.faults.clear()
        back = w.clock.seconds
        await w.settle()
        assert w.texts() == [f"critical {index}" for index in range(5)]
        assert w.clock.seconds - back < 70
        assert len(w.api.ledger.refusals()) < 25


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            Fault(trouble=Trouble.STATUS, status=401, description="Unauthorized", times=None), id="401"
        ),
        pytest.param(Fault(trouble=Trouble.HTML, times=None), id="a-proxy's-404"),
    ],
)
async def test_a_bot_nobody_knows_is_asked_for_once_a_minute(fault):
    """Everything is held, nothing is lost, and it goes on by itself."""
    async with world() as w:
        w.api.faults.add(fault)
        await w.put("a", html="x")
        await w.put("b", chat_id=PRIVATE, html="y")
        await w.clock.run(seconds=310)
        assert w.outbox.circuit_open
        assert len(w.api.ledger) <= 7
        w.api.faults.clear()
        await w.settle()
        assert (w.texts(), w.texts(PRIVATE)) == (["x"], ["y"])
        assert not w.outbox.circuit_open


async def test_a_pause_outlives_a_restart():
    """Two hours asked for are two hours, whoever asks again."""
    async with world() as w:
        w.api.faults.add(broken(Trouble.FLOOD, seconds=7200))
        await w.put("a", html="x")
        await w.clock.run(lambda: w.outbox.failures["flood"])
        await w.stop()
        w.clock.force(600)
        w.start()
        await w.settle(seconds=10_000)
        assert [e.at for e in w.api.ledger] == pytest.approx([0, 7200], abs=5)


async def test_an_outcome_the_file_refuses_is_written_later_and_not_sent_again(tmp_path):
    """The message left; its row says so as soon as the file can be written, and Telegram is not asked twice."""
    async with world(tmp_path / "state.db") as w:
        await w.database.write(lambda c: c.execute("PRAGMA busy_timeout = 1").fetchall())
        w.api.faults.add(broken(Trouble.DELAY, seconds=0.05))
        await w.put("a", html="x")
        await w.clock.run(lambda: w.api.ledger.entries)
        with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await w.clock.run(lambda: not w.database.write_ok)
            await w.clock.run(seconds=60)
            assert not w.delivered
        await w.settle()
        assert w.methods() == ["sendMessage"]
        assert await w.states() == ["sent"]
        assert w.database.write_ok


# ---- when the process fails ----


async def test_what_a_crash_left_on_its_way_is_in_doubt():
    """Sent again, marked, after the usual wait; an edit is made again."""
    async with world(start=False) as w:
        w.start()
        await w.put("b", html="b down")
        await w.settle()
        await w.stop()
        await w.put("a", html="a down")
        await w.put("b", EDIT, html="b up")
        await w.database.write(
            lambda c: c.execute("UPDATE outbox SET state = 'sending' WHERE state = 'queued'")
        )
        w.start()
        await w.settle()
        assert w.texts() == ["b up", f"a down{DUPLICATE}"]


PROGRAM = """
import asyncio, sys
from datetime import UTC, datetime
from alerting.state import Database
from alerting.telegram.outbox import Draft, Kind, Outbox, Priority
from alerting.telegram.sender import Sender
from vakhta.secrets import Secret
async def main():
    database = await Database.open(sys.argv[1])
    outbox = Outbox(database, Sender(Secret(sys.argv[3]), api_url=sys.argv[2]))
    await outbox.put(Draft(key="a", chat_id=int(sys.argv[4]), kind=Kind.SEND, priority=Priority.CRITICAL,
                           html="down", created_at=datetime.now(UTC)))
    await outbox.run()
asyncio.run(main())
"""


async def test_kill_9_in_the_middle_of_a_send_loses_nothing(tmp_path):
    """A real process is killed while Telegram holds its answer back; the next one tells it again and says so."""
    async with StandIn() as stand_in:
        stand_in.api.faults.add(broken(Trouble.DELAY, seconds=LIMIT * 10))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, tmp_path / "state.db", stand_in.url, TOKEN, str(GROUP)),
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        try:
            await until(stand_in.api, lambda: stand_in.api.ledger.of("sendMessage"), LIMIT)
        finally:
            process.kill()
            await asyncio.wait_for(process.wait(), LIMIT)
    async with world(tmp_path / "state.db") as w:
        await w.settle()
        assert w.texts() == [f"down{DUPLICATE}"]


# ---- laws ----

STEPS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from([SEND, EDIT, EDIT, REPLY]), st.booleans()),
    min_size=1,
    max_size=10,
)
FAULTS = st.lists(
    st.sampled_from(
        [
            None,
            Fault(trouble=Trouble.REFUSE),
            Fault(trouble=Trouble.DROP_BEFORE),
            Fault(trouble=Trouble.DROP_AFTER),
            Fault(trouble=Trouble.FLOOD, seconds=3),
            Fault(trouble=Trouble.STATUS, status=502, description="Bad Gateway"),
            Fault(trouble=Trouble.HTML, status=502),
            Fault(trouble=Trouble.HTML),
            Fault(trouble=Trouble.NO_RESULT),
            Fault(trouble=Trouble.RAW, body="[]"),
        ]
    ),
    max_size=12,
)


@settings(max_examples=examples(25), deadline=None)
@given(STEPS, FAULTS)
def test_every_critical_conversation_ends_as_it_should(steps, faults):
    """Whatever goes wrong: the newest state of each is there, every reply is, and copies are bounded by the doubts."""

    async def live():
        async with world() as w:
            queue = list(faults)
            w.api.faults.predicate = lambda *_: queue.pop(0) if queue else None
            last, replies = {}, 0
            for index, (key, kind, pause) in enumerate(steps):
                text = f"{key} {index}"
                if kind is REPLY:
                    replies += 1
                    await w.put(f"{key}/{index}", REPLY, html=text, reply_to_key=key)
                else:
                    last[key] = text
                    await w.put(key, kind, html=text)
                if pause:
                    await w.clock.run(seconds=5)
            await w.settle(seconds=24 * 3600)
            texts = [text.removesuffix(DUPLICATE) for text in w.texts()]
            assert set(last.values()) <= set(texts)
            assert {f"{k} {i}" for i, (k, kind, _) in enumerate(steps) if kind is REPLY} <= set(texts)
            sends = sum(kind is SEND for _, kind, _ in steps)
            doubts = sum(fault is not None and fault.trouble is not Trouble.REFUSE for fault in faults)
            assert len(texts) <= sends + replies + len(last) + doubts
            assert not w.dead

    asyncio.run(live())
