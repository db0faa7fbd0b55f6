"""How fast a bot may write before Telegram refuses: per chat, per group and in all.

The real numbers are not published; these are the documented ones with a short burst allowed, and asking again
before the time is over makes the wait longer, as it does there.

Source: https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Final

CHAT_BURST: Final = 5
CHAT_RATE: Final = 1.0
GROUP_WRITES: Final = 20
GROUP_WINDOW: Final = 60.0
BOT_WRITES: Final = 30
BOT_WINDOW: Final = 1.0
HAMMERING: Final = 5.0  # seconds more for each request before the time


@dataclass(slots=True)
class _Chat:
    level: float = CHAT_BURST
    at: float = float("-inf")
    writes: deque[float] = field(default_factory=deque)
    blocked_until: float = float("-inf")


class Flood:
    """Counts writes and says when one comes too early."""

    def __init__(self) -> None:
        self._chats: dict[int, _Chat] = defaultdict(_Chat)
        self._bot: deque[float] = deque()

    def retry_after(self, chat_id: int, now: float) -> int | None:
        """Count a write; return the seconds to wait instead if it may not happen."""
        chat = self._chats[chat_id]
        if now < chat.blocked_until:
            chat.blocked_until += HAMMERING
            return math.ceil(chat.blocked_until - now)
        chat.level = min(CHAT_BURST, chat.level + (now - chat.at) * CHAT_RATE)
        chat.at = now
        wait = max(self._chat_wait(chat, now, group=chat_id < 0), self._bot_wait(now))
        if wait > 0:
            chat.blocked_until = now + math.ceil(wait)
            return math.ceil(wait)
        chat.level -= 1
        chat.writes.append(now)
        self._bot.append(now)
        return None

    def _chat_wait(self, chat: _Chat, now: float, *, group: bool) -> float:
        while chat.writes and now - chat.writes[0] >= GROUP_WINDOW:
            chat.writes.popleft()
        wait = (1 - chat.level) / CHAT_RATE if chat.level < 1 else 0.0
        if group and len(chat.writes) >= GROUP_WRITES:
            wait = max(wait, chat.writes[-GROUP_WRITES] + GROUP_WINDOW - now)
        return wait

    def _bot_wait(self, now: float) -> float:
        while self._bot and now - self._bot[0] >= BOT_WINDOW:
            self._bot.popleft()
        return self._bot[0] + BOT_WINDOW - now if len(self._bot) >= BOT_WRITES else 0.0
