"""Draws what a phone shows, with box characters, for a terminal of 80 columns. Pure: messages in, lines out."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 58
INDENT: Final = 20
_INSIDE: Final = WIDTH - 4
_JOINER, _EMOJI = "\u200d", "\ufe0f"
_INVISIBLE: Final = {"Mn", "Me", "Cf"}
# The mark that opens a message decides the colour of its frame; the words carry the same for who sees no colours.
_FRAMES: Final = {"🔴": "31", "🟠": "33", "🔵": "34", "✅": "32"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bubble:
    """One message as it appears.

    Attributes:
        clock: When it arrived, as the phone writes it.
        edit: It is an earlier message that changed its text.
        answers: The first line of the message it answers; empty: it answers none.
        aside: A few words left of the bubble.
    """

    text: str
    clock: str
    edit: bool = False
    silent: bool = False
    answers: str = ""
    aside: str = ""


class Paint:
    """Colours text for a terminal, or leaves it alone."""

    def __init__(self, *, on: bool) -> None:
        self._on = on

    def __call__(self, code: str, text: str) -> str:
        """Wrap text into an SGR code such as ``31`` or ``1;32``."""
        return f"\x1b[{code}m{text}\x1b[0m" if self._on and text else text

    def bold(self, text: str) -> str:
        """Make text stand out."""
        return self("1", text)

    def dim(self, text: str) -> str:
        """Let text step back."""
        return self("2", text)


def columns(text: str) -> int:
    """Return how many columns a terminal gives to a text.

    Emoji and East Asian wide characters take two, also a narrow sign that asks to be shown as an emoji; accents,
    joiners and what is joined to an emoji take none.
    """
    total = width = 0
    before = ""
    for sign in text:
        if sign == _EMOJI:
            width = 2 - width if width else 0
        elif before == _JOINER or unicodedata.category(sign) in _INVISIBLE:
            width = 0
        else:
            width = 2 if unicodedata.east_asian_width(sign) in {"W", "F"} else 1
        total += width
        before = sign
    return total


def wrap(text: str, width: int) -> list[str]:
    """Break a text into lines of at most so many columns, between words where it can."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if columns(joined) <= width:
            lines[-1] = joined
            continue
        pieces = list(_pieces(word, width))
        lines[-1:] = [lines[-1], *pieces] if lines[-1] else pieces
    return lines


def clip(text: str, width: int) -> str:
    """Shorten a text to so many columns; what was cut ends in an ellipsis."""
    if columns(text) <= width:
        return text
    while columns(text) > width - 1:
        text = text[:-1]
    return f"{text.rstrip()}…"


def draw(bubble: Bubble, paint: Paint) -> list[str]:
    """Draw a bubble, `INDENT` columns from the left; the room beside its first line shows what is aside."""
    first, *rest = bubble.text.split("\n")
    colour = _FRAMES.get(first[:1], "90")
    rows = [(paint.dim(quoted), columns(quoted)) for quoted in _quote(bubble)]
    rows += [(paint.bold(line), columns(line)) for line in wrap(first, _INSIDE)]
    rows += [(line, columns(line)) for part in rest for line in wrap(part, _INSIDE)]
    state = _state(bubble)
    rows.append((" " * (_INSIDE - columns(state)) + paint.dim(state), _INSIDE))
    side = paint(colour, "│")
    edge = "┄" if bubble.edit else "─"
    framed = [
        paint(colour, f"╭{edge * (WIDTH - 2)}╮"),
        *(f"{side} {line}{' ' * (_INSIDE - width)} {side}" for line, width in rows),
        paint(colour, f"╰{edge * (WIDTH - 2)}╯"),
    ]
    aside = f"{bubble.aside:>{INDENT - 2}}"
    margins = ["", paint.dim(aside) if bubble.aside else ""]
    margins += [""] * (len(framed) - 2)
    return [
        (margin or " " * (INDENT - 2)) + "  " + line for margin, line in zip(margins, framed, strict=True)
    ]


def _quote(bubble: Bubble) -> list[str]:
    return [f"┃ {clip(bubble.answers, _INSIDE - 2)}"] if bubble.answers else []


def _state(bubble: Bubble) -> str:
    """The line below the text: an edit never makes a sound, so only a new message says whether it did."""
    if bubble.edit:
        return f"edited {bubble.clock}"
    return f"{'🔕 silent' if bubble.silent else '🔔'}  {bubble.clock}"


def _pieces(word: str, width: int) -> Iterator[str]:
    """Cut a word that may be longer than a line."""
    piece = ""
    for sign in word:
        if piece and columns(piece + sign) > width:
            yield piece
            piece = ""
        piece += sign
    yield piece
