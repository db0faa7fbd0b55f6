"""Parsing: what an expression selects and how far back, what is refused and why, and that nothing else ever happens."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.labels import Matcher, MatchOp
from alerting.promql import ParseError, Selector, ast, parse
from alerting.promql.ast import ValueType
from tests.size import examples

_NAME = "__name__"


def _selected(metric: str, reach: timedelta, *more: Matcher) -> Selector:
    named = (Matcher(_NAME, MatchOp.EQUAL, metric),) if metric else ()
    return Selector(metric=metric, matchers=(*named, *more), reach=reach)


_REACHES = [
    pytest.param("up", timedelta(minutes=5), id="an instant selector reaches as far as the lookback"),
    pytest.param("rate(up[1m])", timedelta(minutes=1), id="a range"),
    pytest.param("up offset 1h", timedelta(hours=1, minutes=5), id="an offset adds"),
    pytest.param("rate(up[1m] offset 1h)", timedelta(hours=1, minutes=1), id="an offset adds to a range"),
    pytest.param("up offset -1m", timedelta(minutes=4), id="a negative offset takes away"),
    pytest.param("up offset -1h", timedelta(), id="a negative offset beyond the lookback leaves nothing"),
    pytest.param("max_over_time(up[1h:])", timedelta(hours=1, minutes=5), id="a subquery adds"),
    pytest.param(
        "max_over_time(rate(up[2m] offset 3m)[1h:30s] offset 1d)",
        timedelta(days=1, hours=1, minutes=5),
        id="everything adds up",
    ),
    pytest.param("up @ 1700000000", timedelta.max, id="a fixed time reaches without limit"),
    pytest.param("up @ start()", timedelta(minutes=5), id="the query's start is the evaluation time"),
    pytest.param("max_over_time(up[1h:] @ 1700000000)", timedelta.max, id="a subquery at a fixed time"),
    pytest.param("up offset 99999y", timedelta(days=99999 * 365, minutes=5), id="a very long offset"),
    pytest.param("rate(up[9999999999y])", timedelta.max, id="a range beyond all time"),
]


@pytest.mark.parametrize(("text", "reach"), _REACHES)
def test_a_selector_tells_how_far_back_it_looks(text: str, reach: timedelta) -> None:
    """The reach is the range or lookback, the offset, and the subqueries around."""
    if reach == timedelta.max and "y" in text:
        with pytest.raises(ParseError):
            parse(text)
        return
    assert parse(text).selectors == (_selected("up", reach),)


def test_selectors_are_listed_in_the_order_written() -> None:
    """Every selector counts, also in arguments, on both sides of operators and in aggregations."""
    query = parse(
        'sum by (a) (x{a="1"}) / on (a) group_left y > scalar(z) or label_replace({a=~"b.*"}, "c", "d", "e", "f")'
    )
    five = timedelta(minutes=5)
    assert query.selectors == (
        _selected("x", five, Matcher("a", MatchOp.EQUAL, "1")),
        _selected("y", five),
        _selected("z", five),
        _selected("", five, Matcher("a", MatchOp.REGEX, "b.*")),
    )


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        pytest.param('{__name__="up"}', "up", id="the name as a label"),
        pytest.param('{"up"}', "up", id="the name quoted"),
        pytest.param('{__name__=~"up"}', "", id="a pattern is no name"),
        pytest.param('{__name__!="up",a="b"}', "", id="an exclusion is no name"),
        pytest.param('{"name with.dots"}', "name with.dots", id="a name of any characters"),
    ],
)
def test_the_metric_is_the_name_that_must_be_equal(text: str, metric: str) -> None:
    """Only an equality fixes the metric."""
    assert parse(text).selectors[0].metric == metric


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("1 + 2", ValueType.SCALAR),
        ("-(time())", ValueType.SCALAR),
        ("scalar(up) > bool 1", ValueType.SCALAR),
        ("up + 1", ValueType.VECTOR),
        ("1 - up", ValueType.VECTOR),
        ("vector(1)", ValueType.VECTOR),
        ("hour()", ValueType.VECTOR),
        ("up[5m]", ValueType.MATRIX),
        ("up[5m:]", ValueType.MATRIX),
        ('("text")', ValueType.STRING),
    ],
    ids=str,
)
def test_a_query_knows_its_type(text: str, type_: ValueType) -> None:
    """The type follows from the syntax alone."""
    assert parse(text).type is type_


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param(r"up{a=`\d+`}", r"\d+", id="raw strings keep backslashes"),
        pytest.param('up{a=`"`}', '"', id="and quotes"),
        pytest.param("up{a=`x\ny`}", "x\ny", id="and line ends"),
        pytest.param(r'up{a="\"\\\n\x41é"}', '"\\\nAé', id="escapes in double quotes"),
        pytest.param(r"up{a='it\'s'}", "it's", id="escapes in single quotes"),
        pytest.param("up{a='#'} # a comment ( [ {", "#", id="a comment is not read"),
    ],
)
def test_strings_mean_what_they_mean_in_prometheus(text: str, value: str) -> None:
    """All three kinds of quotes, their escapes, and comments."""
    assert parse(text).selectors[0].matchers[1].value == value


_REFUSED = [
    pytest.param("", "", id="nothing"),
    pytest.param("up{", "", id="an open brace"),
    pytest.param("up)", "", id="a closing parenthesis"),
    pytest.param("rate(up)", "expected type matrix", id="a vector where a range belongs"),
    pytest.param("sum(1)", "expected type vector", id="a scalar where a vector belongs"),
    pytest.param("1 > 2", "BOOL modifier", id="comparing scalars without bool"),
    pytest.param("1 and 2", "set operator", id="a set operator between scalars"),
    pytest.param('up + "a"', "scalar and instant vector", id="adding a string"),
    pytest.param("{}", "at least one non-empty matcher", id="selecting everything"),
    pytest.param('{a=~".*"}', "at least one non-empty matcher", id="selecting everything by a pattern"),
    pytest.param('up{a="b" or c="d"}', "use =~ or the or operator", id="alternatives in a selector"),
    pytest.param('up{a=~"("}', "illegal regex", id="a broken pattern"),
    pytest.param('up{a=~"x{1001}"}', "not an RE2 expression", id="a pattern that only other engines know"),
    pytest.param("nonsense(up)", "unknown function", id="an unknown function"),
    pytest.param(
        "histogram_count(up)", "histogram_count() reads native histograms", id="a native histogram function"
    ),
    pytest.param("histogram_avg(up)", "native histograms", id="another one"),
    pytest.param("info(up)", "info() is an experimental function", id="an experimental function"),
    pytest.param("mad_over_time(up[5m])", "experimental", id="an experimental range function"),
    pytest.param("sort_by_label(up, 'a')", "experimental", id="an experimental sort"),
    pytest.param("first_over_time(up[5m])", "first_over_time()", id="a function of later versions"),
    pytest.param(
        "limitk(2, up)", "limitk() is an experimental aggregation", id="an experimental aggregation"
    ),
    pytest.param(
        "up + on (a) 1", "vector matching only allowed between vectors", id="matching with a scalar"
    ),
    pytest.param("a + on (x) group_left (x) b", "ON and GROUP", id="a label both matched and included"),
    pytest.param("a and on (x) group_left () b", "no grouping allowed", id="grouping in a set operation"),
    pytest.param("up[5m:1m:1m]", "colon", id="two steps"),
    pytest.param("1[5m:]", "subquery is only allowed on vector", id="a subquery of a scalar"),
    pytest.param("up @ -1", "between 1970 and 9999", id="a time before 1970"),
    pytest.param("up @ 1e300", "between 1970 and 9999", id="a time beyond the calendar"),
    pytest.param("1e400", "out of range", id="a number beyond the range of floats"),
    pytest.param('"abc', "the string opened at column 1 does not end", id="an open string"),
    pytest.param("up +\n  {a='b}", "column 6 does not end", id="an open string in a second line"),
    pytest.param("\ud800", "Unicode", id="half a character"),
]


@pytest.mark.parametrize(("text", "reason"), _REFUSED)
def test_what_is_not_accepted_is_refused_with_a_reason(text: str, reason: str) -> None:
    """The error names the fault and carries the text."""
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert reason in caught.value.reason
    assert caught.value.text == text


_TOO_MUCH = [
    pytest.param("a" * (64 * 1024 + 1), "65537 bytes long", id="longer than 64 KiB"),
    pytest.param("é" * (32 * 1024 + 1), "65538 bytes long", id="bytes count, not characters"),
    pytest.param("(" * 101 + "1" + ")" * 101, "nested more than 100 deep", id="101 parentheses"),
    pytest.param("sum(" * 101 + "a" + ")" * 101, "nested more than 100 deep", id="101 functions"),
    pytest.param("(" * 50_000, "nested more than 100 deep", id="only opening"),
    pytest.param("a" + "[1m:]" * 30_000, "", id="subqueries of subqueries"),
    pytest.param("+".join(["a"] * 502), "more than 500 operators", id="501 operators"),
    pytest.param(" or ".join(["a"] * 502), "more than 500 operators", id="501 words for operators"),
    pytest.param("-" * 101 + "a", "more than 100 signs in a row", id="101 signs"),
    pytest.param("- + " * 60 + "a", "more than 100 signs in a row", id="signs with spaces between them"),
    pytest.param("-#\n" * 101 + "a", "more than 100 signs in a row", id="signs with comments between them"),
    pytest.param(
        "^".join(["2"] * 400),
        "operators, functions and parentheses inside one another",
        id="a tower of powers",
    ),
]


@pytest.mark.parametrize(("text", "reason"), _TOO_MUCH)
def test_what_would_kill_the_native_parser_is_refused_before(text: str, reason: str) -> None:
    """Length, depth, operators and signs are limited by a scan that knows strings and comments."""
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert reason in caught.value.reason


_JUST_ENOUGH = [
    pytest.param("(" * 100 + "1" + ")" * 100, id="100 parentheses"),
    pytest.param("+".join(["a"] * 501), id="500 operators"),
    pytest.param("-" * 100 + "a", id="100 signs"),
    pytest.param("a # " + "(" * 200 + "+" * 600, id="a comment does not count"),
    pytest.param('up{a="' + "(" * 200 + "+" * 600 + '"}', id="a string does not count"),
    pytest.param("up{a=`" + "(" * 200 + "'`}", id="a raw string does not count"),
    pytest.param("^".join(["2"] * 200), id="a lower tower of powers"),
    pytest.param("a{" + ",".join(f'l{i}="v"' for i in range(3000)) + "}", id="thousands of matchers"),
]


@pytest.mark.parametrize("text", _JUST_ENOUGH)
def test_what_is_within_the_limits_is_parsed(text: str) -> None:
    """The limits are what they say, and count only what is code."""
    assert list(ast.walk(parse(text).expr))


def test_the_process_survives_whatever_it_is_given() -> None:
    """Deep and huge inputs, in a process of their own: it ends by itself, having refused or parsed each of them."""
    program = """
from alerting.promql import ParseError, parse
shapes = ["(", "[", "{", "-", "+", "a[", "a{", "sum(", "1^", "a or ", "'", "`", "\\\\", "a[1m:", "@", "(a)-", "not ", "\\x00"]
tails = ["", "a", ")", "]", "}", "a" + ")" * 3000]
for shape in shapes:
    for count in (10, 100, 1_000, 60_000 // len(shape)):
        for tail in tails:
            try:
                parse(shape * count + tail)
            except ParseError:
                pass
print("alive")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "alive"), done.stderr[-500:]


_WORDS = (
    "up rate( sum( by without ( ) [ ] { } [5m] [1h:] offset @ start() end() 5m -1h 1 0x1f .5 1e9 NaN Inf + - * / % ^ "
    "== != <= > bool on( ignoring( group_left group_right( and or unless atan2 , a= =~ !~ \"x\" 'y' `z` # \n : "
    "topk( quantile( count_values( label_replace( absent( histogram_quantile( fill( \\ \u0000 \U0001f600"
)
_PIECES = st.sampled_from(_WORDS.split(" "))


@given(st.one_of(st.text(max_size=60), st.lists(_PIECES, max_size=25).map(" ".join)))
@settings(max_examples=examples(600), deadline=None)
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """Whatever the text, the only exception is ParseError; and what is accepted can be walked."""
    query = refusal = None
    try:
        query = parse(text)
    except ParseError as exc:
        refusal = exc
    if refusal is not None:
        assert refusal.text == text
        assert refusal.reason
    else:
        assert query.text == text
        assert list(ast.walk(query.expr))
