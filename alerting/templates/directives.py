"""Read a ``printf`` format: which pieces are text, and what each verb asks of which argument.

Source: https://pkg.go.dev/fmt#hdr-Printing
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_TOO_LARGE: Final = 1_000_000
_FLAGS: Final = {"-": "minus", "+": "plus", "#": "sharp", " ": "space", "0": "zero"}
_OF_V: Final = {"plus": "field_names", "sharp": "go_syntax"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One directive: its verb, flags, width and precision.

    With ``%+v`` and ``%#v`` the flags of the same sign are off, and ``field_names`` or ``go_syntax`` on.
    """

    verb: str = "v"
    minus: bool = False
    plus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    width: int | None = None
    precision: int | None = None
    field_names: bool = False
    go_syntax: bool = False


PLAIN: Final = Spec()


@dataclass(frozen=True, slots=True)
class Directive:
    """A verb to write, and the argument it takes."""

    spec: Spec
    argument: int


class FormatReader:
    """Walk through a format; yields text as ``str`` and verbs as :class:`Directive`.

    After the walk, ``argument`` is the first argument nobody asked for, and ``reordered`` tells whether the format
    named arguments by number (then Go does not report surplus ones).
    """

    def __init__(self, text: str, arguments: Sequence[object]) -> None:
        self._text = text
        self._arguments = arguments
        self._pos = 0
        self._good_number = True
        self._after_number = False
        self.argument = 0
        self.reordered = False

    def __iter__(self) -> Iterator[str | Directive]:
        text = self._text
        while self._pos < len(text):
            percent = text.find("%", self._pos)
            if percent < 0:
                yield text[self._pos :]
                self._pos = len(text)
                return
            if percent > self._pos:
                yield text[self._pos : percent]
            self._pos = percent + 1
            yield from self._directive()

    def _directive(self) -> Iterator[str | Directive]:
        self._good_number, self._after_number = True, False
        flags = self._flags()
        self._argument_number()
        width, complaint = self._width(flags)
        if complaint:
            yield complaint
        precision, complaint = self._precision()
        if complaint:
            yield complaint
        if not self._after_number:
            self._argument_number()
        if self._pos >= len(self._text):
            yield "%!(NOVERB)"
            return
        verb = self._text[self._pos]
        self._pos += 1
        if verb == "%":
            yield "%"
        elif not self._good_number:
            yield f"%!{verb}(BADINDEX)"
        elif self.argument >= len(self._arguments):
            yield f"%!{verb}(MISSING)"
        else:
            yield Directive(_spec(verb, flags, width, precision), self.argument)
            self.argument += 1

    def _flags(self) -> dict[str, bool]:
        flags = {}
        while (sign := self._text[self._pos : self._pos + 1]) in _FLAGS:
            flags[_FLAGS[sign]] = True
            self._pos += 1
        return flags

    def _width(self, flags: dict[str, bool]) -> tuple[int | None, str]:
        if not self._text.startswith("*", self._pos):
            width = self._digits()
            if self._after_number and width is not None:
                self._good_number = False
            return width, ""
        self._pos += 1
        width = self._integer_argument()
        self._after_number = False
        if width is None:
            return None, "%!(BADWIDTH)"
        if width < 0:
            flags["minus"] = True
        return abs(width), ""

    def _precision(self) -> tuple[int | None, str]:
        if self._pos + 1 >= len(self._text) or self._text[self._pos] != ".":
            return None, ""
        self._pos += 1
        if self._after_number:
            self._good_number = False
        self._argument_number()
        if not self._text.startswith("*", self._pos):
            return self._digits() or 0, ""
        self._pos += 1
        precision = self._integer_argument()
        self._after_number = False
        if precision is None or precision < 0:
            return None, "%!(BADPREC)"
        return precision, ""

    def _digits(self) -> int | None:
        start = self._pos
        value = 0
        while "0" <= (digit := self._text[self._pos : self._pos + 1]) <= "9":
            if value > _TOO_LARGE:
                self._pos = len(self._text)
                return None
            value = value * 10 + int(digit)
            self._pos += 1
        return value if self._pos > start else None

    def _integer_argument(self) -> int | None:
        if self.argument >= len(self._arguments):
            return None
        value = self._arguments[self.argument]
        self.argument += 1
        if isinstance(value, bool) or not isinstance(value, int):
            return None
        return value if -_TOO_LARGE <= value <= _TOO_LARGE else None

    def _argument_number(self) -> None:
        """Read ``[n]``, which names the next argument, if it is here."""
        self._after_number = False
        if not self._text.startswith("[", self._pos):
            return
        self.reordered = True
        end = self._text.find("]", self._pos)
        if end < 0:
            self._pos += 1
            self._good_number = False
            return
        inner = self._text[self._pos + 1 : end]
        self._pos = end + 1
        number = int(inner) - 1 if inner.isascii() and inner.isdigit() and len(inner) < 8 else -1
        self._after_number = number >= 0
        if 0 <= number < len(self._arguments):
            self.argument = number
        else:
            self._good_number = False


def _spec(verb: str, flags: dict[str, bool], width: int | None, precision: int | None) -> Spec:
    if verb in "vw":
        flags = {_OF_V.get(name, name): on for name, on in flags.items()}
    return Spec(verb=verb, width=width, precision=precision, **flags)
