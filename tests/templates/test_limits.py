"""No template, however hostile, holds up the evaluation."""

from __future__ import annotations

import itertools
import time

import pytest

from alerting.templates import (
    Limits,
    Template,
    TemplateError,
    TemplateExecutionError,
    TemplateSyntaxError,
)
from alerting.templates.parser import MAX_TEXT


def _render(text, **limits):
    return Template.parse(text, name="t", functions=()).render({}, functions={}, limits=Limits(**limits))


def _reason(text, **limits):
    with pytest.raises(TemplateExecutionError) as caught:
        _render(text, **limits)
    return caught.value.reason.rpartition(": ")[2]


@pytest.mark.parametrize(
    ("text", "limits", "expected"),
    [
        pytest.param("{{range 1000000000}}{{end}}", {"steps": 50}, "more than 50 steps", id="empty loop"),
        pytest.param("{{1}}{{1}}{{1}}", {"steps": 5}, "more than 5 steps", id="straight on"),
        pytest.param("abcdef", {"output_bytes": 5}, "more than 5 bytes of text", id="plain text"),
        pytest.param("день", {"output_bytes": 7}, "more than 7 bytes of text", id="bytes, not characters"),
        pytest.param(
            "{{$x := print 1 2 3}}", {"output_bytes": 4}, "more than 4 bytes of text", id="text never written"
        ),
        pytest.param(
            '{{define "r"}}{{template "r"}}{{end}}{{template "r"}}',
            {"nesting": 9},
            "nested deeper than 9 levels",
            id="endless recursion",
        ),
        pytest.param(
            "{{if 1}}{{if 1}}{{if 1}}{{end}}{{end}}{{end}}",
            {"nesting": 3},
            "nested deeper than 3 levels",
            id="blocks",
        ),
        pytest.param("x", {"nesting": 0}, "nested deeper than 0 levels", id="not even itself"),
        pytest.param("{{(((1)))}}", {"nesting": 3}, "nested deeper than 3 levels", id="parentheses"),
    ],
)
def test_each_limit_stops_the_rendering(text, limits, expected):
    """What goes over a limit is an error that names the limit."""
    assert _reason(text, **limits) == expected


@pytest.mark.parametrize(
    ("text", "limits", "expected"),
    [
        pytest.param("{{1}}{{1}}", {"steps": 4}, "11", id="steps"),
        pytest.param("день", {"output_bytes": 8}, "день", id="bytes"),
        pytest.param("{{if 1}}{{if 1}}x{{end}}{{end}}", {"nesting": 3}, "x", id="nesting"),
    ],
)
def test_a_limit_itself_is_allowed(text, limits, expected):
    """What just fits is rendered."""
    assert _render(text, **limits) == expected


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        pytest.param("{{print 1}}", "{{print 1}}", id="action"),
        pytest.param("{{if 1}}a{{else}}b{{end}}", "{{if 1}}", id="if"),
        pytest.param("{{with 1}}a{{end}}", "{{with 1}}", id="with"),
        pytest.param("{{range 1}}a{{end}}", "{{range 1}}", id="range"),
        pytest.param('{{template "t" 1}}', '{{template "t" 1}}', id="template"),
    ],
)
def test_a_statement_that_came_too_late_is_named(statement, shown):
    """The error quotes the head of the statement, not all that is in it."""
    with pytest.raises(TemplateExecutionError) as caught:
        _render(f"a{statement}", steps=1)
    assert caught.value.reason == f'executing "t" at <{shown}>: more than 1 steps'
    assert caught.value.column in (2, 4)


def test_break_is_named_too():
    """A limit may be reached at any statement."""
    with pytest.raises(TemplateExecutionError, match=r"at <\{\{break\}\}>: more than 3 steps"):
        _render("{{range 1}}{{break}}{{end}}", steps=3)


def test_time_is_looked_at_in_every_round():
    """A loop stops at the first round after the time is up."""
    ticks = itertools.count()
    limits = {"seconds": 40.0, "clock": lambda: float(next(ticks))}
    assert _reason("{{range 1000000}}{{.}}{{end}}", **limits) == "longer than 40 s"
    assert next(ticks) == 42  # once to set the deadline, 40 looks within it, and the one that saw it gone


def test_a_slow_function_is_noticed_when_it_returns():
    """The time that functions take counts."""
    seconds = iter([0.0, 0.1, 0.2, 5.0])

    def slow() -> str:
        return "done"

    template = Template.parse("{{slow}}", name="t", functions={"slow"})
    with pytest.raises(TemplateExecutionError, match=r"longer than 1 s"):
        template.render({}, functions={"slow": slow}, limits=Limits(clock=lambda: next(seconds)))


def test_what_functions_return_counts_as_text():
    """A function's text is paid for, also if it is never written."""
    functions = {"big": lambda: "x" * 600}
    template = Template.parse("{{$x := big}}{{$x := big}}", name="t", functions=functions)
    with pytest.raises(TemplateExecutionError, match="more than 1000 bytes of text"):
        template.render(None, functions=functions, limits=Limits(output_bytes=1000))


HALF = MAX_TEXT // 2
HOSTILE = [
    pytest.param("{{range 1000000000}}{{end}}", id="endless loop"),
    pytest.param("{{range 1000}}{{range 1000}}{{$labels}}{{end}}{{end}}", id="much output"),
    pytest.param('{{range 1000}}{{$x := printf "%1000000d" 1}}{{end}}', id="wide numbers"),
    pytest.param('{{$x := "ab"}}{{range 100}}{{$x = print $x $x}}{{end}}', id="doubling text"),
    pytest.param("{{$x := 1}}{{range 10000}}{{$x = args $x $x}}{{end}}{{$x}}", id="deep data"),
    pytest.param('{{define "r"}}{{template "r" .}}{{end}}{{template "r" .}}', id="recursion"),
    pytest.param('{{define "r"}}{{tmpl "r" .}}{{end}}{{tmpl "r" .}}', id="recursion through a function"),
    pytest.param(
        '{{define "r"}}{{range 9}}{{template "r" .}}{{end}}{{end}}{{template "r" .}}',
        id="branching recursion",
    ),
    pytest.param('{{reReplaceAll "" "xxxxxxxxxxxxxxxx" "' + "a" * HALF + '"}}', id="replacing everywhere"),
    pytest.param('{{match "((((a{30}){30}){30}){30})" "a"}}', id="pattern too large"),
    pytest.param('{{printf "' + "%d" * (HALF - 20) + '"}}', id="many verbs"),
    pytest.param("{{" + "(" * HALF, id="open parentheses"),
    pytest.param("{{if 1}}" * (MAX_TEXT // 8), id="open blocks"),
    pytest.param("{{" + "1" * (MAX_TEXT - 8) + "__}}", id="long number"),
    pytest.param("{{1e" + "9" * (MAX_TEXT - 8) + "}}", id="long exponent"),
    pytest.param("x" * (MAX_TEXT + 1), id="long text"),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_end_in_an_error_soon(text, expand_alert):
    """Each is refused or stopped; the processor works on it for a second and what a last step takes."""
    before = time.thread_time()
    with pytest.raises(TemplateError):
        expand_alert(text)
    assert time.thread_time() - before < 2.0


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x" * MAX_TEXT, id="plain text"),
        pytest.param("{{1}}" * (MAX_TEXT // 5), id="actions"),
        pytest.param("{{$a := 1}}" * (MAX_TEXT // 11), id="variables of one name"),
        pytest.param(
            "".join(f"{{{{$a{n}:=1}}}}{{{{$a0}}}}" for n in range(3000)), id="variables looked up from afar"
        ),
        pytest.param("{{if 0}}" + "{{else if 0}}" * (MAX_TEXT // 14) + "{{end}}", id="chain of else if"),
        pytest.param("{{1" + "|print" * (MAX_TEXT // 6 - 2) + "}}", id="long pipeline"),
        pytest.param("{{eq 1 " + "2 " * (HALF - 10) + "}}", id="many arguments"),
        pytest.param("{{" + "(" * 99 + "1" + ")" * 99 + "}}", id="as many parentheses as are allowed"),
        pytest.param("{{if 1}}" * 98 + "x" + "{{end}}" * 98, id="as many blocks as are allowed"),
    ],
)
def test_large_but_honest_texts_work(text):
    """Counts and depths leave room; parsing and rendering together take little time of the processor."""
    before = time.thread_time()
    _render(text, seconds=60)
    assert time.thread_time() - before < 3.0


def test_nesting_is_refused_when_the_text_is_parsed():
    """Blocks and parentheses share one depth."""
    with pytest.raises(TemplateSyntaxError, match="nested deeper than 100 levels"):
        Template.parse("{{if 1}}" * 60 + "{{" + "(" * 60, name="t", functions=())
