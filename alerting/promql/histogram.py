"""Quantiles and fractions from classic histograms: series of cumulative counts with the upper bound in label ``le``.

The observations of a bucket are taken to lie evenly between its bounds. Counts that fall from one bucket to a wider
one, which cannot be, are raised first; differences that are only rounding are ignored without a word.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from alerting.labels import METRIC_NAME, Labels
from alerting.promql.blocks import Block
from alerting.promql.numbers import parse_float
from alerting.promql.operators import merged
from alerting.promql.values import Floats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alerting.promql.remarks import Remarks

Buckets: TypeAlias = list[tuple[float, float]]
"""Upper bounds and cumulative counts, by rising bound."""

_BOUND: Final = "le"
_ROUNDING: Final = 1e-12
"""A relative difference between two buckets that is only rounding: it would take 1e12 observations to be one."""


def quantile(q: Floats, block: Block, remarks: Remarks) -> Block:
    """Estimate a quantile of every histogram at every step."""

    def of(step: int, metric: str, buckets: Buckets) -> float:
        value, repaired = bucket_quantile(float(q[step]), buckets)
        if repaired:
            remarks.repaired_histogram(metric)
        return value

    return _each_histogram(block, of, remarks)


def fraction(low: Floats, high: Floats, block: Block, remarks: Remarks) -> Block:
    """Estimate which share of every histogram's observations lies between two values, at every step."""

    def of(step: int, _: str, buckets: Buckets) -> float:
        return bucket_fraction(float(low[step]), float(high[step]), buckets)

    return _each_histogram(block, of, remarks)


def _each_histogram(block: Block, of: Callable[[int, str, Buckets], float], remarks: Remarks) -> Block:
    groups = _histograms(block, remarks)
    v = np.zeros((len(groups), block.v.shape[1]))
    ok = np.zeros(v.shape, dtype=bool)
    for row, (labels, members) in enumerate(groups.items()):
        for step in range(v.shape[1]):
            buckets = [(bound, float(block.v[at, step])) for bound, at in members if block.ok[at, step]]
            if buckets:
                v[row, step] = of(step, labels.metric, _coalesced(buckets))
                ok[row, step] = True
    result = Block(labels=[labels.drop((METRIC_NAME,)) for labels in groups], v=v, ok=ok)
    return merged((result,)).compact()


def _histograms(block: Block, remarks: Remarks) -> dict[Labels, list[tuple[float, int]]]:
    """Group the rows that differ in their upper bound only."""
    groups: dict[Labels, list[tuple[float, int]]] = {}
    for row, labels in enumerate(block.labels):
        text = labels.get(_BOUND, "")
        bound = parse_float(text)
        if bound is None:
            remarks.bad_bucket(labels.metric, text)
            continue
        groups.setdefault(labels.drop((_BOUND,)), []).append((bound, row))
    return groups


def _coalesced(buckets: Buckets) -> Buckets:
    """Sort buckets by bound, adding up those with the same bound (written differently)."""
    out: Buckets = []
    for bound, count in sorted(buckets, key=lambda bucket: bucket[0]):
        if out and out[-1][0] == bound:
            out[-1] = (bound, out[-1][1] + count)
        else:
            out.append((bound, count))
    return out


def bucket_quantile(q: float, buckets: Buckets) -> tuple[float, bool]:
    """Estimate a quantile; also tell whether falling counts had to be raised for it.

    NaN without observations, without a bucket up to +Inf, or with no bucket beside that. A quantile in the last bucket
    is that bucket's lower bound; the first bucket starts at 0, unless it ends below.
    """
    if q < 0 or q > 1:
        return math.copysign(math.inf, q), False
    if math.isnan(q) or buckets[-1][0] != math.inf:
        return math.nan, False
    bounds = [bound for bound, _ in buckets]
    counts, raised = _monotonic([count for _, count in buckets])
    if len(buckets) < 2 or counts[-1] == 0:
        return math.nan, False
    rank = q * counts[-1]
    at = _first_reaching(counts, rank)
    if at == len(counts) - 1:
        return bounds[-2], raised
    if at == 0 and bounds[0] <= 0:
        return bounds[0], raised
    start, count = 0.0, counts[at]
    if at > 0:
        start = bounds[at - 1]
        count -= counts[at - 1]
        rank -= counts[at - 1]
    with np.errstate(all="ignore"):
        share = float(np.float64(rank) / np.float64(count))
    return start + (bounds[at] - start) * share, raised


def _first_reaching(counts: Sequence[float], rank: float) -> int:
    """Find the first count that is not below the rank by bisection, the last one standing for "none".

    The counts rise unless there is NaN among them; with NaN the result depends on the order of the comparisons.
    """
    low, high = 0, len(counts) - 1
    while low < high:
        middle = (low + high) // 2
        if counts[middle] >= rank:
            high = middle
        else:
            low = middle + 1
    return low


def _monotonic(counts: list[float]) -> tuple[list[float], bool]:
    out, raised = list(counts), False
    before = counts[0]
    for at, count in enumerate(counts[1:], start=1):
        if count == before:
            continue
        if _almost_equal(before, count):
            out[at] = before
        elif count < before:
            out[at] = before
            raised = True
        else:
            before = count
    return out, raised


def _almost_equal(a: float, b: float) -> bool:
    if math.isnan(a) and math.isnan(b):
        return True
    total, apart = abs(a) + abs(b), abs(a - b)
    if a == 0 or b == 0 or total < sys.float_info.min:
        return apart < _ROUNDING * sys.float_info.min
    return apart / min(total, sys.float_info.max) < _ROUNDING


def bucket_fraction(low: float, high: float, buckets: Buckets) -> float:
    """Estimate the share of observations between two values; NaN where a quantile would be."""
    if buckets[-1][0] != math.inf:
        return math.nan
    count = buckets[-1][1]
    if count == 0 or math.isnan(low) or math.isnan(high):
        return math.nan
    if low >= high:
        return 0.0
    with np.errstate(all="ignore"):
        return float((_rank(high, buckets) - _rank(low, buckets)) / np.float64(count))


def _rank(value: float, buckets: Buckets) -> np.float64:
    """Estimate how many observations are not above a value."""
    rank, lower = 0.0, -math.inf
    for upper, count in buckets:
        if lower >= value:
            return np.float64(rank)
        if lower < value < upper:
            within = np.float64(count - rank) * np.float64(value - lower) / np.float64(upper - lower)
            return np.float64(min(rank + within, buckets[-1][1]))
        rank, lower = count, upper
    return np.float64(buckets[-1][1])
