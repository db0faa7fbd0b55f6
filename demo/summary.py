"""The table at the end: what happened, how it was told, and after how many seconds. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from demo.phone import Paint, clip, columns, wrap

_EVENT: Final = 24
_MESSAGE: Final = 44
_SECONDS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One row.

    Attributes:
        message: Its first line.
        seconds: From the daemon's time of the event to the request at Telegram.
        waits: Why the message comes later on purpose; empty: it does not.
    """

    event: str
    message: str
    seconds: float
    waits: str = ""


def table(rows: Sequence[Measured], paint: Paint) -> list[str]:
    """Lay the rows out, those that wait on purpose apart, with the median and the longest of the others."""
    at_once = [row for row in rows if not row.waits]
    lines = [paint.bold(_line("what happened", "what the phone said", "sec"))]
    lines += _rows(at_once)
    if at_once:
        seconds = [row.seconds for row in at_once]
        total = f"p50 {statistics.median(seconds):.2f} s · max {max(seconds):.2f} s"
        lines += ["", paint.bold(f"  {total}"), paint.dim("  from Docker's event to the request at Telegram")]
    later = [row for row in rows if row.waits]
    if later:
        lines += ["", paint.bold("  Later on purpose")]
    for row in later:
        lines += [*_rows([row]), *(paint.dim(f"  {'':{_EVENT}}  {why}") for why in wrap(row.waits, _MESSAGE))]
    return lines


def _rows(rows: Iterable[Measured]) -> list[str]:
    return [_line(row.event, row.message, f"{row.seconds:.2f}") for row in rows]


def _line(event: str, message: str, seconds: str) -> str:
    return f"  {_fill(event, _EVENT)}  {_fill(message, _MESSAGE)}{seconds:>{_SECONDS}}"


def _fill(text: str, width: int) -> str:
    clipped = clip(text, width)
    return clipped + " " * (width - columns(clipped))
