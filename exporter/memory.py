"""What the exporter remembers of every container name: counters, last exit, last OOM kill.

A name has one book. It starts at 0 when the name becomes known, goes on when the container is re-created, follows a rename, and is
dropped a day after the container went. Counters only ever rise. The text form is the state file of docs/interfaces.md, section 3;
reading and writing the file is not done here.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from exporter.docker.containers import is_temporary
from exporter.docker.exits import Exit, ExitReason

__all__ = ["COUNTED_REASONS", "Book", "Memory", "MemoryFormatError"]

_VERSION: Final = 1
_FORGET_SECONDS: Final = 24 * 3600.0

# An exit nobody saw is not counted.
COUNTED_REASONS: Final = tuple(reason for reason in ExitReason if reason is not ExitReason.UNKNOWN)


class MemoryFormatError(ValueError):
    """A text is not a memory this version understands; the text says why."""


@dataclass(slots=True, kw_only=True)
class Book:
    """One name's counters and last facts; times in Unix seconds.

    Attributes:
        id: The container that has (or had) the name.
        first_seen: When the name became known: the counters' zero.
        gone_at: When the container was removed; None while it exists.
    """

    id: str
    first_seen: float
    gone_at: float | None = None
    restarts: int = 0
    exits: dict[ExitReason, int] = field(default_factory=dict)
    last_exit: Exit | None = None
    last_oom: float | None = None
    oom_events: int = 0

    def count_exit(self, reason: ExitReason) -> None:
        """Count one exit, unless nobody saw it."""
        if reason in COUNTED_REASONS:
            self.exits[reason] = self.exits.get(reason, 0) + 1


class Memory:
    """The books of all names.

    Args:
        books: What was remembered before.
        last_event_time_nano: The newest event whose effects are in the books.

    Attributes:
        services: What `ComposeExpectations.dumps` says, kept for it.
    """

    def __init__(self, books: Mapping[str, Book] | None = None, *, last_event_time_nano: int = 0) -> None:
        self._books = dict(books or {})
        self.last_event_time_nano = last_event_time_nano
        self.services: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._books)

    def open(self, name: str, container: str, now: float) -> Book:
        """Return the name's book, begun now if there is none, as belonging to this container.

        A name that Compose gives for a moment gets a book that is not kept.
        """
        if is_temporary(name):
            return Book(id=container, first_seen=now)
        book = self._books.get(name)
        if book is None:
            book = self._books[name] = Book(id=container, first_seen=now)
        book.id, book.gone_at = container, None
        return book

    def get(self, name: str) -> Book | None:
        """Return the name's book if there is one."""
        return self._books.get(name)

    def rename(self, old: str, new: str, container: str, now: float) -> Book:
        """Let a container's book follow it to its new name, and return it.

        A name that has a book goes on with that: its counters must not jump by what another container did under another name. Names
        that Compose gives for a moment are never followed; the counters stay with the real name.
        """
        if is_temporary(new) or old == new:
            return self.open(new, container, now)
        book = self._books.get(old)
        moves = book is not None and book.id == container
        if book is not None and moves:
            del self._books[old]
            if new not in self._books:
                self._books[new] = book
        return self.open(new, container, now)

    def gone(self, name: str, container: str, now: float) -> None:
        """Note that a container was removed, unless another one has its name by now."""
        book = self._books.get(name)
        if book is not None and book.id == container:
            book.gone_at = now

    def forget(self, present: Iterable[str], now: float) -> None:
        """Drop the books of containers gone for a day; those present are not gone, whatever was noted."""
        here = set(present)
        for name, book in list(self._books.items()):
            if name in here:
                book.gone_at = None
            elif book.gone_at is None:
                book.gone_at = now
            elif now - book.gone_at > _FORGET_SECONDS:
                del self._books[name]

    def to_text(self, unsettled: Mapping[str, ExitReason] | None = None) -> str:
        """Return the state file's text.

        Args:
            unsettled: Name to reason of exits whose reason is still provisional. They are written as counted: whoever reads the file
                will not see the event again.
        """
        books = {
            name: _to_json(book, (unsettled or {}).get(name)) for name, book in sorted(self._books.items())
        }
        return json.dumps(
            {
                "v": _VERSION,
                "last_event_time_nano": self.last_event_time_nano,
                "containers": books,
                "services": self.services,
            }
        )

    @classmethod
    def from_text(cls, text: str) -> "Memory":
        """Read the state file's text.

        Raises:
            MemoryFormatError: It is not JSON, of another version, or not what this version writes.
        """
        try:
            raw = json.loads(text)
        except ValueError as exc:
            raise MemoryFormatError("it is not JSON") from exc
        if not isinstance(raw, dict) or raw.get("v") != _VERSION:
            raise MemoryFormatError(f"its version is not {_VERSION}")
        try:
            books = {str(name): _from_json(entry) for name, entry in raw["containers"].items()}
            memory = cls(books, last_event_time_nano=int(raw["last_event_time_nano"]))
            memory.services = dict(raw.get("services", {}))
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise MemoryFormatError(f"it is damaged ({type(exc).__name__}: {exc})") from exc
        return memory


def _to_json(book: Book, unsettled: ExitReason | None) -> dict[str, Any]:
    exits = {reason.value: count for reason, count in book.exits.items()}
    if unsettled is not None:
        exits[unsettled.value] = exits.get(unsettled.value, 0) + 1
    last = book.last_exit
    return {
        "id": book.id,
        "first_seen": book.first_seen,
        "gone_at": book.gone_at,
        "restarts": book.restarts,
        "exits": dict(sorted(exits.items())),
        "last_exit": None
        if last is None
        else {"reason": last.reason.value, "code": last.code, "at": last.at},
        "last_oom": book.last_oom,
        "oom_events": book.oom_events,
    }


def _from_json(raw: Mapping[str, Any]) -> Book:
    last = raw["last_exit"]
    return Book(
        id=str(raw["id"]),
        first_seen=float(raw["first_seen"]),
        gone_at=_time(raw["gone_at"]),
        restarts=int(raw["restarts"]),
        exits={ExitReason(reason): int(count) for reason, count in raw["exits"].items()},
        last_exit=None
        if last is None
        else Exit(reason=ExitReason(last["reason"]), code=int(last["code"]), at=float(last["at"])),
        last_oom=_time(raw["last_oom"]),
        oom_events=int(raw["oom_events"]),
    )


def _time(raw: Any) -> float | None:
    return None if raw is None else float(raw)
