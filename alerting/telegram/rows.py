"""The outbox's rows: how a draft joins the queue, how a row moves through its states, which one is next.

::

    queued -> sending -> sent
      ^          |-----> queued       certainly not delivered: again
      |          |-----> unknown      perhaps delivered: again later, or settled as unconfirmed
      |          '-----> dead         nothing can help it, or not worth telling any more
      '-- unknown '----> superseded   a newer state of the same conversation took its place

Everything that takes a connection runs inside the caller's transaction. Times are Unix seconds.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntFlag, StrEnum
from typing import Final

from alerting.telegram.draft import Button, Draft, Keyboard, Kind, Priority
from alerting.telegram.html import encodable


class State(StrEnum):
    """Where a row stands."""

    QUEUED = "queued"
    SENDING = "sending"
    UNKNOWN = "unknown"
    SENT = "sent"
    UNCONFIRMED = "unconfirmed"
    SUPERSEDED = "superseded"
    DEAD = "dead"


class Degraded(IntFlag):
    """What was left off or changed to get a row accepted."""

    NONE = 0
    PLAIN = 1
    NO_BUTTONS = 2
    NO_THREAD = 4
    NO_REPLY = 8
    SHORT = 16
    PLACEHOLDER = 32
    SANITISED = 64
    BARE = PLAIN | NO_BUTTONS | NO_THREAD | NO_REPLY


_KEPT_BY_NEW_CONTENT: Final = Degraded.NO_THREAD | Degraded.NO_REPLY
_OPEN: Final = "state IN ('queued', 'sending', 'unknown')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """An open row, as much of it as choosing needs."""

    id: int
    key: str
    kind: Kind
    priority: Priority
    state: State
    reply_to_key: str | None
    created_at: float
    give_up_at: float | None
    ambiguous: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row about to be sent, with what it refers to.

    Attributes:
        target: The conversation's message, if it has one.
        reply_to: The message a reply answers, if it is there.
    """

    id: int
    draft: Draft
    ambiguous: int
    degraded: Degraded
    target: int | None
    reply_to: int | None


def enqueue(connection: sqlite3.Connection, draft: Draft) -> int:
    """Add a draft to the queue, folding it into what the conversation has waiting.

    Returns:
        The chat it waits for: not the draft's, if that one has moved.
    """
    chat = _current_chat(connection, draft.chat_id)
    if draft.kind is Kind.DELETE:
        _supersede(connection, draft, "state IN ('queued', 'unknown')")
    elif draft.kind in (Kind.SEND, Kind.EDIT):
        _supersede(connection, draft, "kind = 'edit' AND state = 'queued'")
        if _fold(connection, draft):
            return chat
    _insert(connection, draft, chat)
    return chat


def _current_chat(connection: sqlite3.Connection, chat: int) -> int:
    found = connection.execute("SELECT migrated_to FROM outbox_chat WHERE chat_id = ?", (chat,)).fetchone()
    return chat if found is None or found["migrated_to"] is None else int(found["migrated_to"])


def _supersede(connection: sqlite3.Connection, draft: Draft, which: str) -> None:
    connection.execute(
        f"UPDATE outbox SET state = 'superseded', settled_at = ? WHERE key = ? AND {which}",  # noqa: S608  constants
        (draft.created_at.timestamp(), draft.key),
    )


def _fold(connection: sqlite3.Connection, draft: Draft) -> bool:
    """Give a message that nobody has seen yet the newer content, instead of sending and then editing it."""
    waiting = connection.execute(
        "SELECT id FROM outbox WHERE key = ? AND kind = 'send' AND state IN ('queued', 'unknown') ORDER BY id DESC",
        (draft.key,),
    ).fetchone()
    if waiting is None:
        return False
    connection.execute(
        "UPDATE outbox SET html = ?, plain = ?, buttons = ?, priority = min(priority, ?), degraded = degraded & ?,"
        " silent = CASE WHEN ? THEN silent ELSE ? END WHERE id = ?",
        (
            encodable(draft.html),
            encodable(draft.plain),
            _dump(draft.buttons),
            int(draft.priority),
            int(_KEPT_BY_NEW_CONTENT),
            draft.kind is Kind.EDIT,
            draft.silent,
            waiting["id"],
        ),
    )
    return True


def _insert(connection: sqlite3.Connection, draft: Draft, chat: int) -> None:
    created = draft.created_at.timestamp()
    values = {
        "key": draft.key,
        "chat_id": chat,
        "thread_id": draft.thread_id,
        "kind": draft.kind.value,
        "priority": int(draft.priority),
        "state": State.QUEUED.value,
        "html": encodable(draft.html),
        "plain": encodable(draft.plain),
        "buttons": _dump(draft.buttons),
        "silent": draft.silent,
        "reply_to_key": draft.reply_to_key,
        "created_at": created,
        "event_at": draft.event_at.timestamp() if draft.event_at else None,
        "give_up_at": created + draft.give_up_after.total_seconds() if draft.give_up_after else None,
    }
    names = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    connection.execute(f"INSERT INTO outbox ({names}) VALUES ({marks})", values)  # noqa: S608  constants


def chats(connection: sqlite3.Connection) -> list[int]:
    """Return the chats that have something open."""
    found = connection.execute(f"SELECT DISTINCT chat_id FROM outbox WHERE {_OPEN}")  # noqa: S608  constant
    return [row["chat_id"] for row in found]


def heads(connection: sqlite3.Connection, chat: int) -> list[Head]:
    """Return a chat's open rows in the order they came."""
    found = connection.execute(
        "SELECT id, key, kind, priority, state, reply_to_key, created_at, give_up_at, ambiguous"  # noqa: S608  constant
        f" FROM outbox WHERE chat_id = ? AND {_OPEN} ORDER BY id",
        (chat,),
    )
    return [
        Head(
            id=row["id"],
            key=row["key"],
            kind=Kind(row["kind"]),
            priority=Priority(row["priority"]),
            state=State(row["state"]),
            reply_to_key=row["reply_to_key"],
            created_at=row["created_at"],
            give_up_at=row["give_up_at"],
            ambiguous=row["ambiguous"],
        )
        for row in found
    ]


def choose(rows: Iterable[Head], due: Mapping[int, float], now: float) -> tuple[Head | None, float | None]:
    """Choose the row to send next.

    Only the oldest open row of a key may go, and a reply only when the message it answers has gone; among
    those the most urgent, then the oldest.

    Args:
        rows: A chat's open rows in the order they came.
        due: When a row may go again, for those that have to wait.
        now: The same clock.

    Returns:
        The row, or nothing and the seconds until one is due; ``None``: nothing will be due by itself.
    """
    best: Head | None = None
    soonest: float | None = None
    seen: set[str] = set()
    sends: set[str] = set()
    for row in rows:
        first = row.key not in seen
        seen.add(row.key)
        blocked = (
            not first
            or row.state is State.SENDING
            or (row.reply_to_key in sends and row.reply_to_key != row.key)
        )
        if row.kind is Kind.SEND:
            sends.add(row.key)
        if blocked:
            continue
        wait = due.get(row.id, now) - now
        if wait > 0:
            soonest = wait if soonest is None else min(soonest, wait)
        elif best is None or row.priority < best.priority:
            best = row
    return best, None if best else soonest


def expired(rows: Iterable[Head], now: float) -> tuple[Head | None, float | None]:
    """Find a row that is not worth telling any more.

    Args:
        rows: A chat's open rows.
        now: The wall clock, in Unix seconds.

    Returns:
        The row, or nothing and the seconds until there is one; ``None``: there will be none.
    """
    soonest: float | None = None
    for row in rows:
        if row.give_up_at is None or row.state is State.SENDING:
            continue
        if row.give_up_at <= now:
            return row, None
        soonest = row.give_up_at - now if soonest is None else min(soonest, row.give_up_at - now)
    return None, soonest


def start(connection: sqlite3.Connection, row_id: int) -> Row | None:
    """Mark a row as on its way and read it; ``None`` if it is no longer waiting.

    The caller commits before the request leaves: whatever happens then, the row tells that it may have gone.
    """
    row = connection.execute(
        "UPDATE outbox SET state = 'sending', attempts = attempts + 1"
        " WHERE id = ? AND state IN ('queued', 'unknown') RETURNING *",
        (row_id,),
    ).fetchone()
    if row is None:
        return None
    draft, target = _draft(row), message_id(connection, row["key"])
    if draft.kind is Kind.EDIT and target is None:  # from here on it can make copies: it is a message
        connection.execute("UPDATE outbox SET kind = 'send' WHERE id = ?", (row_id,))
        draft = replace(draft, kind=Kind.SEND)
    return Row(
        id=row["id"],
        draft=draft,
        ambiguous=row["ambiguous"],
        degraded=Degraded(row["degraded"]),
        target=target,
        reply_to=message_id(connection, row["reply_to_key"]) if row["reply_to_key"] else None,
    )


def _draft(row: sqlite3.Row) -> Draft:
    return Draft(
        key=row["key"],
        chat_id=row["chat_id"],
        thread_id=row["thread_id"],
        kind=Kind(row["kind"]),
        priority=Priority(row["priority"]),
        html=row["html"],
        plain=row["plain"],
        buttons=_load(row["buttons"]),
        silent=bool(row["silent"]),
        reply_to_key=row["reply_to_key"],
        created_at=_moment(row["created_at"]),
        give_up_after=(
            None if row["give_up_at"] is None else timedelta(seconds=row["give_up_at"] - row["created_at"])
        ),
        event_at=None if row["event_at"] is None else _moment(row["event_at"]),
    )


def message_id(connection: sqlite3.Connection, key: str) -> int | None:
    """Return the newest message of a conversation."""
    found = connection.execute("SELECT message_id FROM outbox_message WHERE key = ?", (key,)).fetchone()
    return None if found is None else int(found["message_id"])


def requeue(
    connection: sqlite3.Connection, row: Row, *, degraded: Degraded, error: str, counted: bool = True
) -> None:
    """Put a row that was certainly not delivered back, perhaps with something left off."""
    connection.execute(
        "UPDATE outbox SET state = CASE WHEN ambiguous > 0 AND kind IN ('send', 'reply') THEN 'unknown' ELSE 'queued' END,"
        " degraded = ?, last_error = ?, attempts = attempts - ? WHERE id = ?",
        (int(degraded), error, not counted, row.id),
    )


def doubt(connection: sqlite3.Connection, row_id: int, error: str) -> None:
    """Note that nobody knows whether the last request of a row had its effect."""
    connection.execute(
        "UPDATE outbox SET ambiguous = ambiguous + 1, last_error = ?,"
        " state = CASE WHEN kind IN ('send', 'reply') THEN 'unknown' ELSE 'queued' END WHERE id = ?",
        (error, row_id),
    )


def withdraw(connection: sqlite3.Connection, key: str, now: float) -> tuple[dict[int, int], bool]:
    """Take back what waits of a conversation.

    Returns:
        The rows taken back with their chats, and whether a request is still on its way.
    """
    taken = connection.execute(
        "UPDATE outbox SET state = 'superseded', settled_at = ? WHERE key = ? AND state IN ('queued', 'unknown')"
        " RETURNING id, chat_id",
        (now, key),
    ).fetchall()
    sending = connection.execute(
        "SELECT 1 FROM outbox WHERE key = ? AND state = 'sending'", (key,)
    ).fetchone()
    return {row["id"]: row["chat_id"] for row in taken}, sending is not None


def finish(
    connection: sqlite3.Connection, row_id: int, state: State, now: float, error: str | None = None
) -> None:
    """Settle a row without a message: dead, superseded or unconfirmed."""
    connection.execute(
        "UPDATE outbox SET state = ?, settled_at = ?, last_error = coalesce(?, last_error) WHERE id = ?",
        (state.value, now, error, row_id),
    )


def deliver(connection: sqlite3.Connection, row: Row, message: int | None, now: float) -> None:
    """Settle a row as sent and remember the conversation's message.

    Args:
        connection: The transaction.
        row: What was sent.
        message: Its number; ``None`` when Telegram's answer could not be read.
        now: When.
    """
    connection.execute(
        "UPDATE outbox SET state = 'sent', message_id = ?, settled_at = ? WHERE id = ?",
        (message, now, row.id),
    )
    draft = row.draft
    if draft.kind is Kind.DELETE or (message is None and draft.kind is Kind.SEND):
        connection.execute("DELETE FROM outbox_message WHERE key = ?", (draft.key,))
    elif message is not None and draft.reply_to_key != draft.key:  # an answer to itself stays the answer
        connection.execute(
            "INSERT INTO outbox_message (key, chat_id, message_id, at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET chat_id = excluded.chat_id, message_id = excluded.message_id, at = excluded.at",
            (draft.key, draft.chat_id, message, now),
        )
    connection.execute(
        "UPDATE outbox_chat SET paused_until = NULL, fault = NULL WHERE chat_id = ? AND fault IS NOT NULL",
        (draft.chat_id,),
    )


def send_instead(connection: sqlite3.Connection, row: Row, error: str) -> None:
    """Turn the edit of a message that is gone into a new message."""
    connection.execute("DELETE FROM outbox_message WHERE key = ?", (row.draft.key,))
    connection.execute(
        "UPDATE outbox SET kind = 'send', state = 'queued', last_error = ? WHERE id = ?", (error, row.id)
    )


def migrate(connection: sqlite3.Connection, old: int, new: int) -> None:
    """Move everything open to a chat's new number; its old messages cannot be edited through the new one."""
    connection.execute(
        "UPDATE outbox SET chat_id = ?, state = CASE state WHEN 'sending' THEN 'queued' ELSE state END"  # noqa: S608  constant
        f" WHERE chat_id = ? AND {_OPEN}",
        (new, old),
    )
    connection.execute("DELETE FROM outbox_message WHERE chat_id = ?", (old,))
    connection.execute("UPDATE outbox_chat SET migrated_to = ? WHERE migrated_to = ?", (new, old))
    _remember(connection, old, "migrated_to", new)


def pause(connection: sqlite3.Connection, chat: int, until: float, fault: str) -> None:
    """Remember over a restart that a chat must be left alone: asking too early makes Telegram's pauses longer."""
    _remember(connection, chat, "paused_until", until)
    _remember(connection, chat, "fault", fault)


def _remember(connection: sqlite3.Connection, chat: int, column: str, value: float | str) -> None:
    connection.execute(
        f"INSERT INTO outbox_chat (chat_id, {column}) VALUES (?, ?)"  # noqa: S608  constants
        f" ON CONFLICT (chat_id) DO UPDATE SET {column} = excluded.{column}",
        (chat, value),
    )


def pauses(connection: sqlite3.Connection) -> list[tuple[int, float, str]]:
    """Return the chats to be left alone: number, until when, why."""
    found = connection.execute(
        "SELECT chat_id, paused_until, fault FROM outbox_chat WHERE paused_until IS NOT NULL"
    )
    return [(row["chat_id"], row["paused_until"], row["fault"]) for row in found]


def recover(connection: sqlite3.Connection, kept_since: float) -> None:
    """After a start: what was on its way may have arrived; what was settled long ago is forgotten, the dead are not."""
    for row in connection.execute("SELECT id FROM outbox WHERE state = 'sending'").fetchall():
        doubt(connection, row["id"], "the process ended while it was being sent")
    forget(connection, kept_since)


def forget(connection: sqlite3.Connection, kept_since: float) -> None:
    """Drop what was settled before this time; the dead are kept."""
    connection.execute(
        "DELETE FROM outbox WHERE settled_at < ? AND state IN ('sent', 'unconfirmed', 'superseded')",
        (kept_since,),
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _dump(buttons: Keyboard) -> str:
    return json.dumps([[[encodable(b.text), b.data, b.url] for b in row] for row in buttons])


def _load(text: str) -> Keyboard:
    return tuple(tuple(Button(text=t, data=d, url=u) for t, d, u in row) for row in json.loads(text))
