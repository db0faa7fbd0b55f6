"""Dispatch: takes what the rules say, keeps the incidents, and has the right things told at the right moment.

Everything that follows from one evaluation (rule states, incidents, messages to send) is written in one transaction:
a process killed at any instant either knows all of it or evaluates again.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from alerting.alerts import OUT_OF_SIGHT, Alert, Ending, Severity
from alerting.dispatch import codec
from alerting.dispatch.incident import Incident, Phase, Step, Timing, advance, join
from alerting.dispatch.inhibit import Inhibitor, InhibitRule
from alerting.dispatch.relabel import complete
from alerting.dispatch.route import Route
from alerting.labels import Labels
from alerting.state import Database, StateError
from vakhta import logs

_log = logs.get("alerting.dispatch")
_ID_BYTES: Final = 3
_WRITE_AGAIN: Final = timedelta(seconds=1)
_SAY_AGAIN: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """One incident that has something to say.

    ``hidden`` are the members that another alert explains; ``event_at`` is when the cause happened, for the latency.
    """

    step: Step
    incident: Incident
    hidden: frozenset[str]
    at: datetime
    event_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What was already broken when a target was first seen; ``alerts`` are dispatched labels and all."""

    receiver: str
    instance: str
    alerts: tuple[Alert, ...]
    at: datetime


class Announcer(Protocol):
    """Turns decisions into messages of the outbox, inside the transaction that records the decisions."""

    def announce(self, connection: sqlite3.Connection, announcement: Announcement) -> bool:
        """Write the messages that this step of an incident asks for; return whether nothing is held back for later."""

    def arrive(self, connection: sqlite3.Connection, arrival: Arrival) -> None:
        """Write the one message about what was broken before we came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The configuration's part in dispatch."""

    route: Route
    inhibit_rules: tuple[InhibitRule, ...] = ()


# Finishes the transaction of an evaluation: writes what else belongs to it.
Also = Callable[[sqlite3.Connection], None]
IncidentKey = tuple[str, str, Labels]


class Dispatcher:
    """Holds the incidents.

    Args:
        database: The state file.
        announcer: Words and delivery.
        policy: Routes and inhibition.
        host_of: The host name of a target, by its label ``instance``.
        clock: The wall clock as aware UTC.
    """

    def __init__(
        self,
        database: Database,
        announcer: Announcer,
        policy: Policy,
        *,
        host_of: Callable[[str], str],
        clock: Callable[[], datetime],
    ) -> None:
        self.incidents: dict[IncidentKey, Incident] = {}
        self._database = database
        self._announcer = announcer
        self._policy = policy
        self._host_of = host_of
        self._clock = clock
        self._lock = asyncio.Lock()
        self._wake_at: dict[IncidentKey, datetime] = {}
        self._woken = asyncio.Event()
        self._saved: dict[IncidentKey, Incident] = {}  # as the state file has them
        self._said: dict[IncidentKey, Announcement] = {}  # the last one of each that said all there is to say
        self._arrivals: list[Arrival] = []  # not yet written down
        self._hosts: dict[
            str, str
        ] = {}  # of ongoing alerts, by source: a host that is renamed must not split them
        self._event_at: dict[IncidentKey, datetime] = {}  # of what waits to be told
        self._routes = {route.path: route for route in policy.route.walk()}

    async def restore(self) -> None:
        """Read the incidents of the state file; one whose route is gone from the configuration is dropped."""
        rows = await self._database.read(lambda c: c.execute("SELECT incident FROM incidents").fetchall())
        for row in rows:
            incident = codec.loads(row[0])
            if incident.route in self._routes:
                self.incidents[_key(incident)] = incident
                self._wake_at[_key(incident)] = self._clock()
                ongoing = (m.alert for m in incident.members.values() if m.ongoing)
                self._hosts.update((alert.source, alert.labels.get("host", "")) for alert in ongoing)

    async def accept(
        self,
        alerts: Iterable[Alert],
        now: datetime,
        *,
        new_targets: frozenset[str] = frozenset(),
        event_at: datetime | None = None,
        also: Also = lambda _connection: None,
    ) -> bool:
        """Take alerts as they stand after an evaluation, decide, and write it all down.

        Returns whether it is committed. What is not, is decided again: nothing counts as said that was not written.

        Args:
            alerts: All that fire, and those that ended in this evaluation.
            now: The evaluation's time.
            new_targets: Targets (label ``instance``) never seen before this evaluation: what fires there is an arrival.
            event_at: When the cause of this evaluation happened.
            also: Writes what else belongs into the same transaction.
        """
        async with self._lock:
            arrived: dict[tuple[str, str], list[Alert]] = {}
            for alert in alerts:
                self._take(alert, now, new_targets, arrived)
            arrivals = [
                Arrival(receiver=receiver, instance=instance, alerts=tuple(found), at=now)
                for (receiver, instance), found in arrived.items()
            ]
            if event_at is not None:
                waiting = (key for key, i in self.incidents.items() if _has_news(i))
                self._event_at.update((key, event_at) for key in waiting if key not in self._event_at)
            return await self._decide(list(self.incidents), self._clock(), also, arrivals)

    async def run(self) -> None:
        """Look at incidents when time alone changes them, until cancelled."""
        while True:
            self._woken.clear()
            moment = min(self._wake_at.values(), default=None)
            timeout = None if moment is None else max(0.0, (moment - self._clock()).total_seconds())
            try:
                async with asyncio.timeout(timeout):
                    await self._woken.wait()
                    continue
            except TimeoutError:
                pass
            async with self._lock:
                now = self._clock()
                due = [key for key, at in self._wake_at.items() if at <= now]
                await self._decide(due, now, lambda _connection: None, ())

    def active(self) -> list[Alert]:
        """Return every alert of every incident that goes on."""
        return [
            m.alert for incident in self.incidents.values() for m in incident.members.values() if m.ongoing
        ]

    def _take(
        self,
        alert: Alert,
        now: datetime,
        new_targets: frozenset[str],
        arrived: dict[tuple[str, str], list[Alert]],
    ) -> None:
        instance = alert.labels.get("instance", "")
        full = self._completed(alert, instance)
        fingerprint = full.labels.fingerprint()
        for route in self._policy.route.match(full.labels):
            key = (route.receiver, route.path, route.group_labels(full.labels))
            incident = self.incidents.get(key)
            if incident is None:
                if not full.firing:
                    continue
                incident = _new_incident(key, now)
            is_arrival = instance in new_targets and fingerprint not in incident.members and full.firing
            if is_arrival and full.severity > Severity.NONE:
                arrived.setdefault((route.receiver, instance), []).append(full)
            self.incidents[key] = join(incident, fingerprint, full, self._clock(), arrival=is_arrival)

    def _completed(self, alert: Alert, instance: str) -> Alert:
        """Return the alert as it is dispatched; its host stays what it was when the alert began."""
        source = alert.labels.fingerprint()
        host = self._hosts.get(source)
        if host is None:
            host = self._host_of(instance) if instance else ""
        if alert.ending in (Ending.RECOVERED, Ending.REMOVED):
            self._hosts.pop(source, None)
        else:
            self._hosts[source] = host
        return replace(alert, labels=complete(alert.labels, host), source=source)

    async def _decide(
        self,
        keys: Iterable[IncidentKey],
        now: datetime,
        also: Also,
        arrivals: Sequence[Arrival],
    ) -> bool:
        inhibitor = Inhibitor(self._policy.inhibit_rules, [a.labels for a in self.active() if _explains(a)])

        def hidden(alert: Alert) -> bool:
            return inhibitor.inhibited_by(alert.labels) is not None

        before: dict[IncidentKey, Incident] = {}
        steps: dict[IncidentKey, Step] = {}
        for key in keys:
            before[key] = self.incidents[key]
            steps[key] = _renamed(before[key], advance(before[key], now, self._timing(before[key]), hidden))
        said = [
            Announcement(
                step=step,
                incident=step.incident,
                hidden=frozenset(f for f, m in step.incident.members.items() if hidden(m.alert)),
                at=now,
                event_at=self._event_at.get(key),
            )
            for key, step in steps.items()
            if step.incident is not None and (step.speak or step.calls)
        ]
        said = [one for one in said if self._is_news(one)]
        self._arrivals.extend(arrivals)
        written = await self._write(before, steps, said, also, self._arrivals)
        if written:
            self._arrivals.clear()
            self._adopt(steps)
        else:
            self._wake_at.update(dict.fromkeys(steps, now + _WRITE_AGAIN))
        self._woken.set()
        return written

    def _is_news(self, announcement: Announcement) -> bool:
        """Whether an announcement can differ from the last one; clock times read otherwise on another day."""
        last = self._said.get(_key(announcement.incident))
        return (
            last is None
            or bool(announcement.step.calls)
            or (announcement.incident, announcement.hidden) != (last.incident, last.hidden)
            or announcement.at - last.at >= _SAY_AGAIN
        )

    def _adopt(self, steps: Mapping[IncidentKey, Step]) -> None:
        for key, step in steps.items():
            self._wake_at.pop(key, None)
            self._saved.pop(key, None)
            if step.incident is not None:
                self._saved[key] = step.incident
            if step.incident is None or not _has_news(step.incident):
                self._event_at.pop(key, None)
            if step.incident is None:
                del self.incidents[key]
                self._said.pop(key, None)
                continue
            self.incidents[key] = step.incident
            if step.wake_at is not None:
                self._wake_at[key] = step.wake_at

    async def _write(
        self,
        before: Mapping[IncidentKey, Incident],
        steps: Mapping[IncidentKey, Step],
        said: Sequence[Announcement],
        also: Also,
        arrivals: Sequence[Arrival],
    ) -> bool:
        """Write all that a decision leads to; return whether it is committed."""
        closed = [
            before[key].id
            for key, step in steps.items()
            if step.incident is None or step.incident.id != before[key].id
        ]
        kept = [
            step.incident
            for key, step in steps.items()
            if step.incident is not None and step.incident != self._saved.get(key)
        ]

        whole: list[Announcement] = []

        def work(connection: sqlite3.Connection) -> None:
            also(connection)
            for incident_id in closed:
                connection.execute("DELETE FROM incidents WHERE id = ?", (incident_id,))
            for incident in kept:
                connection.execute(
                    "INSERT INTO incidents (id, incident, texts) VALUES (?, ?, '{}') "
                    "ON CONFLICT (id) DO UPDATE SET incident = excluded.incident "
                    "WHERE incident <> excluded.incident",
                    (incident.id, codec.dumps(incident)),
                )
            whole.extend(announcement for announcement in said if self._announce(connection, announcement))
            for arrival in arrivals:
                self._announcer.arrive(connection, arrival)

        try:
            await self._database.write(work)
        except StateError as exc:
            _log.error("state not written", error=str(exc))
            return False
        for announcement in said:
            self._said.pop(_key(announcement.incident), None)
        self._said.update((_key(announcement.incident), announcement) for announcement in whole)
        return True

    def _announce(self, connection: sqlite3.Connection, announcement: Announcement) -> bool:
        try:
            return self._announcer.announce(connection, announcement)
        except sqlite3.Error:
            raise  # the transaction's, not this message's
        except Exception:  # noqa: BLE001 - one message that cannot be made must not hold back all others
            _log.exception("message not made", incident=announcement.incident.id)
            return False

    def _timing(self, incident: Incident) -> Timing:
        route = self._routes[incident.route]
        return Timing(
            group_wait=route.group_wait,
            group_interval=route.group_interval,
            repeat_interval=route.repeat_interval,
        )

    def open_count(self) -> int:
        """Return how many incidents are open."""
        return sum(1 for incident in self.incidents.values() if incident.phase is Phase.OPEN)


def _explains(alert: Alert) -> bool:
    """Whether an alert can hide others: it fires, or would if its target could be seen."""
    return alert.firing or alert.detail in OUT_OF_SIGHT


def _has_news(incident: Incident) -> bool:
    """Whether something of it is still to be told: a member that no message has shown, or an end."""
    over = incident.phase is Phase.OPEN and not any(m.ongoing for m in incident.members.values())
    return over or any(not m.told and not m.arrival and m.ongoing for m in incident.members.values())


def _key(incident: Incident) -> IncidentKey:
    return (incident.receiver, incident.route, incident.group_labels)


def _renamed(before: Incident, step: Step) -> Step:
    """Give what is left of a closed incident a number of its own: it will be told by a message of its own."""
    after = step.incident
    if after is None or (before.phase, after.phase) != (Phase.OVER, Phase.WAITING):
        return step
    return replace(step, incident=replace(after, id=secrets.token_hex(_ID_BYTES)))


def _new_incident(key: IncidentKey, now: datetime) -> Incident:
    receiver, route, group_labels = key
    return Incident(
        id=secrets.token_hex(_ID_BYTES),
        receiver=receiver,
        route=route,
        group_labels=group_labels,
        opened_at=now,
    )
