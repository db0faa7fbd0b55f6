"""Matchers as configuration and tools write them: ``severity="critical"``, ``team=~db|web``, ``{a="b", c!="d"}``.

Source: pkg/labels/parse.go of Alertmanager (the classic parser: quoted or bare values).
"""

from __future__ import annotations

import re
from typing import Final

import re2

from alerting.labels import Matcher, MatchOp

_MATCHER: Final = re.compile(
    r"""\s*(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?P<op>=~|!~|!=|=)\s*
        (?: "(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<bare>[^"{},]*?) )\s*(?:,|$)""",
    re.VERBOSE,
)
_ESCAPES: Final = {"n": "\n", '"': '"', "\\": "\\"}


class MatcherError(ValueError):
    """Text that is no matcher; says what one looks like."""


def parse_matchers(text: str) -> list[Matcher]:
    """Read one or more matchers, with or without braces around them.

    Raises:
        MatcherError: The text is no list of matchers, or holds an invalid regular expression.
    """
    inner = text.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1]
    found: list[Matcher] = []
    at = 0
    while at < len(inner):
        part = _MATCHER.match(inner, at)
        if part is None:
            raise MatcherError(
                f'not a matcher: {inner[at:]!r}; write it like severity="critical" or team=~"db|web"'
            )
        value = part["bare"] if part["quoted"] is None else _unescape(part["quoted"])
        try:
            found.append(Matcher(part["name"], MatchOp(part["op"]), value))
        except re2.error as exc:
            raise MatcherError(regex_fault(exc, value)) from exc
        at = part.end()
    return found


def regex_fault(exc: re2.error, value: str) -> str:
    """Say what is wrong with a regular expression; RE2 gives bytes, and quotes it with our anchors around it."""
    reason = exc.args[0].decode() if exc.args and isinstance(exc.args[0], bytes) else str(exc)
    return f"not a valid regular expression: {value!r}: {reason.partition(': ')[0]}"


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), text)
