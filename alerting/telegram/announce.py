"""From an incident's decision to rows of the outbox: render, compare with what was last said, enqueue.

A message that would read the same is not edited. What was last said is kept beside the incident, so this holds over a
restart too.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final, Protocol

from alerting.alerts import Severity
from alerting.dispatch.dispatcher import Announcement, Arrival
from alerting.dispatch.incident import Call, Phase
from alerting.telegram import render
from alerting.telegram.draft import Draft, Kind, Priority
from alerting.telegram.render import Text, View

_PRIORITIES: Final = {Severity.CRITICAL: Priority.CRITICAL, Severity.WARNING: Priority.WARNING}
_REMINDER_LIFE: Final = timedelta(hours=1)
_NUMBERS_EVERY: Final = timedelta(seconds=30)
_NUMBER: Final = re.compile(r"\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """One Telegram destination of a receiver."""

    chat_id: int
    thread_id: int | None = None
    silent: bool = False

    @property
    def conversation(self) -> str:
        """What tells it from every other destination, also after a change of the configuration."""
        return f"{self.chat_id}" if self.thread_id is None else f"{self.chat_id}:{self.thread_id}"


class Queue(Protocol):
    """Where drafts go."""

    def enqueue(self, connection: sqlite3.Connection, draft: Draft) -> None:
        """Queue a draft inside the caller's transaction."""


class TelegramAnnouncer:
    """Writes the messages of incidents for every chat of their receiver.

    Args:
        queue: The outbox.
        receivers: Receiver names to chats.
        zone: The zone clock times are written in.
        host_of: The host name of a target, by its label ``instance``.
        containers_of: How many containers a target shows, by its label ``instance``.
    """

    def __init__(
        self,
        queue: Queue,
        receivers: Mapping[str, Sequence[Chat]],
        *,
        zone: tzinfo,
        host_of: Callable[[str], str],
        containers_of: Callable[[str], int],
    ) -> None:
        self._queue = queue
        self._receivers = receivers
        self._zone = zone
        self._host_of = host_of
        self._containers_of = containers_of
        self._last_edit: dict[str, datetime] = {}

    def announce(self, connection: sqlite3.Connection, announcement: Announcement) -> bool:
        """Enqueue the incident's message or its edit, and the replies people must hear.

        Returns whether the message now says all there is; numbers may have to wait.
        """
        incident = announcement.incident
        chats = self._receivers.get(incident.receiver, ())
        if not chats:
            return True
        view = View(incident=incident, hidden=announcement.hidden, now=announcement.at, zone=self._zone)
        text = render.message(view)
        before = _read_texts(connection, incident.id)
        said = dict(before)
        severity = incident.told_severity
        for chat in chats:
            key = f"{incident.id}/{chat.conversation}"
            if said.get(key) != text.html and not self._only_numbers(
                key, said.get(key, ""), text, announcement
            ):
                self._last_edit[key] = announcement.at
                self._speak(connection, announcement, chat, key, text, new=key not in said)
                said[key] = text.html
            for kind, loud in announcement.step.calls:
                self._call(connection, announcement, chat, key, kind, render.call(view, kind), loud, severity)
        if said != before:
            _write_texts(connection, incident.id, said)
        return all(said.get(f"{incident.id}/{chat.conversation}") == text.html for chat in chats)

    def arrive(self, connection: sqlite3.Connection, arrival: Arrival) -> None:
        """Enqueue the one message about what was broken before we came; it makes no sound."""
        host = self._host_of(arrival.instance)
        text = render.arrival(host, self._containers_of(arrival.instance), arrival.alerts, arrival.at)
        for chat in self._receivers.get(arrival.receiver, ()):
            key = f"arrival/{arrival.instance}/{arrival.at.timestamp():.3f}/{chat.conversation}"
            self._queue.enqueue(
                connection,
                _draft(key, chat, Kind.SEND, Priority.INFO, text, arrival.at, silent=True),
            )

    def _only_numbers(self, key: str, said: str, text: Text, announcement: Announcement) -> bool:
        """Whether an edit would only change numbers, so soon after another that it can wait for the next evaluation."""
        last = self._last_edit.get(key)
        recent = last is not None and announcement.at - last < _NUMBERS_EVERY
        return (
            recent and not announcement.step.calls and _NUMBER.sub("0", said) == _NUMBER.sub("0", text.html)
        )

    def _speak(
        self,
        connection: sqlite3.Connection,
        announcement: Announcement,
        chat: Chat,
        key: str,
        text: Text,
        *,
        new: bool,
    ) -> None:
        kind = Kind.SEND if new else Kind.EDIT
        incident = announcement.incident
        severity = incident.told_severity
        priority = _PRIORITIES.get(severity, Priority.INFO) if new else Priority.EDIT
        # A chat that the configuration has since last time hears of an open incident as others did.
        late = new and incident.phase is Phase.OPEN and severity >= Severity.WARNING
        silent = chat.silent or not (announcement.step.loud or late)
        draft = _draft(
            key, chat, kind, priority, text, announcement.at, silent=silent, event_at=announcement.event_at
        )
        self._queue.enqueue(connection, draft)

    def _call(
        self,
        connection: sqlite3.Connection,
        announcement: Announcement,
        chat: Chat,
        key: str,
        kind: Call,
        text: Text,
        loud: bool,  # noqa: FBT001 - travels with kind, from the incident's step
        severity: Severity,
    ) -> None:
        draft = _draft(
            f"{key}/{announcement.incident.calls}",
            chat,
            Kind.REPLY,
            _PRIORITIES.get(severity, Priority.INFO),
            text,
            announcement.at,
            silent=chat.silent or not loud,
            reply_to_key=key,
            give_up_after=_REMINDER_LIFE if kind is Call.REMINDER else None,
            event_at=announcement.event_at,
        )
        self._queue.enqueue(connection, draft)


def _draft(
    key: str,
    chat: Chat,
    kind: Kind,
    priority: Priority,
    text: Text,
    at: datetime,
    *,
    silent: bool,
    reply_to_key: str | None = None,
    give_up_after: timedelta | None = None,
    event_at: datetime | None = None,
) -> Draft:
    return Draft(
        key=key,
        chat_id=chat.chat_id,
        thread_id=chat.thread_id,
        kind=kind,
        priority=priority,
        html=text.html,
        plain=text.plain,
        silent=silent,
        reply_to_key=reply_to_key,
        created_at=at,
        give_up_after=give_up_after,
        event_at=event_at,
    )


def _read_texts(connection: sqlite3.Connection, incident_id: str) -> dict[str, str]:
    row = connection.execute("SELECT texts FROM incidents WHERE id = ?", (incident_id,)).fetchone()
    return dict(json.loads(row[0])) if row is not None else {}


def _write_texts(connection: sqlite3.Connection, incident_id: str, texts: Mapping[str, str]) -> None:
    text = json.dumps(texts, ensure_ascii=False)
    connection.execute("UPDATE incidents SET texts = ? WHERE id = ?", (text, incident_id))
