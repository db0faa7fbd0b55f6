"""What an expression evaluates to, and the mark of a series that ended.

Times are integer milliseconds since the epoch, values are 64-bit floats.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from alerting.labels import Labels

if TYPE_CHECKING:
    from collections.abc import Iterable

Times: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

_STALE_BITS: Final = 0x7FF0000000000002
STALE_NAN: Final[float] = struct.unpack("<d", struct.pack("<Q", _STALE_BITS))[0]
"""The NaN that Prometheus writes when a series ended; any other NaN is a value."""


@overload
def is_stale(value: float) -> bool: ...
@overload
def is_stale(value: Floats) -> Flags: ...
def is_stale(value: float | Floats) -> bool | Flags:
    """Tell the stale marker from every other value, including other NaNs."""
    if isinstance(value, np.ndarray):
        flags: Flags = np.ascontiguousarray(value).view(np.uint64) == _STALE_BITS
        return flags
    return value != value and struct.pack("<d", value) == struct.pack("<Q", _STALE_BITS)  # noqa: PLR0124  NaN test


@dataclass(frozen=True, slots=True)
class Sample:
    """One element of an instant vector."""

    labels: Labels
    t_ms: int
    value: float


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number without labels."""

    t_ms: int
    value: float


@dataclass(frozen=True, slots=True)
class String:
    """A string literal's value; no operator takes one."""

    t_ms: int
    value: str


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """A series' samples, sorted by time: `t` in milliseconds and `v`, of the same length."""

    labels: Labels
    t: Times
    v: Floats

    @classmethod
    def of(cls, labels: Labels, points: Iterable[tuple[int, float]]) -> Series:
        """Build a series from (milliseconds, value) pairs."""
        pairs = list(points)
        return cls(
            labels,
            np.array([t for t, _ in pairs], dtype=np.int64),
            np.array([v for _, v in pairs], dtype=np.float64),
        )

    def points(self) -> list[tuple[int, float]]:
        """Return the samples as (milliseconds, value) pairs."""
        return list(zip(self.t.tolist(), self.v.tolist(), strict=True))


Vector: TypeAlias = list[Sample]
Matrix: TypeAlias = list[Series]
Value: TypeAlias = Vector | Scalar | String | Matrix


@dataclass(frozen=True, slots=True)
class Result:
    """An evaluation's value with the remarks Prometheus would make about it."""

    value: Value
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()

    def with_warnings(self, more: tuple[str, ...]) -> Result:
        """Return the same value with more warnings."""
        return Result(self.value, (*self.warnings, *more), self.infos) if more else self
