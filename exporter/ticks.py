"""The stream of changes: one tick per change, to everyone who listens now.

Nothing is replayed: a listener scrapes when it connects. One that does not keep up is dropped, because a late tick is worth
nothing and its queue would grow.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

__all__ = ["BACKLOG", "Broadcaster", "Subscription", "Tick", "hello"]

BACKLOG: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A change of the facts, published after it can be scraped.

    Attributes:
        reason: A Docker event's action, or docker_up, docker_down, resync, probe.
        time_nano: When it happened, by the daemon's clock where an event told it; nanoseconds since 1970.
        name: The container concerned; empty for none.
    """

    reason: str
    time_nano: int
    name: str = ""

    def to_sse(self) -> bytes:
        """Return the server-sent event of docs/interfaces.md, section 2."""
        data = {"reason": self.reason, "name": self.name, "ts": _rfc3339(self.time_nano)}
        if not self.name:
            del data["name"]
        return _sse("tick", data, id_=self.time_nano)


def hello(host: str) -> bytes:
    """Return the greeting that every listener gets first."""
    return _sse("hello", {"v": 1, "host": host})


class Subscription:
    """One listener's queue: iterate over it; it ends when the listener was dropped or the exporter stops."""

    def __init__(self, on_drop: Callable[[], None]) -> None:
        self._queue: asyncio.Queue[Tick | None] = asyncio.Queue()
        self._on_drop = on_drop
        self.is_open = True

    async def next(self) -> Tick | None:
        """Wait for the next tick; None: there will be no more."""
        if not self.is_open and self._queue.empty():
            return None
        return await self._queue.get()

    async def __aiter__(self) -> AsyncIterator[Tick]:
        while (tick := await self.next()) is not None:
            yield tick

    def offer(self, tick: Tick) -> None:
        """Add a tick, or drop the listener that has not taken the last hundred."""
        if not self.is_open:
            return
        if self._queue.qsize() >= BACKLOG:
            self.close()
            self._on_drop()
            return
        self._queue.put_nowait(tick)

    def close(self) -> None:
        """End the iteration after what is queued."""
        if self.is_open:
            self.is_open = False
            self._queue.put_nowait(None)


class Broadcaster:
    """Hands each tick to every listener."""

    def __init__(self) -> None:
        self._listeners: set[Subscription] = set()

    def __len__(self) -> int:
        return len(self._listeners)

    def subscribe(self, on_drop: Callable[[], None] = lambda: None) -> Subscription:
        """Begin to listen.

        Args:
            on_drop: Called when the listener is dropped for being slow; it may sit in a write that never returns.
        """
        subscription = Subscription(on_drop)
        self._listeners.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop listening; twice is once."""
        self._listeners.discard(subscription)

    def publish(self, tick: Tick) -> None:
        """Hand on a tick; never waits."""
        for listener in tuple(self._listeners):
            listener.offer(tick)
            if not listener.is_open:
                self._listeners.discard(listener)

    def close(self) -> None:
        """End every listener's stream."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()


def _sse(event: str, data: object, *, id_: int | None = None) -> bytes:
    head = f"event: {event}\n" if id_ is None else f"event: {event}\nid: {id_}\n"
    return f"{head}data: {json.dumps(data, separators=(',', ':'), ensure_ascii=False)}\n\n".encode()


def _rfc3339(nanoseconds: int) -> str:
    # In whole numbers: a float of nanoseconds is off by some hundred.
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"
