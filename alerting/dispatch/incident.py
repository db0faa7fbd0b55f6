"""An incident: one group of alerts, told as one message that is edited in place. Pure decisions.

    waiting --group_wait over, something to tell--> open --all over--> over --10 min--> closed
       |                                              ^                 |
       +--ended before it was told--> closed          +---same again----+

What is decided here: when to speak for the first time, when an edit is enough, and when people must *hear* something.
How it is worded is the renderer's business, when and how it reaches a phone the outbox's.

Three sets of members matter. *Arrivals* were broken when we first looked: one collective message told of them, so they
never speak here. *Hidden* members are inhibited and were never told. What remains is *visible*; of those, alerts that
report an event (an OOM kill) never keep an incident open whose state alerts (down, unhealthy) are over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from alerting.alerts import Alert, Ending, Severity
from alerting.labels import Labels

SETTLE: Final = timedelta(milliseconds=200)
"""How long an alert must last to count at all: `docker rm -f` kills a container some milliseconds before it is gone."""
REOPEN: Final = timedelta(minutes=10)
"""The same fault within this time of its end re-opens the incident."""
QUIET_END: Final = timedelta(minutes=5)
"""An acknowledged incident that ends within this time of being told ends without a sound."""
LASTING: Final = timedelta(minutes=2)
"""A fault that keeps coming back sounds at once when it lasts this long; shorter ones sound ever more rarely."""


_WORDS: Final = {"stopped", "completed", "paused"}
_HEARD: Final = 2  # times of the same fault that are always heard
_DOUBLINGS: Final = 10
HISTORY: Final = 50
"""Entries an incident remembers: an app that flaps all night must not grow the state file."""


class Phase(StrEnum):
    """Where an incident is in its life."""

    WAITING = "waiting"
    OPEN = "open"
    OVER = "over"


class Call(StrEnum):
    """A short reply under the incident's message: what people must hear."""

    WORSE = "worse"
    AGAIN = "again"
    OVER = "over"
    REMINDER = "reminder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An alert in an incident.

    ``seen_at`` is when it came here, ``told`` whether a message has shown it, ``arrival`` whether it was broken when
    we first looked.
    """

    alert: Alert
    seen_at: datetime
    told: bool = False
    arrival: bool = False

    @property
    def ongoing(self) -> bool:
        """Whether it fires, or may still: an alert out of sight is not over."""
        return self.alert.ending in (None, Ending.LOST_SIGHT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of an incident's history."""

    at: datetime
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The route's timing."""

    group_wait: timedelta
    group_interval: timedelta
    repeat_interval: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """The state of one dispatch group.

    ``times`` counts how often its fault happened, ``again_at`` is when the last time began, ``heard`` the loudest that sounded.
    """

    id: str
    receiver: str
    route: str
    group_labels: Labels
    opened_at: datetime
    members: Mapping[str, Member] = field(default_factory=dict)
    phase: Phase = Phase.WAITING
    told_at: datetime | None = None
    told_severity: Severity = Severity.NONE
    heard: Severity = Severity.NONE
    over_at: datetime | None = None
    again_at: datetime | None = None
    last_sound_at: datetime | None = None
    acknowledged: bool = False
    times: int = 1
    calls: int = 0
    history: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What comes of looking at an incident: its new state (None: forget it) and what to say.

    ``speak`` is whether its own message is to be sent or brought up to date; ``loud`` whether a first sending makes a sound.
    ``wake_at`` is when it has to be looked at again even if nothing happens.
    """

    incident: Incident | None
    speak: bool = False
    loud: bool = False
    calls: tuple[tuple[Call, bool], ...] = ()
    wake_at: datetime | None = None


IsHidden = Callable[[Alert], bool]


def join(
    incident: Incident, fingerprint: str, alert: Alert, now: datetime, *, arrival: bool = False
) -> Incident:
    """Take an alert's newest state into an incident; one that never fired here and is over is not taken."""
    known = incident.members.get(fingerprint)
    if known is None and not alert.firing:
        return incident
    if known is None or (known.alert.ending in (Ending.RECOVERED, Ending.REMOVED) and alert.firing):
        member = Member(alert=alert, seen_at=now, arrival=arrival)
    else:
        member = replace(known, alert=alert)
    return replace(incident, members={**incident.members, fingerprint: member})


def visible(incident: Incident, now: datetime, hidden: IsHidden) -> dict[str, Member]:
    """Return the members that count: told before, or lasting, loud enough, no arrivals and not hidden."""
    return {
        fingerprint: member
        for fingerprint, member in incident.members.items()
        if member.told
        or (
            not member.arrival
            and member.alert.firing
            and member.alert.severity > Severity.NONE
            and now - member.seen_at >= SETTLE
            and not hidden(member.alert)
        )
    }


def deciding(members: Mapping[str, Member]) -> list[Member]:
    """Return the members that decide whether the incident is over: its state alerts, or, without any, all."""
    states = [member for member in members.values() if not member.alert.is_event]
    return states or list(members.values())


def advance(incident: Incident, now: datetime, timing: Timing, hidden: IsHidden) -> Step:
    """Decide what an incident says now."""
    incident = _forget(incident)
    if not incident.members:
        return Step(incident=None)
    step = _PHASES[incident.phase](incident, now, timing, hidden)
    if step.incident is None:
        return step
    wake = _next_look(step.incident, now, timing)
    return replace(step, wake_at=min((t for t in (step.wake_at, wake) if t is not None), default=None))


def _forget(incident: Incident) -> Incident:
    """Drop members that are over and that no message has shown."""
    kept = {f: m for f, m in incident.members.items() if m.told or m.ongoing}
    return incident if len(kept) == len(incident.members) else replace(incident, members=kept)


def _waiting(incident: Incident, now: datetime, timing: Timing, hidden: IsHidden) -> Step:
    shown = visible(incident, now, hidden)
    first = min((m.seen_at for m in shown.values()), default=now)
    if not shown or now - first < timing.group_wait:
        wake = first + timing.group_wait if shown else None
        return Step(incident=incident, wake_at=wake)
    severity = _loudest(shown)
    loud = severity >= Severity.WARNING
    told = replace(
        _mark_told(incident, shown),
        phase=Phase.OPEN,
        told_at=now,
        told_severity=severity,
        heard=severity if loud else Severity.NONE,
        last_sound_at=now if loud else None,
        history=_noted(incident, now, "told"),
    )
    return Step(incident=told, speak=True, loud=loud)


def _open(incident: Incident, now: datetime, timing: Timing, hidden: IsHidden) -> Step:
    shown = visible(incident, now, hidden)
    incident = _mark_told(incident, shown)
    if not any(member.ongoing for member in deciding(shown)):
        if _settling(incident, now, hidden):
            return Step(incident=incident)  # one is over as another begins: wait whether that one lasts
        return _end(incident, now, timing, shown)
    severity = _loudest({f: m for f, m in shown.items() if m.alert.firing})
    sounded = incident.last_sound_at
    if severity > incident.told_severity:
        audible = _audible(incident, severity, timing)
        if audible is not None and now < audible:
            return Step(incident=incident, speak=True, wake_at=audible)
        # A re-opened incident that nobody has heard of yet has no told severity.
        call = Call.AGAIN if incident.told_severity is Severity.NONE else Call.WORSE
        told = replace(incident, told_severity=severity, heard=max(incident.heard, severity))
        return _call(told, now, call, loud=severity >= Severity.WARNING)
    if severity >= Severity.WARNING and sounded is not None and now - sounded >= timing.repeat_interval:
        return _call(incident, now, Call.REMINDER, loud=True)
    return Step(incident=incident, speak=True)


def _audible(incident: Incident, severity: Severity, timing: Timing) -> datetime | None:
    """Return when something worse than was told may sound; None: at once.

    A fault that keeps coming back (an app that crashes every few minutes, all night) is heard the second time, then after
    10, 20, 40 min and so on; until then its message alone tells, unless one time lasts or is worse than any that was heard.
    """
    sounded = incident.last_sound_at
    if sounded is None:
        return None
    soon = sounded + timing.group_interval
    if severity > incident.heard or incident.told_severity is not Severity.NONE:
        return soon
    if incident.times <= _HEARD or incident.again_at is None:
        return soon
    doublings = min(incident.times - _HEARD - 1, _DOUBLINGS)
    pause = min(timing.repeat_interval, REOPEN * (1 << doublings))
    return max(soon, min(sounded + pause, incident.again_at + LASTING))


def _over(incident: Incident, now: datetime, timing: Timing, hidden: IsHidden) -> Step:
    assert incident.over_at is not None
    again = {f: m for f, m in visible(incident, now, hidden).items() if _is_again(incident, m)}
    if not again:
        if now - incident.over_at < REOPEN:
            return Step(incident=incident)
        return _close(incident, now)
    severity = _loudest(again)
    reopened = replace(
        _mark_told(_only_ongoing(incident, again), again),
        phase=Phase.OPEN,
        over_at=None,
        again_at=now,
        acknowledged=False,
        told_severity=severity if severity < Severity.WARNING else Severity.NONE,
        times=incident.times + 1,
        history=_noted(incident, now, "again"),
    )
    return (
        Step(incident=reopened, speak=True)
        if severity < Severity.WARNING
        else _open(reopened, now, timing, hidden)
    )


def _is_again(incident: Incident, member: Member) -> bool:
    """Whether a visible member opens an incident that is over again.

    One that was told fires on only as an event. A quiet event does not re-open what was louder: a restart is how it ended.
    """
    if member.told or not member.alert.firing:
        return False
    return not member.alert.is_event or member.alert.severity >= min(Severity.WARNING, incident.told_severity)


def _settling(incident: Incident, now: datetime, hidden: IsHidden) -> bool:
    """Whether a state alert is here that has not lasted long enough to be visible."""
    return any(
        member.seen_at + SETTLE > now
        and member.alert.firing
        and not (member.told or member.arrival or member.alert.is_event or hidden(member.alert))
        and member.alert.severity > Severity.NONE
        for member in incident.members.values()
    )


_PHASES: Final = {Phase.WAITING: _waiting, Phase.OPEN: _open, Phase.OVER: _over}


def _end(incident: Incident, now: datetime, timing: Timing, shown: Mapping[str, Member]) -> Step:
    recovered = any(member.alert.ending is Ending.RECOVERED for member in deciding(shown))
    critical = incident.told_severity is Severity.CRITICAL
    over = replace(
        incident,
        phase=Phase.OVER,
        over_at=now,
        history=_noted(incident, now, "recovered" if recovered else _how(shown)),
    )
    if not critical:
        return Step(incident=over, speak=True)
    told_long_ago = incident.told_at is not None and now - incident.told_at > QUIET_END
    just_heard = incident.last_sound_at is not None and now - incident.last_sound_at < timing.group_interval
    loud = recovered and not just_heard and (told_long_ago or not incident.acknowledged)
    return _call(over, now, Call.OVER, loud=loud)


def _how(shown: Mapping[str, Member]) -> str:
    """Return the word for an end that is no recovery."""
    details = {member.alert.detail for member in deciding(shown)}
    return details.pop() if len(details) == 1 and details <= _WORDS else "removed"


def _close(incident: Incident, now: datetime) -> Step:
    """Forget an incident that is over; what still goes on waits as a new one, and what was told of it stays silent."""
    left = {f: _unheard(m) for f, m in incident.members.items() if m.ongoing}
    if not left:
        return Step(incident=None)
    return Step(
        incident=Incident(
            id=incident.id,
            receiver=incident.receiver,
            route=incident.route,
            group_labels=incident.group_labels,
            opened_at=min(member.seen_at for member in left.values()),
            members=left,
        ),
        wake_at=now + SETTLE,
    )


def _unheard(member: Member) -> Member:
    """Return a member for a new incident: like an arrival, it does not speak if an earlier message told of it."""
    return replace(member, told=False, arrival=member.arrival or member.told)


def _noted(incident: Incident, now: datetime, what: str) -> tuple[Entry, ...]:
    return (*incident.history, Entry(at=now, what=what))[-HISTORY:]


def _call(incident: Incident, now: datetime, call: Call, *, loud: bool) -> Step:
    called = replace(
        incident, calls=incident.calls + 1, last_sound_at=now if loud else incident.last_sound_at
    )
    return Step(incident=called, speak=True, calls=((call, loud),))


def _mark_told(incident: Incident, shown: Mapping[str, Member]) -> Incident:
    if all(member.told for member in shown.values()):
        return incident
    told = {f: replace(member, told=True) for f, member in shown.items()}
    return replace(incident, members={**incident.members, **told})


def _only_ongoing(incident: Incident, again: Mapping[str, Member]) -> Incident:
    kept = {f: m for f, m in incident.members.items() if m.ongoing or f in again}
    return replace(incident, members=kept)


def _loudest(members: Mapping[str, Member]) -> Severity:
    return max((member.alert.severity for member in members.values()), default=Severity.NONE)


def _next_look(incident: Incident, now: datetime, timing: Timing) -> datetime | None:
    """Return when time alone changes something: a member settles, a reminder is due, an incident closes."""
    moments = [m.seen_at + SETTLE for m in incident.members.values() if not m.told and not m.arrival]
    if incident.phase is Phase.OVER and incident.over_at is not None:
        moments.append(incident.over_at + REOPEN)
    if incident.phase is Phase.OPEN and incident.last_sound_at is not None:
        moments.append(incident.last_sound_at + timing.repeat_interval)
    return min((moment for moment in moments if moment > now), default=None)
