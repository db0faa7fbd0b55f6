"""Sums side by side are the plain sums, to the last bit."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.promql import kahan, sums
from tests.size import examples

_VALUES = st.lists(
    st.one_of(
        st.floats(allow_nan=True, allow_infinity=True),
        st.floats(-1e3, 1e3),
        st.integers(-1000, 1000).map(float),
        st.sampled_from([0.1, 1e100, -1e100, 1.7e308, -1.7e308, 0.0, -0.0, 5e-324]),
    ),
    min_size=1,
    max_size=40,
)
_RUNS = st.lists(_VALUES, min_size=1, max_size=12)


def _bits(value: float) -> bytes:
    return b"NaN" if math.isnan(value) else struct.pack("<d", value + 0.0)


def _laid(runs: list[list[float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    stop = np.cumsum([len(run) for run in runs])
    start = stop - [len(run) for run in runs]
    return np.array([value for run in runs for value in run]), start, stop


@pytest.mark.parametrize(
    ("together", "alone"),
    [
        pytest.param(sums.totals, kahan.total, id="sum_over_time"),
        pytest.param(sums.group_totals, kahan.aggregate_sum, id="sum"),
        pytest.param(sums.means, kahan.mean, id="avg"),
    ],
)
@given(runs=_RUNS)
@settings(max_examples=examples(300), deadline=None)
def test_runs_are_summed_as_one_by_one(together, alone, runs) -> None:
    """Whatever the lengths and values, infinities and overflows included."""
    with np.errstate(all="ignore"):
        found = together(*_laid(runs))
    assert [_bits(value) for value in found.tolist()] == [_bits(alone(run)) for run in runs]


@given(
    runs=st.lists(
        st.lists(
            st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.floats(-10, 10)),
            min_size=2,
            max_size=20,
        ),
        min_size=1,
        max_size=8,
    ),
    origin=st.integers(-100_000, 100_000),
)
@settings(max_examples=examples(300), deadline=None)
def test_lines_are_fitted_as_one_by_one(runs: list[list[float]], origin: int) -> None:
    """Slopes and intercepts agree, for runs of any length side by side."""
    v, lo, hi = _laid(runs)
    t = np.concatenate([np.arange(len(run), dtype=np.int64) * 15_000 + 1_003 for run in runs])
    with np.errstate(all="ignore"):
        slopes, intercepts = sums.lines(t, v, lo, hi, np.full(len(runs), origin))
    for run, slope, intercept in zip(runs, slopes.tolist(), intercepts.tolist(), strict=True):
        expected = kahan.regression([i * 15_000 + 1_003 for i in range(len(run))], run, origin)
        assert [_bits(slope), _bits(intercept)] == [_bits(one) for one in expected]


def test_many_runs_are_summed_in_batches() -> None:
    """More values than are laid side by side at once give the same sums."""
    rng = np.random.default_rng(1)
    runs = [rng.normal(size=size).tolist() for size in rng.integers(1, 700, size=1500).tolist()]
    assert sums.totals(*_laid(runs)).tolist() == [kahan.total(run) for run in runs]


@pytest.mark.parametrize(
    ("values", "total"),
    [
        ([1e100, 1.0, -1e100], 1.0),
        ([0.1] * 10, 1.0),
        ([math.inf, 1.0, 2.0], math.inf),
        ([1.7e308, 1.7e308, -1.7e308], math.inf),
    ],
    ids=["what cancels leaves the rest", "tenths", "an infinity", "an overflow stays"],
)
def test_a_sum_carries_what_does_not_fit(values: list[float], total: float) -> None:
    """Small parts are not lost beside large ones."""
    assert kahan.total(values) == total


def test_an_average_survives_a_sum_that_overflows() -> None:
    """The mean of huge values is huge, not infinite."""
    assert kahan.mean([1.6e308, 1.6e308, 1.6e308]) == pytest.approx(1.6e308)
