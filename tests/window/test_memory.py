"""What the window does when memory is short, and what it says about it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alerting.labels import Labels
from alerting.promql import Engine, Selector, parse
from alerting.window import Window

_HOUR = 3_600_000
_START = 1_700_000_000_000


def _selectors(*texts: str) -> list[Selector]:
    return [selector for text in texts for selector in parse(text).selectors]


def _filled(keep: list[str], *, budget: int, hours: float, series: int = 10) -> tuple[Window, int]:
    """Fill a window with counters and gauges every 10 seconds, trimming as an owner would."""
    window = Window(keep=_selectors(*keep), budget=budget)
    labels = [
        Labels({"__name__": name, "n": str(n)}) for n in range(series) for name in ("long_total", "short")
    ]
    now = _START
    for step in range(int(hours * 360)):
        now = _START + step * 10_000
        window.append_many([(one, float(step), None) for one in labels], now)
        if step % 6 == 0:
            window.trim(now)
    window.trim(now)
    return window, now


def test_within_the_budget_nothing_is_lost() -> None:
    """Full resolution as far back as rules look."""
    window, now = _filled(["rate(long_total[3h])", "short"], budget=10 << 20, hours=4)
    points = window.select(parse("long_total").selectors[0].matchers, now - 3 * _HOUR, now)[0].t
    assert len(points) == 1080
    assert not window.thinned
    assert window.approximate(_selectors("rate(long_total[3h])")) == ()


def test_beyond_the_budget_old_samples_are_thinned() -> None:
    """The memory keeps to the budget, the last hour stays as it was, and older samples are a minute apart."""
    budget = 150_000
    window, now = _filled(["rate(long_total[3h])", "short"], budget=budget, hours=4)
    assert window.byte_count <= budget
    assert dict(window.thinned) == {"long_total": (timedelta(hours=1), timedelta(minutes=1))}
    t = window.select(parse("long_total").selectors[0].matchers, now - 3 * _HOUR, now)[0].t
    recent, old = t[t > now - _HOUR], t[t <= now - 1.5 * _HOUR]
    assert len(recent) == 360
    assert set((old[1:] - old[:-1]).tolist()) == {60_000}
    assert old[0] <= now - 3 * _HOUR + 60_000


def test_a_thinned_counter_still_gives_its_rate() -> None:
    """The last sample of each interval is kept: only the far end of the range is up to an interval less sure."""
    window, now = _filled(["rate(long_total[3h])", "short"], budget=150_000, hours=4)
    found = Engine().instant(parse("rate(long_total[3h])"), window, now).value
    assert [one.value for one in found] == pytest.approx([0.1] * 10, rel=0.005)


def test_thinning_gets_harsher_until_it_fits() -> None:
    """One degree after the other, down to a few minutes of full resolution."""
    window, _ = _filled(["rate(long_total[3h])", "short"], budget=60_000, hours=4)
    (age, spacing) = window.thinned["long_total"]
    assert age < timedelta(hours=1)
    assert spacing > timedelta(minutes=1)
    assert window.byte_count <= 75_000


def test_what_does_not_fit_is_kept_all_the_same() -> None:
    """The last minutes are never given up."""
    window, now = _filled(["long_total", "short"], budget=100, hours=0.2)
    assert window.byte_count > 100
    assert len(window.select(parse("short").selectors[0].matchers, now - 300_000, now)[0].t) == 30


def test_stale_markers_survive_thinning() -> None:
    """The end of a series is not thinned away."""
    window = Window(keep=_selectors("rate(x[5h])"), budget=1000)
    labels = Labels({"__name__": "x"})
    for step in range(2000):
        t = _START + step * 10_000
        if step % 50 == 25:
            window.stale(labels, t)
        else:
            window.append(labels, t, 1.0)
    window.trim(_START + 2000 * 10_000)
    assert "x" in window.thinned
    v = window.select(parse("x").selectors[0].matchers, 0, 1 << 60)[0].v
    assert (v != v).sum() >= 1600 // 50  # noqa: PLR0124  NaN test


@pytest.mark.parametrize(
    ("text", "metrics"),
    [
        ("rate(long_total[3h])", ("long_total",)),
        ("long_total offset 2h", ("long_total",)),
        ("rate(long_total[10m])", ()),
        ("short", ()),
        ('{n="1"}', ()),
        ('{n="1"} offset 2h', ("long_total",)),
    ],
    ids=[
        "a long range",
        "a long offset",
        "a short range",
        "another metric",
        "any metric now",
        "any metric long ago",
    ],
)
def test_an_approximate_answer_is_named(text: str, metrics: tuple[str, ...]) -> None:
    """Where a selector reaches into the thinned part, and only there."""
    window, _ = _filled(["rate(long_total[3h])", "short"], budget=150_000, hours=4)
    assert window.approximate(_selectors(text)) == metrics
    assert any(
        "approximate: for lack of memory long_total" in one for one in window.doubts(_selectors(text))
    ) is bool(metrics)


@pytest.mark.parametrize(
    ("text", "doubts"),
    [
        ("up", ()),
        ('up{name="web"}', ()),
        ("rate(busy_total[10m])", ()),
        ("rate(busy_total[2m])", ()),
        ("busy_total", ()),
        ("rate(odd_total[2m])", ("odd_total is kept for 90s only, as far back as rules look",)),
        ("rate(busy_total[11m])", ("busy_total is kept for 10m only, as far back as rules look",)),
        ("max_over_time(up[1h:])", ("up is kept for 5m only, as far back as rules look",)),
        ('mem{name="db"}', ("only the part of mem that rules select is kept",)),
        ("mem", ("only the part of mem that rules select is kept",)),
        ('mem{name="web",job="x"}', ()),
        ("nothing", ("nothing is not kept: no rule selects it",)),
        ('{name="x"}', ('{name="x"} is not kept: no rule selects it',)),
        (
            "nothing + other",
            ("nothing is not kept: no rule selects it", "other is not kept: no rule selects it"),
        ),
        ("vector(1)", ()),
    ],
    ids=str,
)
def test_a_question_for_what_is_not_kept_is_answered_with_a_warning(
    text: str, doubts: tuple[str, ...]
) -> None:
    """Never with silence: no rule selects it, or not as far back, or not all of it."""
    window = Window(keep=_selectors("up", "rate(busy_total[10m])", "rate(odd_total[90s])", 'mem{name="web"}'))
    for _ in range(2):  # the second time from memory
        assert window.doubts(parse(text).selectors) == doubts


def test_a_window_that_keeps_all_has_no_doubts() -> None:
    """Without selectors everything is there."""
    assert Window().doubts(parse("anything offset 9y").selectors) == ()


def test_a_reload_takes_doubts_away() -> None:
    """What was said about the old rules does not count for the new ones."""
    window = Window(keep=_selectors("up"))
    assert window.doubts(parse("down").selectors)
    window.keep(_selectors("down"))
    assert not window.doubts(parse("down").selectors)


def test_a_thinned_metric_that_is_gone_is_not_named() -> None:
    """It may come back at full resolution."""
    window, now = _filled(["rate(long_total[3h])", "short"], budget=150_000, hours=4)
    assert window.thinned
    window.trim(now + 5 * _HOUR)
    window.trim(now + 5 * _HOUR)
    assert not window.thinned
