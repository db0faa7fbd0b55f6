"""The window: what is kept, for how long, and how it is read."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.labels import Labels, Matcher, MatchOp
from alerting.promql import STALE_NAN, Engine, Sample, Selector, is_stale, parse
from alerting.window import Window
from tests.size import examples

_UP = Labels({"__name__": "up", "name": "web"})
_DOWN = Labels({"__name__": "down", "name": "web"})
_MINUTE = 60_000


def _selectors(*texts: str) -> list[Selector]:
    return [selector for text in texts for selector in parse(text).selectors]


def _all(
    window: Window, text: str = '{__name__!=""}', start: int = -1, end: int = 1 << 60
) -> dict[Labels, list]:
    matchers = parse(text).selectors[0].matchers
    return {one.labels: one.points() for one in window.select(matchers, start, end)}


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        (None, True),
        (["up"], True),
        (['up{name="web"}'], True),
        (['up{name=~"w.*"}'], True),
        (['up{name="db"}'], False),
        (["down"], False),
        (['{name="web"}'], True),
        (["down", 'up{other=""}'], True),
        ([], False),
    ],
    ids=["no selectors given: all", "the metric", "a matcher", "a pattern", "another value", "another metric", "any metric",
         "one of two", "nothing"],
)  # fmt: skip
def test_a_series_is_kept_if_a_selector_matches_it(keep, kept) -> None:
    """What no rule can ask for is dropped at once."""
    window = Window(keep=None if keep is None else _selectors(*keep))
    assert window.append(_UP, 1000, 1.0) is kept
    assert window.append_many([(_UP, 2.0, None)], 2000) == int(kept)
    assert (window.series_count, window.sample_count) == (int(kept), 2 * int(kept))


@pytest.mark.parametrize(
    ("t_ms", "kept", "points"),
    [
        (2000, True, [(1000, 1.0), (2000, 9.0)]),
        (999, False, [(1000, 1.0)]),
        (1000, True, [(1000, 9.0)]),
    ],
    ids=["newer", "older: dropped", "same time: replaced"],
)
@pytest.mark.parametrize("many", [False, True], ids=["alone", "in a scrape"])
def test_a_series_only_goes_forward(t_ms, kept, points, many) -> None:
    """A sample older than the newest one is dropped."""
    window = Window()
    window.append(_UP, 1000, 1.0)
    if many:
        assert window.append_many([(_UP, 9.0, t_ms), (_DOWN, 5.0, None)], 7000) == 1 + kept
    else:
        assert window.append(_UP, t_ms, 9.0) is kept
    assert _all(window, "up") == {_UP: points}


def test_a_scrape_may_say_a_series_twice() -> None:
    """The last value counts, as for a single sample of the same time."""
    window = Window()
    window.append_many([(_UP, 1.0, None), (_UP, 2.0, None)], 1000)
    assert _all(window) == {_UP: [(1000, 2.0)]}


def test_the_end_of_a_series_is_marked() -> None:
    """With the stale marker; a series that is not known has no end."""
    window = Window()
    window.append(_UP, 1000, 1.0)
    window.stale(_UP, 2000)
    window.stale(_DOWN, 2000)
    points = _all(window)[_UP]
    assert points[0] == (1000, 1.0)
    assert is_stale(points[1][1])
    assert window.series_count == 1


def test_a_selection_has_an_open_start_and_a_closed_end() -> None:
    """As the engine's ranges."""
    window = Window()
    for t in (1000, 2000, 3000, 4000):
        window.append(_UP, t, t / 1000)
    assert _all(window, "up", 1000, 3000) == {_UP: [(2000, 2.0), (3000, 3.0)]}
    assert _all(window, "up", 4000, 9000) == {}


def test_a_selection_is_sorted_by_labels() -> None:
    """Whatever order the series appeared in."""
    window = Window()
    names = ["web", "cache", "db"]
    for name in names:
        window.append(_UP.with_({"name": name}), 1000, 1.0)
    assert [labels["name"] for labels in _all(window, "up")] == sorted(names)


@pytest.mark.parametrize(
    ("at_ms", "value"),
    [(500, None), (1000, 1.0), (2999, 1.0), (3000, None), (4000, 4.0), (303_999, 4.0), (304_000, None)],
    ids=["before", "at once", "later", "stale", "back again", "just within the lookback", "just beyond"],
)
def test_the_latest_value_is_the_newest_that_is_not_stale(at_ms, value) -> None:
    """In (at - lookback, at]."""
    window = Window()
    for t, v in ((1000, 1.0), (3000, STALE_NAN), (4000, 4.0)):
        window.append(_UP, t, v)
    found = window.latest((Matcher("__name__", MatchOp.EQUAL, "up"),), at_ms)
    assert [sample.value for sample in found] == ([] if value is None else [value])


def test_the_latest_value_carries_its_own_time() -> None:
    """Unlike the engine's vectors."""
    window = Window()
    window.append(_UP, 1000, 1.0)
    assert window.latest((), 2000, timedelta(seconds=10)) == [Sample(_UP, 1000, 1.0)]


def test_what_nobody_can_ask_for_is_trimmed() -> None:
    """Each series as far back as the farthest-reaching selector that matches it; empty ones are forgotten."""
    window = Window(keep=_selectors("up", "rate(up[10m])", "down"))
    for minute in range(60):
        window.append(_UP, minute * _MINUTE, 1.0)
        if minute < 30:
            window.append(_DOWN, minute * _MINUTE, 1.0)
        window.trim(minute * _MINUTE)
    assert set(_all(window)) == {_UP}
    oldest = _all(window)[_UP][0][0]
    assert 45 * _MINUTE <= oldest <= 49 * _MINUTE
    assert window.series_count == 1


def test_a_series_that_was_forgotten_may_come_back() -> None:
    """As a new one."""
    window = Window(keep=_selectors("up"))
    window.append(_UP, 0, 1.0)
    window.trim(100 * _MINUTE)
    assert window.series_count == 0
    assert _all(window) == {}
    assert window.append(_UP, 101 * _MINUTE, 2.0)
    assert _all(window) == {_UP: [(101 * _MINUTE, 2.0)]}


def test_a_reload_changes_what_is_kept() -> None:
    """Series that nobody asks for any more go at once; those kept for longer stay for longer."""
    window = Window(keep=_selectors("up", "down"))
    window.append(_UP, 0, 1.0)
    window.append(_DOWN, 0, 1.0)
    window.keep(_selectors("rate(up[1h])"))
    assert set(_all(window)) == {_UP}
    assert not window.append(_DOWN, 1000, 1.0)
    window.trim(50 * _MINUTE)
    assert set(_all(window)) == {_UP}
    window.keep(None)
    assert window.append(_DOWN, 2000, 1.0)


def test_the_same_selection_is_the_same_tuple() -> None:
    """This is what the engine's memory rests on; another series makes it another one."""
    window = Window()
    window.append(_UP, 1000, 1.0)
    matchers = parse("up").selectors[0].matchers
    first = window.columns(matchers, 0, 1).labels
    window.append(_UP, 2000, 1.0)
    window.append(_DOWN, 2000, 1.0)
    assert window.columns(matchers, 0, 1).labels is first
    window.append(_UP.with_({"name": "db"}), 2000, 1.0)
    assert len(window.columns(matchers, 0, 1).labels) == 2


_LABELS = st.builds(
    lambda metric, name: Labels({"__name__": metric, "name": name}),
    st.sampled_from("abc"),
    st.sampled_from("xyz"),
)
_VALUE = st.one_of(st.floats(-10, 10), st.just(STALE_NAN))
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("one"), _LABELS, _VALUE),
        st.tuples(st.just("many"), st.lists(_LABELS, max_size=6, unique=True), _VALUE),
        st.tuples(st.just("stale"), _LABELS, st.none()),
        st.tuples(st.just("trim"), st.integers(0, 600_000), st.none()),
    ),
    max_size=80,
)


class _Model:
    """The plainest store of what a window should hold."""

    def __init__(self, kept: set[Labels]) -> None:
        self.series: dict[Labels, dict[int, float]] = {}
        self._kept = kept

    def append(self, labels: Labels, t_ms: int, value: float) -> None:
        """Keep a sample that is wanted and not too old."""
        points = self.series.setdefault(labels, {})
        if labels in self._kept and (not points or t_ms >= max(points)):
            points[t_ms] = value

    def since(self, t_ms: int) -> dict[Labels, list[tuple[int, str]]]:
        """Return the later samples; values as text, so that NaN equals NaN."""
        found = {
            labels: [(t, repr(v)) for t, v in sorted(points.items()) if t > t_ms]
            for labels, points in self.series.items()
        }
        return {labels: points for labels, points in found.items() if points}


def _apply(step: tuple[str, object, float], window: Window, model: _Model, now: int) -> None:
    kind, what, value = step
    match kind:
        case "one":
            window.append(what, now, value)
            model.append(what, now, value)
        case "many":
            window.append_many([(labels, value, None) for labels in what], now)
            for labels in what:
                model.append(labels, now, value)
        case "stale":
            window.stale(what, now)
            if model.series.get(what):
                model.append(what, now, STALE_NAN)
        case "trim":
            window.trim(now)
            # A series is forgotten some time after its last sample; then older samples are news again.
            for labels in model.series.keys() - _all(window).keys():
                del model.series[labels]


@given(steps=_STEPS, strides=st.lists(st.integers(-5_000, 60_000), min_size=80, max_size=80))
@settings(max_examples=examples(150), deadline=None)
def test_the_window_holds_what_a_plain_list_would(steps, strides) -> None:
    """Any sequence of writes and trims leaves the same samples as the plainest store, where they can still matter."""
    window = Window(keep=_selectors("a", 'b{name="x"}', '{name="y"}'))
    kept = [("a", "x"), ("a", "y"), ("a", "z"), ("b", "x"), ("b", "y"), ("c", "y")]
    model = _Model({Labels({"__name__": metric, "name": name}) for metric, name in kept})
    now = 0
    for step, stride in zip(steps, strides, strict=False):
        now = max(0, now + stride) + (step[1] if step[0] == "trim" else 0)
        _apply(step, window, model, now)
    reach = now - 5 * _MINUTE
    found = {
        labels: [(t, repr(v)) for t, v in points] for labels, points in _all(window, start=reach).items()
    }
    assert found == model.since(reach)


def test_a_clock_set_back_does_not_lock_series_out() -> None:
    """What is later than now is dropped, and samples of now are taken again."""
    window = Window()
    for t in (1000, 2000, 3000):
        window.append(_UP, t, t / 1000)
    window.append(_DOWN, 3000, 1.0)
    window.rewind(2000)
    assert _all(window) == {_UP: [(1000, 1.0), (2000, 2.0)]}
    assert window.append(_UP, 2500, 9.0)
    assert window.append(_DOWN, 2500, 9.0)
    assert _all(window)[_UP][-1] == (2500, 9.0)


def test_a_row_is_used_again() -> None:
    """Where series come and go, the memory does not grow."""
    window = Window(keep=_selectors("up"))
    for generation in range(50):
        now = generation * 10 * _MINUTE
        for n in range(4):
            window.append(_UP.with_({"n": f"{generation}-{n}"}), now, float(n))
        window.trim(now)
        assert sorted(points[0][1] for points in _all(window).values()) == [0.0, 1.0, 2.0, 3.0]
    assert window.byte_count < 10_000


def test_a_row_used_again_has_no_past() -> None:
    """The samples of the series before it in the row count nowhere."""
    window = Window(keep=_selectors("rate(up[20m])"))
    for minute in range(6):
        window.append(_UP, minute * _MINUTE, 1.0)
    now = 60 * _MINUTE
    window.trim(now)
    window.append(_UP.with_({"name": "db"}), now, 1.0)
    found = Engine().instant(parse("count_over_time(up[20m])"), window, now).value
    assert [one.value for one in found] == [1.0]


def test_what_nobody_selects_does_not_fill_the_memory() -> None:
    """The refused are remembered, but not without limit."""
    window = Window(keep=_selectors("up"))
    assert not any(window.append(_DOWN.with_({"n": str(n)}), 1000, 1.0) for n in range(20_100))
    assert window.append(_UP, 1000, 1.0)


def test_any_number_of_questions_may_be_asked() -> None:
    """What was found for a selection is remembered, but not without limit."""
    window = Window(keep=_selectors("up"))
    window.append(_UP, 1000, 1.0)
    for n in range(2_100):
        text = f'up{{name="web",n!="{n}"}}'
        assert _all(window, text) == {_UP: [(1000, 1.0)]}
        assert window.doubts(_selectors(f"other_{n}")) == (f"other_{n} is not kept: no rule selects it",)
