"""One container's life, told by events and corrected by inspects.

Two witnesses, and neither is enough. An event is first and says why, but can be missed; an inspect is complete, but says only how things
are, and may be asked before and answered after the next event. How they are joined:

* An event changes the state at once, unless an inspect told a newer fact already: a `die` from before the current start is history, it
  is booked and changes no state. That makes replays harmless.
* An inspect that shows a container dead whose `die` has not arrived **waits** a few seconds for it, with the state unchanged. Adopting it at
  once would publish "exited" beside the reason of some earlier exit, which is a false alarm during every deploy. If no event
  comes, the death was missed: its reason is `unknown`.
* Everything else an inspect says is adopted.

Events of one container are newer in the order in which they come, whatever times they carry: the host's clock may be put back. Times are
compared only between an event and an inspect, and a time that is still to come says nothing about what happens now.

A life writes exits, restarts and OOM kills into the book of the container's name; it reads no clock.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from exporter.docker.containers import Facts, Health, Status
from exporter.docker.events import Action, Event
from exporter.docker.exits import SETTLE_SECONDS, Evidence, Exit, ExitReason, StopTerms, judge
from exporter.memory import Book

__all__ = ["HOLD_SECONDS", "Life"]

# A busy daemon logs `die` some 150 ms after an inspect shows the end, because it takes the network down first.
HOLD_SECONDS: Final = 5.0
# FinishedAt is containerd's time of the end, a `die` has the daemon's: two clocks' worth of difference is none.
_SAME_SECONDS: Final = 2.0
# A time further ahead of now was told by a clock that has been put back since.
_AHEAD_SECONDS: Final = 5.0
_SIGKILL: Final = 9
# `dead` is what Docker calls a container whose removal failed half way.
_BEING_REMOVED: Final = (Status.REMOVING, Status.DEAD)


@dataclass(slots=True, kw_only=True)
class _Death:
    """An end that no start has followed yet; `noticed_at` on our clock, `at` on the daemon's.

    Attributes:
        patience: Seconds after which an end not counted yet is.
        told: An event told it, in this run of the exporter.
    """

    code: int
    at: float
    noticed_at: float
    counted: bool
    patience: float = SETTLE_SECONDS
    told: bool = False


@dataclass(slots=True, kw_only=True)
class Life:
    """What is known of one container.

    Attributes:
        facts: The newest facts, events included.
        book: Of the container's name.
        version: Rises with every event, so that an inspect asked before one can be told apart.
        death: Its last end, until a start follows.
        held: Facts newer than the events, and since when they wait; None facts: the daemon knows the container no more.
    """

    facts: Facts
    book: Book
    version: int = 0
    death: _Death | None = None
    held: tuple[Facts | None, float] | None = None
    evidence: Evidence = field(default_factory=Evidence)
    # What the daemon noted at the last `docker kill` or `docker stop`: see docs/docker-semantics.md.
    restart_cancelled: bool = False
    manually_stopped: bool = False
    # OOM kills of this run: told by events, and how many of the book's are this run's (None: a run from before we looked).
    oom_told: int = 0
    oom_booked: int | None = None
    # An event told the start of this run: every event after it is about this run or its end.
    start_told: bool = False

    @property
    def terms(self) -> StopTerms:
        """How this container is asked to stop."""
        facts = self.facts
        return StopTerms.of(
            stop_signal=facts.stop_signal, stop_timeout=facts.stop_timeout, auto_remove=facts.auto_remove
        )

    @property
    def unsettled(self) -> ExitReason | None:
        """The provisional reason of an exit not counted yet."""
        if self.death is None or self.death.counted or self.book.last_exit is None:
            return None
        return self.book.last_exit.reason

    @property
    def due_at(self) -> float | None:
        """When `advance` has something to do, if ever."""
        times = []
        if self.death is not None and not self.death.counted:
            times.append(self.death.noticed_at + self.death.patience)
        if self.held is not None:
            times.append(self.held[1] + HOLD_SECONDS)
        return min(times, default=None)

    def apply(self, event: Event, now: float, *, booked: bool = False) -> None:
        """Take in one event.

        Args:
            event: About this container.
            now: Our clock.
            booked: The event's effects are in the book already; it is evidence for later events only.
        """
        self.version += 1
        match event.action:
            case Action.START:
                self._start(event, now, booked=booked)
            case Action.DIE:
                self._die(event, now, booked=booked)
            case Action.KILL:
                self._kill(event)
            case Action.STOP:
                self._stop(event)
            case Action.OOM:
                self._oom(event, booked=booked)
            case Action.DESTROY:
                self.evidence = self.evidence.with_removal(event.at)
                self._judge_again()
                self._settle()
            case Action.PAUSE | Action.UNPAUSE:
                self._set_paused(event, now, paused=event.action is Action.PAUSE)
            case Action.HEALTH_STATUS:
                self._set_health(event, now)
            case _:
                pass  # create, rename and update say nothing that the inspect after them does not

    def inspected(self, facts: Facts, now: float, *, may_wait: bool) -> None:
        """Take in an inspect that was asked after the newest event.

        Args:
            facts: Its answer.
            now: Our clock.
            may_wait: The event stream is up, so that an unexplained death waits for its event.
        """
        if may_wait and self._is_unexplained(facts, now):
            # What is configured is true either way, and the judgement to come needs it.
            current = self.facts
            self.facts = replace(
                facts,
                status=current.status,
                health=current.health,
                pid=current.pid,
                started_at=current.started_at,
                finished_at=current.finished_at,
                exit_code=current.exit_code,
                restart_count=current.restart_count,
            )
            self.held = (facts, self.held[1] if self.held else now)
            return
        self.held = None
        if facts.status in _BEING_REMOVED:
            self._see_removal(now)
        self._adopt(facts, now)

    def missing(self, now: float) -> None:
        """Note that the daemon knows the container no more; its `destroy` is waited for."""
        self._see_removal(now)
        self.held = (None, self.held[1] if self.held else now)

    def end(self) -> None:
        """Count what is not counted yet: nothing more will be told."""
        self._settle()

    def advance(self, now: float) -> bool:
        """Settle what has waited long enough; whether anything that is published changed."""
        changed = False
        if self.death is not None and _is_over(self.death.noticed_at, self.death.patience, now):
            changed = self._settle()
        if self.held is not None and _is_over(self.held[1], HOLD_SECONDS, now):
            facts, _ = self.held
            if facts is not None:
                self.held = None
                self._adopt(facts, now)
            changed = True
        return changed

    def stop_waiting(self, before: float) -> None:
        """Adopt a death from before this time (Unix seconds): no event will explain it any more."""
        held = self.held[0] if self.held else None
        if held is not None and held.finished_at is not None and held.finished_at < before - SETTLE_SECONDS:
            self.held = None
            self._adopt(held, before)

    @property
    def is_lost(self) -> bool:
        """Whether only its `destroy` event is waited for."""
        return self.held is not None and self.held[0] is None

    def count_ooms(self, kills: int, at: float) -> bool:
        """Take in the cgroup's own count of OOM kills in this run; whether the book changed.

        The first reading of a run from before we looked is not news, unless it exceeds what the book has: then kills happened while
        we were away.
        """
        if self.oom_booked is None:
            known = self.book.oom_events
            self.oom_booked = min(known, kills)
            if kills > known:
                self._book_ooms(kills)
                if known:
                    self.book.last_oom = at
            return kills > known
        if kills <= self.oom_booked:
            return False
        self._book_ooms(kills)
        self.book.last_oom = at
        self.evidence = replace(self.evidence, oom_at=at)
        return True

    def _start(self, event: Event, now: float, *, booked: bool) -> None:
        self._settle()
        was_told = self.death is not None and self.death.told
        if self.death is not None and not booked and self._is_restart():
            self.book.restarts += 1
        self.death = None
        self.evidence = Evidence()
        self.restart_cancelled = self.manually_stopped = False
        facts = self.facts
        if facts.status.alive and facts.started_at is not None:
            self.start_told = abs(event.at - facts.started_at) <= _SAME_SECONDS
            return
        if not was_told and not facts.status.alive and _is_later(facts.finished_at, event.at, now):
            return
        self._begin_run()
        self.start_told = True
        self.facts = replace(
            facts,
            status=Status.RUNNING,
            started_at=event.at,
            pid=0,
            health=None if facts.health is None else Health.STARTING,
            restart_count=facts.restart_count if facts.status is Status.RESTARTING else 0,
        )

    def _is_restart(self) -> bool:
        """Whether the start after the last death counts: by policy, or after an end that nobody asked for."""
        last = self.book.last_exit
        return last is not None and last.reason not in (ExitReason.REQUESTED, ExitReason.UNKNOWN)

    def _die(self, event: Event, now: float, *, booked: bool) -> None:
        self._settle()
        code = event.exit_code or 0
        self.death = _Death(code=code, at=event.at, noticed_at=now, counted=booked, told=not booked)
        awaited = self._awaited(event)
        if awaited is not None and awaited.status in _BEING_REMOVED:
            self.evidence = self.evidence.with_removal(event.at)
        reason = ExitReason.UNKNOWN
        if not booked:
            reason, patience = judge(code=code, died_at=event.at, evidence=self.evidence, terms=self.terms)
            self._write_exit(reason)
            self._settle_after(patience)
        self._fall(event, code, reason, now)

    def _awaited(self, event: Event) -> Facts | None:
        """Return the held facts if this death is what they wait for."""
        held = self.held[0] if self.held else None
        if held is None or held.status.alive or (held.finished_at or 0) > event.at + _SAME_SECONDS:
            return None
        return held

    def _fall(self, event: Event, code: int, reason: ExitReason, now: float) -> None:
        """Change the state at a death, unless it is history."""
        facts = self.facts
        if facts.status.alive and self._precedes_run(event, now):
            return
        awaited = self._awaited(event)
        if awaited is not None:
            # The inspect knows better than we what follows.
            self.held, self.facts = None, awaited
            return
        if (
            not facts.status.alive
            and facts.finished_at is not None
            and _is_later(facts.finished_at + _SAME_SECONDS, event.at, now)
        ):
            return
        status = self._status_after(code, reason)
        self.facts = replace(
            facts,
            status=status,
            finished_at=event.at,
            exit_code=code,
            pid=0,
            # The daemon counts when it decides to start again, not when it does.
            restart_count=facts.restart_count + (status is Status.RESTARTING),
        )

    def _status_after(self, code: int, reason: ExitReason) -> Status:
        again = reason is not ExitReason.REQUESTED and self._policy_applies(code)
        return Status.RESTARTING if again else Status.EXITED

    def _policy_applies(self, code: int) -> bool:
        if not self.facts.complete or self.restart_cancelled:
            return False
        if self.manually_stopped and self.facts.policy.name == "unless-stopped":
            return False
        return self.facts.policy.applies(code=code, restart_count=self.facts.restart_count)

    def _kill(self, event: Event) -> None:
        if event.signal is None:
            return
        self.evidence = self.evidence.with_kill(event.signal, event.at)
        self.manually_stopped = True
        if not self.facts.stop_signal or event.signal in (_SIGKILL, self.terms.signal):
            self.restart_cancelled = True
        self._judge_again()

    def _stop(self, event: Event) -> None:
        self.evidence = replace(self.evidence, stop_at=event.at)
        self.restart_cancelled = self.manually_stopped = True
        if self.facts.status is Status.RESTARTING and self.death is not None:
            # Asked to stop between two attempts: that is why it is down now, however long ago it died.
            self.facts = replace(self.facts, status=Status.EXITED)
            self._settle()
            self._write_exit(ExitReason.REQUESTED)
        self._judge_again()

    def _oom(self, event: Event, *, booked: bool) -> None:
        self.evidence = replace(self.evidence, oom_at=event.at)
        if not booked:
            self.oom_told += 1
            if self.oom_booked is None:
                self.book.oom_events += 1
            else:
                self._book_ooms(self.oom_told)
            self.book.last_oom = event.at
        self._judge_again()

    def _book_ooms(self, in_this_run: int) -> None:
        """Raise the book to so many OOM kills in this run; it never falls."""
        booked = self.oom_booked or 0
        self.book.oom_events += max(0, in_this_run - booked)
        self.oom_booked = max(in_this_run, booked)

    def _set_paused(self, event: Event, now: float, *, paused: bool) -> None:
        if self.facts.status.alive and not self._precedes_run(event, now):
            self.facts = replace(self.facts, status=Status.PAUSED if paused else Status.RUNNING)

    def _set_health(self, event: Event, now: float) -> None:
        if event.health is not None and not self._precedes_run(event, now):
            self.facts = replace(self.facts, health=event.health)

    def _precedes_run(self, event: Event, now: float) -> bool:
        """Whether an event is about a run before the one that an inspect told of."""
        return not self.start_told and _is_later(self.facts.started_at, event.at, now)

    def _judge_again(self) -> None:
        """Look at the last death again in the light of new evidence.

        A counted exit can still turn out to have been requested; that corrects the gauge, the counter stands.
        """
        death, last = self.death, self.book.last_exit
        if death is None or last is None or last.at != death.at:
            return
        reason, patience = judge(code=death.code, died_at=death.at, evidence=self.evidence, terms=self.terms)
        if death.counted and reason is not ExitReason.REQUESTED:
            return
        self._write_exit(reason)
        if (
            reason is ExitReason.REQUESTED
            and self.facts.status is Status.RESTARTING
            and self.restart_cancelled
        ):
            self.facts = replace(self.facts, status=Status.EXITED)
        self._settle_after(patience)

    def _see_removal(self, now: float) -> None:
        """Note that somebody is removing it or has: that may be why it died."""
        if self.death is not None:
            # Seen on our clock: that one may be behind the daemon's, and the death may have been told long after it.
            since_noticed = max(0.0, now - self.death.noticed_at)
            self.evidence = self.evidence.with_removal(max(now, self.death.at + since_noticed))
            self._judge_again()

    def _write_exit(self, reason: ExitReason) -> None:
        if self.death is not None:
            self.book.last_exit = Exit(reason=reason, code=self.death.code, at=self.death.at)

    def _settle_after(self, patience: float) -> None:
        """Count the last death at once, or when nothing more can explain it."""
        if self.death is not None and patience:
            self.death.patience = patience
        else:
            self._settle()

    def _settle(self) -> bool:
        """Count the last death if it was not yet; whether it was counted now."""
        if self.death is None or self.death.counted or self.book.last_exit is None:
            return False
        self.death.counted = True
        self.book.count_exit(self.book.last_exit.reason)
        return True

    def _is_unexplained(self, facts: Facts, now: float) -> bool:
        """Whether these facts show a death that no event has told."""
        if facts.status.alive or facts.started_at is None:
            return False
        return self.facts.status.alive or (
            facts.finished_at is not None and not self._knows_end(facts.finished_at, now)
        )

    def _knows_end(self, at: float, now: float) -> bool:
        """Whether an end at this time is old news; a `die` comes after its FinishedAt, at times long after."""
        if self.death is not None and _covers(self.death.at, at, now):
            return True
        last = self.book.last_exit
        return self.book.id == self.facts.id and last is not None and _covers(last.at, at, now)

    def _adopt(self, facts: Facts, now: float) -> None:
        if facts.status.alive and (not self.facts.status.alive or self._is_other_run(facts)):
            self._begin_run()
        ended = facts.finished_at
        if facts.complete and not facts.status.alive and ended is not None and facts.started_at is not None:
            if not self._knows_end(ended, now):
                self._settle()
                self.death = _Death(code=facts.exit_code, at=ended, noticed_at=now, counted=True)
                self.book.last_exit = Exit(reason=ExitReason.UNKNOWN, code=facts.exit_code, at=ended)
            elif self.death is None:
                self.death = _Death(code=facts.exit_code, at=ended, noticed_at=now, counted=True)
        self.facts = facts

    def _is_other_run(self, facts: Facts) -> bool:
        ours, theirs = self.facts.started_at, facts.started_at
        return ours is not None and theirs is not None and abs(ours - theirs) > _SAME_SECONDS

    def _begin_run(self) -> None:
        """A new cgroup, whose counts begin at 0."""
        self.oom_told, self.oom_booked = 0, 0
        self.start_told = False


def _is_later(known: float | None, at: float, now: float) -> bool:
    """Whether something known is newer than this time, as far as the clock can be believed."""
    return known is not None and at < known <= now + _AHEAD_SECONDS


def _covers(known: float, at: float, now: float) -> bool:
    """Whether the end of a run at this time is the known one or an earlier one."""
    if known > now + _AHEAD_SECONDS >= at:
        return False
    return at <= known + _SAME_SECONDS


def _is_over(since: float, seconds: float, now: float) -> bool:
    """Whether so much time has passed; if the clock was put back meanwhile, it has."""
    return now >= since + seconds or since > now + _AHEAD_SECONDS
