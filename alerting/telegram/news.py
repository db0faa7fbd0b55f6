"""What becomes of a conversation, for somebody who waits for it: `alertctl test`, the page's button."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from alerting.telegram.draft import Draft
from alerting.telegram.errors import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Telegram took it.

    Attributes:
        message_id: ``None`` when Telegram's answer could not be read.
        seconds: Since the draft's event.
    """

    message_id: int | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """It will not be tried again, and why."""

    why: str


class News:
    """What happened and was not looked at yet, oldest first; ``event`` is set when there is something."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self._items: deque[Delivered | Failure | GivenUp] = deque()

    def add(self, item: Delivered | Failure | GivenUp) -> None:
        """Note what happened."""
        self._items.append(item)
        self.event.set()

    def take(self) -> Delivered | Failure | GivenUp | None:
        """Return the oldest; ``None``: nothing is new, and ``event`` waits for the next."""
        if self._items:
            return self._items.popleft()
        self.event.clear()
        return None


class Followers:
    """Passes on what the outbox tells, to its owner and to whoever follows that conversation.

    Args:
        on_delivered: The owner's, called for every delivery.
        on_dead: The owner's, called for every row given up.
    """

    def __init__(
        self,
        on_delivered: Callable[[str, int | None, Draft, float], None] | None,
        on_dead: Callable[[str, Draft, str], None] | None,
    ) -> None:
        self._on_delivered = on_delivered
        self._on_dead = on_dead
        self._news: dict[str, News] = {}

    @contextmanager
    def follow(self, key: str) -> Iterator[News]:
        """Collect the news of a conversation while the block lasts; one follower per conversation."""
        news = self._news[key] = News()
        try:
            yield news
        finally:
            del self._news[key]

    def delivered(self, key: str, message_id: int | None, draft: Draft, seconds: float) -> None:
        """Pass on a delivery."""
        if self._on_delivered is not None:
            self._on_delivered(key, message_id, draft, seconds)
        if key in self._news:
            self._news[key].add(Delivered(message_id=message_id, seconds=seconds))

    def dead(self, key: str, draft: Draft, why: str) -> None:
        """Pass on that a row was given up."""
        if self._on_dead is not None:
            self._on_dead(key, draft, why)
        if key in self._news:
            self._news[key].add(GivenUp(why=why))

    def failed(self, key: str, failure: Failure) -> None:
        """Pass on a failed call."""
        if key in self._news:
            self._news[key].add(failure)
