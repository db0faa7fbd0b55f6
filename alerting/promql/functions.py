"""Functions of instant vectors that change each value by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from alerting.promql import gomath
from alerting.promql.values import Floats

if TYPE_CHECKING:
    from collections.abc import Callable


def _sgn(v: Floats) -> Floats:
    return np.where(v < 0, -1.0, np.where(v > 0, 1.0, v))


def _rad(v: Floats) -> Floats:
    return v * np.pi / 180


def _deg(v: Floats) -> Floats:
    return v * 180 / np.pi


MATH: Final[dict[str, Callable[[Floats], Floats]]] = {
    "abs": np.abs,
    "acos": gomath.acos,
    "acosh": gomath.acosh,
    "asin": gomath.asin,
    "asinh": gomath.asinh,
    "atan": gomath.atan,
    "atanh": gomath.atanh,
    "ceil": np.ceil,
    "cos": gomath.cos,
    "cosh": gomath.cosh,
    "deg": _deg,
    "exp": gomath.exp,
    "floor": np.floor,
    "ln": gomath.log,
    "log10": gomath.log10,
    "log2": gomath.log2,
    "rad": _rad,
    "sgn": _sgn,
    "sin": gomath.sin,
    "sinh": gomath.sinh,
    "sqrt": np.sqrt,
    "tan": gomath.tan,
    "tanh": gomath.tanh,
}
"""Functions of one number."""


def rounded(v: Floats, nearest: Floats) -> Floats:
    """Round to the nearest multiple, ties upwards."""
    inverse = 1.0 / nearest
    return np.floor(v * inverse + 0.5) / inverse


def smaller(a: Floats, b: Floats) -> Floats:
    """Return the smaller number: -Inf before NaN before the others, and -0 before 0."""
    least = np.where((a == 0) & (b == 0), -(-a + -b), np.minimum(a, b))
    return np.where(np.isneginf(a) | np.isneginf(b), -np.inf, least)


def larger(a: Floats, b: Floats) -> Floats:
    """Return the larger number: +Inf before NaN before the others, and 0 before -0."""
    most = np.where((a == 0) & (b == 0), a + b, np.maximum(a, b))
    return np.where(np.isposinf(a) | np.isposinf(b), np.inf, most)


def clamped(v: Floats, low: Floats, high: Floats) -> Floats:
    """Limit values to a range, which must not be empty."""
    return larger(low, smaller(high, v))
