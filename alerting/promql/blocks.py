"""The shapes the engine computes with: many series and many steps at once, in numpy columns.

An instant query is one step, a range query many. A `Block` is an instant vector at every step; `Columns` are raw
samples as a store keeps them; `Windows` mark, for every series and step, which of those samples a range covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from alerting.promql.errors import EvaluationError
from alerting.promql.labelsets import distinct, without_names
from alerting.promql.values import Flags, Floats, Times, is_stale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alerting.labels import Labels
    from alerting.promql.values import Series

Indices = NDArray[np.int64]


@dataclass(slots=True, kw_only=True)
class Block:
    """An instant vector at each step: row i is a series, column j a step; `ok` marks the samples that exist."""

    labels: Sequence[Labels]
    v: Floats
    ok: Flags

    @classmethod
    def empty(cls, steps: int) -> Block:
        """Return a vector without elements."""
        return cls(labels=(), v=np.empty((0, steps)), ok=np.empty((0, steps), dtype=bool))

    def rows(self, index: Indices) -> Block:
        """Return some of the series, in the order given."""
        labels = self.labels
        return Block(labels=[labels[i] for i in index.tolist()], v=self.v[index], ok=self.ok[index])

    def compact(self) -> Block:
        """Return the block without series that have no sample at any step."""
        alive = self.ok.any(axis=1)
        return self if alive.all() else self.rows(np.flatnonzero(alive))

    def like(self, v: Floats) -> Block:
        """Return other values for the same samples."""
        return Block(labels=self.labels, v=v, ok=self.ok)

    def unnamed(self) -> Block:
        """Return the block without metric names; a labelset may occur twice then."""
        return Block(labels=without_names(self.labels), v=self.v, ok=self.ok)

    def distinct(self) -> Block:
        """Return the block itself, after a check that no labelset occurs twice, not even at different steps."""
        if not distinct(self.labels):
            raise EvaluationError("vector cannot contain metrics with the same labelset")
        return self


@dataclass(slots=True, kw_only=True)
class Columns:
    """Samples of many series in two flat columns; series i occupies positions start[i] to stop[i], sorted by time.

    The columns may hold other samples between these; they are views into the store and must not be written. Where
    `width` is set, every series has so many positions of its own and `start` is the first of them; times after the last
    sample are later than any other. Unless `marked`, there are no stale markers.
    """

    labels: Sequence[Labels]
    t: Times
    v: Floats
    start: Indices
    stop: Indices
    width: int | None = None
    marked: bool = True

    @classmethod
    def of(cls, series: Sequence[Series]) -> Columns:
        """Lay series end to end."""
        sizes = np.array([len(one.t) for one in series], dtype=np.int64)
        stop = np.cumsum(sizes)
        return cls(
            labels=[one.labels for one in series],
            t=np.concatenate([one.t for one in series]) if series else np.empty(0, dtype=np.int64),
            v=np.concatenate([one.v for one in series]) if series else np.empty(0),
            start=stop - sizes,
            stop=stop,
        )

    def upto(self, refs: Times) -> Indices:
        """Return, for each series and reference time, the position after its last sample at or before that time."""
        if len(refs) > 8:
            return self._searched(refs)  # one search per series
        if self.width is None or self.width > 1000:
            return self._bisected(refs)  # one search for all series
        return self._counted(refs, self.width)

    def _counted(self, refs: Times, width: int) -> Indices:
        out = np.empty((len(self.start), len(refs)), dtype=np.int64)
        newest = self.t[np.maximum(self.stop - 1, self.start)]
        for column, ref in enumerate(refs.tolist()):
            if (newest <= ref).all():  # the usual case: the question is about now
                out[:, column] = self.stop
            else:
                older = np.count_nonzero(self.t.reshape(-1, width) <= ref, axis=1)
                out[:, column] = self.start + older[self.start // width]
        return out

    def _searched(self, refs: Times) -> Indices:
        out = np.empty((len(self.start), len(refs)), dtype=np.int64)
        for i, (lo, hi) in enumerate(zip(self.start.tolist(), self.stop.tolist(), strict=True)):
            out[i] = np.searchsorted(self.t[lo:hi], refs, side="right") + lo
        return out

    def _bisected(self, refs: Times) -> Indices:
        shape = (len(self.start), len(refs))
        lo = np.broadcast_to(self.start[:, None], shape).copy()
        hi = np.broadcast_to(self.stop[:, None], shape).copy()
        if not len(self.t):
            return lo
        longest = int((hi - lo).max(initial=0))
        for _ in range(longest.bit_length()):
            mid = (lo + hi) >> 1
            open_ = lo < hi
            right = open_ & (self.t[np.where(open_, mid, 0)] <= refs)
            lo = np.where(right, mid + 1, lo)
            hi = np.where(open_ & ~right, mid, hi)
        return lo

    def without_stale(self) -> Columns:
        """Return the samples without stale markers."""
        if not self.marked or not is_stale(self.v).any():
            return self
        sizes = self.stop - self.start
        ends = np.cumsum(sizes)
        at = np.repeat(self.start - (ends - sizes), sizes) + np.arange(int(sizes.sum()))
        v = self.v[at]
        keep = ~is_stale(v)
        kept = np.concatenate(([0], np.cumsum(keep)))
        return Columns(
            labels=self.labels,
            t=self.t[at][keep],
            v=v[keep],
            start=kept[ends - sizes],
            stop=kept[ends],
            marked=False,
        )


@dataclass(slots=True, kw_only=True)
class Windows:
    """For series i and step j, the samples from lo[i, j] up to hi[i, j] of the columns; `ends` are the ranges' ends.

    `times` are the evaluation times, which differ from `ends` by offset and ``@``.
    """

    columns: Columns
    lo: Indices
    hi: Indices
    ends: Times
    times: Times
    range_ms: int

    @property
    def size(self) -> Indices:
        """How many samples each window holds."""
        return self.hi - self.lo
