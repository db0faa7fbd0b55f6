"""Prometheus' functions on text: case, regular expressions, addresses, links.

Regular expressions are RE2 and not anchored, as Go's are.

Source: https://prometheus.io/docs/prometheus/latest/configuration/template_reference/#strings
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import quote_plus

import re2

from alerting.templates import literals
from alerting.templates.functions import FunctionError, Runtime
from alerting.templates.lexer import is_word_character
from vakhta import durations


def title(text: str) -> str:
    """Put the first letter of every word in title case; ``-`` and ``.`` start words, ``_`` does not."""
    out = []
    before = " "
    for character in text:
        starts_word = not is_word_character(before) and (before < "\x80" or before.isspace())
        out.append(_single(character.title(), character) if starts_word else character)
        before = character
    return "".join(out)


def to_upper(text: str) -> str:
    """Put all letters in upper case, each on its own: ß stays ß."""
    if text.isascii():
        return text.upper()
    return "".join(_single(character.upper(), character) for character in text)


def to_lower(text: str) -> str:
    """Put all letters in lower case, each on its own: a final sigma is none."""
    if text.isascii():
        return text.lower()
    return "".join(character.lower()[:1] for character in text)


def _single(mapped: str, character: str) -> str:
    """Map one character to one, as Go does: ß stays ß."""
    return mapped if len(mapped) == 1 else character


def match(pattern: str, text: str) -> bool:
    """Tell whether the pattern is found anywhere in the text.

    Raises:
        FunctionError: Not a pattern of RE2.
    """
    return _compiled(pattern).search(literals.clean(text)) is not None


def re_replace_all(runtime: Runtime, pattern: str, replacement: str, text: str) -> str:
    """Replace all matches; ``$1``, ``${1}`` and ``$name`` in the replacement stand for groups, ``$$`` for the sign.

    Raises:
        FunctionError: Not a pattern of RE2.
        LimitError: The text became too long.
    """
    regex, source = _compiled(pattern), literals.clean(text)
    pieces = _replacement_pieces(replacement, regex.groupindex)
    out: list[str] = []
    end = 0
    for found in regex.finditer(source):
        runtime.budget.step()
        out.append(source[end : found.start()])
        if found.end() > end or found.start() == 0:  # Go: no empty match right behind another match
            new = "".join(p if isinstance(p, str) else _group(found, p, regex.groups) for p in pieces)
            runtime.budget.charge(new)
            out.append(new)
        end = found.end()
    out.append(source[end:])
    return "".join(out)


def _group(found: re2._Match[str], number: int, groups: int) -> str:
    return (found.group(number) or "") if number <= groups else ""


def _replacement_pieces(template: str, names: Mapping[str, int]) -> list[str | int]:
    """Cut a replacement into text and group numbers: ``$1``, ``${1}``, ``$name``, and ``$$`` for the sign."""
    pieces: list[str | int] = []
    rest = template
    while True:
        text, sign, rest = rest.partition("$")
        pieces.append(text)
        if not sign:
            return pieces
        if rest.startswith("$"):
            pieces.append("$")
            rest = rest[1:]
            continue
        name, after = _group_name(rest)
        if not name:
            pieces.append("$")
            continue
        rest = after
        number = int(name) if name.isascii() and name.isdigit() and len(name) < 9 else names.get(name)
        if number is not None:
            pieces.append(number)


def _group_name(text: str) -> tuple[str, str]:
    """Return the name that stands right behind a ``$``, empty if none does, and what follows it."""
    braced = text.startswith("{")
    start = end = int(braced)
    while end < len(text) and is_word_character(text[end]):
        end += 1
    if braced and text[end : end + 1] != "}":
        return "", text
    return text[start:end], text[end + braced :]


def _compiled(pattern: str) -> re2._Regexp[str]:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(literals.clean(pattern), options)
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise FunctionError(f"error parsing regexp: {reason}") from None


# Addresses.


def strip_port(address: str) -> str:
    """Return the host of ``host:port``, or the address as it is."""
    host_port = _split_host_port(address)
    return host_port[0] if host_port else address


def strip_domain(address: str) -> str:
    """Return the first label of a host name, with the port if there is one; an IP address stays."""
    host, port = _split_host_port(address) or (address, "")
    if "%" not in host:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            pass
        else:
            return address
    host = host.split(".", 1)[0]
    if not port:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split_host_port(address: str) -> tuple[str, str] | None:
    """Split ``host:port`` or ``[host]:port``; None if the address is neither."""
    host, colon, port = address.rpartition(":")
    if not colon:
        return None
    if host.startswith("["):
        if not host.endswith("]"):
            return None
        host = host[1:-1]
    elif ":" in host:
        return None
    if set("[]") & set(host + port):
        return None
    return host, port


# Links and time.


def graph_link(expression: str) -> str:
    """Return the path of the expression's graph in Prometheus."""
    return f"/graph?g0.expr={url_query_escape(expression)}&g0.tab=0"


def table_link(expression: str) -> str:
    """Return the path of the expression's table in Prometheus."""
    return f"/graph?g0.expr={url_query_escape(expression)}&g0.tab=1"


def url_query_escape(text: str) -> str:
    """Escape text for a URL's query; a space becomes ``+``."""
    return quote_plus(literals.as_bytes(text))


def parse_duration(text: str) -> float:
    """Read a duration like ``1h30m`` as seconds.

    Raises:
        ValueError: Not a duration.
    """
    return durations.parse(text).total_seconds()


def safe_html(text: str) -> str:
    """Return the text as it is: nothing escapes HTML in rule templates."""
    return text
