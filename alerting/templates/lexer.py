"""Cut template text into tokens: plain text, and inside ``{{ }}`` Go's operands, words and signs.

Trim markers and comments are resolved here; the parser never sees them. The lexer knows no grammar: a fault in
the text becomes one last ``ERROR`` token, so that the parser may complain about something earlier first.

Source: https://pkg.go.dev/text/template#hdr-Actions
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SPACES: Final = " \t\r\n"


class Kind(StrEnum):
    """What a token is; the values appear in messages nowhere."""

    TEXT = "text"
    LEFT = "left delimiter"
    RIGHT = "right delimiter"
    SPACE = "space"
    NAME = "name"
    KEYWORD = "keyword"
    FIELD = "field"
    VARIABLE = "variable"
    DOT = "dot"
    NUMBER = "number"
    CHARACTER = "character"
    STRING = "string"
    RAW_STRING = "raw string"
    BOOL = "bool"
    NIL = "nil"
    PIPE = "pipe"
    ASSIGN = "assign"
    DECLARE = "declare"
    OPEN = "open"
    CLOSE = "close"
    SIGN = "sign"
    EOF = "end"
    ERROR = "error"


KEYWORDS: Final = frozenset(
    {"block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"}
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text with the place of its first character; an ``ERROR`` carries its message as text."""

    kind: Kind
    text: str
    pos: int

    def __str__(self) -> str:
        """Name the token as a message does: keywords in angle brackets, long text cut short."""
        if self.kind is Kind.KEYWORD or self.kind in (Kind.DOT, Kind.NIL):
            return f"<{self.text}>"
        shown = self.text if len(self.text) <= 10 else self.text[:10]
        quoted = '"' + shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        return quoted if shown == self.text else f"{quoted}..."


class _LexError(Exception):
    """Internal: scanning cannot go on from here."""


_SPACE_RUN: Final = re.compile(r"[ \t\r\n]+")
_WORD: Final = re.compile(r"\w+")
_STRING: Final = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"')
_CHARACTER: Final = re.compile(r"'(?:[^'\\\n]|\\[^\n])*'")
_NUMBER: Final = re.compile(
    r"""[+-]?
    (?: 0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?
      | 0[oO][0-7_]*(?:\.[0-7_]*)?
      | 0[bB][01_]*(?:\.[01_]*)?
      | [0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?
    )""",
    re.VERBOSE,
)
_SIGNS: Final = {"|": Kind.PIPE, "=": Kind.ASSIGN, "(": Kind.OPEN, ")": Kind.CLOSE}


def tokenize(text: str) -> Iterator[Token]:
    """Yield the tokens of a template, ending with ``EOF`` or ``ERROR``."""
    pos = 0
    while (left := text.find("{{", pos)) >= 0:
        inside = left + 2
        trim = text.startswith("-", inside) and text[inside + 1 : inside + 2] in tuple(SPACES)
        plain = text[pos:left].rstrip(SPACES) if trim else text[pos:left]
        if plain:
            yield Token(Kind.TEXT, plain, pos)
        inside += 2 * trim
        try:
            if text.startswith("/*", inside):
                pos = _comment(text, inside)
                continue
            yield Token(Kind.LEFT, "{{", left)
            pos = yield from _action(text, left, inside)
        except _LexError as error:
            message, place = error.args
            yield Token(Kind.ERROR, message, place)
            return
    if pos < len(text):
        yield Token(Kind.TEXT, text[pos:], pos)
    yield Token(Kind.EOF, "", len(text))


def _closing(text: str, pos: int) -> int:
    """Return where the text goes on after a right delimiter at this place, or 0 if none is here."""
    if text.startswith("}}", pos):
        return pos + 2
    if text[pos : pos + 1] in tuple(SPACES) and text.startswith("-}}", pos + 1):
        rest = _SPACE_RUN.match(text, pos + 4)
        return rest.end() if rest else pos + 4
    return 0


def _comment(text: str, start: int) -> int:
    end = text.find("*/", start + 2)
    if end < 0:
        raise _LexError("unclosed comment", start)
    after = _closing(text, end + 2)
    if not after:
        raise _LexError("comment ends before closing delimiter", start)
    return after


def _action(text: str, left: int, pos: int) -> Generator[Token, None, int]:
    """Yield the tokens up to and including the right delimiter; return where the text goes on."""
    depth = 0
    while not (after := _closing(text, pos)):
        if pos >= len(text):
            raise _LexError("unclosed action", left)
        token = _token(text, pos)
        depth += (token.kind is Kind.OPEN) - (token.kind is Kind.CLOSE)
        if depth < 0:
            raise _LexError("unexpected right paren", pos)
        yield token
        pos += len(token.text)
    if depth:
        raise _LexError("unclosed left paren", pos)
    yield Token(Kind.RIGHT, "}}", pos)
    return after


def _token(text: str, pos: int) -> Token:
    first = text[pos]
    for belongs, scan in _SCANNERS:
        if first in belongs:
            return scan(text, pos)
    if is_word_character(first):
        return _name(text, pos)
    if " " < first <= "~":
        return Token(Kind.SIGN, first, pos)
    raise _LexError(f"unrecognized character in action: {_code_point(first)}", pos)


def _space(text: str, pos: int) -> Token:
    found = _SPACE_RUN.match(text, pos)
    end = found.end() if found else pos + 1
    if text.startswith("-}}", end):  # the last space belongs to the trim marker
        end -= 1
    return Token(Kind.SPACE, text[pos:end], pos)


def _sign(text: str, pos: int) -> Token:
    if text.startswith(":=", pos):
        return Token(Kind.DECLARE, ":=", pos)
    if text[pos] == ":":
        raise _LexError("expected :=", pos)
    return Token(_SIGNS[text[pos]], text[pos], pos)


def _quoted(text: str, pos: int) -> Token:
    quote = text[pos]
    if quote == "`":
        end = text.find("`", pos + 1)
        if end < 0:
            raise _LexError("unterminated raw quoted string", pos)
        return Token(Kind.RAW_STRING, text[pos : end + 1], pos)
    found = (_STRING if quote == '"' else _CHARACTER).match(text, pos)
    if found is None:
        what = "quoted string" if quote == '"' else "character constant"
        raise _LexError(f"unterminated {what}", pos)
    return Token(Kind.STRING if quote == '"' else Kind.CHARACTER, found[0], pos)


def _number(text: str, pos: int) -> Token:
    found = _NUMBER.match(text, pos)
    number = found[0] if found else ""
    after = text[pos + len(number) : pos + len(number) + 1]
    if after == "i" or (after in ("+", "-")):
        raise _LexError("complex numbers are not supported", pos)
    if after and is_word_character(after):
        raise _LexError(f'bad number syntax: "{number}{after}"', pos)
    return Token(Kind.NUMBER, number, pos)


def _dotted(text: str, pos: int) -> Token:
    """Scan ``.``, ``.5``, ``.Field``, ``$`` or ``$name``."""
    first = text[pos]
    if first == "." and "0" <= text[pos + 1 : pos + 2] <= "9":
        return _number(text, pos)
    bare = Kind.DOT if first == "." else Kind.VARIABLE
    if _at_end_of_word(text, pos + 1):
        return Token(bare, first, pos)
    end = _end_of_word(text, pos + 1)
    return Token(Kind.FIELD if first == "." else Kind.VARIABLE, text[pos:end], pos)


def _name(text: str, pos: int) -> Token:
    word = text[pos : _end_of_word(text, pos)]
    if word in KEYWORDS:
        return Token(Kind.KEYWORD, word, pos)
    if word in ("true", "false"):
        return Token(Kind.BOOL, word, pos)
    return Token(Kind.NIL if word == "nil" else Kind.NAME, word, pos)


def _end_of_word(text: str, pos: int) -> int:
    found = _WORD.match(text, pos)
    end = found.end() if found else pos
    if not text[pos:end].isascii():  # \w takes more digits than Go does: ², ½
        end = next((i for i in range(pos, end) if not is_word_character(text[i])), end)
    if not _at_end_of_word(text, end):
        raise _LexError(f"bad character {_code_point(text[end])}", end)
    return end


def _at_end_of_word(text: str, pos: int) -> bool:
    following = text[pos : pos + 1]
    return following == "" or following in " \t\r\n.,|:)(" or text.startswith("}}", pos)


def is_word_character(character: str) -> bool:
    """Tell whether Go takes this character into a name: a letter, a decimal digit or ``_``."""
    return character == "_" or character.isalpha() or character.isdecimal()


def _code_point(character: str) -> str:
    code = f"U+{ord(character):04X}"
    return f"{code} '{character}'" if character.isprintable() else code


_SCANNERS: Final[tuple[tuple[str, Callable[[str, int], Token]], ...]] = (
    (SPACES, _space),
    ("|=():", _sign),
    ("\"'`", _quoted),
    ("+-0123456789", _number),
    (".$", _dotted),
)
