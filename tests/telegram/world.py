"""A Telegram, an outbox and a clock that jumps: hours of delivery in milliseconds."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from alerting.state import Database
from alerting.telegram.outbox import Draft, Kind, Outbox, Priority
from alerting.telegram.sender import Sender
from tests.telegram_api import GROUP, TOKEN, BotApi, MemoryRequest
from tests.telegram_api.rules import EPOCH
from vakhta.secrets import Secret

LIMIT = 20  # real seconds nothing here comes near
START = datetime.fromtimestamp(EPOCH, UTC)


class JumpingClock:
    """A clock that stands still while anything is busy and jumps to the next moment somebody waits for."""

    def __init__(self):
        self.seconds = 0.0
        self.changed = asyncio.Event()
        self._waits = {}

    def now(self):
        """Wall time."""
        return START + timedelta(seconds=self.seconds)

    def monotonic(self):
        """Steady time."""
        return self.seconds

    async def wait(self, event, seconds):
        """Wait for the event or the time."""
        task = asyncio.current_task()
        over = asyncio.Event()
        waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(over.wait())]
        self._waits[task] = (None if seconds is None else self.seconds + seconds, over, event)
        self.changed.set()
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._waits[task]
            for wait in waits:
                wait.cancel()

    def _at_rest(self):
        tasks = {task for task in asyncio.all_tasks() if task.get_name().startswith("outbox ")}
        busy = [event for _, over, event in self._waits.values() if event.is_set() or over.is_set()]
        return bool(tasks) and tasks <= self._waits.keys() and not busy

    def _jump(self, latest):
        due = min((at for at, _, _ in self._waits.values() if at is not None), default=latest)
        self.seconds = min(max(due, self.seconds), latest)
        for at, over, _ in self._waits.values():
            if at is not None and at <= self.seconds:
                over.set()

    def force(self, seconds):
        """Let time pass whoever is busy."""
        self.seconds += seconds
        self._jump(self.seconds)

    async def run(self, happened=lambda: False, *, seconds=3600.0):
        """Let time pass until something is true, at most so long; return whether it is."""
        latest = self.seconds + seconds
        async with asyncio.timeout(LIMIT):
            while not happened():
                if self._at_rest():
                    if self.seconds >= latest:
                        return bool(happened())
                    self._jump(latest)
                self.changed.clear()
                await _next(self.changed)
        return True


async def _next(event):
    """Give everybody a turn, or wait for the next one who has to."""
    try:
        async with asyncio.timeout(0.01):
            await event.wait()
    except TimeoutError:
        pass


class World:
    """All parts of a delivery, with short names for what tests do."""

    def __init__(self, api, clock, database, sender):
        self.api = api
        self.clock = clock
        self.database = database
        self.sender = sender
        self.delivered = []
        self.dead = []
        self.outbox = None
        self.runner = None

    def start(self, **options):
        """Start an outbox on what is in the database."""
        self.outbox = Outbox(
            self.database,
            self.sender,
            clock=self.clock,
            jitter=lambda: 1.0,
            on_delivered=lambda *told: self.delivered.append(told),
            on_dead=lambda *told: self.dead.append(told),
            **options,
        )
        self.runner = asyncio.create_task(self.outbox.run(), name="runner")

    async def stop(self):
        """End it as SIGTERM does."""
        if self.runner is not None:
            await self.outbox.drain(5)
            (ended,) = await asyncio.gather(self.runner, return_exceptions=True)
            self.runner = None
            if isinstance(ended, Exception):
                raise ended

    async def put(self, key="a", kind=Kind.SEND, priority=Priority.CRITICAL, html="<b>down</b>", **more):
        """Queue a draft."""
        await self.outbox.put(self.draft(key, kind, priority, html, **more))

    def draft(self, key="a", kind=Kind.SEND, priority=Priority.CRITICAL, html="<b>down</b>", **more):
        """Make a draft."""
        if kind is Kind.DELETE:
            html = ""
        given = {"chat_id": GROUP, "plain": "", "created_at": self.clock.now(), **more}
        return Draft(key=key, kind=kind, priority=priority, html=html, **given)

    async def settle(self, *, seconds=3600.0):
        """Let time pass until nothing is waiting."""
        assert await self.clock.run(self.idle, seconds=seconds), self.states()

    def idle(self):
        """Nothing is queued, sending or in doubt."""
        return self.outbox.oldest_queued_at is None and self.clock._at_rest()

    def texts(self, chat=GROUP):
        """What people see in a chat, oldest first."""
        return [message.text for message in self.api.chats[chat].messages.values()]

    def methods(self, chat=None):
        """The writes that were asked for, in order."""
        return [entry.method for entry in self.api.ledger.writes(chat)]

    async def states(self):
        """Each row's state, oldest first."""
        return await self.database.read(
            lambda c: [row["state"] for row in c.execute("SELECT state FROM outbox ORDER BY id")]
        )


@asynccontextmanager
async def world(path=":memory:", *, start=True, **options):
    """A running world; everything is closed at its end."""
    clock = JumpingClock()
    api = BotApi(**options)
    database = await Database.open(path)
    request = MemoryRequest(api, clock.monotonic)
    sender = Sender(Secret(TOKEN), api_url="http://stand.in", request=request, polling=request)
    made = World(api, clock, database, sender)
    if start:
        made.start()
    try:
        yield made
    finally:
        await made.stop()
        await sender.close()
        await database.close()
