"""One attempt at one row: the call, the verdict, and what the row, the chat and the bot do next."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from alerting.state import Database, StateError
from alerting.telegram import rows
from alerting.telegram.clock import Clock
from alerting.telegram.compose import Notes, operation
from alerting.telegram.draft import Draft, Kind, Priority
from alerting.telegram.errors import Action, Failure
from alerting.telegram.limiter import Limiter
from alerting.telegram.rows import Degraded, Head, Row, State
from alerting.telegram.sender import Courier
from vakhta import logs

_log = logs.get("alerting.telegram.delivery")

_CRITICAL_AGAIN: Final = (10.0, 60.0, 600.0)  # seconds after each doubtful send; the last one repeats
_AGAIN: Final = 10.0
_RESENDS: Final = 1  # of a doubtful message that is not critical
_BACKOFF: Final = (1.0, 60.0)
_SLOW: Final = 300.0  # only a person can repair it
_PARKED: Final = (300.0, 600.0)
_REMEMBERED: Final = 10.0  # pauses at least this long outlive a restart
_STATE_RETRY: Final = 5.0

_LEFT_OFF: Final = {
    Action.PLAIN: Degraded.PLAIN,
    Action.SHORTEN: Degraded.SHORT,
    Action.PLACEHOLDER: Degraded.PLACEHOLDER,
    Action.NO_REPLY: Degraded.NO_REPLY,
    Action.NO_THREAD: Degraded.NO_THREAD,
    Action.NO_BUTTONS: Degraded.NO_BUTTONS,
    Action.SANITISE: Degraded.SANITISED,
    Action.NO_MEDIA: Degraded.BARE,
    Action.BARE: Degraded.BARE,
}


@dataclass(slots=True, kw_only=True)
class Tally:
    """What the outbox can say about itself.

    Attributes:
        failures: Failed calls by reason, and rows that ``expired``.
        unconfirmed: Messages that were sent without ever being confirmed.
        last_success: When Telegram last took something.
        circuit_open: Nothing is sent: Telegram does not know the bot, or something else answers in its place.
        parked: Chats that are left alone for a while, and why.
    """

    failures: Counter[str] = field(default_factory=Counter)
    unconfirmed: int = 0
    last_success: datetime | None = None
    circuit_open: bool = False
    parked: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Whom a delivery tells of what happened; all are called in the event loop and return at once.

    Attributes:
        delivered: A row was sent: key, message number (``None`` when Telegram's answer could not be read), draft,
            and the seconds since its event.
        dead: A row was given up: key, draft and why.
        failed: A call failed, and what follows from it is written down: key, chat and verdict.
        moved: A chat has a new number.
        circuit: Nothing can be sent at all.
    """

    delivered: Callable[[str, int | None, Draft, float], None] | None = None
    dead: Callable[[str, Draft, str], None] | None = None
    failed: Callable[[str, int, Failure], None] | None = None
    moved: Callable[[int], None]
    circuit: Callable[[], None]


class Delivery:
    """Sends rows. It does not choose them and does not wait for the limiter.

    Attributes:
        tally: What happened so far.
        due: Rows in doubt and when, by the steady clock, they may go again.
        stopping: Set at the end of the process: nothing is waited for any more.
    """

    def __init__(
        self,
        database: Database,
        sender: Courier,
        limiter: Limiter,
        clock: Clock,
        *,
        notes: Notes,
        told: Told,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.tally = Tally()
        self.due: dict[int, float] = {}
        self.stopping = asyncio.Event()
        self._database = database
        self._sender = sender
        self._limiter = limiter
        self._clock = clock
        self._notes = notes
        self._told = told
        self._jitter = jitter
        self._stumbles: Counter[int] = Counter()  # failures in a row, by chat
        self._actions: dict[Action, Callable[[Row, Failure], Any]] = {
            Action.RETRY: self._retry,
            Action.IGNORE: self._retry,
            Action.SLOW_RETRY: partial(self._hold, seconds=_SLOW),
            Action.PAUSE_CHAT: self._flooded,
            Action.PARK: self._park,
            Action.MIGRATE: self._migrate,
            Action.SEND_NEW: self._send_new,
            Action.CAPTION: self._send_new,
            Action.OPEN_CIRCUIT: self._open_circuit,
            Action.AMBIGUOUS: self._ambiguous,
            Action.DEAD: self._dead,
        }

    async def attempt(self, head: Head) -> None:
        """Send one row and settle it, whatever happens.

        Raises:
            StateError: It could not even be marked as on its way; nothing was sent.
        """
        row = await self._database.write(lambda connection: rows.start(connection, head.id))
        if row is None:  # superseded between choosing and starting
            return
        call = operation(row, self._notes)
        if call is None:
            await self._settle(lambda c: rows.finish(c, row.id, State.SUPERSEDED, self._wall()))
            return
        self._limiter.spent(row.draft.chat_id, self._clock.monotonic())
        outcome = await self._sender.send(call)
        failure = outcome.failure
        if failure is None:
            await self._done(row, outcome.message_id)
        elif failure.action is Action.DONE:
            self.tally.failures[failure.reason] += 1
            await self._done(row, row.target if call.kind is Kind.EDIT else None)
        else:
            await self._failed(row, failure)

    async def expire(self, head: Head) -> None:
        """Give up a row that is not worth telling any more."""
        row = await self._database.write(lambda connection: rows.start(connection, head.id))
        if row is not None:
            self.tally.failures["expired"] += 1
            await self._bury(row, "not delivered in time")

    # ---- outcomes ----

    async def _done(self, row: Row, message: int | None) -> None:
        now = self._clock.now()
        await self._settle(lambda c: rows.deliver(c, row, message, now.timestamp()))
        chat = row.draft.chat_id
        self.tally.last_success = now
        self.tally.parked.pop(chat, None)
        self._stumbles.pop(chat, None)
        self.due.pop(row.id, None)
        seconds = (now - (row.draft.event_at or row.draft.created_at)).total_seconds()
        _log.info(
            "message delivered",
            chat=chat,
            key=row.draft.key,
            kind=row.draft.kind,
            message=message,
            seconds=seconds,
        )
        if self._told.delivered:
            self._told.delivered(row.draft.key, message, row.draft, seconds)

    async def _failed(self, row: Row, failure: Failure) -> None:
        self.tally.failures[failure.reason] += 1
        self._stumbles[row.draft.chat_id] += 1
        _log.warning(
            "message not delivered",
            chat=row.draft.chat_id,
            key=row.draft.key,
            reason=failure.reason,
            delivered=failure.delivered,
            next=failure.action,
            detail=failure.detail,
        )
        if failure.action in _LEFT_OFF:
            await self._leave_off(row, failure)
        else:
            await self._actions[failure.action](row, failure)
        if self._told.failed:
            self._told.failed(row.draft.key, row.draft.chat_id, failure)

    async def _leave_off(self, row: Row, failure: Failure) -> None:
        """Try again with less; what is left off already cannot be what is wrong."""
        less = row.degraded | _LEFT_OFF[failure.action]
        if less == row.degraded:
            less |= Degraded.BARE
        if less == row.degraded:
            await self._dead(row, failure)
            return
        await self._settle(lambda c: rows.requeue(c, row, degraded=less, error=failure.detail))

    async def _retry(self, row: Row, failure: Failure) -> None:
        await self._hold(row, failure, seconds=self._backoff(row.draft.chat_id))

    async def _park(self, row: Row, failure: Failure) -> None:
        await self._hold(
            row, failure, seconds=_PARKED[min(self._stumbles[row.draft.chat_id], len(_PARKED)) - 1]
        )

    async def _flooded(self, row: Row, failure: Failure) -> None:
        assert failure.retry_after is not None
        seconds = failure.retry_after.total_seconds()
        self._limiter.punish(row.draft.chat_id, seconds, self._clock.monotonic())
        await self._hold(row, failure, seconds=seconds, counted=False)

    async def _hold(self, row: Row, failure: Failure, *, seconds: float, counted: bool = True) -> None:
        """Put the row back and leave its chat alone."""
        chat = row.draft.chat_id
        self._limiter.pause(chat, seconds, self._clock.monotonic())

        def work(connection: sqlite3.Connection) -> None:
            rows.requeue(connection, row, degraded=row.degraded, error=failure.detail, counted=counted)
            if seconds >= _REMEMBERED:
                rows.pause(connection, chat, self._wall() + seconds, f"{failure.reason}: {failure.detail}")

        if failure.action is not Action.RETRY:
            self.tally.parked[chat] = f"{failure.reason}: {failure.detail}"
        await self._settle(work)

    async def _migrate(self, row: Row, failure: Failure) -> None:
        new = failure.new_chat_id
        assert new is not None
        await self._settle(lambda c: rows.migrate(c, row.draft.chat_id, new))
        self._told.moved(new)

    async def _send_new(self, row: Row, failure: Failure) -> None:
        if row.draft.kind is Kind.EDIT:
            await self._settle(lambda c: rows.send_instead(c, row, failure.detail))
        elif row.draft.kind is Kind.DELETE:
            await self._done(row, None)
        else:
            await self._dead(row, failure)

    async def _open_circuit(self, row: Row, failure: Failure) -> None:
        self.tally.circuit_open = True
        self._told.circuit()
        await self._settle(
            lambda c: rows.requeue(c, row, degraded=row.degraded, error=failure.detail, counted=False)
        )

    async def _ambiguous(self, row: Row, failure: Failure) -> None:
        """Nobody knows: edits again at once, messages again within bounds."""
        chat, now = row.draft.chat_id, self._clock.monotonic()
        self._limiter.pause(chat, self._backoff(chat), now)
        if row.draft.kind in (Kind.EDIT, Kind.DELETE):
            await self._settle(lambda c: rows.doubt(c, row.id, failure.detail))
            return
        if row.draft.priority > Priority.CRITICAL and row.ambiguous >= _RESENDS:
            self.tally.unconfirmed += 1
            self.due.pop(row.id, None)
            await self._settle(
                lambda c: rows.finish(c, row.id, State.UNCONFIRMED, self._wall(), failure.detail)
            )
            return
        self.due[row.id] = now + doubt_seconds(row.draft.priority, row.ambiguous + 1)
        await self._settle(lambda c: rows.doubt(c, row.id, failure.detail))

    async def _dead(self, row: Row, failure: Failure) -> None:
        await self._bury(row, f"{failure.reason}: {failure.detail}")

    async def _bury(self, row: Row, why: str) -> None:
        self.due.pop(row.id, None)
        await self._settle(lambda c: rows.finish(c, row.id, State.DEAD, self._wall(), why))
        _log.error("message given up", chat=row.draft.chat_id, key=row.draft.key, why=why)
        if self._told.dead:
            self._told.dead(row.draft.key, row.draft, why)

    # ---- means ----

    def _backoff(self, chat: int) -> float:
        least, most = _BACKOFF
        longest: float = min(most, least * 2.0 ** min(self._stumbles[chat], 10))
        return max(least, self._jitter() * longest)

    def _wall(self) -> float:
        return self._clock.now().timestamp()

    async def _settle(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Write an outcome down, however long the disk takes: forgetting it would send the message again."""
        while True:
            try:
                await self._database.write(work)
            except StateError as exc:
                _log.error("outcome not written down yet", error=exc)
                if self.stopping.is_set():
                    raise
                await self._clock.wait(self.stopping, _STATE_RETRY)
            else:
                return


def doubt_seconds(priority: Priority, ambiguous: int) -> float:
    """Return how long a message in doubt waits until it is sent again.

    A lost critical message is worse than a copy, so those go on until one is confirmed.

    Args:
        priority: The message's.
        ambiguous: How many of its requests are in doubt, at least 1.
    """
    if priority > Priority.CRITICAL:
        return _AGAIN
    return _CRITICAL_AGAIN[min(ambiguous, len(_CRITICAL_AGAIN)) - 1]
