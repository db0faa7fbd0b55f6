"""Numbers are read and written as Prometheus does."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.promql.numbers import format_full, format_g, parse_float, quoted


@pytest.mark.parametrize(
    ("value", "full", "short"),
    [
        (0.0, "0", "0"),
        (-0.0, "-0", "-0"),
        (1.0, "1", "1"),
        (-2.5, "-2.5", "-2.5"),
        (0.1, "0.1", "0.1"),
        (123456.0, "123456", "123456"),
        (1234567.0, "1234567", "1.234567e+06"),
        (1e21, "1000000000000000000000", "1e+21"),
        (1e-4, "0.0001", "0.0001"),
        (1e-5, "0.00001", "1e-05"),
        (1.5e-7, "0.00000015", "1.5e-07"),
        (-1.7e308, "-17" + "0" * 307, "-1.7e+308"),
        (5e-324, "0." + "0" * 323 + "5", "5e-324"),
        (math.inf, "+Inf", "+Inf"),
        (-math.inf, "-Inf", "-Inf"),
        (math.nan, "NaN", "NaN"),
    ],
    ids=str,
)
def test_a_number_is_written_in_full_or_short(value: float, full: str, short: str) -> None:
    """As Go's formats 'f' and 'g' with as many digits as are needed."""
    assert (format_full(value), format_g(value)) == (full, short)


@given(st.floats(allow_nan=False))
def test_what_is_written_is_read_back(value: float) -> None:
    """Both forms hold all digits."""
    assert parse_float(format_full(value)) == value
    assert parse_float(format_g(value)) == value


@pytest.mark.parametrize(
    "text", ["", "x", "1_0", "0x10", "1e", " 1", "1 ", "٣", "--1", ".", "1.2.3", "infinit"]
)
def test_what_is_no_number_is_not_read(text: str) -> None:
    """Neither Python's nor Go's extensions count."""
    assert parse_float(text) is None


def test_a_string_is_quoted_with_escapes() -> None:
    """Quotes, backslashes and line ends."""
    assert quoted('a"b\\c\nd') == r'"a\"b\\c\nd"'
