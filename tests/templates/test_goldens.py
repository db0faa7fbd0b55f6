"""What Go's own text/template wrote for several hundred texts, row by row."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from alerting.templates import (
    StringMap,
    Template,
    TemplateExecutionError,
    TemplateSyntaxError,
)

LABELS = {"__name__": "up", "instance": "web.example.com:9100", "job": "node", "empty": "", "é": "ü"}
DATA = {
    "s": "text",
    "uni": "naïve €",
    "e": "",
    "i": 42,
    "n": -7,
    "z": 0,
    "f": 1.5,
    "big": 1e21,
    "nan": math.nan,
    "inf": math.inf,
    "t": True,
    "no": False,
    "nil": None,
    "list": [1, "b", 2.5, None, True],
    "words": ["c", "a", "b"],
    "none": [],
    "m": {"b": 1, "a": "x", "c": None, "deep": {"k": "v"}},
    "sm": StringMap(LABELS),
    "em": {},
}
ROWS = yaml.safe_load((Path(__file__).parent / "goldens.yml").read_text(encoding="utf-8"))


def _args(*values: object) -> dict[str, object]:
    return {f"arg{index}": value for index, value in enumerate(values)}


def _now() -> float:
    return 1435065584.128


def _expand_data(text: str) -> str:
    functions = {"args": _args, "now": _now}
    return Template.parse(text, name="t", functions=functions).render(DATA, functions=functions)


def _outcome(expand, text):
    try:
        return {"out": expand(text)}
    except TemplateSyntaxError as error:
        return {"syntax_error": error.reason}
    except TemplateExecutionError as error:
        return {"error": error.reason}


def _rows(kind):
    return [pytest.param(row, id=row["id"]) for row in ROWS[kind]]


@pytest.mark.parametrize("row", _rows("data"))
def test_the_language_is_gos(row):
    """A text over plain data expands, or fails, as in Go."""
    expected = {key: row[key] for key in ("out", "syntax_error", "error") if key in row}
    assert _outcome(_expand_data, row["text"]) == expected


@pytest.mark.parametrize("row", _rows("alert"))
def test_rule_texts_are_prometheus(row, expand_alert):
    """A text of a rule expands, or fails, as in Prometheus."""
    expected = {key: row[key] for key in ("out", "syntax_error", "error") if key in row}
    assert _outcome(expand_alert, row["text"]) == expected


def test_there_are_hundreds_of_goldens():
    """The table was read whole, and no row is there twice."""
    ids = [row["id"] for rows in ROWS.values() for row in rows]
    assert len(ids) > 600
    assert len(set(ids)) == len(ids)


DIFFERENCES = [
    pytest.param(
        "{{if true}}a{{else with .s}}b{{end}}",
        {"syntax_error": "unexpected {{else with}} in if"},
        id="else with in if: Go speaks of a token in the input",
    ),
    pytest.param(
        "{{with .e}}a{{else if .s}}b{{end}}",
        {"syntax_error": "unexpected {{else if}} in with"},
        id="else if in with: same",
    ),
    pytest.param(
        "a\n{{1\n",
        {"syntax_error": "unclosed action"},
        id="unclosed action: the position says where it began",
    ),
    pytest.param(
        "{{eq .list .list}}",
        {"error": 'executing "t" at <eq .list .list>: error calling eq: non-comparable type []interface {}'},
        id="lists cannot be compared: Go prints their elements with a verb that does not fit",
    ),
    pytest.param(
        "{{call .s}}",
        {"error": 'executing "t" at <call .s>: error calling call: template data holds no functions to call'},
        id="call: there is nothing to call, whatever the argument",
    ),
    pytest.param(
        "{{(.m).a.b}}",
        {"error": 'executing "t" at <(.m).a.b>: can\'t evaluate field b in type string'},
        id="field of a string: Go names the static type, we the real one",
    ),
    pytest.param(
        "{{1i}}", {"syntax_error": "complex numbers are not supported"}, id="complex numbers are left out"
    ),
    pytest.param("{{1+2i}}", {"syntax_error": "complex numbers are not supported"}, id="complex pair, same"),
    pytest.param(
        '{{printf "%1000000d" 1}}',
        {
            "error": 'executing "t" at <printf "%1000000d" 1>: more than 262144 bytes of text',
        },
        id="a width of a million: Go writes it",
    ),
]


@pytest.mark.parametrize(("text", "expected"), DIFFERENCES)
def test_where_we_differ_on_purpose(text, expected):
    """The listed differences are in messages and limits, never in what a working template writes."""
    assert _outcome(_expand_data, text) == expected


def test_a_bad_pattern_is_reported_in_re2s_words(expand_alert):
    """RE2 and Go refuse the same patterns and explain it differently."""
    expected = 'executing "t" at <match "(" "b">: error calling match: error parsing regexp: missing ): ('
    assert _outcome(expand_alert, '{{ match "(" "b" }}') == {"error": expected}
