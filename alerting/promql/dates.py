"""Calendar functions: what part of a UTC date a number of seconds since the epoch falls in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from alerting.promql.values import Floats

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Seconds = NDArray[np.datetime64]


def _between(seconds: Seconds, unit: str, within: str) -> Floats:
    part = seconds.astype(f"datetime64[{unit}]") - seconds.astype(f"datetime64[{within}]").astype(
        f"datetime64[{unit}]"
    )
    out: Floats = part.astype(np.int64).astype(np.float64)
    return out


def _days_in_month(seconds: Seconds) -> Floats:
    month = seconds.astype("datetime64[M]")
    days = (month + np.timedelta64(1, "M")).astype("datetime64[D]") - month.astype("datetime64[D]")
    out: Floats = days.astype(np.int64).astype(np.float64)
    return out


def _day_of_week(seconds: Seconds) -> Floats:
    days = seconds.astype("datetime64[D]").astype(np.int64)
    out: Floats = ((days + 4) % 7).astype(np.float64)  # the epoch was a Thursday, and Sunday is 0
    return out


def _year(seconds: Seconds) -> Floats:
    out: Floats = seconds.astype("datetime64[Y]").astype(np.int64).astype(np.float64) + 1970
    return out


_PARTS: Final[dict[str, Callable[[Seconds], Floats]]] = {
    "day_of_month": lambda s: _between(s, "D", "M") + 1,
    "day_of_week": _day_of_week,
    "day_of_year": lambda s: _between(s, "D", "Y") + 1,
    "days_in_month": _days_in_month,
    "hour": lambda s: _between(s, "h", "D"),
    "minute": lambda s: _between(s, "m", "h"),
    "month": lambda s: _between(s, "M", "Y") + 1,
    "year": _year,
}
NAMES: Final = frozenset(_PARTS)


_BEYOND: Final = {
    "day_of_month": 4.0,
    "day_of_week": 0.0,
    "day_of_year": 339.0,
    "days_in_month": 31.0,
    "hour": 15.0,
    "minute": 30.0,
    "month": 12.0,
    "year": 292277026596.0,
}
"""What Prometheus says of a time that no 64-bit count of seconds holds, NaN included: the lowest count wraps around."""


def date_part(name: str, v: Floats) -> Floats:
    """Return that part of each time; fractions of a second are cut towards zero."""
    held = np.abs(v) < 2.0**63
    seconds = np.where(held, np.trunc(v), 0.0).astype(np.int64).astype("datetime64[s]")
    return np.where(held, _PARTS[name](seconds), _BEYOND[name])
