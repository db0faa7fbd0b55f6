"""The engine around the arithmetic: limits, errors, what it asks of a store, and its settings."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from alerting.labels import Labels
from alerting.promql import STALE_NAN, Engine, EvaluationError, Sample, Series, is_stale, parse
from alerting.window import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alerting.labels import Matcher

_UP = Labels({"__name__": "up", "name": "web"})


class _Asked:
    """A store without samples that remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Sequence[Series]:
        """Note the question."""
        self.asked.append((str(matchers[0]), start_ms, end_ms))
        return []


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("up", [(700_000, 1_000_000)]),
        ("up offset 1m", [(640_000, 940_000)]),
        ("rate(up[1m])", [(940_000, 1_000_000)]),
        ("up @ 500", [(200_000, 500_000)]),
        ("max_over_time(up[2m:30s])", [(600_000, 990_000)]),
        ("rate(up[1m]) + up", [(940_000, 1_000_000), (700_000, 1_000_000)]),
    ],
    ids=["lookback", "offset", "range", "fixed time", "subquery", "two selectors"],
)
def test_a_store_is_asked_for_what_can_matter(text: str, times: list[tuple[int, int]]) -> None:
    """The times are exclusive at the start and inclusive at the end."""
    store = _Asked()
    Engine().instant(parse(text), store, 1_000_000)
    assert store.asked == [('__name__="up"', *one) for one in times]


def _window(count: int = 1) -> Window:
    window = Window()
    for series in range(count):
        for second in range(0, 600, 10):
            window.append(_UP.with_({"n": str(series)}), second * 1000, float(second))
    return window


def test_the_lookback_is_a_setting() -> None:
    """A shorter lookback forgets sooner; its edge is exclusive."""
    query, window = parse("up"), _window()
    engine = Engine(lookback=timedelta(seconds=30))
    assert [one.value for one in engine.instant(query, window, 619_999).value] == [590.0]
    assert engine.instant(query, window, 620_000).value == []


def test_the_default_step_of_subqueries_is_a_setting() -> None:
    """It counts where a subquery names no step."""
    query, window = parse("count_over_time(up[1m:])"), _window()
    counts = [
        Engine(default_step=timedelta(seconds=step)).instant(query, window, 300_000).value[0].value
        for step in (60, 15)
    ]
    assert counts == [1.0, 4.0]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("up", id="too many series times steps"),
        pytest.param("rate(up[1m])", id="too many ranges"),
        pytest.param("max_over_time(up[10m:1s])", id="too many steps of a subquery"),
        pytest.param("count_over_time(vector(1)[1000y:1ms])", id="more steps than any memory holds"),
    ],
)
def test_a_query_that_needs_too_much_memory_fails(text: str) -> None:
    """It fails before the memory is taken, and names the cause."""
    engine = Engine(max_samples=100)
    with pytest.raises(EvaluationError, match="too many samples"):
        engine.range(parse(text), _window(3), 0, 600_000, 10_000)


@pytest.mark.parametrize(
    ("text", "times", "reason"),
    [
        ("up[5m]", (0, 60_000, 1000), 'invalid expression type "range vector" for range query'),
        ('"text"', (0, 60_000, 1000), 'invalid expression type "string" for range query'),
        ("up", (0, 60_000, 0), "positive step"),
        ("up", (60_000, 0, 1000), "end not before its start"),
        ("up", (0, 11_001_000, 1000), "11,000 points"),
    ],
    ids=["a range vector", "a string", "no step", "backwards", "too many points"],
)
def test_a_range_query_has_its_rules(text: str, times: tuple[int, int, int], reason: str) -> None:
    """They are Prometheus' own."""
    with pytest.raises(EvaluationError, match=reason):
        Engine().range(parse(text), _window(), *times)


def test_an_evaluation_error_carries_the_expression() -> None:
    """Whoever logs it knows which rule is at fault."""
    window = _window(2)
    with pytest.raises(EvaluationError) as caught:
        Engine().instant(parse("up / on (name) up"), window, 300_000)
    assert caught.value.text == "up / on (name) up"


def test_the_longest_chain_of_operators_evaluates() -> None:
    """Neither parsing nor evaluating recurses into the left operand."""
    result = Engine().instant(parse("+".join(["up"] * 501)), _window(), 10_000)
    assert [one.value for one in result.value] == [5010.0]


def test_the_deepest_nesting_evaluates() -> None:
    """What the guard lets through does not exhaust the stack."""
    text = "up"
    for _ in range(49):
        text = f"max_over_time(({text})[1m:10s])"
    assert [one.value for one in Engine().instant(parse(text), _window(), 590_000).value] == [590.0]


def test_results_do_not_alias_the_store() -> None:
    """A raw range in a result stays as it was when the store goes on."""
    window = _window()
    found = Engine().instant(parse("up[1m]"), window, 590_000).value
    before = found[0].points()
    for second in range(600, 100_000, 10):
        window.append(found[0].labels, second * 1000, 0.0)
    assert found[0].points() == before


def test_an_instant_vector_is_stamped_with_the_evaluation_time() -> None:
    """Not with the time of the sample it was taken from."""
    found = Engine().instant(parse("up"), _window(), 299_123).value
    assert found == [Sample(_UP.with_({"n": "0"}), 299_123, 290.0)]


def test_a_series_that_comes_and_goes_changes_what_was_remembered() -> None:
    """Matching and grouping are remembered by selection, and a selection with another series is another one."""
    window = _window(2)
    engine, query = Engine(), parse("count by (name) (up) + on (name) group_left () count by (name) (up)")
    assert [one.value for one in engine.instant(query, window, 590_000).value] == [4.0]
    window.append(_UP.with_({"n": "new"}), 590_000, 1.0)
    assert [one.value for one in engine.instant(query, window, 590_000).value] == [6.0]
    window.stale(_UP.with_({"n": "0"}), 595_000)
    assert [one.value for one in engine.instant(query, window, 596_000).value] == [4.0]


@pytest.mark.parametrize(
    ("value", "stale"),
    [(STALE_NAN, True), (float("nan"), False), (float("inf"), False), (0.0, False)],
    ids=str,
)
def test_the_stale_marker_is_one_nan_among_others(value, stale) -> None:
    """Only its bits tell."""
    assert is_stale(value) is stale
