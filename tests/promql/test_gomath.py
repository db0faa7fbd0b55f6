"""Elementary functions give what Go's give, to the last bit; the expected values were computed by Go 1.26 on amd64.

The first values of each row are such that the C library rounds differently.
"""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest

from alerting.promql import gomath

_OF_ONE = [
    (
        "acos",
        [(-0.0475264, 1.618340636783552), (0.261301, 1.3064265422175487), (0.702238, 0.792260170159587)],
    ),
    (
        "acosh",
        [
            (86.7675, 5.1563460997855515),
            (2.49767, 1.5657817770180054),
            (2.77112, 1.6781271795276376),
            (1.0, 0.0),
            (0.5, math.nan),
        ],
    ),
    (
        "asin",
        [
            (0.942097, 1.2288297053924608),
            (0.958974, 1.283360656880519),
            (-0.840975, -0.9990826786556354),
            (1.0, 1.5707963267948966),
            (-2.0, math.nan),
        ],
    ),
    (
        "asinh",
        [
            (0.325074, 0.31960500775618744),
            (-2.96873, -1.808511359583001),
            (-21.2264, -3.7489472742775245),
            (10000000000.0, 23.7189981105004),
            (1e-10, 1e-10),
        ],
    ),
    (
        "atan",
        [
            (25.8608, 1.5321470186759885),
            (-26.0736, -1.5324621452659108),
            (-20.5491, -1.5221707555042534),
            (-0.0, -0.0),
            (math.inf, 1.5707963267948966),
        ],
    ),
    (
        "atanh",
        [
            (0.158305, 0.1596476463794391),
            (0.00190337, 0.0019033722985256204),
            (-0.207648, -0.21071210389053194),
            (1.0, math.inf),
            (-1.0, -math.inf),
            (2.0, math.nan),
        ],
    ),
    ("cos", [(0.537264, 0.8591121454107762), (0.916983, 0.6082177259167154), (16.0254, -0.9500386171828852)]),
    (
        "cosh",
        [
            (13.6337, 416879.63725552603),
            (33.5093, 178596970089044.44),
            (5.22128, 92.58822590060518),
            (30.0, 5343237290762.23),
        ],
    ),
    (
        "exp",
        [
            (-5.84547, 0.0028929746950053584),
            (58.0686, 1.6552841321465894e25),
            (41.1304, 7.289634583916667e17),
            (709.5, math.inf),
            (-745.0, 5e-324),
            (-math.inf, 0.0),
            (math.nan, math.nan),
        ],
    ),
    (
        "log",
        [
            (3.3822e19, 44.96764315222032),
            (1.51102e-25, -57.15184240538076),
            (2708780000000000.0, 35.53527474393698),
            (5e-324, -709.0895657128241),
            (0.0, -math.inf),
            (-1.0, math.nan),
            (math.inf, math.inf),
        ],
    ),
    (
        "log10",
        [
            (2.87309e-05, -4.541650769451433),
            (96.8512, 1.9861050060582242),
            (5.51722e-22, -21.258279698137407),
            (1000.0, 3.0),
            (1e-05, -5.0),
        ],
    ),
    (
        "log2",
        [
            (0.572847, -0.8037782295805818),
            (2.24144, 1.1644258811146746),
            (93450200000.0, 36.44347870047059),
            (8.0, 3.0),
            (0.125, -3.0),
        ],
    ),
    (
        "sin",
        [
            (-35.9026, 0.9746342213181872),
            (-31.638, -0.22025264084738827),
            (-12.8504, -0.28022585762341595),
            (-0.0, -0.0),
            (math.inf, math.nan),
        ],
    ),
    (
        "sinh",
        [
            (-7.85912, -1294.6202272055164),
            (0.0302967, 0.03030133505253479),
            (-8.13099, -1699.0808933023886),
            (0.25, 0.2526123168081683),
            (-30.0, -5343237290762.23),
        ],
    ),
    (
        "tan",
        [
            (8.89817, -0.5813695110614953),
            (13.5907, 1.6440484734669873),
            (-11.1719, 5.612425188152117),
            (1e-09, 1e-09),
        ],
    ),
    (
        "tanh",
        [
            (-10.7231, -0.9999999990293478),
            (12.7804, 0.9999999999841469),
            (-0.549371, -0.5000486401720954),
            (50.0, 1.0),
            (-0.3, -0.2913126124515909),
        ],
    ),
]
_OF_TWO = [
    (
        "atan2",
        [
            ((1.0, 2.0), 0.4636476090008061),
            ((-3.7, 0.2), -1.5167948264189284),
            ((5.0, -1.1), 1.7873466317709858),
            ((-0.0, -1.0), -3.141592653589793),
            ((0.0, 0.0), 0.0),
            ((math.inf, -math.inf), 2.356194490192345),
            ((1e-300, 1e300), 0.0),
        ],
    ),
    (
        "power",
        [
            ((5.52, 4.52), 2257.1718809059607),
            ((2.0, 1e15), math.inf),
            ((0.5, 1e15), 0.0),
            ((3.3, 7.0), 4261.844297699999),
            ((2.0, 0.5), 1.4142135623730951),
            ((10.0, 9.0), 1000000000.0),
            ((10.0, -3.0), 0.001),
            ((1.0001, 100000.0), 22015.456048481854),
            ((7.7, 2.3), 109.37767006221092),
            ((0.3, -0.7), 2.32281767311983),
            ((-2.0, 3.0), -8.0),
            ((-2.0, 0.5), math.nan),
            ((-8.0, 0.3333), math.nan),
            ((0.0, -1.0), math.inf),
            ((-0.0, -3.0), -math.inf),
            ((2.0, 1024.0), math.inf),
            ((2.0, -1080.0), 0.0),
            ((math.inf, -0.0), 1.0),
            ((-math.inf, 3.0), -math.inf),
            ((1.0, math.nan), 1.0),
            ((math.nan, 0.0), 1.0),
            ((-1.0, math.inf), 1.0),
            ((1.5, 1e300), math.inf),
        ],
    ),
]


def _bits(value: float) -> bytes:
    return b"NaN" if math.isnan(value) else struct.pack("<d", value)


@pytest.mark.parametrize(("name", "pairs"), _OF_ONE, ids=[name for name, _ in _OF_ONE])
def test_a_function_of_one_number(name, pairs) -> None:
    """Usual values, and those at the ends of the range."""
    with np.errstate(all="ignore"):
        found = getattr(gomath, name)(np.array([x for x, _ in pairs]))
    assert [_bits(value) for value in found.tolist()] == [_bits(y) for _, y in pairs]


@pytest.mark.parametrize(("name", "pairs"), _OF_TWO, ids=[name for name, _ in _OF_TWO])
def test_a_function_of_two_numbers(name, pairs) -> None:
    """All quadrants, whole and broken exponents, limits."""
    a, b = np.array([x for x, _ in pairs]).T
    with np.errstate(all="ignore"):
        found = getattr(gomath, name)(a, b)
    assert [_bits(value) for value in found.tolist()] == [_bits(y) for _, y in pairs]


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_trigonometry_far_out_is_right_within_rounding(name) -> None:
    """Beyond 2^29 the last bit may differ from Go's, and no more than that."""
    x = np.array([1e9, 1.7e9, -1e15, 1e300])
    with np.errstate(all="ignore"):
        assert getattr(gomath, name)(x) == pytest.approx(getattr(np, name)(x), rel=1e-15)
