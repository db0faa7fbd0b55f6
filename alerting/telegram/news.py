"""What becomes of a conversation, for somebody who waits for it: `alertctl test`, the page's button."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from alerting.telegram.draft import Draft
from alerting.telegram.errors import Action, Failure

_OF_THE_CHAT: Final = frozenset(
    {Action.RETRY, Action.AMBIGUOUS, Action.PARK, Action.SLOW_RETRY, Action.PAUSE_CHAT, Action.OPEN_CIRCUIT}
)


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
    """What happened in a chat and was not looked at yet, oldest first; ``event`` is set when there is something."""

    def __init__(self, chat: int) -> None:
        self.chat = chat
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

    What keeps a chat or the bot from being written to is news for all who wait for that chat, whatever message met it first.

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
    def follow(self, key: str, chat: int) -> Iterator[News]:
        """Collect the news of a conversation while the block lasts; one follower per conversation."""
        news = self._news[key] = News(chat)
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

    def failed(self, key: str, chat: int, failure: Failure) -> None:
        """Pass on a failed call."""
        for waiting, news in self._news.items():
            same_chat = news.chat == chat and failure.action in _OF_THE_CHAT
            if waiting == key or same_chat or failure.action is Action.OPEN_CIRCUIT:
                news.add(failure)
