"""From an incident's decision to drafts of the outbox: what is sent, edited, answered, and what is left unsaid."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from alerting.telegram.announce import Chat
from alerting.telegram.draft import Kind, Priority
from tests.alerting.talk import Talk, an_alert, at
from tests.telegram_api import GROUP, PRIVATE

DOWN = an_alert("Down", "critical", summary="web is down", state="down")
SLOW = an_alert("Slow", "warning", summary="web is slow", state="slow")
NOTE = an_alert("Note", "info", summary="web has a note", state="noted")


@pytest.fixture
def talk():
    """A conversation with one chat."""
    with Talk() as made:
        yield made


def test_the_first_telling_is_a_message(talk):
    """With a sound, at the priority of its severity, with the event's time for the latency."""
    talk.says(0, DOWN)
    (draft,) = talk.drafts
    assert (draft.kind, draft.priority, draft.silent) == (Kind.SEND, Priority.CRITICAL, False)
    assert (draft.key, draft.chat_id, draft.event_at) == (f"a1b2c3/{GROUP}", GROUP, at(0))


@pytest.mark.parametrize(
    ("alert", "priority", "silent"),
    [
        pytest.param(DOWN, Priority.CRITICAL, False, id="critical"),
        pytest.param(SLOW, Priority.WARNING, False, id="warning"),
        pytest.param(NOTE, Priority.INFO, True, id="info makes no sound"),
    ],
)
def test_severity_decides_how_urgent_a_message_is(talk, alert, priority, silent):
    """Priority and sound."""
    talk.says(0, alert)
    assert [(d.priority, d.silent) for d in talk.drafts] == [(priority, silent)]


def test_what_reads_the_same_is_not_said_again(talk):
    """However often the incident is looked at."""
    talk.says(0, DOWN)
    for seconds in (5, 10, 15):
        talk.says(seconds, DOWN)
    assert len(talk.drafts) == 1


def test_not_even_by_a_process_that_was_started_again(talk):
    """What was last said is kept beside the incident, not in memory."""
    talk.says(0, DOWN)
    with Talk() as restarted:
        restarted.connection.close()
        restarted.connection, restarted.incident = talk.connection, talk.incident
        restarted.says(60, DOWN)
        assert restarted.drafts == []
        restarted.says(90, (DOWN, "recovered", ""))
        assert [draft.kind for draft in restarted.drafts] == [Kind.EDIT, Kind.REPLY]


def test_an_edit_is_an_edit_of_the_message(talk):
    """Same conversation, no sound, its own priority."""
    talk.says(0, SLOW).says(30, (SLOW, "recovered", ""))
    edit = talk.drafts[-1]
    assert (edit.kind, edit.key, edit.priority, edit.silent) == (
        Kind.EDIT,
        f"a1b2c3/{GROUP}",
        Priority.EDIT,
        True,
    )


def test_a_reply_answers_the_message_under_a_key_of_its_own(talk):
    """Each reply has its own conversation, so that none folds into another."""
    talk.says(0, SLOW).says(30, SLOW, DOWN).says(60, SLOW, (DOWN, "recovered", "")).look(6 * 3600)
    replies = [draft for draft in talk.drafts if draft.kind is Kind.REPLY]
    assert [(d.key, d.reply_to_key) for d in replies] == [
        (f"a1b2c3/{GROUP}/1", f"a1b2c3/{GROUP}"),
        (f"a1b2c3/{GROUP}/2", f"a1b2c3/{GROUP}"),
    ]
    assert [d.silent for d in replies] == [False, False]


def test_only_a_reminder_gets_too_old_to_be_told(talk):
    """Everything else is told however late."""
    talk.says(0, DOWN).look(5 * 3600).says(6 * 3600, (DOWN, "recovered", ""))
    assert {d.give_up_after for d in talk.drafts if d.kind is not Kind.REPLY} == {None}
    assert [d.give_up_after for d in talk.drafts if d.kind is Kind.REPLY] == [timedelta(hours=1), None]


def test_every_chat_of_a_receiver_is_told():
    """Each in its own conversation, topic and loudness."""
    chats = (Chat(chat_id=GROUP, thread_id=7), Chat(chat_id=PRIVATE, silent=True))
    with Talk(chats=chats) as talk:
        talk.says(0, DOWN).says(30, (DOWN, "recovered", ""))
        assert [(d.key, d.chat_id, d.thread_id, d.silent, d.kind) for d in talk.drafts] == [
            (f"a1b2c3/{GROUP}:7", GROUP, 7, False, Kind.SEND),
            (f"a1b2c3/{PRIVATE}", PRIVATE, None, True, Kind.SEND),
            (f"a1b2c3/{GROUP}:7", GROUP, 7, True, Kind.EDIT),
            (f"a1b2c3/{GROUP}:7/1", GROUP, 7, False, Kind.REPLY),
            (f"a1b2c3/{PRIVATE}", PRIVATE, None, True, Kind.EDIT),
            (f"a1b2c3/{PRIVATE}/1", PRIVATE, None, True, Kind.REPLY),
        ]


def test_a_chat_that_is_new_gets_the_message_where_others_get_an_edit():
    """A chat added by a new configuration."""
    with (
        Talk(chats=(Chat(chat_id=GROUP),)) as talk,
        Talk(chats=(Chat(chat_id=GROUP), Chat(chat_id=PRIVATE))) as after,
    ):
        talk.says(0, DOWN)
        after.connection.close()
        after.connection, after.incident = talk.connection, talk.incident
        after.says(60, DOWN)
        assert [(d.chat_id, d.kind, d.silent) for d in after.drafts] == [(PRIVATE, Kind.SEND, False)]


def test_a_chat_that_takes_anothers_place_gets_the_message_too():
    """The console of the first hour, then Telegram."""
    with Talk(chats=(Chat(chat_id=GROUP),)) as talk, Talk(chats=(Chat(chat_id=PRIVATE),)) as after:
        talk.says(0, DOWN)
        after.connection.close()
        after.connection, after.incident = talk.connection, talk.incident
        after.says(60, DOWN)
        assert [(d.chat_id, d.kind, d.silent) for d in after.drafts] == [(PRIVATE, Kind.SEND, False)]


def test_a_receiver_without_chats_hears_nothing():
    """The usual way to silence a route."""
    with Talk(chats=()) as talk:
        talk.says(0, DOWN).arrives(DOWN)
        assert talk.drafts == []


def test_the_arrival_makes_no_sound(talk):
    """One message per chat, whatever its alerts' severity."""
    talk.arrives(DOWN, SLOW)
    (draft,) = talk.drafts
    assert (draft.kind, draft.silent, draft.priority) == (Kind.SEND, True, Priority.INFO)
    assert "Already broken when I arrived: host-1 (down), host-1 (slow)." in draft.plain


def test_clock_times_are_the_readers():
    """Messages carry the configured zone."""
    with Talk(zone="Asia/Almaty") as talk:
        talk.says(0, DOWN)
        assert "since 19:02:31" in talk.drafts[0].plain


def test_what_was_said_is_kept_by_conversation(talk):
    """The column that makes the comparison survive."""
    talk.says(0, DOWN)
    (text,) = talk.connection.execute("SELECT texts FROM incidents").fetchone()
    assert json.loads(text) == {f"a1b2c3/{GROUP}": talk.drafts[0].html}


def test_an_incident_told_under_a_number_is_edited_under_it(talk):
    """Another incident, another conversation."""
    talk.says(0, DOWN)
    talk.incident = replace(talk.incident, id="ffffff")
    talk.says(60, DOWN)
    assert [(d.key, d.kind) for d in talk.drafts] == [
        (f"a1b2c3/{GROUP}", Kind.SEND),
        (f"ffffff/{GROUP}", Kind.SEND),
    ]
