"""Prometheus' functions that make numbers readable; four significant digits everywhere.

Numbers come as floats, integers or strings, for label values are strings.

Source: https://prometheus.io/docs/prometheus/latest/configuration/template_reference/#numbers
"""

from __future__ import annotations

import math
from typing import Final

from alerting.templates import literals
from alerting.templates.floats import format_float
from alerting.templates.functions import FunctionError
from alerting.templates.moments import Duration, Time
from alerting.templates.values import Uint8, type_name

_UP: Final = "kMGTPEZY"
_DOWN: Final = "munpfazy"
_BINARY: Final = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
_INT64: Final = float(1 << 63)


def to_float(value: object) -> float:
    """Read a number.

    Raises:
        FunctionError: The value is not a number and not a string that holds one.
    """
    match value:
        case bool() | Uint8():
            pass
        case float() | int():
            return float(value)
        case str():
            try:
                return literals.parse_float(value)
            except ValueError as error:
                raise FunctionError(str(error)) from None
    raise FunctionError(f"can't convert {type_name(value)} to float")


def humanize(value: object) -> str:
    """Write a number with a metric prefix: ``1.235M``, ``120m``."""
    number = to_float(value)
    if number == 0 or not math.isfinite(number):
        return _four(number)
    if abs(number) < 1:
        number, prefix = _scaled_up(number)
        return _four(number) + prefix
    prefix = ""
    for larger in _UP:
        if abs(number) < 1000:
            break
        number, prefix = number / 1000, larger
    return _four(number) + prefix


def humanize1024(value: object) -> str:
    """Write a number with a binary prefix: ``1Mi``; below 1 there is none."""
    number = to_float(value)
    if abs(number) <= 1 or not math.isfinite(number):
        return _four(number)
    prefix = ""
    for larger in _BINARY:
        if abs(number) < 1024:
            break
        number, prefix = number / 1024, larger
    return _four(number) + prefix


def humanize_duration(value: object) -> str:
    """Write seconds as ``1d 2h 3m 4s``; below a minute with fractions, below a second with a prefix."""
    seconds = to_float(value)
    if not math.isfinite(seconds):
        return _four(seconds)
    if seconds == 0:
        return "0s"
    if abs(seconds) < 1:
        seconds, prefix = _scaled_up(seconds)
        return f"{_four(seconds)}{prefix}s"
    sign = "-" if seconds < 0 else ""
    minutes, rest = divmod(int(abs(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{days}d", f"{hours}h", f"{minutes}m", f"{rest}s"]
    while parts and parts[0].startswith("0"):
        del parts[0]
    if len(parts) < 2:  # below a minute
        return f"{sign}{_four(abs(seconds))}s"
    return sign + " ".join(parts)


def humanize_percentage(value: object) -> str:
    """Write a ratio as a percentage."""
    return f"{_four(to_float(value) * 100)}%"


def humanize_timestamp(value: object) -> str:
    """Write seconds since 1970 as Go prints a time in UTC."""
    seconds = to_float(value)
    if not math.isfinite(seconds):
        return _four(seconds)
    return to_time(seconds).text or ""


def to_time(value: object) -> Time:
    """Turn seconds since 1970 into a time, to the millisecond.

    Raises:
        FunctionError: Not a number, not finite, or beyond the years 1678 to 2262.
    """
    seconds = to_float(value)
    if not math.isfinite(seconds):
        raise FunctionError("value is NaN or Inf")
    nanoseconds = seconds * 1e9
    if not -_INT64 <= nanoseconds <= _INT64:
        shown = format_float(seconds, "g", None)
        raise FunctionError(
            f"{shown} cannot be represented as a nanoseconds timestamp since it overflows int64"
        )
    return Time.of_milliseconds(
        int(nanoseconds / 1e6) if abs(nanoseconds) > 2**62 else int(nanoseconds) // 1_000_000
    )


def to_duration(value: object) -> Duration:
    """Turn seconds into a duration.

    Raises:
        FunctionError: Not a number, not finite, or longer than 292 years.
    """
    seconds = to_float(value)
    if not math.isfinite(seconds):
        raise FunctionError("value is NaN or Inf")
    nanoseconds = seconds * 1e9
    if not -_INT64 <= nanoseconds <= _INT64:
        shown = format_float(seconds, "g", None)
        raise FunctionError(
            f"{shown} cannot be represented as a nanoseconds duration since it overflows int64"
        )
    return Duration.of_nanoseconds(int(nanoseconds))


def _scaled_up(number: float) -> tuple[float, str]:
    prefix = ""
    for smaller in _DOWN:
        if abs(number) >= 1:
            break
        number, prefix = number * 1000, smaller
    return number, prefix


def _four(number: float) -> str:
    return format_float(number, "g", 4)
