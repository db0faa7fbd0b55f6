"""Functions of range vectors: what they make of the samples in each window.

Every function takes `Windows` and returns the values and which of them exist, one per series and step. The
arithmetic, including the order of summation, is Prometheus 3.5's.

Source: https://prometheus.io/docs/prometheus/latest/querying/functions/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from alerting.promql import kahan, sums
from alerting.promql.values import Flags, Floats, Times

if TYPE_CHECKING:
    from collections.abc import Callable

    from alerting.promql.blocks import Indices, Windows

Outcome: TypeAlias = tuple[Floats, Flags]
_Number = TypeVar("_Number", np.int64, np.float64)


def _picked(column: NDArray[_Number], index: Indices, ok: Flags) -> NDArray[_Number]:
    """Return column[index] where ok, and 0 elsewhere (an index beside a window may lie outside the column)."""
    out: NDArray[_Number] = np.zeros(index.shape, dtype=column.dtype)
    out[ok] = column[index[ok]]
    return out


def _extrapolated(w: Windows, *, counter: bool, per_second: bool) -> Outcome:
    """Estimate the change over the whole range from the samples inside it.

    The change between the first and the last sample is stretched to the range's ends, unless an end is further than
    1.1 average distances between samples away; then only by half such a distance. A counter is not stretched below
    zero.
    """
    ok = w.size >= 2
    t, v, last = w.columns.t, w.columns.v, w.hi - 1
    first_v, last_v = _picked(v, w.lo, ok), _picked(v, last, ok)
    first_t, last_t = _picked(t, w.lo, ok), _picked(t, last, ok)
    change = last_v - first_v
    if counter:
        change = _over_resets(w, ok, change)
    to_start = (first_t - (w.ends - w.range_ms)) / 1000
    to_end = (w.ends - last_t) / 1000
    sampled = (last_t - first_t) / 1000
    average = sampled / (w.size - 1)
    threshold = average * 1.1
    to_start = np.where(to_start >= threshold, average / 2, to_start)
    if counter:
        to_zero = sampled * (first_v / change)
        capped = (change > 0) & (first_v >= 0) & (to_zero < to_start)
        to_start = np.where(capped, to_zero, to_start)
    to_end = np.where(to_end >= threshold, average / 2, to_end)
    factor = (sampled + to_start + to_end) / sampled
    if per_second:
        factor = factor / (w.range_ms // 1000 + w.range_ms % 1000 * 1e6 / 1e9)
    return change * factor, ok


def _over_resets(w: Windows, ok: Flags, change: Floats) -> Floats:
    v = w.columns.v
    falls = np.flatnonzero(v[1:] < v[:-1]) + 1
    if not len(falls):
        return change
    lo = np.searchsorted(falls, w.lo + 1)
    hi = np.searchsorted(falls, w.hi)
    out = change.copy()
    for i, j in np.argwhere(ok & (hi > lo)).tolist():
        total = float(out[i, j])
        for before in v[falls[lo[i, j] : hi[i, j]] - 1].tolist():
            total += before
        out[i, j] = total
    return out


def _rate(w: Windows) -> Outcome:
    return _extrapolated(w, counter=True, per_second=True)


def _increase(w: Windows) -> Outcome:
    return _extrapolated(w, counter=True, per_second=False)


def _delta(w: Windows) -> Outcome:
    return _extrapolated(w, counter=False, per_second=False)


def _last_two(w: Windows, *, counter: bool) -> Outcome:
    ok = w.size >= 2
    v, t = w.columns.v, w.columns.t
    newest, before = _picked(v, w.hi - 1, ok), _picked(v, w.hi - 2, ok)
    change = newest - before
    if counter:
        change = np.where(newest < before, newest, change)
        change = change / ((_picked(t, w.hi - 1, ok) - _picked(t, w.hi - 2, ok)) / 1000)
    return change, ok


def _irate(w: Windows) -> Outcome:
    return _last_two(w, counter=True)


def _idelta(w: Windows) -> Outcome:
    return _last_two(w, counter=False)


def _events(w: Windows, happened: Flags) -> Outcome:
    """Count the positions in each window, but the first, at which something happened since the sample before."""
    at = np.flatnonzero(happened) + 1
    count = np.searchsorted(at, w.hi) - np.searchsorted(at, w.lo + 1)
    return np.maximum(count, 0).astype(np.float64), w.size > 0


def _changes(w: Windows) -> Outcome:
    v = w.columns.v
    before, after = v[:-1], v[1:]
    return _events(w, (after != before) & ~(np.isnan(after) & np.isnan(before)))


def _resets(w: Windows) -> Outcome:
    v = w.columns.v
    return _events(w, v[1:] < v[:-1])


def _count(w: Windows) -> Outcome:
    return w.size.astype(np.float64), w.size > 0


def _present(w: Windows) -> Outcome:
    return np.ones(w.size.shape), w.size > 0


def _last(w: Windows) -> Outcome:
    ok = w.size > 0
    return _picked(w.columns.v, w.hi - 1, ok), ok


def _extreme(w: Windows, ufunc: np.ufunc) -> Outcome:
    """Reduce each window by fmax or fmin, which pass over NaN unless there is nothing else."""
    ok = w.size > 0
    out = np.zeros(w.size.shape)
    if ok.any():
        bounds = np.stack((w.lo[ok], w.hi[ok]), axis=1).ravel()
        # reduceat needs every bound inside the array: one value more makes room for the end of the last window.
        out[ok] = ufunc.reduceat(np.append(w.columns.v, 0.0), bounds)[::2]
    return out, ok


def _max(w: Windows) -> Outcome:
    return _extreme(w, np.fmax)


def _min(w: Windows) -> Outcome:
    return _extreme(w, np.fmin)


def _each(w: Windows, of: Callable[[list[float]], float], *, least: int = 1) -> Outcome:
    """Apply a plain function to the values of each window that holds at least so many."""
    ok = w.size >= least
    out = np.zeros(ok.shape)
    v = w.columns.v
    for i, j in np.argwhere(ok).tolist():
        out[i, j] = of(v[w.lo[i, j] : w.hi[i, j]].tolist())
    return out, ok


def _sum(w: Windows) -> Outcome:
    return _each_run(w, sums.totals)


def _avg(w: Windows) -> Outcome:
    return _each_run(w, sums.means)


def _each_run(w: Windows, of: Callable[[Floats, Indices, Indices], Floats]) -> Outcome:
    ok = w.size > 0
    out = np.zeros(ok.shape)
    if ok.any():
        out[ok] = of(w.columns.v, w.lo[ok], w.hi[ok])
    return out, ok


def _stdvar(w: Windows) -> Outcome:
    return _each(w, kahan.variance)


def _stddev(w: Windows) -> Outcome:
    v, ok = _stdvar(w)
    return np.sqrt(v), ok


def _deriv(w: Windows) -> Outcome:
    ok = w.size >= 2
    # Any origin near the samples will do; the first one keeps the numbers small.
    slope, _ = _lines(w, ok, _picked(w.columns.t, w.lo, ok))
    return slope, ok


def predict_linear(w: Windows, seconds: Floats) -> Outcome:
    """Extend each window's regression line `seconds` beyond the evaluation time."""
    ok = w.size >= 2
    slope, intercept = _lines(w, ok, np.broadcast_to(w.times, ok.shape))
    return slope * seconds + intercept, ok


def _lines(w: Windows, ok: Flags, origin: Times) -> tuple[Floats, Floats]:
    slope, intercept = np.zeros(ok.shape), np.zeros(ok.shape)
    if ok.any():
        slope[ok], intercept[ok] = sums.lines(w.columns.t, w.columns.v, w.lo[ok], w.hi[ok], origin[ok])
    return slope, intercept


def quantile_over_time(w: Windows, q: Floats) -> Outcome:
    """Return each window's quantile."""
    ok = w.size > 0
    out = np.zeros(ok.shape)
    for i, j in np.argwhere(ok).tolist():
        out[i, j] = kahan.quantile(float(q[j]), w.columns.v[w.lo[i, j] : w.hi[i, j]].tolist())
    return out, ok


PLAIN: Final[dict[str, Callable[[Windows], Outcome]]] = {
    "avg_over_time": _avg,
    "changes": _changes,
    "count_over_time": _count,
    "delta": _delta,
    "deriv": _deriv,
    "idelta": _idelta,
    "increase": _increase,
    "irate": _irate,
    "last_over_time": _last,
    "max_over_time": _max,
    "min_over_time": _min,
    "present_over_time": _present,
    "rate": _rate,
    "resets": _resets,
    "stddev_over_time": _stddev,
    "stdvar_over_time": _stdvar,
    "sum_over_time": _sum,
}
"""The functions that take nothing but a range vector."""
