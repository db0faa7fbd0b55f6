"""How soon a chat may be written to.

Telegram takes about one message a second per chat, 20 a minute per group (edits and deletions count) and 30
a second per bot, and punishes whoever asks again too early with longer and longer pauses. The limits here stay
below those, so that a 429 is an accident and not the rule. Nothing here reads a clock: ``now`` is in seconds of
any clock that never steps.

Source: https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from alerting.telegram.draft import Priority

GROUP_WRITES: Final = 18  # of Telegram's 20 in any 60 s
GROUP_WINDOW: Final = 60.0
RESERVED: Final = 4  # of the 18, for critical messages and answers to the on-call person
GROUP_SPACING: Final = 1.0
CHAT_BURST: Final = 3
CHAT_RATE: Final = 1.0  # per second
BOT_RATE: Final = 25.0  # per second, of Telegram's 30
PENALTY: Final = 600.0  # a second 429 within this time halves the chat's rate for as long
GRACE: Final = 1.0  # Telegram's seconds are rounded: wait one more
CROWD: Final = 3  # so many chats paused at once: it is the bot that is too fast


@dataclass(slots=True)
class _Bucket:
    """Tokens that refill; one is taken per write, and it may be asked how long the next takes."""

    rate: float
    size: float
    level: float
    at: float

    def fill(self, now: float, *, slower: float = 1.0) -> None:
        passed = max(0.0, now - self.at)
        self.level = min(self.size, self.level + passed * self.rate / slower)
        self.at = max(self.at, now)

    def delay(self, now: float, *, slower: float = 1.0) -> float:
        self.fill(now, slower=slower)
        return max(0.0, 1.0 - self.level) * slower / self.rate


@dataclass(slots=True)
class _Chat:
    """What one chat was sent lately, and what it was punished for."""

    private: bool
    bucket: _Bucket
    writes: deque[float] = field(default_factory=deque)
    paused_until: float = float("-inf")
    flooded_until: float = float("-inf")
    punished_at: float = float("-inf")
    slow_until: float = float("-inf")

    def slower(self, now: float) -> float:
        return 2.0 if now < self.slow_until else 1.0


class Limiter:
    """The limits of one bot. Ask :meth:`delay`; when it is 0, write and say so with :meth:`spent`."""

    def __init__(self) -> None:
        self._chats: dict[int, _Chat] = {}
        self._bot = _Bucket(rate=BOT_RATE, size=BOT_RATE, level=BOT_RATE, at=float("-inf"))
        self._bot_paused_until = float("-inf")

    def delay(self, chat: int, priority: Priority, now: float) -> float:
        """Return the seconds until a write of this priority may start; 0: now."""
        state = self._chat(chat, now)
        waits = [0.0, state.paused_until - now, self._bot_paused_until - now, self._bot.delay(now)]
        waits.append(state.bucket.delay(now, slower=state.slower(now)))
        if not state.private:
            waits.append(self._group_delay(state, priority, now))
        return max(waits)

    def spent(self, chat: int, now: float) -> None:
        """Count a write that starts now, whatever becomes of it."""
        state = self._chat(chat, now)
        state.bucket.fill(now, slower=state.slower(now))
        state.bucket.level -= 1
        if not state.private:
            state.writes.append(now)
        self._bot.fill(now)
        self._bot.level -= 1

    def punish(self, chat: int, retry_after: float, now: float) -> None:
        """Obey a 429: pause the chat, slow it down if it is not the first one, pause the bot if it is not the only one."""
        state = self._chat(chat, now)
        state.paused_until = max(state.paused_until, now + retry_after + GRACE)
        if now - state.punished_at < PENALTY:
            state.slow_until = now + PENALTY
        state.punished_at = now
        state.flooded_until = state.paused_until
        flooded = [other.flooded_until for other in self._chats.values() if other.flooded_until > now]
        if len(flooded) >= CROWD:
            self._bot_paused_until = max(self._bot_paused_until, min(flooded))

    def pause(self, chat: int, seconds: float, now: float) -> None:
        """Hold a chat back for another reason than a 429, or go on with a pause from before a restart."""
        state = self._chat(chat, now)
        state.paused_until = max(state.paused_until, now + seconds)

    def resume(self, chat: int, now: float) -> None:
        """End a pause early: a person says that what it was for is mended. A 429's pause is Telegram's to end."""
        state = self._chat(chat, now)
        state.paused_until = state.flooded_until

    def _chat(self, chat: int, now: float) -> _Chat:
        state = self._chats.get(chat)
        if state is None:
            bucket = _Bucket(rate=CHAT_RATE, size=CHAT_BURST, level=CHAT_BURST, at=now)
            state = self._chats[chat] = _Chat(private=chat > 0, bucket=bucket)
        return state

    def _group_delay(self, state: _Chat, priority: Priority, now: float) -> float:
        while state.writes and now - state.writes[0] >= GROUP_WINDOW:
            state.writes.popleft()
        slower = state.slower(now)
        allowed = int(GROUP_WRITES / slower)
        spacing = 0.0
        if priority > Priority.ONCALL:  # the urgent may use the burst: a second is what they are measured by
            allowed -= RESERVED
            spacing = state.writes[-1] + GROUP_SPACING * slower - now if state.writes else 0.0
        if len(state.writes) < allowed:
            return max(0.0, spacing)
        # The write that has to leave the window before this one may enter it.
        return max(spacing, state.writes[-allowed] + GROUP_WINDOW - now)
