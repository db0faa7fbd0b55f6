"""Telegram's HTML, parsed as the server parses it: same entities, same refusals, same byte offsets.

Offsets of entities count UTF-16 code units; offsets in errors count bytes of the markup.

Source: https://core.telegram.org/bots/api#html-style and td/telegram/MessageEntity.cpp of tdlib/td.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

MOST_ENTITIES: Final = 100  # of a message; the rest loses its formatting without a word

_TYPES: Final = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "a": "text_link",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
    "tg-emoji": "custom_emoji",
    "tg-time": "date_time",
}
_SPACE: Final = b" \t\r\n\v\0"
_NAME_END: Final = _SPACE + b"=>/\"'"
_NAMED: Final = {b"lt": "<", b"gt": ">", b"amp": "&", b"quot": '"'}
_REFERENCE: Final = re.compile(rb"&(?:#x([0-9a-fA-F]*)|#([0-9]*)|([a-zA-Z]*))")
_TOKEN: Final = re.compile(rb"[0-9a-zA-Z.-]*")
_PROTOCOLS: Final = ("http", "https", "tg", "ton", "tonsite")
_FOUND: Final = (
    (
        "url",
        re.compile(
            r"(?<![\w@/])(?:https?://)?(?:[a-z0-9-]+\.)+[a-z]{2,}(?:[:/?#][^\s<>]*)?(?![\w.])", re.IGNORECASE
        ),
    ),
    ("mention", re.compile(r"(?<![\w@/])@[a-zA-Z]\w{3,31}\b")),
    ("bot_command", re.compile(r"(?<![\w/<>])/[a-zA-Z0-9_]{1,64}(?:@\w+)?(?![\w/])")),
)


class ParseError(ValueError):
    """The markup is refused; the text is what follows ``can't parse entities: ``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A formatted stretch of a text, in UTF-16 code units."""

    type: str
    offset: int
    length: int
    extra: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it as the Bot API shows it."""
        return {"type": self.type, "offset": self.offset, "length": self.length, **self.extra}


def utf16(text: str) -> int:
    """Return the length in UTF-16 code units."""
    return len(text.encode("utf-16-le")) // 2


@dataclass(slots=True)
class _Open:
    tag: str
    argument: str
    offset: int
    begin: int  # position in the text collected so far


class _Parser:
    """One pass over the bytes of a text, ending at a NUL as the server's does."""

    def __init__(self, markup: str) -> None:
        self.data = markup.encode() + b"\0"
        self.end = len(self.data) - 1
        self.at = 0
        self.text: list[str] = []
        self.offset = 0
        self.open: list[_Open] = []
        self.entities: list[Entity] = []

    def byte(self) -> bytes:
        return self.data[self.at : self.at + 1]

    def skip_space(self) -> None:
        while self.at < self.end and self.byte() in _SPACE:
            self.at += 1

    def add(self, piece: str) -> None:
        self.text.append(piece)
        self.offset += utf16(piece)

    def reference(self) -> str | None:
        """Read a character reference; anything else stays as it is written."""
        found = _REFERENCE.match(self.data, self.at)
        assert found is not None
        hexadecimal, decimal, name = found.groups()
        if name is not None:
            character = _NAMED.get(name)
            if character is None:
                return None
        else:
            code = int(hexadecimal or b"0", 16) if hexadecimal is not None else int(decimal or b"0")
            if code == 0 or code >= 0x10FFFF or len(found[0]) >= 10:
                return None
            if 0xD800 <= code <= 0xDFFF:
                raise ParseError(
                    "Text contains invalid Unicode characters after decoding HTML entities,"
                    " check for unmatched surrogate code units"
                )
            character = chr(code)
        self.at = found.end() + (self.data[found.end() : found.end() + 1] == b";")
        return character

    def run(self) -> None:
        while self.at < self.end:
            if self.byte() == b"<":
                self.tag()
            elif self.byte() == b"&" and (character := self.reference()) is not None:
                self.add(character)
            else:
                self.plain()
        if self.open:
            raise ParseError(f'Can\'t find end tag corresponding to start tag "{self.open[-1].tag}"')

    def plain(self) -> None:
        stop = self.at + 1
        while stop < self.end and self.data[stop : stop + 1] not in (b"<", b"&"):
            stop += 1
        self.add(self.data[self.at : stop].decode())
        self.at = stop

    def tag(self) -> None:
        begin = self.at
        self.at += 1
        if self.byte() == b"/":
            self.close_tag(begin)
        else:
            self.open_tag(begin)
        self.at += 1

    def word(self, stop: bytes) -> str:
        start = self.at
        while self.byte() not in stop:
            self.at += 1
        return self.data[start : self.at].decode("utf-8", "replace")

    def open_tag(self, begin: int) -> None:
        tag = self.word(_SPACE + b">").lower()
        if self.at >= self.end:
            raise ParseError(f"Unclosed start tag at byte offset {begin}")
        if tag not in _TYPES:
            raise ParseError(f'Unsupported start tag "{tag}" at byte offset {begin}')
        argument = ""
        while self.byte() != b">":
            self.skip_space()
            if self.byte() == b">":
                break
            name = self.word(_NAME_END)
            if not name:
                raise ParseError(f'Empty attribute name in the tag "{tag}" at byte offset {begin}')
            argument = self.attribute(tag, name, begin, argument)
        if tag == "span" and argument != "spoiler":
            raise ParseError(f'Tag "span" must have class "tg-spoiler" at byte offset {begin}')
        self.open.append(_Open(tag, argument, self.offset, len(self.text)))

    def attribute(self, tag: str, name: str, begin: int, argument: str) -> str:
        """Read an attribute's value and return the tag's argument as it then is."""
        self.skip_space()
        if self.byte() != b"=":
            if self.at >= self.end:
                raise ParseError(f'Unclosed start tag "{tag}" at byte offset {begin}')
            return "1" if (tag, name) == ("blockquote", "expandable") else argument
        self.at += 1
        self.skip_space()
        if self.at >= self.end:
            raise ParseError(f'Unclosed start tag "{tag}" at byte offset {begin}')
        value = self.value()
        if self.at >= self.end:
            raise ParseError(f"Unclosed start tag at byte offset {begin}")
        kept = {
            ("a", "href"): value,
            ("tg-emoji", "emoji-id"): value,
            ("tg-time", "unix"): value,
            ("blockquote", "expandable"): "1",
        }
        if (tag, name) in kept:
            return kept[tag, name]
        if (tag, name) == ("code", "class") and value.startswith("language-"):
            return value[len("language-") :]
        if (tag, name) == ("span", "class") and value.startswith("tg-"):
            return value[len("tg-") :]
        return argument

    def value(self) -> str:
        quote = self.byte()
        if quote not in (b'"', b"'"):
            found = _TOKEN.match(self.data, self.at)
            assert found is not None
            start, self.at = self.at, found.end()
            if self.byte() not in _SPACE and self.byte() != b">":
                raise ParseError(f"Unexpected end of name token at byte offset {start}")
            return found[0].decode().lower()
        self.at += 1
        pieces = bytearray()
        while self.at < self.end and self.byte() != quote:
            if self.byte() == b"&" and (character := self.reference()) is not None:
                pieces += character.encode()
            else:
                pieces += self.byte()
                self.at += 1
        if self.byte() == quote:
            self.at += 1
        return pieces.decode("utf-8", "replace")

    def close_tag(self, begin: int) -> None:
        if not self.open:
            raise ParseError(f"Unexpected end tag at byte offset {begin}")
        self.at += 1
        tag = self.word(_SPACE + b">").lower()
        self.skip_space()
        if self.byte() != b">":
            raise ParseError(f"Unclosed end tag at byte offset {begin}")
        opened = self.open.pop()
        if tag and tag != opened.tag:
            raise ParseError(
                f'Unmatched end tag at byte offset {begin}, expected "</{opened.tag}>", found "</{tag}>"'
            )
        if self.offset > opened.offset:
            self.close(opened)

    def close(self, opened: _Open) -> None:
        kind = _TYPES[opened.tag]
        extra: dict[str, Any] = {}
        length = self.offset - opened.offset
        if opened.tag == "a":
            url = opened.argument or "".join(self.text[opened.begin :])
            checked = checked_url(url)
            if checked is None:  # silently: the words stay, the link does not
                return
            extra = {"url": checked}
        elif opened.tag == "tg-emoji":
            if not opened.argument.isdecimal() or int(opened.argument) == 0:
                raise ParseError("Invalid custom emoji identifier specified")
            extra = {"custom_emoji_id": opened.argument}
        elif opened.tag == "tg-time":
            if not opened.argument.isdecimal():
                raise ParseError("Invalid date specified")
            extra = {"unix_time": int(opened.argument)}
        elif opened.tag == "blockquote" and opened.argument:
            kind = "expandable_blockquote"
        elif opened.tag == "code" and opened.argument:
            extra = {"language": opened.argument}
        last = self.entities[-1] if self.entities else None
        if (
            kind == "pre"
            and last is not None
            and (last.type, last.offset, last.length) == ("code", opened.offset, length)
        ):
            self.entities.pop()
            extra = last.extra
        self.entities.append(Entity(type=kind, offset=opened.offset, length=length, extra=extra))


def parse(markup: str) -> tuple[str, list[Entity]]:
    """Parse markup into text and its entities, sorted, neither trimmed nor limited.

    Raises:
        ParseError: The server would refuse the message.
    """
    parser = _Parser(markup)
    parser.run()
    entities = [
        Entity(type=e.type, offset=e.offset, length=e.length) if e.type == "code" else e
        for e in parser.entities
    ]
    return "".join(parser.text), sorted(entities, key=lambda e: (e.offset, -e.length))


def trim(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    """Cut white space at both ends, as every message loses it, and move the entities."""
    kept = text.strip()
    removed = utf16(text[: len(text) - len(text.lstrip())]) if kept else 0
    size = utf16(kept)
    moved = []
    for entity in entities:
        start = max(0, entity.offset - removed)
        end = min(size, entity.offset - removed + entity.length)
        if end > start:
            moved.append(Entity(type=entity.type, offset=start, length=end - start, extra=entity.extra))
    return kept, moved


def found_in(text: str, entities: list[Entity]) -> list[Entity]:
    """Find what Telegram makes tappable by itself outside of code: links, mentions, commands."""
    taken = [(e.offset, e.offset + e.length) for e in entities if e.type in ("code", "pre", "text_link")]
    found = []
    for kind, pattern in _FOUND:
        for match in pattern.finditer(text):
            start = utf16(text[: match.start()])
            end = start + utf16(match[0])
            if all(end <= low or start >= high for low, high in taken):
                found.append(Entity(type=kind, offset=start, length=end - start))
                taken.append((start, end))
    return found


def checked_url(url: str) -> str | None:
    """Return the link as Telegram keeps it; ``None``: it is dropped."""
    if not re.match(r"[a-z][a-z0-9+.-]*:", url, re.IGNORECASE) or re.match(r"[^/:]+:\d", url):
        url = f"http://{url}"
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme.lower() not in _PROTOCOLS:
        return None
    if parts.scheme.lower() in ("http", "https") and "." not in (parts.hostname or ""):
        return None
    return url if parts.path or parts.query or parts.fragment else f"{url}/"
