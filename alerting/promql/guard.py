"""What stands between a text from a rule file and the native parser.

The parser recurses in native code: a text that is too deep or too long ends the process with a segmentation fault,
which no ``except`` catches. One linear scan that knows strings and comments refuses such texts first. The limits
are far above what a person writes and far below where the parser dies.

The scan also rewrites raw (backquoted) strings as quoted ones, because the parser applies escapes to both.
"""

from __future__ import annotations

import math
import re
from typing import Final

from alerting.promql.errors import ParseError
from alerting.promql.numbers import parse_float

MAX_BYTES: Final = 64 * 1024
MAX_NESTING: Final = 100
MAX_OPERATORS: Final = 500
MAX_SIGNS: Final = 100

_TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+|\#[^\n]*)
  | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
  | (?P<raw>`[^`]*`)
  | (?P<word>[A-Za-z_][A-Za-z0-9_:]*)
  | (?P<number>[0-9.][A-Za-z0-9_.]*)
  | (?P<open>[(\[{])
  | (?P<close>[)\]}])
  | (?P<sign>[+-])
  | (?P<operator>[*/%^<>=!~]+)
  | (?P<quote>["'`])
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_MATCHING: Final = frozenset({"=", "=~", "!~"})  # inside selectors, where they nest nothing
_WORD_OPERATORS: Final = frozenset({"and", "or", "unless", "atan2"})


def guard(text: str) -> str:
    """Return the text to hand to the parser.

    Raises:
        ParseError: The text is too long, too deep, has too many operators, or a string that does not end.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError as exc:
        raise ParseError("not valid Unicode text", text=text) from exc
    if size > MAX_BYTES:
        raise ParseError(f"{size} bytes long; the limit is {MAX_BYTES}: split the rule", text=text)
    return _scan(text)


def _scan(text: str) -> str:
    out: list[str] = []
    depth = operators = signs = 0
    for token in _TOKEN.finditer(text):
        kind, piece = token.lastgroup, token.group()
        if kind == "raw":
            piece = _quoted(piece[1:-1])
        elif kind == "number" and parse_float(piece) == math.inf:
            raise ParseError(f"the number {piece} is out of range", text=text)
        elif kind == "quote":
            raise ParseError(
                f"the string opened at column {_column(text, token.start())} does not end", text=text
            )
        out.append(piece)
        if kind == "space":
            continue
        depth += (kind == "open") - (kind == "close")
        operators += _is_operator(kind, piece)
        signs = signs + 1 if kind == "sign" else 0
        if depth > MAX_NESTING:
            raise ParseError(f"nested more than {MAX_NESTING} deep: simplify the expression", text=text)
        if operators > MAX_OPERATORS:
            raise ParseError(f"more than {MAX_OPERATORS} operators: split the rule", text=text)
        if signs > MAX_SIGNS:
            raise ParseError(f"more than {MAX_SIGNS} signs in a row", text=text)
    return "".join(out)


def _is_operator(kind: str | None, piece: str) -> bool:
    if kind == "word":
        return piece.lower() in _WORD_OPERATORS
    return kind == "sign" or (kind == "operator" and piece not in _MATCHING)


def _quoted(raw: str) -> str:
    escaped = raw.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _column(text: str, offset: int) -> int:
    return offset - text.rfind("\n", 0, offset)
