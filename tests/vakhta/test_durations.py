"""Durations as Prometheus writes them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vakhta.durations import format_exact, parse

LONGEST = (1 << 63) // 1_000_000  # milliseconds; Prometheus counts nanoseconds in 63 bits

READ = [
    pytest.param("0", timedelta(), id="0 needs no unit"),
    pytest.param("0s", timedelta(), id="0 with a unit"),
    pytest.param("1ms", timedelta(milliseconds=1), id="ms"),
    pytest.param("5s", timedelta(seconds=5), id="s"),
    pytest.param("5m", timedelta(minutes=5), id="m"),
    pytest.param("2h", timedelta(hours=2), id="h"),
    pytest.param("3d", timedelta(days=3), id="d"),
    pytest.param("2w", timedelta(days=14), id="w"),
    pytest.param("1y", timedelta(days=365), id="y is 365 days"),
    pytest.param("1h30m", timedelta(minutes=90), id="two units"),
    pytest.param(
        "1y2w3d4h5m6s7ms",
        timedelta(days=365 + 14 + 3, hours=4, minutes=5, seconds=6, milliseconds=7),
        id="all units",
    ),
    pytest.param("90m", timedelta(minutes=90), id="more than the next unit holds"),
    pytest.param("007s", timedelta(seconds=7), id="leading zeros"),
    pytest.param("1h0m", timedelta(hours=1), id="a unit of zero"),
    pytest.param("292y", timedelta(days=365 * 292), id="the longest in years"),
]


@pytest.mark.parametrize(("text", "expected"), READ)
def test_read(text, expected):
    """Units descend, each at most once."""
    assert parse(text) == expected


REFUSED = [
    "",
    " ",
    "5",
    "-5s",
    "5 s",
    " 5s",
    "5s ",
    "5s\n",
    "1.5h",
    "s",
    "5S",
    "30m1h",
    "1h1h",
    "5µs",
    "٥s",
    "1h30",
    "inf",
]


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text):
    """What is no duration is named, and what one looks like."""
    with pytest.raises(ValueError, match="not a duration") as caught:
        parse(text)
    assert str(caught.value) == f"not a duration: {text!r}; write it like 30s, 5m or 1h30m"


@pytest.mark.parametrize("text", ["293y", "9223372036855ms", "9" * 400 + "d", "9" * 5000 + "d"])
def test_out_of_range(text):
    """Longer than Prometheus can count, however long the number."""
    with pytest.raises(ValueError, match="out of range") as caught:
        parse(text)
    assert str(caught.value) == f"duration out of range: {text}"


WRITTEN = [
    pytest.param(timedelta(), "0s", id="nothing"),
    pytest.param(timedelta(milliseconds=1500), "1s500ms", id="milliseconds"),
    pytest.param(timedelta(minutes=90), "1h30m", id="two units"),
    pytest.param(timedelta(days=7), "1w", id="whole weeks"),
    pytest.param(timedelta(days=8), "8d", id="days stay days"),
    pytest.param(timedelta(days=365), "1y", id="whole years"),
    pytest.param(timedelta(days=1, hours=1), "25h", id="days and hours become hours"),
    pytest.param(timedelta(microseconds=1_499_600), "1s500ms", id="rounded to milliseconds"),
]


@pytest.mark.parametrize(("span", "expected"), WRITTEN)
def test_written(span, expected):
    """As Prometheus prints it."""
    assert format_exact(span) == expected


@given(st.integers(0, LONGEST))
def test_law_what_is_written_reads_the_same(ms):
    """To the millisecond, over the whole range."""
    assert parse(format_exact(timedelta(milliseconds=ms))) == timedelta(milliseconds=ms)


@given(st.lists(st.integers(0, 99), min_size=7, max_size=7))
def test_law_a_duration_is_the_sum_of_its_parts(counts):
    """Reading units together is adding them up."""
    parts = [
        f"{count}{unit}" for count, unit in zip(counts, ("y", "w", "d", "h", "m", "s", "ms"), strict=True)
    ]
    assert parse("".join(parts)) == sum((parse(part) for part in parts), timedelta())
