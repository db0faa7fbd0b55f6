"""What can be made to go wrong between a bot and Telegram."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any


class Trouble(StrEnum):
    """A kind of fault."""

    STATUS = "status"
    """Refuse with ``status`` and ``description`` as the Bot API would; nothing happens."""
    HTML = "html"
    """Answer with ``status`` (404 unless said) and a page, as a proxy would; nothing happens."""
    RAW = "raw"
    """Do it and answer with ``status`` (200 unless said) and ``body`` as it is."""
    FLOOD = "flood"
    """Refuse with 429 and ``seconds`` to wait."""
    REFUSE = "refuse"
    """No connection. On a real port the listening socket closes for ``seconds``."""
    DROP_BEFORE = "drop_before"
    """Take the request, do nothing, close the connection."""
    DROP_AFTER = "drop_after"
    """Do what was asked and close the connection: the answer is lost."""
    DELAY = "delay"
    """Do it at once, answer after ``seconds``."""
    NO_RESULT = "no_result"
    """Do it, answer ``{"ok":true}``."""
    TRUNCATED = "truncated"
    """Do it, answer with the first half of the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault and whom it meets.

    Attributes:
        methods: Only these; none: all.
        chat_id: Only requests about this chat.
        times: How often; ``None``: until it is taken away.
        every: Only every so many matching requests.
    """

    trouble: Trouble
    methods: tuple[str, ...] = ()
    chat_id: int | None = None
    times: int | None = 1
    every: int = 1
    status: int | None = None
    description: str = "Internal Server Error: restart"
    body: str = ""
    seconds: float = 0.0

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Fault:
        """Read a fault from JSON.

        Raises:
            ValueError: A key or a value is not one of a fault.
        """
        known = {each.name for each in fields(cls)}
        if unknown := given.keys() - known:
            raise ValueError(f"unknown keys {sorted(unknown)}; known: {sorted(known)}")
        try:
            trouble = Trouble(given["trouble"])
        except KeyError:
            raise ValueError("trouble is missing") from None
        return cls(**{**given, "trouble": trouble, "methods": tuple(given.get("methods", ()))})

    def as_dict(self) -> dict[str, Any]:
        """Return the fault for JSON."""
        return asdict(self)


@dataclass(slots=True)
class _Armed:
    fault: Fault
    matched: int = 0
    used: int = 0


class Faults:
    """The faults that are switched on, asked in the order they were added."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self.predicate: Callable[[str, int | None], Fault | None] | None = None

    def add(self, *faults: Fault) -> None:
        """Switch faults on."""
        self._armed += [_Armed(fault) for fault in faults]

    def clear(self) -> None:
        """Switch all off."""
        self._armed.clear()
        self.predicate = None

    def take(self, method: str, chat_id: int | None) -> Fault | None:
        """Return the fault this request meets."""
        if self.predicate is not None and (fault := self.predicate(method, chat_id)) is not None:
            return fault
        for armed in self._armed:
            fault = armed.fault
            if fault.methods and method not in fault.methods:
                continue
            if fault.chat_id is not None and fault.chat_id != chat_id:
                continue
            armed.matched += 1
            if armed.matched % fault.every:
                continue
            armed.used += 1
            if fault.times is not None and armed.used >= fault.times:
                self._armed.remove(armed)
            return fault
        return None
