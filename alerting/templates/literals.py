r"""Go's constants, read as the Go compiler reads them: numbers, characters and strings.

A Go string is bytes. Here it is a ``str`` in which a byte that is not UTF-8 stands as a surrogate escape, so that
``"\xff"``, ``index`` and ``slice`` mean the same as in Go; see :func:`as_bytes`.

Source: https://go.dev/ref/spec#Lexical_elements
"""

from __future__ import annotations

import re
from typing import Final

_SIMPLE: Final = {
    "a": 7,
    "b": 8,
    "f": 12,
    "n": 10,
    "r": 13,
    "t": 9,
    "v": 11,
    "\\": 92,
}
_WIDTHS: Final = {"x": 2, "u": 4, "U": 8}
_LEGACY_OCTAL: Final = re.compile(r"0_?[0-7]+(_[0-7]+)*")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HEXADECIMAL: Final = re.compile(
    r"[+-]?0[xX](?:[0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+"
)
_MISPLACED_UNDERSCORE: Final = re.compile(r"(?<![0-9a-fA-FxX])_|_(?![0-9a-fA-F])")
_SPECIAL: Final = re.compile(r"[+-]?inf(?:inity)?|nan", re.IGNORECASE)
_INT64: Final = range(-(1 << 63), 1 << 63)


def as_bytes(text: str) -> bytes:
    """Return the bytes of a Go string."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that no byte escaped to
        return text.encode("utf-8", "surrogatepass")


def from_bytes(raw: bytes) -> str:
    """Return the Go string made of these bytes."""
    return raw.decode("utf-8", "surrogateescape")


def clean(text: str) -> str:
    """Replace what is not UTF-8 by U+FFFD, as Go does where a string becomes JSON."""
    if text.isascii():
        return text
    whole = from_bytes(as_bytes(text))
    return "".join("�" if "\ud800" <= ch <= "\udfff" else ch for ch in whole)


def parse_integer(text: str) -> int | None:
    """Read an integer constant of any base, or return None; the size is the caller's to check."""
    body = text.lstrip("+-")
    try:
        value = int(body.replace("_", ""), 8) if _LEGACY_OCTAL.fullmatch(body) else int(body, 0)
    except ValueError:
        return None
    return -value if text.startswith("-") else value


def fits_int(value: int) -> bool:
    """Tell whether Go's ``int`` holds the value."""
    return value in _INT64


def parse_float(text: str) -> float:
    """Read a float as Go's ``strconv.ParseFloat`` does.

    Raises:
        ValueError: With Go's message: invalid syntax, or value out of range.
    """
    if _SPECIAL.fullmatch(text):
        return float(text)
    digits = text if _MISPLACED_UNDERSCORE.search(text) else text.replace("_", "")
    if _DECIMAL.fullmatch(digits):
        value = float(digits)
    elif _HEXADECIMAL.fullmatch(digits):
        try:
            value = float.fromhex(digits)
        except OverflowError:
            value = float("inf")
    else:
        raise ValueError(f"strconv.ParseFloat: parsing {quote(text)}: invalid syntax")
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"strconv.ParseFloat: parsing {quote(text)}: value out of range")
    return value


def unquote(literal: str) -> str:
    """Return the string that a quoted or raw constant stands for.

    Raises:
        ValueError: Not a valid constant.
    """
    if literal.startswith("`"):
        return literal[1:-1].replace("\r", "")
    out = bytearray()
    pos, end = 1, len(literal) - 1
    while pos < end:
        if literal[pos] != "\\":
            out += as_bytes(literal[pos])
            pos += 1
            continue
        value, is_byte, pos = _escape(literal, pos + 1, end, '"')
        out += bytes([value]) if is_byte else chr(value).encode()
    return from_bytes(bytes(out))


def unquote_character(literal: str) -> int:
    """Return the code of a character constant.

    Raises:
        ValueError: Not a valid constant.
    """
    end = len(literal) - 1
    if end < 2:  # ''
        raise ValueError("invalid syntax")
    if literal[1] == "\\":
        value, _, pos = _escape(literal, 2, end, "'")
    else:
        value, pos = ord(literal[1]), 2
    if pos != end:
        raise ValueError(f"malformed character constant: {literal}")
    return value


def _escape(literal: str, pos: int, end: int, quote_sign: str) -> tuple[int, bool, int]:
    """Read the escape whose letter is at this place: its value, whether it is a byte, and what follows."""
    letter = literal[pos]
    if letter == quote_sign:
        return ord(letter), False, pos + 1
    if letter in _SIMPLE:
        return _SIMPLE[letter], False, pos + 1
    if letter in _WIDTHS:
        base, start, stop = 16, pos + 1, pos + 1 + _WIDTHS[letter]
    else:
        base, start, stop = 8, pos, pos + 3
    digits = literal[start : min(stop, end)]
    allowed = "01234567" if base == 8 else "0123456789abcdefABCDEF"
    if len(digits) != stop - start or not all(digit in allowed for digit in digits):
        raise ValueError("invalid syntax")
    value = int(digits, base)
    is_byte = letter not in "uU"
    if (is_byte and value > 0xFF) or value > 0x10FFFF or (not is_byte and 0xD800 <= value <= 0xDFFF):
        raise ValueError("invalid syntax")
    return value, is_byte, stop


_NAMED: Final = {7: "\\a", 8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t", 11: "\\v", 92: "\\\\"}


def quote(text: str, *, sign: str = '"', ascii_only: bool = False) -> str:
    """Write a string (or, with ``sign="'"``, a character) as a Go constant."""
    if text.isascii() and text.isprintable() and sign not in text and "\\" not in text:
        return f"{sign}{text}{sign}"
    return sign + "".join(_quoted_rune(ch, sign, ascii_only=ascii_only) for ch in text) + sign


def _quoted_rune(character: str, sign: str, *, ascii_only: bool) -> str:
    code = ord(character)
    if character == sign or code in _NAMED:
        return _NAMED.get(code, "\\" + sign)
    if character.isprintable() and (code < 0x80 or not ascii_only):
        return character
    if code < 0x20 or code == 0x7F or 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code & 0xFF:02x}"
    if 0xD800 <= code <= 0xDFFF:
        return "\\ufffd"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
