"""Telegram's HTML: making foreign text safe in it, measuring it, and reading it back as plain text.

Everything here works on values *before* they are put between tags, or on whole messages; a rendered message is
never cut. Lengths are UTF-16 code units: Telegram counts code points, which are never more.

Source: https://core.telegram.org/bots/api#html-style
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final

BUDGET: Final = 4000  # of Telegram's 4096, so that a part number fits
RAW_BUDGET: Final = 30 * 1024  # bytes of markup, of Telegram's 32768

# Control characters but newline and tab, direction overrides (they can show a command backwards), characters
# without width (they can hide one), and halves of surrogate pairs (they cannot be encoded at all).
_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ud800-\udfff\ufff9-\ufffb]"
)
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_TAG: Final = re.compile(r"<(/?)([a-zA-Z][a-zA-Z-]*)([^>]*)>")
_HREF: Final = re.compile(r"""href\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_REFERENCE: Final = re.compile(r"&(?:(lt|gt|amp|quot)|#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7})));?")
_NAMED: Final = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_JOINERS: Final = frozenset({"\u200d", "\ufe0e", "\ufe0f", "\u20e3"})


def clean(text: str) -> str:
    """Take out what no message may carry, and end lines as Telegram does."""
    return _UNSAFE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def encodable(text: str) -> str:
    """Take out halves of surrogate pairs: neither Telegram nor the state file can take one."""
    return _SURROGATES.sub("", text)


def escape(text: str) -> str:
    """Make foreign text safe between tags and inside a quoted attribute."""
    return html.escape(clean(text), quote=True)


def utf16_length(text: str) -> int:
    """Return the length in UTF-16 code units."""
    return len(text) + sum(character > "\uffff" for character in text)


def clip(text: str, budget: int) -> str:
    """Shorten an unescaped value to ``budget`` UTF-16 units and say how much is missing.

    Cuts at the last end of a line if that keeps at least two thirds, else between two characters as a
    person sees them: never inside an emoji or before an accent.
    """
    if utf16_length(text) <= budget:
        return text
    suffix = f"… (+{len(text)} chars)"  # at least as long as the one that will be used
    kept = _fit(text, max(0, budget - utf16_length(suffix)))
    line = text.rfind("\n", 0, kept)
    if line >= kept * 2 // 3 > 0:
        kept = line
    while kept > 0 and _inside(text, kept):
        kept -= 1
    shown = text[:kept].rstrip()
    return f"{shown}… (+{len(text) - len(shown)} chars)"


def _fit(text: str, budget: int) -> int:
    """Return how many characters of the text take at most ``budget`` UTF-16 units."""
    used = 0
    for index, character in enumerate(text):
        used += 2 if character > "\uffff" else 1
        if used > budget:
            return index
    return len(text)


def _inside(text: str, at: int) -> bool:
    """Tell whether a cut before ``text[at]`` would split what a person sees as one character."""
    before, after = text[at - 1], text[at]
    if after in _JOINERS or before == "\u200d" or unicodedata.combining(after):
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff":  # skin tones
        return True
    return _is_regional(after) and _regionals_before(text, at) % 2 == 1


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _regionals_before(text: str, at: int) -> int:
    """Count the regional indicators that end at ``at``: two make one flag."""
    start = at
    while start > 0 and _is_regional(text[start - 1]):
        start -= 1
    return at - start


def visible_length(markup: str) -> int:
    """Return the length of a whole message as Telegram measures it against its limit, in UTF-16 units."""
    return utf16_length(unescape(_TAG.sub("", markup)).strip())


def fits(markup: str) -> bool:
    """Tell whether a whole message is within Telegram's limits of text and of markup."""
    return visible_length(markup) <= BUDGET and len(markup.encode()) <= RAW_BUDGET


def unescape(text: str) -> str:
    """Resolve the character references that Telegram knows, and no others."""
    return _REFERENCE.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    name, hexadecimal, decimal = found.groups()
    if name:
        return _NAMED[name]
    code = int(hexadecimal, 16) if hexadecimal else int(decimal)
    return chr(code) if 0 < code < 0x10FFFF and not 0xD800 <= code <= 0xDFFF else found[0]


def to_plain(markup: str) -> str:
    """Read a whole message as text: no tags, links spelled out, quotes marked by a bar."""
    out: list[str] = []
    links: list[tuple[str, int]] = []
    quotes: list[int] = []
    end = 0
    for tag in _TAG.finditer(markup):
        out.append(unescape(markup[end : tag.start()]))
        end = tag.end()
        closing, name = bool(tag[1]), tag[2].lower()
        if name == "a" and not closing:
            href = _HREF.search(tag[3])
            links.append((unescape((href[1] or href[2] or "") if href else ""), len(out)))
        elif name == "a" and links:
            url, start = links.pop()
            if url and url != "".join(out[start:]).strip():
                out.append(f" ({url})")
        elif name == "blockquote" and not closing:
            quotes.append(len(out))
        elif name == "blockquote" and quotes:
            start = quotes.pop()
            out[start:] = [_barred("".join(out[start:]))]
    out.append(unescape(markup[end:]))
    return "".join(out).strip()


def _barred(text: str) -> str:
    return "\n".join(f"│ {line}" for line in text.strip("\n").split("\n"))
