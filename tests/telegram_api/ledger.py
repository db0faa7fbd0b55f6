"""All that the stand-in was asked, and what it answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

WRITES: Final = frozenset({"sendMessage", "editMessageText", "editMessageReplyMarkup", "deleteMessage"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request.

    Attributes:
        text: What people see of it after parsing, or the raw argument if it was refused.
        message_id: The message it made, changed or took away.
        at: When, on the caller's steady clock, in seconds.
        wall: When, in Unix seconds.
        status: The HTTP status that was meant; 0: the connection was refused.
        description: Why it was refused; empty when it was not.
        applied: It had its effect.
        answered: The answer left as it was meant: whole, and over a connection that stayed.
    """

    method: str
    params: dict[str, str]
    chat_id: int | None
    text: str | None
    message_id: int | None
    at: float
    wall: float
    status: int
    description: str
    applied: bool
    answered: bool


class Ledger:
    """The entries in the order they came; the oldest go when there are too many."""

    def __init__(self, most: int = 100_000) -> None:
        self.entries: list[Entry] = []
        self._most = most

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def add(self, entry: Entry) -> None:
        """Add what just happened."""
        self.entries.append(entry)
        if len(self.entries) > self._most:
            del self.entries[: self._most // 10]

    def of(self, method: str, chat_id: int | None = None, *, applied: bool | None = None) -> list[Entry]:
        """Return the entries of a method, perhaps of one chat, perhaps only those that had their effect."""
        return [
            entry
            for entry in self.entries
            if entry.method == method
            and (chat_id is None or entry.chat_id == chat_id)
            and (applied is None or entry.applied is applied)
        ]

    def writes(self, chat_id: int | None = None) -> list[Entry]:
        """Return every request that wanted to change a chat."""
        return [e for e in self.entries if e.method in WRITES and (chat_id is None or e.chat_id == chat_id)]

    def busiest(self, chat_id: int, window: float = 60.0) -> int:
        """Return the most applied writes of a chat within any stretch of ``window`` seconds."""
        times = [entry.at for entry in self.writes(chat_id) if entry.applied]
        return max((sum(start <= at < start + window for at in times) for start in times), default=0)

    def refusals(self) -> list[Entry]:
        """Return what was not answered with 200."""
        return [entry for entry in self.entries if entry.status != 200]

    def as_list(self, since: int = 0) -> list[dict[str, Any]]:
        """Return the entries from the given number on, for JSON."""
        return [asdict(entry) for entry in self.entries[since:]]
