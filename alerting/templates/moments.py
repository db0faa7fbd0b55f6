"""Go's ``time.Time`` and ``time.Duration``, as far as templates call them.

A layout is written by example, in Go's reference time: ``Mon Jan 2 15:04:05 MST 2006``.

Source: https://pkg.go.dev/time
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final, Self

from alerting.templates.functions import Function
from alerting.templates.values import Struct

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LAYOUT: Final = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|__2|_2006|_2|002|0[1-6]|15|1|2|3|4|5|06|PM|pm"
    r"|-07:00:00|-07:00|-070000|-0700|-07|Z07:00:00|Z07:00|Z070000|Z0700|Z07"
    r"|[.,]0+(?![0-9])|[.,]9+(?![0-9])"
)
_SECONDS: Final = (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1000), ("ns", 1))
_NANOSECONDS: Final = (("h", 3_600_000_000_000), ("m", 60_000_000_000))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Time(Struct):
    """A moment in UTC."""

    go_type: ClassVar = "*time.Time"

    @classmethod
    def of_milliseconds(cls, milliseconds: int) -> Self:
        """Return the moment this long after 1970."""
        return cls.of(_EPOCH + timedelta(milliseconds=milliseconds))

    @classmethod
    def of(cls, moment: datetime) -> Self:
        """Return the moment with its methods.

        Args:
            moment: Aware; shown in UTC.
        """
        at = moment.astimezone(UTC)
        numbers = {
            "Year": at.year,
            "Day": at.day,
            "Hour": at.hour,
            "Minute": at.minute,
            "Second": at.second,
            "Nanosecond": at.microsecond * 1000,
            "YearDay": at.timetuple().tm_yday,
            "Unix": (at - _EPOCH) // timedelta(seconds=1),
            "UnixMilli": (at - _EPOCH) // timedelta(milliseconds=1),
            "UnixNano": (at - _EPOCH) // timedelta(microseconds=1) * 1000,
        }
        texts = {
            "Month": _MONTHS[at.month - 1],
            "Weekday": _DAYS[at.weekday()],
            "String": format_time(at, "2006-01-02 15:04:05.999999999 -0700 MST"),
        }

        def formatted(layout: str) -> str:
            return format_time(at, layout)

        constants = {name: _constant(value) for name, value in {**numbers, **texts}.items()}
        return cls(
            type_name="time.Time",
            pointer=True,
            text=texts["String"],
            methods={**constants, "Format": formatted, "UTC": Function(lambda: cls.of(at), ())},
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Duration(Struct):
    """A span of time."""

    go_type: ClassVar = "*time.Duration"

    @classmethod
    def of_nanoseconds(cls, nanoseconds: int) -> Self:
        """Return the span with its methods."""
        text = format_duration(nanoseconds)
        values: dict[str, object] = {
            "Hours": nanoseconds / 3.6e12,
            "Minutes": nanoseconds / 6e10,
            "Seconds": nanoseconds / 1e9,
            "Milliseconds": int(nanoseconds / 1_000_000),
            "String": text,
        }
        methods = {name: _constant(value) for name, value in values.items()}
        return cls(type_name="time.Duration", pointer=True, text=text, methods=methods)


def _constant(value: object) -> Function:
    """Return a method without parameters."""
    return Function(lambda: value, ())


def format_time(moment: datetime, layout: str) -> str:
    """Write a moment by Go's layout."""
    return _LAYOUT.sub(lambda found: _piece(moment, found[0]), layout)


def _piece(at: datetime, element: str) -> str:
    if element[0] in ".,":
        return _fraction(at, element)
    if element[0] in "-Z":
        return _zone(element)
    month, day, hour = _MONTHS[at.month - 1], _DAYS[at.weekday()], at.hour % 12 or 12
    return {
        "2006": f"{at.year:04d}",
        "_2006": f"_{at.year:04d}",
        "06": f"{at.year % 100:02d}",
        "January": month,
        "Jan": month[:3],
        "01": f"{at.month:02d}",
        "1": str(at.month),
        "Monday": day,
        "Mon": day[:3],
        "02": f"{at.day:02d}",
        "_2": f"{at.day:2d}",
        "2": str(at.day),
        "002": f"{at.timetuple().tm_yday:03d}",
        "__2": f"{at.timetuple().tm_yday:3d}",
        "15": f"{at.hour:02d}",
        "03": f"{hour:02d}",
        "3": str(hour),
        "04": f"{at.minute:02d}",
        "4": str(at.minute),
        "05": f"{at.second:02d}",
        "5": str(at.second),
        "PM": "PM" if at.hour >= 12 else "AM",
        "pm": "pm" if at.hour >= 12 else "am",
        "MST": "UTC",
    }[element]


def _zone(element: str) -> str:
    """Write the offset of UTC in the form the element has."""
    if element[0] == "Z":
        return "Z"
    return "+" + re.sub("[0-9]", "0", element[1:])


def _fraction(at: datetime, element: str) -> str:
    digits = f"{at.microsecond * 1000:09d}"[: len(element) - 1].ljust(len(element) - 1, "0")
    if element[1] == "9":
        digits = digits.rstrip("0")
    return element[0] + digits if digits else ""


def format_duration(nanoseconds: int) -> str:
    """Write a span as Go's ``Duration.String`` does: ``1h2m3.5s``, ``100ms``, ``0s``."""
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest == 0:
        return "0s"
    unit, size = next((unit, size) for unit, size in _SECONDS if rest >= size)
    if unit != "s":
        return f"{sign}{_decimal(rest, size)}{unit}"
    text = sign
    for letter, length in _NANOSECONDS:
        count, rest = divmod(rest, length)
        if count or text != sign:
            text += f"{count}{letter}"
    return f"{text}{_decimal(rest, size)}s"


def _decimal(value: int, unit: int) -> str:
    whole, fraction = divmod(value, unit)
    digits = f"{fraction:0{len(str(unit)) - 1}d}".rstrip("0") if fraction else ""
    return f"{whole}.{digits}" if digits else str(whole)
