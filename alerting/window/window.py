"""The samples the loaded rules can ask for, and no others.

A series is kept if a selector of a rule matches it, for as long as the farthest-reaching of those selectors looks
back. The window reads no clock; whoever trims it says what time it is. It must not change while it is read.

Beyond a memory budget the oldest samples of the largest metrics are thinned, see `thinning`; what was thinned is named,
so that nobody takes an approximate answer for an exact one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from alerting.labels import METRIC_NAME, Labels, Matcher, MatchOp
from alerting.promql.blocks import Columns, Indices
from alerting.promql.parse import DEFAULT_LOOKBACK, Selector
from alerting.promql.values import STALE_NAN, Sample, Series, Vector, is_stale
from alerting.window import snapshot
from alerting.window.coverage import complaint, thinned_notice
from alerting.window.table import Table
from alerting.window.thinning import DEFAULT_BUDGET, Thinning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MS: Final = timedelta(milliseconds=1)
_FOREVER: Final = 1 << 60
_MARGIN_MS: Final = 30_000
"""Kept beyond the reach: an evaluation's time lies a little behind the clock that trims."""
_REFUSED_LIMIT: Final = 20_000
_FOUND_LIMIT: Final = 2_000
_SMALL_TABLE: Final = 32

_Rows = tuple[Table, Indices, tuple[Labels, ...]]


class Window:
    """Recent samples by series, in memory.

    `keep` are the selectors of the loaded rules; None keeps every series without limit. `budget` are the bytes that
    samples may take; labels come on top, about 1 kB a series.
    """

    def __init__(self, *, keep: Iterable[Selector] | None = None, budget: int = DEFAULT_BUDGET) -> None:
        self._thinning = Thinning(budget)
        self._tables: dict[str, Table] = {}
        self._series: dict[Labels, tuple[Table, int]] = {}
        self._refused: set[Labels] = set()
        self._found: dict[tuple[Matcher, ...], tuple[tuple[int, ...], list[_Rows]]] = {}
        self._missing: dict[tuple[Selector, ...], tuple[str, ...]] = {}
        self._keep: tuple[Selector, ...] | None = None
        self._by_metric: dict[str, list[Selector]] = {}
        self.keep(keep)

    # What is kept

    def keep(self, selectors: Iterable[Selector] | None) -> None:
        """Replace what is kept; series that no selector matches any more are forgotten."""
        self._keep = None if selectors is None else tuple(dict.fromkeys(selectors))
        self._by_metric = {}
        for selector in self._keep or ():
            self._by_metric.setdefault(selector.metric, []).append(selector)
        self._refused.clear()
        self._missing.clear()
        for labels, (table, row) in list(self._series.items()):
            reach = self._reach(labels)
            if reach is None:
                self._forget(labels)
            else:
                table.reach[row] = reach

    def _reach(self, labels: Labels) -> int | None:
        """Return for how many milliseconds a series is kept, or None if it is not."""
        if self._keep is None:
            return _FOREVER
        candidates = (*self._by_metric.get(labels.metric, ()), *self._by_metric.get("", ()))
        reaches = [one.reach for one in candidates if all(m.matches_labels(labels) for m in one.matchers)]
        if not reaches:
            return None
        longest = max(reaches)
        return _FOREVER if longest == timedelta.max else longest // _MS + _MARGIN_MS

    def _place(self, labels: Labels) -> tuple[Table, int] | None:
        place = self._series.get(labels)
        if place is not None or labels in self._refused:
            return place
        reach = self._reach(labels)
        if reach is None:
            if len(self._refused) >= _REFUSED_LIMIT:
                self._refused.clear()
            self._refused.add(labels)
            return None
        table = self._tables.get(labels.metric)
        if table is None:
            table = self._tables[labels.metric] = Table()
        place = self._series[labels] = (table, table.add(labels, reach))
        return place

    def _forget(self, labels: Labels) -> None:
        table, row = self._series.pop(labels)
        table.remove(row)
        if not table.series_count:
            del self._tables[labels.metric]

    def _forget_rows(self, table: Table, rows: Iterable[int]) -> None:
        for row in rows:
            labels = table.labels[row]
            assert labels is not None
            self._forget(labels)

    # Writing

    def append(self, labels: Labels, t_ms: int, value: float) -> bool:
        """Add a sample; tell whether it was kept: not if nobody asks for it, or it is older than the series' newest.

        A sample of the newest one's time replaces it.
        """
        place = self._place(labels)
        return place is not None and place[0].put(place[1], t_ms, value)

    def append_many(self, samples: Iterable[tuple[Labels, float, int | None]], t_ms: int) -> int:
        """Add a scrape's samples, as the exposition parser returns them, and return how many were kept.

        `t_ms` stands for those without a time of their own. Of several samples of one series the last counts.
        """
        batches: dict[Table, dict[int, tuple[int, float]]] = {}
        series = self._series
        for labels, value, own in samples:
            place = series.get(labels) or self._place(labels)
            if place is not None:
                batches.setdefault(place[0], {})[place[1]] = (t_ms if own is None else own, value)
        kept = 0
        for table, batch in batches.items():
            times, values = zip(*batch.values(), strict=True)
            kept += table.write(tuple(batch), times, values)
        return kept

    def stale(self, labels: Labels, t_ms: int) -> None:
        """Mark the end of a series, if it is known."""
        if labels in self._series:
            self.append(labels, t_ms, STALE_NAN)

    def trim(self, now_ms: int) -> None:
        """Drop what nobody can ask for any more at that time or later, and the series left empty."""
        for table in list(self._tables.values()):
            self._forget_rows(table, table.trim(now_ms))
        self._thinning.apply(self._tables, now_ms)

    def rewind(self, now_ms: int) -> None:
        """Drop what is later than now, after the clock was set back: it would keep out all samples until then."""
        for table in list(self._tables.values()):
            self._forget_rows(table, table.cut(now_ms))

    # All at once

    def dump(self) -> bytes:
        """Return all samples in a form that `load` understands."""
        return snapshot.pack(
            (labels, table.t[row, : table.size[row]], table.v[row, : table.size[row]])
            for labels, (table, row) in self._series.items()
        )

    def load(self, data: bytes) -> int:
        """Take in what `dump` returned, as far as it is kept and its series are not here yet; return how many series.

        Raises:
            SnapshotError: The data is damaged or of another version; the window is as it was.
        """
        loaded = 0
        for labels, t, v in snapshot.unpack(data):
            if labels not in self._series and (place := self._place(labels)) is not None:
                place[0].fill(place[1], t, v)
                loaded += 1
        return loaded

    # Reading

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Series]:
        """Return the matching series with their samples of start_ms < t <= end_ms, stale markers included."""
        out = []
        for table, rows, labels in self._rows(tuple(matchers)):
            for row, one in zip(rows.tolist(), labels, strict=True):
                times = table.t[row, : table.size[row]]
                lo, hi = np.searchsorted(times, (start_ms, end_ms), side="right").tolist()
                if hi > lo:
                    out.append(Series(one, times[lo:hi].copy(), table.v[row, lo:hi].copy()))
        return out

    def columns(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Columns:  # noqa: ARG002  all times serve
        """Return the matching series' samples of all times, as views where possible."""
        found = self._rows(tuple(matchers))
        if len(found) == 1:
            return _table_columns(*found[0])
        return _joined([_table_columns(*one) for one in found])

    def latest(
        self, matchers: Sequence[Matcher], at_ms: int, lookback: timedelta = DEFAULT_LOOKBACK
    ) -> Vector:
        """Return each matching series' newest sample in (at - lookback, at], unless it is a stale marker."""
        out = []
        for series in self.select(matchers, at_ms - lookback // _MS, at_ms):
            value = float(series.v[-1])
            if not is_stale(value):
                out.append(Sample(series.labels, int(series.t[-1]), value))
        return out

    @property
    def series_count(self) -> int:
        """How many series are held."""
        return len(self._series)

    @property
    def sample_count(self) -> int:
        """How many samples are held."""
        return sum(table.sample_count for table in self._tables.values())

    @property
    def byte_count(self) -> int:
        """How much memory the samples take."""
        return sum(table.bytes for table in self._tables.values())

    @property
    def thinned(self) -> Mapping[str, tuple[timedelta, timedelta]]:
        """The metrics whose older samples are thinned: from which age on, and how far apart they are there."""
        return self._thinning.thinned

    def approximate(self, selectors: Iterable[Selector]) -> tuple[str, ...]:
        """Return the thinned metrics among those that selectors select, where they reach into the thinned part."""
        found = {
            metric
            for selector in selectors
            for metric, (age, _) in self.thinned.items()
            if selector.metric in ("", metric) and selector.reach > age
        }
        return tuple(sorted(found))

    def missing(self, selectors: Iterable[Selector]) -> tuple[str, ...]:
        """Say, a sentence each, which of these selectors ask for more than is kept."""
        if self._keep is None:
            return ()
        said = dict.fromkeys(complaint(selector, self._keep) for selector in selectors)
        return tuple(one for one in said if one)

    def doubts(self, selectors: Sequence[Selector]) -> tuple[str, ...]:
        """Say what a result computed from these selectors must not be taken for: complete, or exact."""
        key = tuple(selectors)
        known = self._missing.get(key)
        if known is None:
            if len(self._missing) >= _FOUND_LIMIT:
                self._missing.clear()
            known = self._missing[key] = self.missing(key)
        return (*known, *(thinned_notice(one, *self.thinned[one]) for one in self.approximate(key)))

    def _rows(self, matchers: tuple[Matcher, ...]) -> list[_Rows]:
        """Find the rows that matchers select; the answer is remembered until a series comes or goes."""
        names = [m.value for m in matchers if m.name == METRIC_NAME and m.op is MatchOp.EQUAL]
        tables = [self._tables[name] for name in names[:1] if name in self._tables]
        if not names:
            tables = [table for _, table in sorted(self._tables.items())]
        state = tuple(number for table in tables for number in (table.serial, table.generation))
        known = self._found.get(matchers)
        if known is not None and known[0] == state:
            return known[1]
        found = []
        for table in tables:
            hits = [
                (labels, row)
                for row in _candidates(table, matchers)
                if (labels := table.labels[row]) is not None
                and all(m.matches_labels(labels) for m in matchers)
            ]
            if hits:
                # Sorted, so that sums and ties come out the same whatever order the series appeared in.
                hits.sort(key=lambda hit: hit[0].pairs)
                rows = np.array([row for _, row in hits], dtype=np.int64)
                found.append((table, rows, tuple([labels for labels, _ in hits])))
        if len(self._found) >= _FOUND_LIMIT:
            self._found.clear()
        self._found[matchers] = (state, found)
        return found


def _candidates(table: Table, matchers: tuple[Matcher, ...]) -> Iterable[int]:
    """Return rows among which all that match are: of a selector of one thing those of its rarest label."""
    if len(table.labels) < _SMALL_TABLE:
        return range(len(table.labels))
    equal = (m for m in matchers if m.op is MatchOp.EQUAL and m.name != METRIC_NAME)
    return min((table.rows_with(m.name, m.value) for m in equal), key=len, default=range(len(table.labels)))


def _table_columns(table: Table, rows: Indices, labels: tuple[Labels, ...]) -> Columns:
    width = table.t.shape[1]
    t, v, place = table.t, table.v, rows
    if len(rows) * 4 < len(
        t
    ):  # a small part of the table: looking through all of it would cost more than a copy
        t, v, place = t[rows], v[rows], np.arange(len(rows), dtype=np.int64)
    start = place * width
    return Columns(
        labels=labels,
        t=t.ravel(),
        v=v.ravel(),
        start=start,
        stop=start + table.size[rows],
        width=width,
        marked=table.marked,
    )


def _joined(parts: list[Columns]) -> Columns:
    if not parts:
        return Columns.of(())
    offsets = np.cumsum([0, *(len(part.t) for part in parts)])[:-1].tolist()
    return Columns(
        labels=[one for part in parts for one in part.labels],
        t=np.concatenate([part.t for part in parts]),
        v=np.concatenate([part.v for part in parts]),
        start=np.concatenate([part.start + at for part, at in zip(parts, offsets, strict=True)]),
        stop=np.concatenate([part.stop + at for part, at in zip(parts, offsets, strict=True)]),
    )
