"""Templates of alerting rules: what Prometheus adds to Go's language, and the data it gives.

The language is :mod:`alerting.templates.template`'s; this module knows the functions, the four variables that
stand ready, and the shape of a query's result.

Source: https://prometheus.io/docs/prometheus/latest/configuration/template_reference/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Final
from urllib.parse import quote_plus, urlsplit

import re2

from alerting.templates import humanize, literals
from alerting.templates.functions import Function, FunctionError, Runtime, describe
from alerting.templates.lexer import is_word_character
from alerting.templates.template import Template
from alerting.templates.values import StringMap, Struct
from vakhta import durations

_PRELUDE: Final = (
    "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}"
    "{{$externalURL := .ExternalURL}}{{$value := .Value}}"
)
_DATA_TYPE: Final = (
    "struct { Labels map[string]string; ExternalLabels map[string]string; "
    "ExternalURL string; Value interface {} }"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuerySample:
    """One element of an instant query's result.

    Attributes:
        labels: Its labels, ``__name__`` included where the result has one.
        value: Its value.
    """

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a rule's template is expanded with.

    Attributes:
        labels: The element's labels before the rule's own, ``__name__`` included.
        value: The element's value.
        external_labels: The configured external labels.
        external_url: Where people reach us.
        now: The time of the evaluation, aware.
        query: Runs an instant query at that time; whatever it raises becomes the template's error.
    """

    labels: Mapping[str, str]
    value: float
    external_labels: Mapping[str, str]
    external_url: str
    now: datetime
    query: Callable[[str], Sequence[QuerySample]]


class Sample(Struct):
    """A query's element as templates see it: ``.Labels`` and ``.Value``."""

    go_type: ClassVar = "*template.sample"


class Samples(tuple[Sample, ...]):
    """A query's result as templates see it."""

    __slots__ = ()
    go_type: ClassVar = "template.queryResult"


def parse_alert_template(text: str, *, name: str) -> Template:
    """Parse the text of a label or annotation of an alerting rule.

    Args:
        text: As in the rule file.
        name: What messages call it.

    Raises:
        TemplateSyntaxError: At the first fault.
    """
    return Template.parse(text, name=name, functions=_NAMES, prelude=_PRELUDE)


def render_alert_template(template: Template, context: Context) -> str:
    """Expand a parsed text for one alert.

    Raises:
        TemplateExecutionError: Whatever goes wrong, a failing query included.
    """
    data = Struct(
        type_name=_DATA_TYPE,
        fields={
            "Labels": StringMap(context.labels),
            "ExternalLabels": StringMap(context.external_labels),
            "ExternalURL": context.external_url,
            "Value": context.value,
        },
    )
    return template.render(data, functions={**_FUNCTIONS, **_context_functions(context)})


def _context_functions(context: Context) -> dict[str, Function]:
    def query(text: str) -> Samples:
        return Samples(_sample(found) for found in context.query(text))

    def now() -> float:
        return int(context.now.astimezone(UTC).timestamp() * 1000) / 1000

    return {
        "query": Function(query, (str,)),
        "now": Function(now, ()),
        "externalURL": Function(lambda: context.external_url, ()),
        "pathPrefix": Function(lambda: urlsplit(context.external_url).path, ()),
    }


def _sample(found: QuerySample) -> Sample:
    fields = {"Labels": StringMap(found.labels), "Value": float(found.value)}
    return Sample(type_name="template.sample", fields=fields, pointer=True)


# Query results.


def _first(samples: Samples) -> Sample:
    if not samples:
        raise FunctionError("first() called on vector with no elements")
    return samples[0]


def _label(name: str, sample: Sample) -> str:
    return _labels(sample).get(name, "")


def _value(sample: Sample) -> object:
    return sample.fields["Value"]


def _strvalue(sample: Sample) -> str:
    return _labels(sample).get("__value__", "")


def _sort_by_label(name: str, samples: Samples) -> Samples:
    return Samples(sorted(samples, key=lambda sample: _labels(sample).get(name, "")))


def _labels(sample: Sample) -> StringMap:
    labels = sample.fields["Labels"]
    assert isinstance(labels, StringMap)  # _sample() makes nothing else
    return labels


# Templates.


def _args(*values: object) -> dict[str, object]:
    return {f"arg{index}": value for index, value in enumerate(values)}


def _tmpl(runtime: Runtime, name: str, data: object) -> str:
    return runtime.invoke(name, data)


# Strings.


def _title(text: str) -> str:
    out = []
    before = " "
    for character in text:
        starts_word = not is_word_character(before) and (before < "\x80" or before.isspace())
        out.append(_single(character.title(), character) if starts_word else character)
        before = character
    return "".join(out)


def _to_upper(text: str) -> str:
    if text.isascii():
        return text.upper()
    return "".join(_single(character.upper(), character) for character in text)


def _to_lower(text: str) -> str:
    if text.isascii():
        return text.lower()
    return "".join(character.lower()[:1] for character in text)


def _single(mapped: str, character: str) -> str:
    """Map one character to one, as Go does: ß stays ß."""
    return mapped if len(mapped) == 1 else character


def _match(pattern: str, text: str) -> bool:
    return _compiled(pattern).search(literals.clean(text)) is not None


def _re_replace_all(runtime: Runtime, pattern: str, replacement: str, text: str) -> str:
    regex, source = _compiled(pattern), literals.clean(text)
    pieces = _replacement_pieces(replacement, regex.groupindex)
    out: list[str] = []
    end = 0
    for found in regex.finditer(source):
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


def _strip_port(address: str) -> str:
    host_port = _split_host_port(address)
    return host_port[0] if host_port else address


def _strip_domain(address: str) -> str:
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


def _graph_link(expression: str) -> str:
    return f"/graph?g0.expr={_url_query_escape(expression)}&g0.tab=0"


def _table_link(expression: str) -> str:
    return f"/graph?g0.expr={_url_query_escape(expression)}&g0.tab=1"


def _url_query_escape(text: str) -> str:
    return quote_plus(literals.as_bytes(text))


def _parse_duration(text: str) -> float:
    return durations.parse(text).total_seconds()


def _safe_html(text: str) -> str:
    return text


_FUNCTIONS: Final[Mapping[str, Function]] = {
    name: describe(function)
    for name, function in {
        "args": _args,
        "first": _first,
        "graphLink": _graph_link,
        "humanize": humanize.humanize,
        "humanize1024": humanize.humanize1024,
        "humanizeDuration": humanize.humanize_duration,
        "humanizePercentage": humanize.humanize_percentage,
        "humanizeTimestamp": humanize.humanize_timestamp,
        "label": _label,
        "match": _match,
        "parseDuration": _parse_duration,
        "reReplaceAll": _re_replace_all,
        "safeHtml": _safe_html,
        "sortByLabel": _sort_by_label,
        "stripDomain": _strip_domain,
        "stripPort": _strip_port,
        "strvalue": _strvalue,
        "tableLink": _table_link,
        "title": _title,
        "tmpl": _tmpl,
        "toDuration": humanize.to_duration,
        "toLower": _to_lower,
        "toTime": humanize.to_time,
        "toUpper": _to_upper,
        "urlQueryEscape": _url_query_escape,
        "value": _value,
    }.items()
}
_NAMES: Final = frozenset({*_FUNCTIONS, "query", "now", "externalURL", "pathPrefix"})
