"""Numbers as Prometheus reads and writes them, and strings as its messages quote them."""

from __future__ import annotations

import math
import re
from typing import Final

_FLOAT: Final = re.compile(
    r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf(?:inity)?|nan)", re.ASCII | re.IGNORECASE
)


def parse_float(text: str) -> float | None:
    """Read a decimal number, an infinity or NaN; None if the text is nothing of the kind."""
    return float(text) if _FLOAT.fullmatch(text) else None


def format_full(value: float) -> str:
    """Write all digits that identify a number, without an exponent."""
    special = _special(value)
    if special is not None:
        return special
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    digits, exponent = _shortest(abs(value))
    point = exponent + 1
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}" if digits != "0" else f"{sign}0"
    if point >= len(digits):
        return sign + digits.ljust(point, "0")
    return f"{sign}{digits[:point]}.{digits[point:]}"


def format_g(value: float) -> str:
    """Write the shortest digits that identify a number, with an exponent below 1e-4 and from 1e6 on."""
    special = _special(value)
    if special is not None:
        return special
    digits, exponent = _shortest(abs(value))
    if -4 <= exponent < 6:
        return format_full(value)
    sign = "-" if value < 0 else ""
    mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
    return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def quoted(text: str) -> str:
    """Write a string in double quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _special(value: float) -> str | None:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return None


def _shortest(value: float) -> tuple[str, int]:
    """Return the shortest digits that identify a positive number, and the exponent of the first one."""
    mantissa, _, exponent = f"{value!r}".partition("e")
    whole, _, part = mantissa.partition(".")
    digits = (whole + part).lstrip("0")
    place = int(exponent or 0) + len(whole) - 1
    if not digits:
        return "0", 0
    place -= len(whole + part) - len(digits)
    return digits.rstrip("0"), place
