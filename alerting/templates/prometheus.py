"""Templates of alerting rules: what Prometheus adds to Go's language, and the data it gives.

The language is :mod:`alerting.templates.template`'s; this module knows the functions, the four variables that
stand ready, and the shape of a query's result.

Source: https://prometheus.io/docs/prometheus/latest/configuration/template_reference/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Final
from urllib.parse import urlsplit

from alerting.templates import humanize, strings
from alerting.templates.functions import Function, FunctionError, Runtime, describe
from alerting.templates.template import Template
from alerting.templates.values import StringMap, Struct

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
            "Value": float(context.value),
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


_CALLS: Final[Mapping[str, Callable[..., object]]] = {
    "args": _args,
    "first": _first,
    "graphLink": strings.graph_link,
    "humanize": humanize.humanize,
    "humanize1024": humanize.humanize1024,
    "humanizeDuration": humanize.humanize_duration,
    "humanizePercentage": humanize.humanize_percentage,
    "humanizeTimestamp": humanize.humanize_timestamp,
    "label": _label,
    "match": strings.match,
    "parseDuration": strings.parse_duration,
    "reReplaceAll": strings.re_replace_all,
    "safeHtml": strings.safe_html,
    "sortByLabel": _sort_by_label,
    "stripDomain": strings.strip_domain,
    "stripPort": strings.strip_port,
    "strvalue": _strvalue,
    "tableLink": strings.table_link,
    "title": strings.title,
    "tmpl": _tmpl,
    "toDuration": humanize.to_duration,
    "toLower": strings.to_lower,
    "toTime": humanize.to_time,
    "toUpper": strings.to_upper,
    "urlQueryEscape": strings.url_query_escape,
    "value": _value,
}
_FUNCTIONS: Final[Mapping[str, Function]] = {name: describe(function) for name, function in _CALLS.items()}
_NAMES: Final = frozenset({*_FUNCTIONS, "query", "now", "externalURL", "pathPrefix"})
