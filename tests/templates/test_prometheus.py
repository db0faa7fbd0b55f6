"""What a rule's texts are given, beyond what the goldens show."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from alerting.templates import (
    QuerySample,
    TemplateExecutionError,
    parse_alert_template,
    render_alert_template,
)


def _expand(context, text, **changes):
    return render_alert_template(parse_alert_template(text, name="t"), replace(context, **changes))


def test_queries_are_passed_on_as_written(context):
    """The query function sees the very text, once per call."""
    seen = []

    def query(text):
        seen.append(text)
        return [QuerySample(labels={"a": "1"}, value=2)]

    text = '{{ query "up{job=\\"a\\"} > 1" | first | value }} {{ range query `x` }}{{ .Value }}{{ end }}'
    assert _expand(context, text, query=query) == "2 2"
    assert seen == ['up{job="a"} > 1', "x"]


@pytest.mark.parametrize(
    "error",
    [RuntimeError("engine is down"), KeyError("x"), TimeoutError(), ArithmeticError("no"), RecursionError()],
)
def test_a_failing_query_is_a_template_error(context, error):
    """Whatever the engine raises, the rule sees a template that could not be expanded."""

    def query(_):
        raise error

    with pytest.raises(TemplateExecutionError) as caught:
        _expand(context, '{{ query "up" }}', query=query)
    assert caught.value.name == "t"


def test_a_query_is_not_asked_before_it_is_needed(context):
    """A branch that is not taken asks nothing."""

    def query(_):
        raise AssertionError("asked")

    assert _expand(context, '{{ if false }}{{ query "up" }}{{ end }}ok', query=query) == "ok"


def test_sorting_leaves_the_result_itself_alone(context):
    """The order of a query's result is the same after a sorted look at it."""
    samples = [QuerySample(labels={"i": name}, value=0) for name in ("b", "a", "c", "a")]
    text = (
        '{{ $r := query "x" }}{{ range sortByLabel "i" $r }}{{ .Labels.i }}{{ end }} '
        "{{ range $r }}{{ .Labels.i }}{{ end }}"
    )
    assert _expand(context, text, query=lambda _: samples) == "aabc baca"


def test_whole_values_print_as_floats_do(context):
    """An integer handed in as value is still Prometheus' float."""
    assert _expand(context, '{{ $value }} {{ printf "%T" $value }}', value=1_000_000) == "1e+06 float64"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(float("nan"), "NaN NaN"), (float("inf"), "+Inf +Inf"), (float("-inf"), "-Inf -Inf"), (0.0, "0 0")],
)
def test_special_values(context, value, expected):
    """What is no number is shown as such, humanized or not."""
    assert _expand(context, "{{ $value }} {{ $value | humanize }}", value=value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{{ toDuration "NaN" }}', "value is NaN or Inf"),
        (
            "{{ toDuration 1e12 }}",
            "1e+12 cannot be represented as a nanoseconds duration since it overflows int64",
        ),
    ],
)
def test_durations_have_bounds(context, text, expected):
    """A duration holds 292 years."""
    with pytest.raises(TemplateExecutionError, match=re.escape(expected)):
        _expand(context, text)


def test_labels_that_are_not_unicode(context):
    """A label value no UTF-8 can hold is written with replacement characters and breaks nothing."""
    text = '{{ $labels.a }} {{ printf "%q %s" $labels.a $labels }} {{ reReplaceAll "b" "c" $labels.a }}'
    expected = '���b "\\ufffdb" map[a:���b] ���c'  # three bytes that are none of UTF-8
    assert _expand(context, text, labels={"a": "\ud800b"}) == expected


def test_now_is_the_evaluations_time_in_milliseconds(context):
    """The time does not pass during an evaluation, and its zone does not matter."""
    moment = datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=UTC).astimezone(timezone(timedelta(hours=3)))
    assert _expand(context, '{{ printf "%.3f" now }}', now=moment) == "1704164645.678"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://host:9090", "http://host:9090 "),
        ("https://host/a/b", "https://host/a/b /a/b"),
        ("https://host/", "https://host/ /"),
    ],
)
def test_the_external_url_and_its_path(context, url, expected):
    """Links are built from the configured URL."""
    text = "{{ externalURL }} {{ pathPrefix }}"
    assert _expand(context, text, external_url=url) == expected
    assert _expand(context, "{{ $externalURL }}", external_url=url) == url


def test_no_labels_at_all(context):
    """An expression without labels leaves an empty map."""
    assert _expand(context, "{{ $labels }} [{{ $labels.a }}]", labels={}, external_labels={}) == "map[] []"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            '{{ query "up" }}',
            "[&{map[__name__:up __value__:sv instance:b] 21.5} &{map[__name__:up instance:a] 11}]",
            id="samples in a list: Go prints their addresses",
        ),
        pytest.param(
            "{{ humanizeDuration 1e21 }}",
            "11574074074074074d 1h 46m 40s",
            id="a duration beyond 64 bits: Go prints what is left of it",
        ),
        pytest.param(
            '{{ define "a" }}x{{ . }}{{ end }}{{ $n := "a" }}{{ tmpl $n 1 }}',
            "x1",
            id="tmpl: Prometheus has it in consoles only",
        ),
        pytest.param('{{ parseDuration "1h2m10ms" }}', "3720.01", id="durations are read by our own parser"),
    ],
)
def test_where_we_differ_on_purpose(expand_alert, text, expected):
    """The listed texts make no sense, or are refused, in Prometheus."""
    assert expand_alert(text) == expected
