"""Elementary functions to the last bit as Prometheus computes them.

Go does not use the C library: its logarithms are FreeBSD's, its trigonometry is Cephes', its exponential a Taylor series
with fused multiply-adds. The C library is as exact, but rounds differently once in some hundred values, and then a
comparison of two engines, or of a threshold with an equal value, comes out differently. Far outside the usual
arguments (trigonometry beyond 2^29) numpy's functions stand in.

Sources: https://pkg.go.dev/math, https://www.netlib.org/cephes/, FreeBSD's msun.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from alerting.promql.values import Flags, Floats

_PI: Final = math.pi
_LN2_HIGH: Final = 6.93147180369123816490e-01
_LN2_LOW: Final = 1.90821492927058770002e-10
_LOG: Final = (
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
    1.818357216161805012e-01,
    1.531383769920937332e-01,
    1.479819860511658591e-01,
)
_ATAN_P: Final = (
    -8.750608600031904122785e-01,
    -1.615753718733365076637e01,
    -7.500855792314704667340e01,
    -1.228866684490136173410e02,
    -6.485021904942025371773e01,
)
_ATAN_Q: Final = (
    1.0,
    2.485846490142306297962e01,
    1.650270098316988542046e02,
    4.328810604912902668951e02,
    4.853903996359136964868e02,
    1.945506571482613964425e02,
)
_SIN: Final = (
    1.58962301576546568060e-10,
    -2.50507477628578072866e-8,
    2.75573136213857245213e-6,
    -1.98412698295895385996e-4,
    8.33333333332211858878e-3,
    -1.66666666666666307295e-1,
)
_COS: Final = (
    -1.13585365213876817300e-11,
    2.08757008419747316778e-9,
    -2.75573141792967388112e-7,
    2.48015872888517045348e-5,
    -1.38888888888730564116e-3,
    4.16666666666665929218e-2,
)
_TAN_P: Final = (-1.30936939181383777646e4, 1.15351664838587416140e6, -1.79565251976484877988e7)
_TAN_Q: Final = (
    1.0,
    1.36812963470692954678e4,
    -1.32089234440210967447e6,
    2.50083801823357915839e7,
    -5.38695755929454629881e7,
)
_QUARTER_PI: Final = (7.85398125648498535156e-1, 3.77489470793079817668e-8, 2.69515142907905952645e-15)
_FAR: Final = 2.0**29
_TANH_P: Final = (-9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3)
_TANH_Q: Final = (1.0, 1.12811678491632931402e2, 2.23548839060100448583e3, 4.84406305325125486048e3)
_SINH_P: Final = (
    -0.2630563213397497062819489e2,
    -0.2894211355989563807284660366e4,
    -0.8991272022039509355398013511e5,
    -0.6307673640497716991184787251e6,
)
_SINH_Q: Final = (
    1.0,
    -0.173678953558233699533450911e3,
    0.1521517378790019070696485176e5,
    -0.6307673640497716991212077277e6,
)
_EXP: Final = (
    2.4801587301587301587e-5,
    1.9841269841269841270e-4,
    1.3888888888888888889e-3,
    8.3333333333333333333e-3,
    4.1666666666666666667e-2,
    1.6666666666666666667e-1,
    0.5,
    1.0,
)


def _horner(x: Floats, coefficients: tuple[float, ...]) -> Floats:
    value: Floats = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


# Logarithms


def log(x: Floats) -> Floats:
    """Natural logarithm."""
    # By the bits: for the numbers below 1e-307 that have fewer digits this is not what frexp gives, but what Go gives.
    bits = np.ascontiguousarray(x).view(np.int64)
    fraction = ((bits & 0xFFFFFFFFFFFFF) | 0x3FE0000000000000).view(np.float64)
    low = fraction < math.sqrt(2) / 2
    f = np.where(low, fraction * 2, fraction) - 1
    k = ((bits >> 52) & 0x7FF) - 0x3FE - low.astype(np.float64)
    s = f / (2 + f)
    s2 = s * s
    s4 = s2 * s2
    odd = s2 * _horner(s4, (_LOG[6], _LOG[4], _LOG[2], _LOG[0]))
    even = s4 * _horner(s4, (_LOG[5], _LOG[3], _LOG[1]))
    half = 0.5 * f * f
    value = k * _LN2_HIGH - ((half - (s * (half + (odd + even)) + k * _LN2_LOW)) - f)
    return np.where((x > 0) & np.isfinite(x), value, np.log(x))


def log2(x: Floats) -> Floats:
    """Binary logarithm, exact for powers of two."""
    fraction, exponent = np.frexp(x)
    value = np.where(fraction == 0.5, exponent - 1.0, log(fraction) * (1 / math.log(2)) + exponent)
    return np.where((x > 0) & np.isfinite(x), value, np.log2(x))


def log10(x: Floats) -> Floats:
    """Decimal logarithm."""
    return log(x) * 0.43429448190325182765  # 1/ln(10)


def log1p(x: Floats) -> Floats:
    """Logarithm of 1 + x."""
    u = 1.0 + x
    fraction, exponent = np.frexp(u)
    k = exponent - 1.0
    # What the addition of 1 lost, unless x is so large that it lost nothing that matters.
    lost = np.where(np.abs(x) < 2.0**53, np.where(k > 0, 1.0 - (u - x), x - (u - 1.0)) / u, 0.0)
    doubled = fraction * 2
    high = doubled >= math.sqrt(2)
    plain = (np.abs(x) < 4.142135623730950488017e-01) & (x > -2.928932188134524755992e-01)
    f = np.where(plain, x, np.where(high, fraction, doubled) - 1.0)
    k = np.where(plain, 0.0, k + high)
    c = np.where(plain, 0.0, lost)
    half = 0.5 * f * f
    s = f / (2.0 + f)
    z = s * s
    r = z * _horner(z, _LOG[::-1])
    value = np.where(
        k == 0,
        f - (half - s * (half + r)),
        k * _LN2_HIGH - ((half - (s * (half + r) + (k * _LN2_LOW + c))) - f),
    )
    small = np.where(np.abs(x) < 2.0**-54, x, x - x * x * 0.5)
    value = np.where(np.abs(x) < 2.0**-29, small, value)
    return np.where((x > -1) & np.isfinite(x), value, np.log1p(x))


# Exponential and hyperbolic functions


def _fused(a: Floats, b: Floats | float, c: Floats | float) -> Floats:
    """Return a * b + c rounded once, by carrying what the product and the sum lose."""
    product = a * b
    a_high, b_high = _upper(a), _upper(np.asarray(b, dtype=np.float64))
    a_low, b_low = a - a_high, b - b_high
    lost = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    total = product + c
    back = total - product
    return total + (((product - (total - back)) + (c - back)) + lost)


def _upper(x: Floats) -> Floats:
    scaled = x * 134217729.0  # 2^27 + 1 splits 53 bits in half
    return scaled - (scaled - x)


def exp(x: Floats) -> Floats:
    """Exponential function."""
    usual = np.abs(x) < 746
    y = np.where(usual, x, 0.0)
    exponent = np.rint(y * 1.4426950408889634073599246810018920)
    y = _fused(-exponent, 0.69314718055966295651160180568695068359375, y)
    y = _fused(-exponent, 0.28235290563031577122588448175013436025525412068e-12, y)
    y = y * 0.0625
    series: Floats = np.full_like(y, _EXP[0])
    for coefficient in _EXP[1:]:
        series = _fused(series, y, coefficient)
    y = y * series
    for _ in range(3):
        y = y * (y + 2.0)
    value = np.ldexp(_fused(y, y + 2.0, 1.0), exponent.astype(np.int64))
    value = np.where(exponent >= 1024, np.inf, value)  # given up a little early, from 709.44 on
    return np.where(usual, value, np.exp(x))


def sinh(x: Floats) -> Floats:
    """Hyperbolic sine."""
    size = np.abs(x)
    grown = exp(size)
    square = size * size
    near = _horner(square, _SINH_P) * size / _horner(square, _SINH_Q)
    value = np.where(size > 21, grown * 0.5, np.where(size > 0.5, (grown - 1 / grown) * 0.5, near))
    return np.copysign(value, x)


def cosh(x: Floats) -> Floats:
    """Hyperbolic cosine."""
    size = np.abs(x)
    grown = exp(size)
    return np.where(size > 21, grown * 0.5, (grown + 1 / grown) * 0.5)


def tanh(x: Floats) -> Floats:
    """Hyperbolic tangent."""
    size = np.abs(x)
    square = x * x
    near = x + x * square * _horner(square, _TANH_P) / _horner(square, _TANH_Q)
    far = np.copysign(1 - 2 / (exp(2 * size) + 1), x)
    value = np.where(size > 0.5 * 8.8029691931113054295988e01, np.copysign(1.0, x), far)
    return np.where(size < 0.625, np.where(x == 0, x, near), np.where(np.isnan(x), x, value))


def asinh(x: Floats) -> Floats:
    """Inverse hyperbolic sine."""
    size = np.abs(x)
    square = size * size
    value = np.where(
        size > 2.0**28,
        log(size) + math.log(2),
        np.where(
            size > 2,
            log(2 * size + 1 / (np.sqrt(square + 1) + size)),
            np.where(size < 2.0**-28, size, log1p(size + square / (1 + np.sqrt(1 + square)))),
        ),
    )
    return np.where(np.isfinite(x), np.copysign(value, x), x)


def acosh(x: Floats) -> Floats:
    """Inverse hyperbolic cosine."""
    t = x - 1
    near = log1p(t + np.sqrt(2 * t + t * t))
    middle = log(2 * x - 1 / (x + np.sqrt(x * x - 1)))
    value = np.where(x >= 2.0**28, log(x) + math.log(2), np.where(x > 2, middle, near))
    return np.where(x == 1, 0.0, np.where(x > 1, value, np.nan))


def atanh(x: Floats) -> Floats:
    """Inverse hyperbolic tangent."""
    size = np.abs(x)
    doubled = size + size
    near = 0.5 * log1p(doubled + doubled * size / (1 - size))
    far = 0.5 * log1p(doubled / (1 - size))
    value = np.where(size < 2.0**-28, size, np.where(size < 0.5, near, far))
    return np.where(size < 1, np.copysign(value, x), np.where(size == 1, np.copysign(np.inf, x), np.nan))


# Trigonometry


def atan(x: Floats) -> Floats:
    """Arc tangent."""
    return np.where(x == 0, x, np.copysign(_atan(np.abs(x)), x))


def _atan(x: Floats) -> Floats:
    more = 6.123233995736765886130e-17  # what is missing in the double next to pi/2
    steep, near = x > 2.41421356237309504880, x <= 0.66
    y = np.where(near, x, np.where(steep, 1 / x, (x - 1) / (x + 1)))
    z = y * y
    # Cephes' order of operations: z times the numerator, then divided.
    z = z * _horner(z, _ATAN_P) / _horner(z, _ATAN_Q)
    z = y * z + y
    return np.where(near, z, np.where(steep, _PI / 2 - z + more, _PI / 4 + z + 0.5 * more))


def atan2(y: Floats, x: Floats) -> Floats:
    """Arc tangent of y/x in the right quadrant."""
    q = atan(y / x)
    value = np.where(x < 0, np.where(q <= 0, q + _PI, q - _PI), q)
    usual = np.isfinite(x) & np.isfinite(y) & (x != 0) & (y != 0)
    return np.where(usual, value, np.arctan2(y, x))


def asin(x: Floats) -> Floats:
    """Arc sine."""
    size = np.abs(x)
    root = np.sqrt(1 - size * size)
    value = np.where(size > 0.7, _PI / 2 - _atan(root / size), _atan(size / root))
    return np.where(x == 0, x, np.where(size <= 1, np.copysign(value, x), np.nan))


def acos(x: Floats) -> Floats:
    """Arc cosine."""
    return _PI / 2 - asin(x)


def _octant(x: Floats) -> tuple[Floats, Floats]:
    """Return the even octant nearest to a positive angle, counted from 0 without end, and the rest."""
    j = np.floor(x * (4 / _PI))
    j = j + (j % 2 == 1)
    a, b, c = _QUARTER_PI
    return j, ((x - j * a) - j * b) - j * c


def _wave(z: Floats, *, sine: Flags) -> Floats:
    zz = z * z
    as_sine = z + z * zz * _horner(zz, _SIN)
    as_cosine = 1.0 - 0.5 * zz + zz * zz * _horner(zz, _COS)
    return np.where(sine, as_sine, as_cosine)


def sin(x: Floats) -> Floats:
    """Sine."""
    j, z = _octant(np.abs(x))
    j = j % 8
    value = _wave(z, sine=(j == 0) | (j == 4)) * np.where(j > 3, -1.0, 1.0)
    value = np.where(np.signbit(x), -value, value)
    return np.where(x == 0, x, np.where(np.abs(x) < _FAR, value, np.sin(x)))


def cos(x: Floats) -> Floats:
    """Cosine."""
    j, z = _octant(np.abs(x))
    j = j % 8
    value = _wave(z, sine=(j == 2) | (j == 6)) * np.where((j == 2) | (j == 4), -1.0, 1.0)
    return np.where(np.abs(x) < _FAR, value, np.cos(x))


def tan(x: Floats) -> Floats:
    """Tangent."""
    j, z = _octant(np.abs(x))
    zz = z * z
    value = np.where(zz > 1e-14, z + z * (zz * _horner(zz, _TAN_P) / _horner(zz, _TAN_Q)), z)
    value = np.where(j % 4 == 2, -1 / value, value)
    value = np.where(np.signbit(x), -value, value)
    return np.where(x == 0, x, np.where(np.abs(x) < _FAR, value, np.tan(x)))


# Powers


def power(x: Floats, y: Floats) -> Floats:
    """Return x to the power of y: by squaring for the whole part, by logarithm for the rest."""
    out: Floats = np.empty(np.broadcast(x, y).shape)
    for at, (base, exponent) in enumerate(np.broadcast(x, y)):
        out.flat[at] = _power(float(base), float(exponent))
    return out


def _power(x: float, y: float) -> float:
    if x == 0 and y < 0:
        return math.copysign(math.inf, x) if y % 2 == 1 else math.inf
    if not (math.isfinite(x) and math.isfinite(y)) or 0 in (x, y) or 1 in (x, y) or abs(y) >= 2.0**53:
        return _limit_power(x, y)
    if abs(y) == 0.5:
        root = float(np.sqrt(np.float64(x)))
        return root if y > 0 else 1 / root
    rest, whole = math.modf(abs(y))
    if rest and x < 0:
        return math.nan
    value = 1.0
    if rest:
        if rest > 0.5:
            rest -= 1
            whole += 1
        value = float(exp(rest * log(np.array([x])))[0])
    value, scale = _squared(x, int(whole), value)
    if y < 0:
        value, scale = 1 / value, -scale
    return float(np.ldexp(value, max(-5000, min(5000, scale))))


def _limit_power(x: float, y: float) -> float:
    try:
        return math.pow(x, y)  # exact: a limit, or one of the arguments
    except OverflowError:
        return math.inf


def _squared(x: float, n: int, value: float) -> tuple[float, int]:
    """Multiply a value by x^n, as a number and a power of two."""
    factor, exponent = math.frexp(x)
    scale = 0
    while n:
        if abs(exponent) > 1 << 12:
            scale += exponent  # over- or underflow is certain now
            break
        if n & 1:
            value *= factor
            scale += exponent
        factor *= factor
        exponent *= 2
        if factor < 0.5:
            factor += factor
            exponent -= 1
        n >>= 1
    return value, scale
