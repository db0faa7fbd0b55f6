"""Go's ``fmt`` over the value model: what ``print``, ``printf``, ``println`` and a bare ``{{value}}`` write.

A wrong verb is no error in Go: it is written into the text, ``%!d(string=x)``. Everything written is charged to
the budget piece by piece, so that a width of a million inside a list stops early.

Source: https://pkg.go.dev/fmt
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from alerting.templates import floats, literals
from alerting.templates.directives import PLAIN, Directive, FormatReader, Spec
from alerting.templates.limits import Budget
from alerting.templates.values import Struct, Uint8, sorted_items, type_name

_NIL: Final = "<nil>"
_MAX_RUNE: Final = 0x10FFFF
_BASES: Final = {"v": "d", "d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
_PREFIXES: Final = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}
_STRINGER_VERBS: Final = "vsxXq"
_FLOAT_VERBS: Final[dict[str, tuple[str, int | None]]] = {
    "v": ("g", None),
    "g": ("g", None),
    "G": ("G", None),
    "b": ("b", None),
    "x": ("x", None),
    "X": ("X", None),
    "e": ("e", 6),
    "E": ("E", 6),
    "f": ("f", 6),
    "F": ("f", 6),
}


def sprintf(budget: Budget, text: str, arguments: Sequence[object]) -> str:
    """Format as ``fmt.Sprintf`` does.

    Raises:
        LimitError: The text became too long.
    """
    printer = Printer(budget)
    reader = FormatReader(text, arguments)
    for piece in reader:
        if isinstance(piece, Directive):
            printer.write_value(arguments[piece.argument], piece.spec)
        else:
            printer.write(piece)
    if not reader.reordered and reader.argument < len(arguments):
        printer.write("%!(EXTRA ")
        for index, value in enumerate(arguments[reader.argument :]):
            printer.write(", " if index else "")
            printer.write(_NIL if value is None else f"{type_name(value)}=")
            if value is not None:
                printer.write_value(value, PLAIN)
        printer.write(")")
    return printer.text()


def sprint(budget: Budget, arguments: Sequence[object]) -> str:
    """Format as ``fmt.Sprint`` does: a space between two values neither of which is a string.

    Raises:
        LimitError: The text became too long.
    """
    printer = Printer(budget)
    before_string = True
    for index, value in enumerate(arguments):
        is_string = isinstance(value, str)
        if index and not is_string and not before_string:
            printer.write(" ")
        printer.write_value(value, PLAIN)
        before_string = is_string
    return printer.text()


def sprintln(budget: Budget, arguments: Sequence[object]) -> str:
    """Format as ``fmt.Sprintln`` does: spaces between all values, and a line break.

    Raises:
        LimitError: The text became too long.
    """
    printer = Printer(budget)
    for index, value in enumerate(arguments):
        printer.write(" " if index else "")
        printer.write_value(value, PLAIN)
    printer.write("\n")
    return printer.text()


def printable(value: object) -> object:
    """Return what a template writes for a value of its own: nil as ``<no value>``, a struct without its pointer."""
    if value is None:
        return "<no value>"
    if isinstance(value, Struct) and value.pointer:
        return replace(value, pointer=False)
    return value


class Printer:
    """Collects formatted text against a budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._parts: list[str] = []

    def text(self) -> str:
        """Return everything written."""
        return "".join(self._parts)

    def write(self, text: str) -> None:
        """Write text as it is."""
        self._budget.charge(text)
        self._parts.append(text)

    def write_value(self, value: object, spec: Spec, *, inside: bool = False) -> None:
        """Write a value; ``inside`` a list, map or struct a nil is written whatever the verb."""
        if value is None:
            self._nil(spec, inside=inside)
        elif spec.verb == "T" and not inside:
            self._pad(_cut(type_name(value), spec), spec, zero=spec.zero)
        elif spec.verb == "w":
            self._bad_verb(value, spec)
        else:
            self._write_kind(value, spec)

    def _write_kind(self, value: object, spec: Spec) -> None:
        match value:
            case bool():
                self._bool(value, spec)
            case int():
                self._integer(value, spec)
            case float():
                self._float(value, spec)
            case str():
                self._string(value, spec)
            case Struct():
                self._struct(value, spec)
            case Mapping():
                self._map(value, spec)
            case Sequence():
                self._slice(value, spec)
            case _:
                self._string(str(value), spec)

    def _pad(self, text: str, spec: Spec, *, zero: bool = False) -> None:
        missing = (spec.width or 0) - len(text)
        if missing > 0 and spec.minus:
            text += " " * missing
        elif missing > 0:
            text = ("0" if zero else " ") * missing + text
        self.write(text)

    def _bad_verb(self, value: object, spec: Spec) -> None:
        self.write(f"%!{spec.verb}(")
        self.write(_NIL if value is None else f"{type_name(value)}=")
        if value is not None:
            self.write_value(value, replace(spec, verb="v"))
        self.write(")")

    def _nil(self, spec: Spec, *, inside: bool) -> None:
        if inside:
            self.write("interface {}(nil)" if spec.go_syntax else _NIL)
        elif spec.verb in "vT":
            self._pad(_NIL, spec, zero=spec.zero)
        else:
            self._bad_verb(None, spec)

    def _bool(self, value: bool, spec: Spec) -> None:  # noqa: FBT001  # a value to write, not an option
        if spec.verb in "tv":
            self._pad("true" if value else "false", spec, zero=spec.zero)
        else:
            self._bad_verb(value, spec)

    def _integer(self, value: int, spec: Spec) -> None:
        if spec.verb in _BASES:
            self._digits(value, spec)
        elif spec.verb in "cq":
            rune = chr(value) if 0 <= value <= _MAX_RUNE and not 0xD800 <= value <= 0xDFFF else "\ufffd"
            text = rune if spec.verb == "c" else literals.quote(rune, sign="'", ascii_only=spec.plus)
            self._pad(text, spec, zero=spec.zero)
        elif spec.verb == "U":
            self._code_point(value, spec)
        else:
            self._bad_verb(value, spec)

    def _digits(self, value: int, spec: Spec) -> None:
        is_unsigned_syntax = spec.go_syntax and isinstance(value, Uint8)
        base = "x" if is_unsigned_syntax else _BASES[spec.verb]
        if spec.precision == 0 and value == 0:
            self._pad("", spec)
            return
        sign = "-" if value < 0 else "+" if spec.plus else " " if spec.space else ""
        least = spec.precision or 0
        if spec.precision is None and spec.zero and not spec.minus:
            least = (spec.width or 0) - len(sign)
        digits = format(abs(value), base).rjust(least, "0")
        if spec.sharp or is_unsigned_syntax:
            prefix = _PREFIXES.get(base, "")
            digits = digits if base == "o" and digits.startswith("0") else prefix + digits
        if spec.verb == "O":
            digits = "0o" + digits
        self._pad(sign + digits, spec)

    def _code_point(self, value: int, spec: Spec) -> None:
        code = value & 0xFFFFFFFFFFFFFFFF
        text = "U+" + f"{code:X}".rjust(max(spec.precision or 0, 4), "0")
        if spec.sharp and code <= _MAX_RUNE and chr(code).isprintable():
            text += f" '{chr(code)}'"
        self._pad(text, spec)

    def _float(self, value: float, spec: Spec) -> None:
        if spec.verb not in _FLOAT_VERBS:
            self._bad_verb(value, spec)
            return
        verb, default = _FLOAT_VERBS[spec.verb]
        precision = default if spec.precision is None else spec.precision
        text = floats.format_float(value, verb, precision)
        sign, number = (text[0], text[1:]) if text[0] in "+-" else ("+", text)
        if spec.space and sign == "+" and not spec.plus:
            sign = " "
        if number == "NaN":
            self._pad((sign if spec.space or spec.plus else "") + number, spec)
        elif number == "Inf":
            self._pad(sign + number, spec)
        else:
            self._finite(sign, number, precision, replace(spec, verb=verb))

    def _finite(self, sign: str, number: str, precision: int | None, spec: Spec) -> None:
        if spec.sharp and spec.verb != "b":
            wanted = (6 if precision is None else precision) if spec.verb in "gGx" else 0
            number = floats.with_point(number, digits=wanted)
        if not spec.plus and sign == "+":
            self._pad(number, spec, zero=spec.zero)
        elif spec.zero and not spec.minus:
            self.write(sign + number.rjust((spec.width or 0) - 1, "0"))
        else:
            self._pad(sign + number, spec)

    def _string(self, value: str, spec: Spec) -> None:
        if spec.verb == "q" or (spec.verb == "v" and spec.go_syntax):
            cut = _cut(value, spec)
            raw = spec.sharp and _can_backquote(cut)
            text = f"`{cut}`" if raw else literals.quote(cut, ascii_only=spec.plus)
            self._pad(text, spec, zero=spec.zero)
        elif spec.verb in "vs":
            self._pad(_cut(value, spec), spec, zero=spec.zero)
        elif spec.verb in "xX":
            self._pad(_hexadecimal(value, spec), spec, zero=spec.zero)
        else:
            self._bad_verb(value, spec)

    def _map(self, value: Mapping[object, object], spec: Spec) -> None:
        self._budget.enter()
        self.write(f"{type_name(value)}{{" if spec.go_syntax else "map[")
        for index, (key, element) in enumerate(sorted_items(value)):
            self._separate(index, spec)
            self.write_value(key, spec, inside=True)
            self.write(":")
            self.write_value(element, spec, inside=True)
        self.write("}" if spec.go_syntax else "]")
        self._budget.leave()

    def _slice(self, value: Sequence[object], spec: Spec) -> None:
        self._budget.enter()
        self.write(f"{type_name(value)}{{" if spec.go_syntax else "[")
        for index, element in enumerate(value):
            self._separate(index, spec)
            self.write_value(element, spec, inside=True)
        self.write("}" if spec.go_syntax else "]")
        self._budget.leave()

    def _struct(self, value: Struct, spec: Spec) -> None:
        if value.text is not None and spec.verb in _STRINGER_VERBS and not spec.go_syntax:
            self._string(value.text, spec)
            return
        self._budget.enter()
        self.write(("&" if value.pointer else "") + (value.type_name if spec.go_syntax else "") + "{")
        for index, (name, element) in enumerate(value.fields.items()):
            self._separate(index, spec)
            self.write(f"{name}:" if spec.field_names or spec.go_syntax else "")
            self.write_value(element, spec, inside=True)
        self.write("}")
        self._budget.leave()

    def _separate(self, index: int, spec: Spec) -> None:
        if index:
            self.write(", " if spec.go_syntax else " ")


def _cut(text: str, spec: Spec) -> str:
    return text if spec.precision is None else text[: spec.precision]


def _hexadecimal(value: str, spec: Spec) -> str:
    raw = literals.as_bytes(value)[: spec.precision]
    prefix = f"0{spec.verb}" if spec.sharp and raw else ""
    if spec.space:
        return " ".join(prefix + format(byte, f"02{spec.verb}") for byte in raw)
    return prefix + (raw.hex() if spec.verb == "x" else raw.hex().upper())


def _can_backquote(text: str) -> bool:
    return not any(
        ch in "`\x7f\ufeff" or (ch < " " and ch != "\t") or "\ud800" <= ch <= "\udfff" for ch in text
    )
