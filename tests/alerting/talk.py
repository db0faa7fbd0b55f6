"""Plays alerts through an incident, its announcer and a strict Telegram, and writes down the conversation."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from alerting.alerts import Alert, Ending
from alerting.dispatch.dispatcher import Announcement, Arrival
from alerting.dispatch.incident import Incident, Timing, advance, join
from alerting.labels import Labels
from alerting.state.tables_dispatch import DISPATCH
from alerting.telegram.announce import Chat, TelegramAnnouncer
from alerting.telegram.draft import Kind
from alerting.telegram.html import utf16_length
from tests.telegram_api import GROUP, TOKEN, BotApi

START = datetime(2026, 9, 21, 14, 2, 31, tzinfo=UTC)
TIMING = Timing(
    group_wait=timedelta(), group_interval=timedelta(seconds=5), repeat_interval=timedelta(hours=4)
)
LAST = {"recovered": Ending.RECOVERED, "removed": Ending.REMOVED, "lost": Ending.LOST_SIGHT}


def at(seconds):
    """Return the moment so many seconds after 14:02:31 UTC."""
    return START + timedelta(seconds=seconds)


def an_alert(name, severity, *, labels=None, since=0.0, value=0.0, **annotations):
    """Return a firing alert of host-1; annotations without the prefix ``vakhta_`` where they have it."""
    plain = ("summary", "description", "runbook_url")
    return Alert(
        labels=Labels({"alertname": name, "severity": severity, "host": "host-1", **(labels or {})}),
        annotations={key if key in plain else f"vakhta_{key}": text for key, text in annotations.items()},
        active_at=at(since),
        value=value,
    )


class Outbox(list):
    """Keeps drafts in the order they are queued."""

    def enqueue(self, _, draft):
        """Take a draft."""
        self.append(draft)


class Talk:
    """One incident, or the arrival, and what a chat sees of it.

    ``drafts`` are what the outbox got; all of them were accepted by Telegram's rules.
    """

    def __init__(self, *, zone="UTC", chats=None):
        self.connection = sqlite3.connect(":memory:")
        self.connection.executescript(DISPATCH.script)
        self.drafts = Outbox()
        self.announcer = TelegramAnnouncer(
            self.drafts,
            {"phone": (Chat(chat_id=GROUP),) if chats is None else chats},
            zone=ZoneInfo(zone),
            host_of=lambda _: "host-1",
            containers_of=lambda _: 23,
        )
        self.incident = None
        self.hidden = set()
        self.acknowledged = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def says(self, seconds, *alerts, hidden=()):
        """Let an evaluation happen: alerts as they stand, or (alert, ending, detail)."""
        self.hidden = {alert.labels for alert in hidden}
        for given in alerts:
            alert, ending, detail = given if isinstance(given, tuple) else (given, None, "")
            if ending is not None:
                alert = replace(alert, ending=LAST[ending], ended_at=at(seconds), detail=detail)
            self._join(alert, seconds)
        self.look(seconds)
        self.look(seconds + 0.2)
        return self

    def _join(self, alert, seconds):
        if self.incident is None:
            self.incident = Incident(
                id="a1b2c3", receiver="phone", route="{}", group_labels=Labels(), opened_at=at(seconds)
            )
        self.incident = join(self.incident, alert.labels.fingerprint(), alert, at(seconds))

    def look(self, seconds):
        """Look at the incident, as when time passes."""
        step = advance(
            replace(self.incident, acknowledged=self.acknowledged),
            at(seconds),
            TIMING,
            lambda alert: alert.labels in self.hidden,
        )
        self.incident = step.incident
        if step.incident is None:
            return self
        self.connection.execute(
            "INSERT INTO incidents VALUES (?, '', '{}') ON CONFLICT (id) DO NOTHING", (self.incident.id,)
        )
        if step.speak or step.calls:
            hidden = frozenset(f for f, m in self.incident.members.items() if m.alert.labels in self.hidden)
            announcement = Announcement(
                step=step, incident=self.incident, hidden=hidden, at=at(seconds), event_at=at(0)
            )
            self.announcer.announce(self.connection, announcement)
        return self

    def arrives(self, *alerts):
        """Let a target be seen for the first time."""
        arrival = Arrival(receiver="phone", instance="host-1:9817", alerts=alerts, at=at(0))
        self.announcer.arrive(self.connection, arrival)
        return self

    def transcript(self):
        """Return the conversation as text, markup included."""
        parts = []
        for draft in self.drafts:
            sound = "" if draft.kind is Kind.EDIT else ", silent" if draft.silent else ", with a sound"
            parts.append(f"--- {draft.created_at:%H:%M:%S} {draft.kind}{sound}\n{draft.html}\n")
        return "\n".join(parts)


def check(draft):
    """Let Telegram's rules and ours judge a draft, as HTML and as plain text; return what people see of the HTML."""
    message, plain = _accepted(draft, draft.html, parse_mode="HTML"), _accepted(draft, draft.plain)
    assert not message.lost_entities
    first = message.text.split("\n")[0]
    assert utf16_length(first) <= 256
    assert plain.text.split("\n")[0].strip() == first.strip(), "the plain text says something else"
    return message.text


def _accepted(draft, text, **more):
    api = BotApi(flood=False)
    answer = api.request(
        f"/bot{TOKEN}/sendMessage", {"chat_id": str(draft.chat_id), "text": text, **more}, 0.0
    )
    assert answer.status == 200, answer.body
    (message,) = api.chats[draft.chat_id].messages.values()
    return message
