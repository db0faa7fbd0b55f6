"""What people did, waiting for the bot to ask."""

from __future__ import annotations

from typing import Any, Final

from tests.telegram_api.params import Params, Refused

KEPT_SECONDS: Final = 24 * 3600
PRESS_SECONDS: Final = 150  # a press of a button waits no longer
LONGEST_POLL: Final = 50
_OFF_UNLESS_ASKED: Final = frozenset({"chat_member", "message_reaction", "message_reaction_count"})


class Updates:
    """The queue behind ``getUpdates``.

    Attributes:
        webhook: Where updates go instead; polling is then refused.
        allowed: The kinds the bot asked for; it stays as it was until the bot says otherwise.
    """

    def __init__(self) -> None:
        self.webhook = ""
        self.allowed: frozenset[str] | None = None
        self.answers: dict[str, dict[str, Any]] = {}
        self._queue: list[tuple[dict[str, Any], float]] = []
        self._presses: dict[str, float] = {}
        self._last_id = 500_000
        self._last_press = 4_000_000

    def __len__(self) -> int:
        return len(self._queue)

    def push(self, kind: str, content: dict[str, Any], now: float) -> int | None:
        """Queue an update and return its number; ``None`` if the bot does not want its kind."""
        wanted = kind not in _OFF_UNLESS_ASKED if not self.allowed else kind in self.allowed
        if not wanted:
            return None
        self._last_id += 1
        lives = PRESS_SECONDS if kind == "callback_query" else KEPT_SECONDS
        self._queue.append(({"update_id": self._last_id, kind: content}, now + lives))
        return self._last_id

    def press_id(self, now: float) -> str:
        """Give a press of a button its number."""
        self._last_press += 1
        self._presses[str(self._last_press)] = now
        return str(self._last_press)

    def take(self, params: Params, now: float) -> list[dict[str, Any]]:
        """Answer ``getUpdates`` as if nobody had time to wait."""
        if self.webhook:
            raise Refused(
                409,
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first",
            )
        allowed = params.json("allowed_updates", list, "allowed_updates")
        if allowed is not None:
            self.allowed = frozenset(allowed)
        limit = params.integer("limit", 100)
        if not 1 <= limit <= 100:
            limit = 100
        offset = params.integer("offset")
        self._queue = [(update, until) for update, until in self._queue if until > now]
        if offset > 0:
            self._queue = [(update, until) for update, until in self._queue if update["update_id"] >= offset]
        elif offset < 0:
            self._queue = self._queue[offset:]
        return [update for update, _ in self._queue[:limit]]

    def answer(self, params: Params, now: float) -> bool:
        """Answer a press: in time, and once is enough."""
        number = params.text("callback_query_id")
        pressed = self._presses.get(number)
        if pressed is None or now - pressed > PRESS_SECONDS:
            raise Refused.bad("query is too old and response timeout expired or query ID is invalid")
        if len(params.text("text")) > 200:
            raise Refused.bad("MESSAGE_TOO_LONG")
        self.answers[number] = {"text": params.text("text"), "show_alert": params.flag("show_alert")}
        return True
