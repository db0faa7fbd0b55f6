"""Reading expositions: both text formats, what is refused and where, and the memory of a target's series."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.labels import Labels
from alerting.scrape.exposition import ExpositionError, LineCache, parse
from tests.size import examples


def _labels(metric: str, /, **more: str) -> Labels:
    return Labels({"__name__": metric, **more})


_LINES = [
    pytest.param("up 1", _labels("up"), 1.0, None, id="a bare name"),
    pytest.param("up{} 1", _labels("up"), 1.0, None, id="no labels"),
    pytest.param('up{a="b"} 1', _labels("up", a="b"), 1.0, None, id="a label"),
    pytest.param('up{a="b",c="d"} 1', _labels("up", a="b", c="d"), 1.0, None, id="two labels"),
    pytest.param('up{a="b",} 1', _labels("up", a="b"), 1.0, None, id="a trailing comma"),
    pytest.param(
        'up { a = "b" , c = "d" } 1', _labels("up", a="b", c="d"), 1.0, None, id="spaces between all"
    ),
    pytest.param('\tup\t{a="b"}\t1\t', _labels("up", a="b"), 1.0, None, id="tabs"),
    pytest.param('up{a=""} 1', _labels("up"), 1.0, None, id="an empty label is none"),
    pytest.param(r'up{a="x\"y\\z\nw"} 1', _labels("up", a='x"y\\z\nw'), 1.0, None, id="escapes"),
    pytest.param(r'up{a="C:\dir"} 1', _labels("up", a=r"C:\dir"), 1.0, None, id="an unknown escape stays"),
    pytest.param('up{a="}{ , # 1 2"} 1', _labels("up", a="}{ , # 1 2"), 1.0, None, id="anything in a value"),
    pytest.param('up{a="é\U0001f600"} 1', _labels("up", a="é\U0001f600"), 1.0, None, id="Unicode"),
    pytest.param('{"a.b",c="d"} 1', _labels("a.b", c="d"), 1.0, None, id="a quoted name"),
    pytest.param(
        'up{"a.b"="c"} 1', Labels({"__name__": "up", "a.b": "c"}), 1.0, None, id="a quoted label name"
    ),
    pytest.param("node:up:sum 1", _labels("node:up:sum"), 1.0, None, id="colons"),
    pytest.param("up 1 1700000000123", _labels("up"), 1.0, 1_700_000_000_123, id="a time in milliseconds"),
    pytest.param('up{a="b"} 1 -5', _labels("up", a="b"), 1.0, -5, id="a time before 1970"),
    pytest.param("up +Inf", _labels("up"), math.inf, None, id="infinity"),
    pytest.param("up -inf", _labels("up"), -math.inf, None, id="minus infinity"),
    pytest.param("up NaN", _labels("up"), math.nan, None, id="NaN"),
    pytest.param("up -1.5e-7", _labels("up"), -1.5e-7, None, id="an exponent"),
    pytest.param("up .5", _labels("up"), 0.5, None, id="no digit before the point"),
    pytest.param("up   1", _labels("up"), 1.0, None, id="several spaces"),
    pytest.param("up 1\r", _labels("up"), 1.0, None, id="a carriage return"),
]


@pytest.mark.parametrize("times", [1, 2], ids=["read", "recognised"])
@pytest.mark.parametrize(("line", "labels", "value", "t_ms"), _LINES)
def test_a_line_is_a_sample(line, labels, value, t_ms, times) -> None:
    """Read for the first time or recognised, the sample is the same."""
    cache = LineCache()
    for _ in range(times):
        ((found, number, own),) = cache.parse(f"# HELP up text\n# TYPE up gauge\n\n{line}\n")
    assert (found, own) == (labels, t_ms)
    assert number == value or (math.isnan(number) and math.isnan(value))


def test_samples_come_in_the_order_exposed() -> None:
    """Comments, metadata and empty lines are passed over; the last line need not end."""
    text = '# a comment\nb 1\n\n   \n  # another\na 2\n#EOF\nb{x="y"} 3'
    assert [(str(labels), value) for labels, value, _ in parse(text)] == [
        ("b", 1.0),
        ("a", 2.0),
        ('b{x="y"}', 3.0),
    ]


_OPENMETRICS = """\
# TYPE jobs counter
# UNIT jobs seconds
jobs_total{name="a # b"} 17.0 1520879607.789 # {trace="x # y"} 0.67 1520879607.5
jobs_created 1.5e9
hist_bucket{le="1.0"} 4 # {} 9.8
up 1 1700000000
# EOF
"""


def test_openmetrics_has_times_in_seconds_and_exemplars() -> None:
    """Exemplars are passed over; the unit of times follows from the format."""
    assert parse(_OPENMETRICS) == [
        (_labels("jobs_total", name="a # b"), 17.0, 1_520_879_607_789),
        (_labels("jobs_created"), 1.5e9, None),
        (_labels("hist_bucket", le="1.0"), 4.0, None),
        (_labels("up"), 1.0, 1_700_000_000_000),
    ]


def test_the_format_may_be_given() -> None:
    """The content type knows better than a last line."""
    assert parse("up 1 5\n", openmetrics=True)[0][2] == 5000
    assert parse("up 1 5\n# EOF\n", openmetrics=False)[0][2] == 5


@pytest.mark.parametrize("time", ["Inf", "NaN", "1e300", "x"])
def test_openmetrics_times_have_bounds(time: str) -> None:
    """What is no time in milliseconds is refused."""
    with pytest.raises(ExpositionError) as caught:
        parse(f"up 1 {time}\n# EOF\n")
    assert (caught.value.line, caught.value.column) == (1, 6)


_BAD = [
    pytest.param("up", 1, 3, "expected a value", id="no value"),
    pytest.param('up{a="b"}', 1, 10, "expected a value", id="no value after labels"),
    pytest.param("up 1 2 3", 1, 3, "at most a time", id="too much"),
    pytest.param("up x", 1, 4, "'x' is not a number", id="a value that is no number"),
    pytest.param("up 1_000", 1, 4, "'1_000' is not a number", id="an underscore"),
    pytest.param("up 0x10", 1, 4, "'0x10' is not a number", id="hexadecimal"),
    pytest.param("up ١", 1, 4, "is not a number", id="digits of another script"),
    pytest.param("up 1 2.5", 1, 6, "not a time in milliseconds", id="a broken time"),
    pytest.param("up 1 99999999999999999999", 1, 6, "not a time in milliseconds", id="a time beyond all bounds"),
    pytest.param("1up 1", 1, 1, "expected a metric name", id="a name that starts with a digit"),
    pytest.param('{a="b"} 1', 1, 1, "expected a metric name", id="no name"),
    pytest.param('up{a="b} 1', 1, 5, 'expected ="value"', id="an open quote"),
    pytest.param('up{a="b" 1', 1, 10, "expected , or }", id="an open brace"),
    pytest.param("up{a=b} 1", 1, 5, 'expected ="value"', id="a value without quotes"),
    pytest.param('up{="b"} 1', 1, 4, "expected a label name or }", id="no label name"),
    pytest.param('up{a="1",a="2"} 1', 1, 10, "label a occurs twice", id="a label twice"),
    pytest.param("up{,} 1", 1, 4, "expected a label name or }", id="only a comma"),
    pytest.param("# fine\nup 1\n\nup{", 4, 4, "expected a label name or }", id="in a later line"),
    pytest.param("<html>\n", 1, 1, "expected a metric name", id="not an exposition at all"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "column", "reason"), _BAD)
def test_what_is_not_in_the_format_is_refused_with_its_place(text, line, column, reason) -> None:
    """Line and column count from 1."""
    with pytest.raises(ExpositionError) as caught:
        parse(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert reason in caught.value.reason
    assert str(caught.value).startswith(f"line {line}, column {column}: ")


@pytest.mark.parametrize("value", ["x", "1_0", "", "٣", "0x1", "1 2 3"])
def test_a_known_series_is_no_excuse(value: str) -> None:
    """A recognised line is checked like any other."""
    cache = LineCache()
    cache.parse('up{a="b"} 1\n')
    with pytest.raises(ExpositionError) as caught:
        cache.parse(f'down 1\nup{{a="b"}} {value}\n')
    assert caught.value.line == 2


def test_a_series_is_recognised_by_its_text() -> None:
    """The labelset is the very same object; a line with a time is recognised as well."""
    cache = LineCache()
    first = cache.parse('up{a="b"} 1\nmem{a="b"} 1 1000\n')
    again = cache.parse('up{a="b"} 2\nmem{a="b"} 2 2000\n')
    assert [value for _, value, _ in again] == [2.0, 2.0]
    assert all(old[0] is new[0] for old, new in zip(first, again, strict=True))


def test_names_and_values_are_shared_between_series() -> None:
    """Thousands of series repeat a few words."""
    found = parse('a{name="web"} 1\nb{name="web"} 1\n')
    assert found[0][0]["name"] is found[1][0]["name"]


def test_what_is_no_longer_exposed_is_forgotten() -> None:
    """A target whose series come and go does not fill the memory."""
    cache = LineCache()
    for scrape in range(50):
        cache.parse("".join(f'up{{n="{scrape}-{n}"}} 1\n' for n in range(100)))
    assert len(cache) <= 500


_NAMES = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True)
_LABEL_NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name != "__name__"
)
_LABEL_VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_SAMPLES = st.lists(
    st.tuples(
        _NAMES,
        st.dictionaries(_LABEL_NAMES, _LABEL_VALUES, max_size=4),
        st.floats(allow_nan=False),
        st.none() | st.integers(-(10**12), 10**15),
    ),
    max_size=8,
)


def _written(name: str, labels: dict[str, str], value: float, t_ms: int | None) -> str:
    escaped = {n: v.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for n, v in labels.items()}
    inner = ",".join(f'{n}="{v}"' for n, v in escaped.items())
    return f"{name}{{{inner}}} {value!r}" + ("" if t_ms is None else f" {t_ms}")


@given(_SAMPLES)
@settings(deadline=None)
def test_what_is_written_is_read_back(samples) -> None:
    """Any labels and values survive, read twice by the same cache."""
    text = "".join(_written(*one) + "\n" for one in samples)
    expected = [(Labels({**labels, "__name__": name}), value, t_ms) for name, labels, value, t_ms in samples]
    cache = LineCache()
    assert cache.parse(text, openmetrics=False) == expected
    assert cache.parse(text, openmetrics=False) == expected


_PIECES = st.sampled_from(
    ["up", "{", "}", '"', "=", ",", " ", "\n", "1", "NaN", "-", "#", "\\", '="x"', 'a="b"', "# EOF", "\t", "é", "_", "\r", "\x00", "\x85"]
)  # fmt: skip


@given(
    st.lists(st.one_of(st.text(max_size=20), st.lists(_PIECES, max_size=12).map("".join)), max_size=3),
    st.booleans(),
)
@settings(max_examples=examples(800), deadline=None)
def test_any_text_is_read_or_refused(texts: list[str], openmetrics) -> None:
    """Whatever a target sends, nothing but ExpositionError is raised, and it knows its place."""
    cache = LineCache()
    cache.parse('up{a="b"} 1\nup 1\n')
    for text in texts:
        error = None
        try:
            cache.parse(text, openmetrics=openmetrics)
        except ExpositionError as exc:
            error = exc
        assert error is None or 1 <= error.line <= text.count("\n") + 1
