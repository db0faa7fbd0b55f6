"""Floats in text as Go writes them.

Python and Go agree on the digits (both round exactly, and their shortest forms are the same); they differ in when
an exponent is used, in the names of the infinities, and in Go's two binary forms.

Source: https://pkg.go.dev/strconv#FormatFloat
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

_MANTISSA_BITS = 52


def format_float(value: float, verb: str, precision: int | None) -> str:
    """Write a float for one of the verbs ``e E f g G b x X``; None is the shortest exact form.

    The sign is written for negative values and for ``+Inf`` only.
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if verb == "b":
        return _binary(value)
    if verb in "xX":
        text = _hexadecimal(value, precision)
        return text.upper() if verb == "X" else text
    if precision is not None:
        return f"%.{precision}{verb}" % value
    text = _shortest(value, verb.lower())
    return text.upper() if verb in "EG" else text


def _shortest(value: float, verb: str) -> str:
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    _, digits, exponent = Decimal(repr(abs(value))).normalize().as_tuple()
    assert isinstance(exponent, int)  # only of NaN and infinity it is a letter
    point = len(digits) + exponent  # where the decimal point stands, counted from the first digit
    if value == 0:
        digits, exponent, point = (0,), 0, 1
    if verb == "f":
        return sign + format(Decimal((0, digits, exponent)), "f")
    if verb == "g" and -4 <= point - 1 < 6:  # six digits, whatever the number has: Go's rule for this form
        return sign + format(Decimal((0, digits, exponent)), "f")
    mantissa = str(digits[0]) + ("." + "".join(map(str, digits[1:])) if len(digits) > 1 else "")
    power = point - 1
    return f"{sign}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"


def _binary(value: float) -> str:
    """Write ``mantissa p exponent`` in decimal, the mantissa a whole number."""
    mantissa, exponent = math.frexp(abs(value))
    whole, power = int(math.ldexp(mantissa, _MANTISSA_BITS + 1)), exponent - _MANTISSA_BITS - 1
    if value == 0:
        power = -1074
    elif power < -1074:  # subnormal: the mantissa has fewer bits
        whole, power = whole >> (-1074 - power), -1074
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    return f"{sign}{whole}p{'-' if power < 0 else '+'}{abs(power)}"


def _hexadecimal(value: float, precision: int | None) -> str:
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    mantissa, exponent = math.frexp(abs(value))
    # 53 bits: one before the point, 13 hexadecimal digits after it.
    whole = int(math.ldexp(mantissa, _MANTISSA_BITS + 1))
    power = exponent - 1 if value else 0
    if precision is not None and precision < 13:
        whole, power = _rounded(whole, power, 4 * (13 - precision))
    digits = f"{whole & ((1 << _MANTISSA_BITS) - 1):013x}"
    if precision is None:
        digits = digits.rstrip("0")
    else:
        digits = digits[:precision] if precision < 13 else digits.ljust(precision, "0")
    point = f".{digits}" if digits else ""
    return f"{sign}0x{whole >> _MANTISSA_BITS}{point}p{'-' if power < 0 else '+'}{abs(power):02d}"


def _rounded(whole: int, power: int, drop: int) -> tuple[int, int]:
    """Round a mantissa half to even, dropping this many bits."""
    kept, rest = whole >> drop, whole & ((1 << drop) - 1)
    half = 1 << (drop - 1)
    if rest > half or (rest == half and kept & 1):
        kept += 1
    whole = kept << drop
    if whole >> (_MANTISSA_BITS + 1):
        return whole >> 1, power + 1
    return whole, power


_PARTS = re.compile(r"(?P<head>[^eEpP]*)(?P<tail>.*)", re.DOTALL)


def with_point(text: str, *, digits: int) -> str:
    """Give a number without a sign its decimal point and as many significant digits, as the ``#`` flag asks."""
    found = _PARTS.fullmatch(text)
    assert found is not None  # the pattern takes any text
    head, tail = found["head"], found["tail"]
    significant = 1 if head == "0" else len(head.replace(".", "").lstrip("0"))
    if "." not in head:
        head += "."
    return head + "0" * max(0, digits - significant) + tail
