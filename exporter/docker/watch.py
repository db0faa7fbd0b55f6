"""Keeps the inventory true: the loops that ask the daemon and carry out what the inventory finds missing.

One session with the daemon is a **look** (list, inspect all, events since the last one known) followed by its event stream. An event
is applied at once; then its container is inspected, and its tick is sent after the answer, or without it when the answer takes
long: some inspects wait for the daemon's lock on that container. What an event cannot miss (a die's code) is in the inventory by then; what
the late answer corrects has a tick of its own.

The daemon is up when it answers pings and what is published was asked since it does. A daemon that comes back is looked at first and
called up afterwards, so that nobody takes old facts for new.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from exporter.docker.containers import Facts
from exporter.docker.engine import DockerEngine
from exporter.docker.events import Action, Event, parse
from exporter.docker.inventory import Inventory
from exporter.docker.status import DaemonStatus
from exporter.errors import ContainerGoneError, DockerError
from exporter.ticks import Tick
from vakhta import logs

__all__ = ["DockerWatch"]

_log: Final = logs.get(__name__)

_CONCURRENCY: Final = 8
_FIRST_LOOK_SECONDS: Final = 5.0
_PING_INTERVAL_SECONDS: Final = 2.0
_BACKOFF_SECONDS: Final = (0.2, 5.0)
_TICK_PATIENCE_SECONDS: Final = 0.1
# The death of a container never inspected: without its restart policy, "will be restarted" looks like "down".
_UNKNOWN_PATIENCE_SECONDS: Final = 1.0
_FORGET_INTERVAL_SECONDS: Final = 60.0
_ADVANCE_SECONDS: Final = 10.0

# Nothing an inspect would add, or nobody to ask.
_NOT_INSPECTED: Final = frozenset({Action.DESTROY, Action.KILL, Action.OOM})
# Followed by a start event, which is told.
_NOT_TOLD: Final = frozenset({Action.RESTART})


class DockerWatch:
    """Watches one daemon; `start`, then `status` and the inventory are current until `stop`.

    Args:
        engine: The daemon.
        inventory: What it tells is kept here.
        publish: Called with a tick after each change.
        resync_seconds: How often the whole list is compared.
    """

    def __init__(
        self,
        engine: DockerEngine,
        inventory: Inventory,
        *,
        publish: Callable[[Tick], None],
        resync_seconds: float = 60.0,
    ) -> None:
        self._engine = engine
        self._inventory = inventory
        self._publish = publish
        self._resync_seconds = resync_seconds
        self._status = DaemonStatus()
        self._tasks: list[asyncio.Task[None]] = []
        self._refreshes: dict[str, _Refresh] = {}
        self._failing: set[str] = set()
        self._first_look = asyncio.Event()
        self._answers = True
        self._clock_told = False
        self._advance_timer: asyncio.TimerHandle | None = None

    @property
    def status(self) -> DaemonStatus:
        """How the daemon is doing."""
        return self._status

    async def start(self) -> None:
        """Begin to watch; returns at once."""
        loops = (self._follow, self._ping, self._resync, self._forget, self._give_up_first_look)
        self._tasks = [asyncio.create_task(_keep_going(loop)) for loop in loops]

    async def stop(self) -> None:
        """Stop watching, however stuck the daemon is."""
        if self._advance_timer is not None:
            self._advance_timer.cancel()
        tasks = [*self._tasks, *(refresh.task for refresh in self._refreshes.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._engine.close()

    async def first_look(self) -> None:
        """Wait until the first look was finished or given up: at most five seconds."""
        await self._first_look.wait()

    # --- a session: look, then follow the events ---

    async def _follow(self) -> None:
        shortest, longest = _BACKOFF_SECONDS
        pause = shortest
        while True:
            began = time.monotonic()
            try:
                await self._session()
            except DockerError as exc:
                self._lost(exc)
            if time.monotonic() - began > longest:
                pause = shortest
            await asyncio.sleep(pause)
            pause = min(longest, pause * 2)

    async def _session(self) -> None:
        """Look, then apply events until the stream ends.

        The stream begins where the look's events began, so nothing falls between the two; what comes twice is recognised.
        """
        self._clock_told = False
        self._check_clock()
        since = self._inventory.replay_from or time.time_ns()
        await self._look()
        async with self._engine.events(since=since) as stream:
            self._inventory.begin_at(since)
            self._answers = True
            self._set(events_connected=True)
            self._came_up()
            async for raw in stream:
                self._take(raw)

    async def _look(self) -> None:
        """Ask for everything: events that happened unseen, the list, every container."""
        began, clock = time.time(), time.monotonic()
        since = self._inventory.replay_from
        info = await self._engine.info()
        past = await self._engine.past_events(since=since, until=time.time_ns()) if since else ()
        before = self._inventory.revision
        listed = await self._engine.list()
        await self._compare(listed, everything=True)
        for event in filter(None, map(parse, past)):
            self._inventory.apply(event, time.time())
        self._inventory.replayed({facts.id for facts in listed}, began, time.time())
        self._set(
            info=info, look_seconds=time.monotonic() - clock, looked_at=time.time(), look_ok=not self._failing
        )
        if self._status.looked and self._inventory.revision != before:
            self._tell("resync")
        self._advance_later()

    async def _compare(self, listed: Sequence[Facts], *, everything: bool) -> bool:
        """Take in the list and inspect what it tells is news, or everything; whether any fact changed."""
        doubtful = self._inventory.listed(listed, time.time())
        self._failing.intersection_update(self._inventory)
        # One that failed may agree with the list: only an answer shows that it can be inspected again.
        ids = dict.fromkeys((*(facts.id for facts in listed if everything), *doubtful, *self._failing))
        gate = asyncio.Semaphore(_CONCURRENCY)

        async def one(container: str) -> bool:
            async with gate:
                return await self._inspect(container)

        return any(await asyncio.gather(*(one(container) for container in ids)))

    async def _inspect(self, container: str) -> bool:
        """Ask about one container; whether any fact changed. An answer older than the container's newest event is dropped."""
        asked_at, changed = self._inventory.version(container), False
        try:
            facts = await self._engine.inspect(container)
        except ContainerGoneError:
            self._failing.discard(container)
            self._inventory.missing(container, time.time())
        except DockerError as exc:
            if container in self._inventory and container not in self._failing:
                self._failing.add(container)
                _log.warning(
                    "a container cannot be inspected", name=self._inventory.name(container), error=str(exc)
                )
        else:
            self._failing.discard(container)
            changed = self._inventory.inspected(facts, time.time(), asked_at=asked_at)
        self._advance_later()
        return changed

    def _take(self, raw: Mapping[str, Any]) -> None:
        """Apply one event, and see to its tick."""
        event = parse(raw)
        if event is None:
            return
        self._check_clock()
        told = self._inventory.is_published(event.id)
        if not self._inventory.apply(event, time.time()):
            return
        if event.action is Action.DESTROY:
            self._failing.discard(event.id)
        self._advance_later()
        told = told or self._inventory.is_published(event.id)
        tick = Tick(reason=event.action, time_nano=event.time_nano, name=event.name)
        if event.action is Action.DIE and told:
            _log.info("container died", name=event.name, code=event.exit_code)
        self._refresh(event, tick if told and event.action not in _NOT_TOLD else None)

    def _check_clock(self) -> None:
        """Forget a time still to come, and say so once a session: a daemon whose clock is ahead of ours would have it said at each event."""
        if self._inventory.discard_future(time.time()) and not self._clock_told:
            self._clock_told = True
            _log.warning(
                "the newest event known is from the future, because the clock was put back: its time is forgotten"
            )

    def _refresh(self, event: Event, tick: Tick | None) -> None:
        """Inspect the event's container if that tells more, then send the tick."""
        container = event.id
        running = self._refreshes.get(container)
        if running is None and event.action in _NOT_INSPECTED:
            if tick is not None:
                self._publish(tick)
            return
        if running is None:
            running = self._refreshes[container] = _Refresh(
                inspect=lambda: self._inspect(container),
                publish=self._publish,
                corrected=lambda: self._tell("resync", self._inventory.name(container)),
                ended=lambda: self._refreshes.pop(container, None),
            )
        is_guess = event.action is Action.DIE and not self._inventory.is_complete(container)
        running.add(tick, _UNKNOWN_PATIENCE_SECONDS if is_guess else _TICK_PATIENCE_SECONDS)

    # --- liveness ---

    async def _ping(self) -> None:
        while True:
            try:
                await self._engine.ping()
            except DockerError as exc:
                self._answers = False
                self._went_down(exc)
            else:
                await self._answered()
            await asyncio.sleep(_PING_INTERVAL_SECONDS)

    async def _answered(self) -> None:
        recovered, self._answers = not self._answers, True
        if not self._status.events_connected:
            return  # the session that is being made looks first
        if recovered and not await self._resync_now():
            return
        self._came_up()
        self._set(confirmed_at=time.time())

    def _came_up(self) -> None:
        if self._status.up or not self._answers:
            return
        self._set(up=True, looked=True, fault="", confirmed_at=time.time())
        self._first_look.set()
        info = self._status.info
        _log.info(
            "Docker answers",
            host=self._engine.host,
            version=info.version if info else "",
            containers=len(self._inventory),
        )
        self._tell("docker_up")

    def _went_down(self, exc: DockerError) -> None:
        was_up, said = self._status.up, self._status.fault
        self._set(up=False, fault=str(exc))
        if said != str(exc):
            _log.warning("Docker does not answer", error=str(exc))
        if was_up:
            self._tell("docker_down")

    def _lost(self, exc: DockerError) -> None:
        """The session could not be made, or ended."""
        had_stream = self._status.events_connected
        self._set(events_connected=False)
        if had_stream:
            # A proxy may have cut an idle stream; whether the daemon is down is for the next attempt or ping to say.
            _log.info("the Docker event stream ended", error=str(exc))
            return
        self._set(look_ok=False)
        self._answers = False
        self._went_down(exc)
        self._look_over()

    async def _give_up_first_look(self) -> None:
        await asyncio.sleep(_FIRST_LOOK_SECONDS)
        self._look_over()

    def _look_over(self) -> None:
        self._set(looked=True)
        self._first_look.set()

    # --- slow loops ---

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(self._resync_seconds)
            if self._status.events_connected and self._answers:
                await self._resync_now()

    async def _resync_now(self) -> bool:
        """Compare with the daemon's list; whether it answered."""
        clock = time.monotonic()
        try:
            changed = await self._compare(await self._engine.list(), everything=False)
        except DockerError as exc:
            self._set(look_ok=False)
            _log.warning("the list of containers was not to be had", error=str(exc))
            return False
        self._set(look_seconds=time.monotonic() - clock, looked_at=time.time(), look_ok=not self._failing)
        if changed:
            self._tell("resync")
        return True

    async def _forget(self) -> None:
        while True:
            await asyncio.sleep(_FORGET_INTERVAL_SECONDS)
            if self._status.up:
                self._inventory.forget(time.time())

    def _advance_later(self) -> None:
        """See that what waits is settled when its time comes."""
        due = self._inventory.due_at()
        if self._advance_timer is not None:
            self._advance_timer.cancel()
            self._advance_timer = None
        if due is not None:
            # Nothing waits longer, unless the clock was put back.
            delay = min(max(0.0, due - time.time()), _ADVANCE_SECONDS) + 0.01
            self._advance_timer = asyncio.get_running_loop().call_later(delay, self._advance)

    def _advance(self) -> None:
        for name in self._inventory.advance(time.time()):
            self._tell("resync", name)
        self._advance_later()

    def _tell(self, reason: str, name: str = "") -> None:
        self._publish(Tick(reason=reason, time_nano=time.time_ns(), name=name))

    def _set(self, **changes: Any) -> None:
        self._status = replace(self._status, **changes)


class _Refresh:
    """Inspects one container until it has answered about its newest event, then sends the ticks that waited.

    A tick waits a moment for the answer and is sent without it when the moment is over; an answer that then changes anything is told too.
    """

    def __init__(
        self,
        *,
        inspect: Callable[[], Awaitable[bool]],
        publish: Callable[[Tick], None],
        corrected: Callable[[], None],
        ended: Callable[[], object],
    ) -> None:
        self._inspect = inspect
        self._publish = publish
        self._corrected = corrected
        self._ended = ended
        self._waiting: list[Tick] = []
        self._timer: asyncio.TimerHandle | None = None
        self._since = self._patience = 0.0
        self._told_early = False
        self._dirty = True
        self.task = asyncio.create_task(self._run())

    def add(self, tick: Tick | None, patience: float) -> None:
        """Ask (again), because of an event with this tick, which waits so many seconds at most.

        A scrape shows everything, so the ticks wait together: an earlier one would show what a later one still holds back.
        """
        self._dirty = True
        if tick is None:
            return
        if not self._waiting:
            self._since, self._patience = asyncio.get_running_loop().time(), 0.0
        if patience > self._patience:
            # Counted from the first that waits, so that a crash loop cannot put its ticks off for ever.
            self._patience = patience
            self._set_timer(self._since + patience)
        self._waiting.append(tick)

    async def _run(self) -> None:
        try:
            while self._dirty:
                self._dirty = False
                if await self._inspect() and self._told_early:
                    self._told_early = False
                    # Ticks that wait will tell this too.
                    if not self._waiting:
                        self._corrected()
        finally:
            # No await between the last look at `dirty` and this: an event that comes now makes a new refresh.
            self._ended()
            self._flush()

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(at, self._flush_early)

    def _flush_early(self) -> None:
        self._told_early = True
        self._flush()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ticks, self._waiting = self._waiting, []
        for tick in ticks:
            self._publish(tick)


async def _keep_going(loop: Callable[[], Awaitable[None]]) -> None:
    """Run a loop that should never end, whatever it meets."""
    while True:
        try:
            await loop()
        except Exception:  # noqa: BLE001 - the top of a loop: watching goes on
            _log.exception("watching Docker failed")
            await asyncio.sleep(_BACKOFF_SECONDS[1])
        else:
            return
