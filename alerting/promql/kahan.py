"""Sums and statistics with Prometheus 3.5's rounding.

Prometheus carries the part of each addition that did not fit (Neumaier's form of Kahan's summation), in the order of
the samples. A result that is merely *more* exact would differ in the last digits, so the algorithms are the same.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def add(inc: float, total: float, carry: float) -> tuple[float, float]:
    """Add a value to a sum and its carry; an infinite sum carries nothing."""
    new = total + inc
    if math.isinf(new):
        return new, 0.0
    if abs(total) >= abs(inc):
        return new, carry + ((total - new) + inc)
    return new, carry + ((inc - new) + total)


def total(values: Sequence[float]) -> float:
    """Return the sum, as sum_over_time has it."""
    acc = carry = 0.0
    for value in values:
        acc, carry = add(value, acc, carry)
    return acc if math.isinf(acc) else acc + carry


def aggregate_sum(values: Sequence[float]) -> float:
    """Return the sum, as the aggregation has it: it starts from the first value and always adds the carry."""
    acc, carry = values[0], 0.0
    for value in values[1:]:
        acc, carry = add(value, acc, carry)
    return acc + carry


def mean(values: Sequence[float]) -> float:
    """Return the average; only once the sum would overflow, it goes on with the running mean."""
    acc, carry, average = values[0], 0.0, 0.0
    incremental = False
    count = 1.0
    for position, value in enumerate(values[1:], start=2):
        count = float(position)
        if not incremental:
            new, new_carry = add(value, acc, carry)
            if not math.isinf(new):
                acc, carry = new, new_carry
                continue
            incremental = True
            average = acc / (count - 1)
            carry /= count - 1
        weight = (count - 1) / count
        average, carry = add(value / count, weight * average, weight * carry)
    return average + carry if incremental else acc / count + carry / count


def variance(values: Sequence[float]) -> float:
    """Return the population variance of a range's values."""
    count = 0.0
    average = average_carry = aux = aux_carry = 0.0
    for value in values:
        count += 1
        delta = value - (average + average_carry)
        average, average_carry = add(delta / count, average, average_carry)
        aux, aux_carry = add(delta * (value - (average + average_carry)), aux, aux_carry)
    return (aux + aux_carry) / count


def aggregate_variance(values: Sequence[float]) -> float:
    """Return the population variance of a vector's elements; the aggregation carries nothing."""
    first = values[0]
    count, average = 1.0, first
    aux = math.nan if math.isnan(first) or math.isinf(first) else 0.0
    for value in values[1:]:
        count += 1
        delta = value - average
        average += delta / count
        aux += delta * (value - average)
    return aux / count


def regression(t: Sequence[int], v: Sequence[float], origin: int) -> tuple[float, float]:
    """Fit a line by least squares: its slope per second, and its value at `origin` (times in milliseconds)."""
    first = v[0]
    if all(value == first for value in v[1:]):
        return (math.nan, math.nan) if math.isinf(first) else (0.0, first)
    x = cx = y = cy = xy = cxy = x2 = cx2 = 0.0
    for at, value in zip(t, v, strict=True):
        seconds = (at - origin) / 1e3
        x, cx = add(seconds, x, cx)
        y, cy = add(value, y, cy)
        xy, cxy = add(seconds * value, xy, cxy)
        x2, cx2 = add(seconds * seconds, x2, cx2)
    n = float(len(t))
    x, y, xy, x2 = x + cx, y + cy, xy + cxy, x2 + cx2
    covariance = xy - x * y / n
    spread = x2 - x * x / n
    slope = covariance / spread if spread else math.nan
    return slope, y / n - slope * x / n


def quantile(q: float, values: Sequence[float]) -> float:
    """Return a quantile, interpolated between neighbours; NaN counts as the smallest value."""
    if not values or math.isnan(q):
        return math.nan
    if q < 0:
        return -math.inf
    if q > 1:
        return math.inf
    ordered = sorted(values, key=lambda value: (not math.isnan(value), value))
    rank = q * (len(ordered) - 1.0)
    lower = max(0.0, math.floor(rank))
    upper = min(len(ordered) - 1.0, lower + 1)
    weight = rank - math.floor(rank)
    return ordered[int(lower)] * (1 - weight) + ordered[int(upper)] * weight
