"""The outbox: what is to be told survives, is told in order, and is told once if Telegram lets us know.

The table is the queue. A row is marked ``sending`` and committed before its request leaves, and its outcome is
committed right after: a crash in between leaves a row that may have arrived, never one that is forgotten.
Sending is not idempotent and Telegram has no way to ask, so such a row is sent again within bounds; an edit
simply is.

One worker per chat keeps the order and makes sure that at most one request of a chat is in doubt.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from alerting.state import Database
from alerting.telegram import rows
from alerting.telegram.clock import Clock, SystemClock
from alerting.telegram.compose import Notes
from alerting.telegram.delivery import Delivery, Told, doubt_seconds
from alerting.telegram.draft import Button, Draft, Keyboard, Kind, Priority
from alerting.telegram.errors import Failure, Reason, flooded
from alerting.telegram.limiter import Limiter
from alerting.telegram.news import Followers, News
from alerting.telegram.rows import Head, State
from alerting.telegram.sender import Courier
from vakhta import logs

__all__ = ["Button", "Draft", "Keyboard", "Kind", "Outbox", "Priority"]

_log = logs.get("alerting.telegram.outbox")

_PROBE: Final = 60.0
_TROUBLE: Final = 5.0
_KEPT: Final = timedelta(days=14)


class Outbox:
    """The queue of one bot and the workers that empty it."""

    def __init__(
        self,
        database: Database,
        sender: Courier,
        *,
        limiter: Limiter | None = None,
        clock: Clock | None = None,
        notes: Notes | None = None,
        jitter: Callable[[], float] = random.random,
        on_delivered: Callable[[str, int | None, Draft, float], None] | None = None,
        on_dead: Callable[[str, Draft, str], None] | None = None,
    ) -> None:
        """Prepare an outbox; :meth:`run` starts it.

        Args:
            database: Where the rows are.
            sender: The bot.
            limiter: Its limits.
            clock: The time.
            notes: The words the outbox adds to a message.
            jitter: A number from 0 to 1 that spreads retries.
            on_delivered: Called in the event loop after each delivery with key, message number (``None`` when
                Telegram's answer could not be read), draft and the seconds since its event.
            on_dead: Called in the event loop when a row is given up, with key, draft and why.
        """
        self._database = database
        self._sender = sender
        self._limiter = limiter or Limiter()
        self._clock = clock or SystemClock()
        self._followers = Followers(on_delivered, on_dead)
        self._delivery = Delivery(
            database,
            sender,
            self._limiter,
            self._clock,
            notes=notes or Notes(),
            jitter=jitter,
            told=Told(
                delivered=self._followers.delivered,
                dead=self._followers.dead,
                failed=self._followers.failed,
                moved=lambda chat: self._wake([chat]),
                circuit=self._open_circuit,
            ),
        )
        self._loop = asyncio.get_running_loop()
        self._fresh: set[int] = set()  # belongs to the writer thread
        self._early: set[int] = set()  # chats that got something before the start was over
        self._wakes: dict[int, asyncio.Event] = {}
        self._oldest: dict[int, float] = {}
        self._recovered = asyncio.Event()
        self._stopped = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._group: asyncio.TaskGroup | None = None
        self._prober: asyncio.Task[None] | None = None
        database.on_commit(self._committed)

    # ---- for dispatch ----

    async def put(self, draft: Draft) -> None:
        """Queue a draft; when this returns, it is committed.

        Raises:
            StateError: It could not be written down.
        """
        await self._database.write(lambda connection: self.enqueue(connection, draft))

    def enqueue(self, connection: sqlite3.Connection, draft: Draft) -> None:
        """Queue a draft inside the caller's own :meth:`Database.write`: both are committed, or neither."""
        self._fresh.add(rows.enqueue(connection, draft))

    async def message_id(self, key: str) -> int | None:
        """Return the newest message of a conversation, if one is known."""
        return await self._database.read(lambda connection: rows.message_id(connection, key))

    # ---- for somebody who waits for the answer ----

    @contextmanager
    def follow(self, key: str, chat: int) -> Iterator[News]:
        """Hear what becomes of a conversation in a chat."""
        with self._followers.follow(key, chat) as news:
            yield news

    async def withdraw(self, key: str) -> bool:
        """Take back what waits of a conversation; return whether a request is still on its way.

        Raises:
            StateError: It could not be written down.
        """

        def work(connection: sqlite3.Connection) -> tuple[dict[int, int], bool]:
            taken, sending = rows.withdraw(connection, key, self._clock.now().timestamp())
            self._fresh.update(taken.values())
            return taken, sending

        taken, sending = await self._database.write(work)
        for row in taken:
            self._delivery.due.pop(row, None)
        return sending

    async def try_again(self, chat: int) -> Failure | None:
        """Let a chat be written to at once because a person asks for it, whatever held it back, a 429 excepted.

        Returns:
            Why nothing can be sent at all, or, with ``retry_after``, for how long nothing can be sent to this chat.
        """
        # Until then nobody knows of a 429 from before a restart.
        await self._clock.wait(self._recovered, _TROUBLE)
        if self.circuit_open and (failure := await self._ask()) is not None:
            return failure
        now, fault = self._clock.monotonic(), self.parked.get(chat, "")
        if fault.startswith(Reason.FLOOD):
            seconds = self._limiter.delay(chat, Priority.CRITICAL, now)
            return flooded(timedelta(seconds=seconds), fault) if seconds else None
        self._limiter.resume(chat, now)
        self._wake([chat] if chat in self._wakes else [])
        return None

    # ---- what it says about itself ----

    @property
    def failures(self) -> Counter[str]:
        """Failed calls by :class:`~alerting.telegram.errors.Reason`, and rows that ``expired``."""
        return self._delivery.tally.failures

    @property
    def unconfirmed(self) -> int:
        """Messages that were sent without ever being confirmed."""
        return self._delivery.tally.unconfirmed

    @property
    def last_success(self) -> datetime | None:
        """When Telegram last took something."""
        return self._delivery.tally.last_success

    @property
    def circuit_open(self) -> bool:
        """Nothing is sent: Telegram does not know the bot, or something else answers in its place."""
        return self._delivery.tally.circuit_open

    @property
    def parked(self) -> dict[int, str]:
        """Chats that are left alone for a while, and why."""
        return dict(self._delivery.tally.parked)

    @property
    def oldest_queued_at(self) -> datetime | None:
        """When the oldest of what waits was queued."""
        return datetime.fromtimestamp(min(self._oldest.values()), UTC) if self._oldest else None

    @property
    def chats(self) -> int:
        """How many chats have a worker."""
        return len(self._wakes)

    # ---- life ----

    async def run(self) -> None:
        """Empty the queue until :meth:`drain`. Starts with what a previous process left behind."""
        self._runner = asyncio.current_task()
        stopping = self._delivery.stopping
        try:
            waiting = await self._recover()
            self._recovered.set()
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._wake(waiting | self._early)
                await stopping.wait()
                for wake in self._wakes.values():
                    wake.set()
        finally:
            self._group = None
            self._stopped.set()

    async def drain(self, seconds: float) -> None:
        """Take no new row, let the requests in flight end, and return; after ``seconds`` cut them off.

        What is cut off counts as in doubt at the next start. What is still queued stays queued.
        """
        self._delivery.stopping.set()
        if self._runner is None:
            return
        await self._clock.wait(self._stopped, seconds)
        if not self._stopped.is_set():
            self._runner.cancel()
            await self._stopped.wait()

    async def _recover(self) -> set[int]:
        now = self._clock.now()

        def recover(
            connection: sqlite3.Connection,
        ) -> tuple[list[Head], list[int], list[tuple[int, float, str]]]:
            rows.recover(connection, (now - _KEPT).timestamp())
            chats = rows.chats(connection)
            heads = [head for chat in chats for head in rows.heads(connection, chat)]
            return heads, chats, rows.pauses(connection)

        heads, chats, pauses = await self._database.write(recover)
        for head in heads:
            if head.state is State.UNKNOWN:
                self._delivery.due[head.id] = self._clock.monotonic() + doubt_seconds(
                    head.priority, head.ambiguous
                )
        for chat, until, fault in pauses:
            self._limiter.pause(chat, until - now.timestamp(), self._clock.monotonic())
            self._delivery.tally.parked[chat] = fault
        return set(chats)

    # ---- workers ----

    def _committed(self) -> None:
        """Hand the chats of this commit over to the loop. Runs in the writer thread."""
        if self._fresh:
            fresh, self._fresh = self._fresh, set()
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._wake, fresh)

    def _wake(self, chats: Iterable[int]) -> None:
        for chat in chats:
            if chat in self._wakes:
                self._wakes[chat].set()
            elif self._group is None:
                self._early.add(chat)
            elif not self._delivery.stopping.is_set():
                self._wakes[chat] = asyncio.Event()
                self._group.create_task(self._work(chat), name=f"outbox {chat}")

    async def _work(self, chat: int) -> None:
        """Empty one chat's queue for ever."""
        wake = self._wakes[chat]
        while not self._delivery.stopping.is_set():
            wake.clear()
            try:
                wait = await self._step(chat)
            except Exception:  # noqa: BLE001  the top of a loop that must not end
                _log.exception("outbox worker stumbled", chat=chat)
                wait = _TROUBLE
            if wait is None or wait > 0:
                await self._clock.wait(wake, wait)

    async def _step(self, chat: int) -> float | None:
        """Send at most one row; return the seconds until there is something to do, ``None``: until woken."""
        heads = await self._database.read(lambda connection: rows.heads(connection, chat))
        self._note_oldest(chat, heads)
        if self._delivery.stopping.is_set():
            return None
        now, wall = self._clock.monotonic(), self._clock.now().timestamp()
        expired, until_expiry = rows.expired(heads, wall)
        if expired is not None:
            await self._delivery.expire(expired)
            return 0
        if self.circuit_open:
            return until_expiry
        head, wait = rows.choose(heads, self._delivery.due, now)
        if head is not None:
            wait = self._limiter.delay(chat, head.priority, now)
            if wait <= 0:
                await self._delivery.attempt(head)
                return 0
        return min((seconds for seconds in (wait, until_expiry) if seconds is not None), default=None)

    def _note_oldest(self, chat: int, heads: list[Head]) -> None:
        if heads:
            self._oldest[chat] = min(head.created_at for head in heads)
        else:
            self._oldest.pop(chat, None)

    def _open_circuit(self) -> None:
        if self._group is not None and (self._prober is None or self._prober.done()):
            self._prober = self._group.create_task(self._probe(), name="outbox probe")

    async def _probe(self) -> None:
        """Ask once a minute whether Telegram knows the bot again; hold everything until then."""
        while not self._delivery.stopping.is_set():
            await self._clock.wait(self._delivery.stopping, _PROBE)
            if self._delivery.stopping.is_set() or not self.circuit_open:
                return
            failure = await self._ask()
            if failure is None:
                return
            _log.warning(
                "telegram still does not answer for the bot", reason=failure.reason, detail=failure.detail
            )

    async def _ask(self) -> Failure | None:
        """Ask whether Telegram knows the bot; if it does, everything goes on."""
        failure = await self._sender.probe()
        if failure is None:
            self._delivery.tally.circuit_open = False
            self._wake(list(self._wakes))
        return failure
