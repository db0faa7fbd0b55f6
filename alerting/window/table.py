"""The samples of all series of one metric, side by side.

Row i holds series i, left-aligned and sorted by time, in two matrices that grow in both directions. Series of one metric
are written together by a scrape and read together by a rule, so both are a few numpy operations for all of them.
Expired samples are only shifted out once a quarter of the width is free to gain.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alerting.labels import Labels
    from alerting.promql.blocks import Indices
    from alerting.promql.values import Floats, Times

_FIRST_ROWS: Final = 4
_FIRST_WIDTH: Final = 8
_NEVER: Final = np.iinfo(np.int64).min
_SERIAL: Final = count()


class Table:
    """Rows of samples; `generation` changes whenever a row gains or loses its series."""

    def __init__(self) -> None:
        self.labels: list[Labels | None] = []
        self.serial = next(_SERIAL)  # unlike id(), never used again
        self.generation = 0
        self.t: Times = np.zeros((_FIRST_ROWS, _FIRST_WIDTH), dtype=np.int64)
        self.v: Floats = np.zeros((_FIRST_ROWS, _FIRST_WIDTH))
        self.size: Indices = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self.newest: Times = np.full(_FIRST_ROWS, _NEVER, dtype=np.int64)
        self.reach: Times = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self._free: list[int] = []

    @property
    def series_count(self) -> int:
        """How many rows hold a series."""
        return len(self.labels) - len(self._free)

    @property
    def sample_count(self) -> int:
        """How many samples all rows hold, expired ones included until they are shifted out."""
        return int(self.size.sum())

    @property
    def bytes(self) -> int:
        """How much memory the matrices take."""
        return self.t.nbytes + self.v.nbytes

    def add(self, labels: Labels, reach_ms: int) -> int:
        """Give a series a row, and return its number."""
        self.generation += 1
        if self._free:
            row = self._free.pop()
            self.labels[row] = labels
        else:
            row = len(self.labels)
            self.labels.append(labels)
            if row == len(self.size):
                self._grow(rows=max(row + _FIRST_ROWS, row + row // 2))
        self.size[row] = 0
        self.newest[row] = _NEVER
        self.reach[row] = reach_ms
        return row

    def remove(self, row: int) -> None:
        """Forget a series."""
        self.generation += 1
        self.labels[row] = None
        self.size[row] = 0
        self.newest[row] = _NEVER
        self._free.append(row)

    def put(self, row: int, t_ms: int, value: float) -> bool:
        """Append one sample to a row; tell whether it was not too old."""
        newest = int(self.newest[row])
        if t_ms < newest:
            return False
        position = int(self.size[row]) - (t_ms == newest)
        if position >= self.t.shape[1]:
            self._grow(width=self.t.shape[1] + self.t.shape[1] // 2)
        self.t[row, position] = t_ms
        self.v[row, position] = value
        self.size[row] = position + 1
        self.newest[row] = t_ms
        return True

    def write(self, rows: Sequence[int], times: Sequence[int], values: Sequence[float]) -> int:
        """Append one sample to each of these rows, which must be distinct; return how many were not too old.

        A sample of the newest sample's time replaces it.
        """
        at = np.array(rows, dtype=np.int64)
        t = np.array(times, dtype=np.int64)
        v = np.array(values, dtype=np.float64)
        newest = self.newest[at]
        fresh = t >= newest
        if not fresh.all():
            at, t, v, newest = at[fresh], t[fresh], v[fresh], newest[fresh]
        position = self.size[at] - (t == newest)
        if len(at) and int(position.max()) >= self.t.shape[1]:
            self._grow(width=self.t.shape[1] + self.t.shape[1] // 2)
        self.t[at, position] = t
        self.v[at, position] = v
        self.size[at] = position + 1
        self.newest[at] = t
        return len(at)

    def trim(self, now_ms: int) -> list[int]:
        """Shift out what has expired at that time where it is worth it; return the rows left without any sample."""
        used = len(self.labels)
        if not used:
            return []
        before = now_ms - self.reach[:used]
        if int((self.t[:used, 0] - before).min()) > 0:
            return []
        gone = (self.newest[:used] <= before) & (self.size[:used] > 0)
        width = int(self.size[:used].max())
        expired = ((self.t[:used, :width] <= before[:, None]) & self._filled(width)).sum(axis=1)
        if int(expired.max()) * 4 >= self.t.shape[1]:
            self._shift(expired)
        return [int(row) for row in np.flatnonzero(gone)]

    def _filled(self, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        filled: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (
            np.arange(width) < self.size[: len(self.labels), None]
        )
        return filled

    def _shift(self, expired: Indices) -> None:
        width = self.t.shape[1]
        source = np.minimum(np.arange(width) + expired[:, None], width - 1)
        used = len(self.labels)
        self.t[:used] = np.take_along_axis(self.t[:used], source, axis=1)
        self.v[:used] = np.take_along_axis(self.v[:used], source, axis=1)
        self.size[:used] -= expired

    def _grow(self, *, rows: int | None = None, width: int | None = None) -> None:
        old_rows, old_width = self.t.shape
        shape = (rows or old_rows, width or old_width)
        t = np.zeros(shape, dtype=np.int64)
        v = np.zeros(shape)
        t[:old_rows, :old_width] = self.t
        v[:old_rows, :old_width] = self.v
        self.t, self.v = t, v
        more = shape[0] - old_rows
        if more:
            self.size = np.concatenate((self.size, np.zeros(more, dtype=np.int64)))
            self.newest = np.concatenate((self.newest, np.full(more, _NEVER, dtype=np.int64)))
            self.reach = np.concatenate((self.reach, np.zeros(more, dtype=np.int64)))
