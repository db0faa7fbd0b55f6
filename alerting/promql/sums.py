"""The sums of `kahan` for many runs of values at once, rounded in exactly the same way.

A compensated sum looks sequential, but it is two sequential sums: that of the values, and that of what each addition
lost, which depends on the first sum only. numpy accumulates in order, so both are accumulations, and runs of similar
length go through them side by side, the shorter ones followed by zeros. Runs in which a sum becomes infinite, where the
carry is treated differently, are left to the plain functions; these are also the oracle in the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from alerting.promql import kahan
from alerting.promql.values import Flags, Floats, Times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alerting.promql.blocks import Indices

_CELLS: Final = 1 << 18
"""How many values are laid side by side at once: 2 MB an array."""


def totals(v: Floats, lo: Indices, hi: Indices) -> Floats:
    """Return `kahan.total` of v[lo:hi] for every pair of bounds, none of them empty."""
    return _of_runs(v, lo, hi, kahan.total, lambda total, carry, _: total + carry)


def group_totals(v: Floats, lo: Indices, hi: Indices) -> Floats:
    """Return `kahan.aggregate_sum` of v[lo:hi] for every pair of bounds, none of them empty."""
    return _of_runs(v, lo, hi, kahan.aggregate_sum, lambda total, carry, _: total + carry)


def means(v: Floats, lo: Indices, hi: Indices) -> Floats:
    """Return `kahan.mean` of v[lo:hi] for every pair of bounds, none of them empty."""
    return _of_runs(v, lo, hi, kahan.mean, lambda total, carry, count: total / count + carry / count)


def _of_runs(
    v: Floats,
    lo: Indices,
    hi: Indices,
    plain: Callable[[list[float]], float],
    result: Callable[[Floats, Floats, Indices], Floats],
) -> Floats:
    out = np.empty(len(lo))
    for chosen in _batches(hi - lo):
        low, size = lo[chosen], hi[chosen] - lo[chosen]
        values, _ = _side_by_side(v, low, size)
        total, carry, finite = _compensated(values, size)
        out[chosen] = result(total, carry, size)
        for at in np.flatnonzero(~finite).tolist():
            out[chosen[at]] = plain(v[low[at] : low[at] + size[at]].tolist())
    return out


def lines(t: Times, v: Floats, lo: Indices, hi: Indices, origin: Times) -> tuple[Floats, Floats]:
    """Return slopes and intercepts of `kahan.regression` for every pair of bounds, each of two samples or more."""
    slope, intercept = np.empty(len(lo)), np.empty(len(lo))
    for chosen in _batches(hi - lo):
        low, size = lo[chosen], hi[chosen] - lo[chosen]
        y, inside = _side_by_side(v, low, size)
        times, _ = _side_by_side(t, low, size)
        x = np.where(inside, (times - origin[chosen][:, None]) / 1e3, 0.0)
        parts = [_compensated(values, size) for values in (x, y, x * y, x * x)]
        n = size.astype(np.float64)
        sx, sy, sxy, sxx = (total + carry for total, carry, _ in parts)
        with np.errstate(all="ignore"):
            s = (sxy - sx * sy / n) / (sxx - sx * sx / n)
        first = y[:, 0]
        level = ((y == first[:, None]) | ~inside).all(axis=1)
        slope[chosen] = np.where(level, np.where(np.isinf(first), np.nan, 0.0), s)
        intercept[chosen] = np.where(level, np.where(np.isinf(first), np.nan, first), sy / n - s * sx / n)
        finite = np.logical_and.reduce([one[2] for one in parts])
        for at in np.flatnonzero(~finite & ~level).tolist():
            part = slice(low[at], low[at] + size[at])
            slope[chosen[at]], intercept[chosen[at]] = kahan.regression(
                t[part].tolist(), v[part].tolist(), int(origin[chosen[at]])
            )
    return slope, intercept


def _batches(size: Indices) -> Iterator[Indices]:
    """Split runs into batches of similar length: at most half of a batch is padding."""
    magnitude = np.frexp(size)[1]
    for length in np.unique(magnitude).tolist():
        members = np.flatnonzero(magnitude == length)
        at_once = max(1, _CELLS >> length)
        for start in range(0, len(members), at_once):
            yield members[start : start + at_once]


def _side_by_side(column: Floats | Times, lo: Indices, size: Indices) -> tuple[Floats, Flags]:
    """Lay runs of a column under one another, padded with zeros; also tell what is not padding."""
    offset = np.arange(int(size.max()))
    inside = offset < size[:, None]
    values: Floats = np.where(inside, column[np.where(inside, lo[:, None] + offset, 0)], 0)
    return values, inside


def _compensated(values: Floats, size: Indices) -> tuple[Floats, Floats, Flags]:
    """Return each row's sum, what rounding lost on the way, and whether the sum stayed finite.

    The first value is taken as it is: adding it to zero loses nothing.
    """
    after = np.add.accumulate(values, axis=1)
    before, value, sums = after[:, :-1], values[:, 1:], after[:, 1:]
    lost = np.where(np.abs(before) >= np.abs(value), (before - sums) + value, (value - sums) + before)
    carry = np.add.accumulate(lost, axis=1)
    row, last = np.arange(len(values)), size - 1
    total = after[row, last]
    carried = np.where(last > 0, carry[row, last - 1], 0.0) if carry.shape[1] else np.zeros(len(values))
    finite: Flags = ~np.any(np.isinf(after), axis=1)
    return total, carried, finite
