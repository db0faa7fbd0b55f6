"""From the daemon's answer to a log request to what may be shown: lines with their times, cleaned, masked, few and short. Pure.

The daemon sends a container's two streams in frames (a stream's number, three zeros, the length, then one message), or, when it has a
terminal, what the terminal got. Which of the two is read off the beginning: with timestamps asked for, what is not framed begins with a digit.
A message longer than 16 KiB comes in pieces, each with a time before it (the first piece's; old daemons give each its own), only
the last of which ends its line.

The daemon counts pieces when it is asked for so many of the newest. An answer may thus begin with the end of a message, and a value that stands
there has lost its name: nobody could tell that it is a secret. So one more is asked for than wanted (`asked_for`), and if there are that many, the
text of the line that the answer begins with is not shown, nor is the first of the other stream if it is not newer: either may be such an end.
Where pieces have times of their own, that of the other stream is not found.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from exporter.details.mask import mask
from exporter.details.text import ELLIPSIS, clean, clip

__all__ = ["Excerpt", "Line", "asked_for", "excerpt", "lines_of", "to_json"]

_PIECE: Final = 16384
_HEADER: Final = struct.Struct(">B3sL")
_STREAMS: Final = {
    0: "stdin",
    1: "stdout",
    2: "stderr",
    3: "stderr",
}  # 3: the daemon's own trouble in the middle of an answer

# A person reads the beginning of a line; masking looks a good deal further, so that no value is cut in two before it is recognised.
_SHOWN: Final = 1000
_LOOKED_AT: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a container's log.

    Attributes:
        at: RFC 3339 in UTC; None when the daemon gave no time.
        stream: `stdout` or `stderr`; None for a terminal.
        is_rest: It may be the end of a longer line, whose beginning is not here.
    """

    at: str | None
    stream: str | None
    text: str
    is_rest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """The newest lines, oldest first, fit to be shown.

    Attributes:
        masked: How many values were masked.
        truncated: A line was left out or cut because of its size.
    """

    lines: tuple[Line, ...]
    masked: int
    truncated: bool


def asked_for(tail: int) -> int:
    """Return how many of the newest to ask the daemon for, so that as many lines can be shown."""
    return tail + 1


def lines_of(raw: bytes, *, asked: int | None = None) -> tuple[Line, ...]:
    """Read the daemon's answer, asked for with timestamps; bytes that are no UTF-8 become U+FFFD. A last frame may be cut.

    Args:
        raw: The answer.
        asked: How many of the newest the daemon was asked for; None: for all there are.
    """
    is_framed = raw[1:4] == b"\0\0\0" and raw[0] in _STREAMS
    messages = tuple(_frames(raw) if is_framed else _terminal(raw))
    lines: list[Line] = []
    begun: dict[str | None, tuple[str | None, list[bytes]]] = {}
    for stream, message in messages:
        at, text = _timed(message)
        if stream in begun:
            begun[stream][1].append(text)
        else:
            begun[stream] = (at, [text])
        if message.endswith(b"\n"):
            lines.append(_line(stream, *begun.pop(stream)))
    lines += [_line(stream, at, parts) for stream, (at, parts) in begun.items()]
    count = len(messages) if is_framed else sum(1 + len(message) // _PIECE for _, message in messages)
    return tuple(lines if asked is None or count < asked else _doubted(lines, _timed(messages[0][1])[0]))


def excerpt(lines: Sequence[Line], *, tail: int, most_bytes: int) -> Excerpt:
    """Return the newest lines, cleaned and masked.

    Args:
        lines: As `lines_of` gives them.
        tail: How many at most.
        most_bytes: How long they may be as JSON (`to_json`), together; the newest are kept.
    """
    newest = lines[-tail:]
    cleaned = [ELLIPSIS if line.is_rest else clean(line.text) for line in newest]
    found = mask("\n".join(_looked_at(text) for text in cleaned))
    # Masking keeps the number of lines: strict says so.
    texts = [
        masked + ELLIPSIS if len(text) > _LOOKED_AT else masked
        for text, masked in zip(cleaned, found.text.split("\n") if cleaned else (), strict=True)
    ]
    shown = [replace(line, text=clip(text, _SHOWN)) for line, text in zip(newest, texts, strict=True)]
    fitting = _newest(shown, most_bytes)
    return Excerpt(
        lines=tuple(shown[len(shown) - fitting :]),
        masked=found.count,
        truncated=fitting < len(shown)
        or any(line.is_rest for line in newest)
        or any(len(text) > _LOOKED_AT for text in cleaned)
        or any(len(text) > _SHOWN for text in texts),
    )


def to_json(line: Line) -> dict[str, Any]:
    """Return a line as the answer has it."""
    return {"at": line.at, "stream": line.stream, "text": line.text}


def _doubted(lines: Sequence[Line], start: str | None) -> Iterator[Line]:
    """Mark the first line of each stream that may have begun before the answer does; times are text of one form, so they compare."""
    seen: set[str | None] = set()
    for line in lines:
        is_new = line.stream in seen or (line.at is not None and start is not None and line.at > start)
        seen.add(line.stream)
        yield line if is_new else replace(line, is_rest=True)


def _frames(raw: bytes) -> Iterator[tuple[str | None, bytes]]:
    place = 0
    while place + _HEADER.size <= len(raw):
        number, _, length = _HEADER.unpack_from(raw, place)
        place += _HEADER.size
        yield _STREAMS.get(number, "stdout"), raw[place : place + length]
        place += length


def _terminal(raw: bytes) -> Iterator[tuple[str | None, bytes]]:
    for message in raw.split(b"\n"):
        if message:
            yield None, message + b"\n"


def _timed(message: bytes) -> tuple[str | None, bytes]:
    """Split a message into its time and its text."""
    stamp, space, text = message.partition(b" ")
    if space and 20 <= len(stamp) <= 35:
        try:
            at = datetime.fromisoformat(stamp.decode("ascii"))
        except ValueError:
            return None, message
        if at.tzinfo is not None:
            return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z", text
    return None, message


def _line(stream: str | None, at: str | None, parts: list[bytes]) -> Line:
    return Line(at=at, stream=stream, text=b"".join(parts).decode("utf-8", "replace"))


def _looked_at(text: str) -> str:
    """Cut a very long line, at a space: half a value could not be recognised as a secret."""
    if len(text) <= _LOOKED_AT:
        return text
    head, _, cut = text[:_LOOKED_AT].rpartition(" ")
    return head if len(cut) < _LOOKED_AT - _SHOWN else text[:_LOOKED_AT]


def _newest(lines: Sequence[Line], most_bytes: int) -> int:
    """Return how many of the last lines fit."""
    room = most_bytes
    for fitting, line in enumerate(reversed(lines)):
        room -= len(json.dumps(to_json(line), ensure_ascii=False).encode()) + 2
        if room < 0:
            return fitting
    return len(lines)
