"""From the daemon's answer to a log request to what may be shown: lines with their times, cleaned, masked, few and short. Pure.

The daemon sends a container's two streams in frames (a stream's number, three zeros, the length, then one message), or, when it has a
terminal, what the terminal got. Which of the two is read off the beginning: with timestamps asked for, what is not framed begins with a digit.
A message longer than 16 KiB comes in pieces, each with a timestamp of its own, only the last of which ends its line.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from exporter.details.mask import mask
from exporter.details.text import ELLIPSIS, clean, clip

__all__ = ["Excerpt", "Line", "excerpt", "lines_of", "to_json"]

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
    """

    at: str | None
    stream: str | None
    text: str


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


def lines_of(raw: bytes) -> tuple[Line, ...]:
    """Read the daemon's answer, asked for with timestamps; bytes that are no UTF-8 become U+FFFD. A last frame may be cut."""
    messages = _frames(raw) if raw[1:4] == b"\0\0\0" and raw[0] in _STREAMS else _terminal(raw)
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
    return tuple(lines)


def excerpt(lines: Sequence[Line], *, tail: int, most_bytes: int) -> Excerpt:
    """Return the newest lines, cleaned and masked.

    Args:
        lines: As `lines_of` gives them.
        tail: How many at most.
        most_bytes: How long they may be as JSON (`to_json`), together; the newest are kept.
    """
    newest = lines[-tail:]
    cleaned = [clean(line.text) for line in newest]
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
        or any(len(text) > _LOOKED_AT for text in cleaned)
        or any(len(text) > _SHOWN for text in texts),
    )


def to_json(line: Line) -> dict[str, Any]:
    """Return a line as the answer has it."""
    return {"at": line.at, "stream": line.stream, "text": line.text}


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
