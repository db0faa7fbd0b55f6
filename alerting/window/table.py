"""The samples of all series of one metric, side by side.

Row i holds series i, left-aligned and sorted by time, in two matrices that grow in both directions; behind a series'
last sample all times are later than any sample's. Series of one metric
are written together by a scrape and read together by a rule, so both are a few numpy operations for all of them.
Expired samples are only shifted out once a quarter of the width is free to gain.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

import numpy as np

from alerting.promql.values import is_stale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alerting.labels import Labels
    from alerting.promql.blocks import Indices
    from alerting.promql.values import Floats, Times

_FIRST_ROWS: Final = 4
_FIRST_WIDTH: Final = 8
_NEVER: Final = np.iinfo(np.int64).min
_UNUSED: Final = np.iinfo(np.int64).max
_SERIAL: Final = count()


class Table:
    """Rows of samples; `generation` changes whenever a row gains or loses its series."""

    def __init__(self) -> None:
        self.labels: list[Labels | None] = []
        self.marked = False  # whether there may be stale markers
        self.serial = next(_SERIAL)  # unlike id(), never used again
        self.generation = 0
        self.t: Times = np.full((_FIRST_ROWS, _FIRST_WIDTH), _UNUSED, dtype=np.int64)
        self.v: Floats = np.zeros((_FIRST_ROWS, _FIRST_WIDTH))
        self.size: Indices = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self.newest: Times = np.full(_FIRST_ROWS, _NEVER, dtype=np.int64)
        self.reach: Times = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self._free: list[int] = []
        self._index: dict[str, tuple[int, dict[str, list[int]]]] = {}

    def rows_with(self, label: str, value: str) -> Sequence[int]:
        """Return the rows whose series carry this value; one look through all rows answers for every value."""
        known = self._index.get(label)
        if known is None or known[0] != self.generation:
            rows: dict[str, list[int]] = {}
            for row, labels in enumerate(self.labels):
                if labels is not None:
                    rows.setdefault(labels.get(label, ""), []).append(row)
            known = self._index[label] = (self.generation, rows)
        return known[1].get(value, ())

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

    def count_until(self, t_ms: int) -> int:
        """How many samples are not newer than a time."""
        return int(np.count_nonzero(self.t <= t_ms))

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
        self.t[row] = _UNUSED
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
        self.marked = self.marked or is_stale(value)
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
        self.marked = self.marked or bool(is_stale(v).any())
        self.size[at] = position + 1
        self.newest[at] = t
        return len(at)

    def fill(self, row: int, t: Times, v: Floats) -> None:
        """Give an empty row all its samples at once: at least one, sorted by time."""
        if len(t) > self.t.shape[1]:
            self._grow(width=len(t) * 5 // 4)
        self.t[row, : len(t)] = t
        self.v[row, : len(t)] = v
        self.size[row] = len(t)
        self.newest[row] = t[-1]
        self.marked = self.marked or bool(is_stale(v).any())

    def trim(self, now_ms: int) -> list[int]:
        """Shift out what has expired at that time where it is worth it; return the rows left without any sample."""
        used = len(self.labels)
        before = now_ms - self.reach[:used]
        if (self.t[:used, 0] > before).all():
            return []
        gone = (self.newest[:used] <= before) & (self.size[:used] > 0)
        width = int(self.size[:used].max())
        expired = np.count_nonzero(self.t[:used, :width] <= before[:, None], axis=1)
        if int(expired.max()) * 4 >= self.t.shape[1]:
            self._shift(expired)
        return [int(row) for row in np.flatnonzero(gone)]

    def cut(self, after_ms: int) -> list[int]:
        """Drop what is later than a time; return the rows left without any sample."""
        later = (self.t > after_ms) & (self.t != _UNUSED)
        changed = np.flatnonzero(later.any(axis=1))
        self.t[later] = _UNUSED
        self.size[changed] = np.count_nonzero(self.t[changed] != _UNUSED, axis=1)
        for row in changed.tolist():
            size = int(self.size[row])
            self.newest[row] = self.t[row, size - 1] if size else _NEVER
        return [row for row in changed.tolist() if not self.size[row]]

    def thin(self, before_ms: int, spacing_ms: int) -> None:
        """Of the samples up to that time, keep only the last in each such interval, and stale markers; then shrink."""
        used = len(self.labels)
        t, v = self.t[:used], self.v[:used]
        interval = t // spacing_ms
        last = np.ones(t.shape, dtype=bool)
        last[:, :-1] = interval[:, :-1] != interval[:, 1:]
        kept = (t != _UNUSED) & ((t > before_ms) | last | is_stale(v))
        order = np.argsort(~kept, axis=1, kind="stable")
        self.size[:used] = np.count_nonzero(kept, axis=1)
        unused = np.arange(t.shape[1]) >= self.size[:used, None]
        self.t[:used] = np.where(unused, _UNUSED, np.take_along_axis(t, order, axis=1))
        self.v[:used] = np.take_along_axis(v, order, axis=1)
        self._shrink()

    def _shrink(self) -> None:
        width = max(_FIRST_WIDTH, int(self.size.max()) * 5 // 4)
        if width < self.t.shape[1]:
            self.t = self.t[:, :width].copy()
            self.v = self.v[:, :width].copy()

    def _shift(self, expired: Indices) -> None:
        width = self.t.shape[1]
        used = len(self.labels)
        position = np.arange(width) + expired[:, None]
        gone = position >= width
        source = np.where(gone, width - 1, position)
        self.t[:used] = np.where(gone, _UNUSED, np.take_along_axis(self.t[:used], source, axis=1))
        self.v[:used] = np.take_along_axis(self.v[:used], source, axis=1)
        self.size[:used] -= expired
        self.marked = self.marked and bool(is_stale(self.v[:used][self.t[:used] != _UNUSED]).any())

    def _grow(self, *, rows: int | None = None, width: int | None = None) -> None:
        old_rows, old_width = self.t.shape
        shape = (rows or old_rows, width or old_width)
        t = np.full(shape, _UNUSED, dtype=np.int64)
        v = np.zeros(shape)
        t[:old_rows, :old_width] = self.t
        v[:old_rows, :old_width] = self.v
        self.t, self.v = t, v
        more = shape[0] - old_rows
        if more:
            self.size = np.concatenate((self.size, np.zeros(more, dtype=np.int64)))
            self.newest = np.concatenate((self.newest, np.full(more, _NEVER, dtype=np.int64)))
            self.reach = np.concatenate((self.reach, np.zeros(more, dtype=np.int64)))
