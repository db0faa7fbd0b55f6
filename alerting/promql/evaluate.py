"""Walks a syntax tree and computes every node at every step.

One `Evaluation` is one run over fixed steps; a subquery is another one with steps of its own. A scalar is an array of
one value per step, a vector a `Block`, a range vector `Windows`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from alerting.labels import METRIC_NAME, Labels
from alerting.promql import aggregate, ast, dates, functions, histogram, operators, ranges, relabel
from alerting.promql.ast import Expr, ValueType, unwrap, value_type
from alerting.promql.blocks import Block, Columns, Windows
from alerting.promql.catalogue import RANGE_FUNCTIONS
from alerting.promql.errors import EvaluationError
from alerting.promql.storage import ColumnStorage, Storage
from alerting.promql.values import Floats, Times, is_stale

if TYPE_CHECKING:
    from alerting.promql.blocks import Indices

_COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")


@dataclass(slots=True)
class Remarks:
    """What Prometheus would say beside the result; the same remark is made once."""

    warnings: dict[str, None] = field(default_factory=dict)
    infos: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One run: where samples come from, which steps to compute, and the limits.

    `query_start` and `query_end` are what ``@ start()`` and ``@ end()`` mean, also inside subqueries.
    """

    storage: Storage
    times: Times
    query_start: int
    query_end: int
    lookback_ms: int
    default_step_ms: int
    max_samples: int
    remarks: Remarks

    # Entry points, by the type of the expression

    def scalar(self, expr: Expr) -> Floats:
        """Compute a scalar: one value per step."""
        match expr:
            case ast.Number():
                return np.full(len(self.times), expr.value)
            case ast.Paren():
                return self.scalar(expr.expr)
            case ast.Negation():
                return -self.scalar(expr.expr)
            case ast.Binary():
                return operators.scalars(expr.op, self.scalar(expr.lhs), self.scalar(expr.rhs))
            case ast.Call(func="time"):
                return self.times / 1000
            case ast.Call(func="pi"):
                return np.full(len(self.times), np.pi)
            case ast.Call(func="scalar"):
                return _only_element(self.vector(expr.args[0]))
            case _:
                raise EvaluationError(f"expected a scalar, got {value_type(expr)}")

    def vector(self, expr: Expr) -> Block:
        """Compute an instant vector at every step."""
        match expr:
            case ast.VectorSelector():
                return self._instant(expr)[0]
            case ast.Paren():
                return self.vector(expr.expr)
            case ast.Negation():
                inner = self.vector(expr.expr)
                return inner.like(-inner.v).unnamed()
            case ast.Binary():
                return self._binary(expr)
            case ast.Aggregate():
                return self._aggregate(expr)
            case ast.Call():
                return self._call(expr)
            case _:
                raise EvaluationError(f"expected an instant vector, got {value_type(expr)}")

    def windows(self, expr: Expr) -> Windows:
        """Find the samples of a range vector for every step."""
        expr = unwrap(expr)
        if isinstance(expr, ast.MatrixSelector):
            ends = self._ends(expr.selector.at, expr.selector.offset)
            columns = self._columns(expr.selector, int(ends.min()) - expr.range, int(ends.max()))
            return self._windows(columns.without_stale(), ends, expr.range)
        if isinstance(expr, ast.Subquery):
            ends = self._ends(expr.at, expr.offset)
            return self._windows(self._subquery(expr, ends), ends, expr.range)
        raise EvaluationError(f"expected a range vector, got {value_type(expr)}")

    # Selectors

    def _ends(self, at: ast.At, offset: int) -> Times:
        if at is None:
            return self.times - offset
        fixed = {"start": self.query_start, "end": self.query_end}.get(at) if isinstance(at, str) else at
        assert fixed is not None
        return np.full(len(self.times), fixed - offset, dtype=np.int64)

    def _columns(self, selector: ast.VectorSelector, start: int, end: int) -> Columns:
        if isinstance(self.storage, ColumnStorage):
            return self.storage.columns(selector.matchers, start, end)
        return Columns.of(self.storage.select(selector.matchers, start, end))

    def _instant(self, selector: ast.VectorSelector) -> tuple[Block, Times]:
        """Return the newest sample of each series at each step, and the samples' own times."""
        refs = self._ends(selector.at, selector.offset)
        columns = self._columns(selector, int(refs.min()) - self.lookback_ms, int(refs.max()))
        if not len(columns.start):
            empty = Block.empty(len(self.times))
            return empty, empty.v.astype(np.int64)
        last = columns.upto(refs) - 1
        ok = last >= columns.start[:, None]
        at = np.where(ok, last, 0)
        t = columns.t[at] if len(columns.t) else np.zeros(at.shape, dtype=np.int64)
        v = columns.v[at] if len(columns.v) else np.zeros(at.shape)
        ok &= (t > refs - self.lookback_ms) & ~is_stale(v)
        self._spend(int(ok.sum()))
        alive = ok.any(axis=1)
        block = Block(labels=columns.labels, v=v, ok=ok)
        if alive.all():
            return block, t
        rows = np.flatnonzero(alive)
        return block.rows(rows), t[rows]

    def _windows(self, columns: Columns, ends: Times, range_ms: int) -> Windows:
        lo, hi = columns.upto(ends - range_ms), columns.upto(ends)
        self._spend(int((hi - lo).sum()))
        return Windows(columns=columns, lo=lo, hi=hi, ends=ends, times=self.times, range_ms=range_ms)

    def _subquery(self, expr: ast.Subquery, ends: Times) -> Columns:
        """Evaluate the inner expression at every multiple of the step that some window covers."""
        step = expr.step or self.default_step_ms
        first = (int(ends.min()) - expr.range) // step * step + step
        times = np.arange(first, int(ends.max()) + 1, step, dtype=np.int64)
        self._spend(len(times))
        if not len(times):
            return Columns.of(())
        inner = replace(self, times=times)
        if value_type(expr.expr) is ValueType.SCALAR:
            v = inner.scalar(expr.expr)
            block = Block(labels=(Labels(),), v=v[None, :], ok=np.ones((1, len(times)), dtype=bool))
        else:
            block = inner.vector(expr.expr)
        sizes = block.ok.sum(axis=1)
        stop = np.cumsum(sizes)
        return Columns(
            labels=block.labels,
            t=np.broadcast_to(times, block.ok.shape)[block.ok],
            v=block.v[block.ok],
            start=stop - sizes,
            stop=stop,
        )

    def _spend(self, samples: int) -> None:
        if samples > self.max_samples:
            raise EvaluationError(
                "query processing would load too many samples into memory in query execution"
            )

    # Operators and aggregations

    def _binary(self, expr: ast.Binary) -> Block:
        left, right = value_type(expr.lhs), value_type(expr.rhs)
        if expr.matching is not None:
            lhs, rhs = self.vector(expr.lhs), self.vector(expr.rhs)
            if expr.op in ast.SET_OPERATORS:
                return operators.set_operation(expr.op, lhs, rhs, expr.matching)
            return operators.vectors(expr.op, lhs, rhs, expr.matching, return_bool=expr.return_bool)
        swapped = left is ValueType.SCALAR
        vector, scalar = (expr.rhs, expr.lhs) if swapped else (expr.lhs, expr.rhs)
        assert {left, right} == {ValueType.SCALAR, ValueType.VECTOR}
        return operators.vector_scalar(
            expr.op, self.vector(vector), self.scalar(scalar), swapped=swapped, return_bool=expr.return_bool
        )

    def _aggregate(self, expr: ast.Aggregate) -> Block:
        if expr.op == "count_values":
            label = unwrap(expr.param) if expr.param is not None else None
            if not isinstance(label, ast.Text) or not label.value:
                raise EvaluationError("count_values needs a label name")
            return aggregate.count_values(
                self.vector(expr.expr), label.value, expr.labels, without=expr.without
            )
        param = None if expr.param is None else self.scalar(expr.param)
        block = self.vector(expr.expr)
        if expr.op in ("topk", "bottomk"):
            assert param is not None
            return aggregate.top(expr.op, block, expr.labels, without=expr.without, param=param)
        if expr.op == "quantile":
            assert param is not None
            self._check_quantile(param)
        return aggregate.aggregate(expr.op, block, expr.labels, without=expr.without, param=param)

    # Functions

    def _call(self, expr: ast.Call) -> Block:
        name, args = expr.func, expr.args
        if name in RANGE_FUNCTIONS:
            return self._range_call(name, args)
        if name in functions.MATH:
            block = self.vector(args[0])
            return block.like(functions.MATH[name](block.v)).unnamed()
        if name in dates.NAMES:
            return self._date(name, args)
        match name:
            case "vector":
                return self._unlabelled(self.scalar(args[0]))
            case "absent":
                there = self.vector(args[0]).ok.any(axis=0)
                return _absent(args[0], there)
            case "timestamp":
                return self._timestamp(unwrap(args[0]))
            case "sort" | "sort_desc":
                return _sorted(self.vector(args[0]), descending=name == "sort_desc")
            case "label_replace" | "label_join":
                return self._relabelled(name, args)
            case "histogram_quantile" | "histogram_fraction":
                return self._histogram(name, args)
            case _:
                return self._limited(name, args)

    def _range_call(self, name: str, args: tuple[Expr, ...]) -> Block:
        if name == "predict_linear":
            windows = self.windows(args[0])
            v, ok = ranges.predict_linear(windows, self.scalar(args[1]))
        elif name == "quantile_over_time":
            q = self.scalar(args[0])
            windows = self.windows(args[1])
            if (windows.size > 0).any():
                self._check_quantile(q)
            v, ok = ranges.quantile_over_time(windows, q)
        elif name == "absent_over_time":
            return _absent(unwrap(args[0]), (self.windows(args[0]).size > 0).any(axis=0))
        else:
            windows = self.windows(args[0])
            v, ok = ranges.PLAIN[name](windows)
        block = Block(labels=windows.columns.labels, v=v, ok=ok).compact()
        if name in ("rate", "increase"):
            self._doubt_counters(block)
        return block if name == "last_over_time" else block.unnamed()

    def _doubt_counters(self, block: Block) -> None:
        for metric in {labels.get(METRIC_NAME, "") for labels in block.labels}:
            if metric and not metric.endswith(_COUNTER_SUFFIXES):
                self.remarks.infos[
                    "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "
                    f'"{metric}"'
                ] = None

    def _check_quantile(self, q: Floats) -> None:
        for value in q[~((q >= 0) & (q <= 1))].tolist():
            self.remarks.warnings[
                f"PromQL warning: quantile value should be between 0 and 1, got {value:g}"
            ] = None

    def _unlabelled(self, v: Floats) -> Block:
        return Block(labels=(Labels(),), v=v[None, :], ok=np.ones((1, len(v)), dtype=bool))

    def _date(self, name: str, args: tuple[Expr, ...]) -> Block:
        if not args:
            return self._unlabelled(dates.date_part(name, self.times / 1000))
        block = self.vector(args[0])
        return block.like(dates.date_part(name, block.v)).unnamed()

    def _timestamp(self, arg: Expr) -> Block:
        if isinstance(arg, ast.VectorSelector):
            block, t = self._instant(arg)
            return block.like(t / 1000).unnamed()
        block = self.vector(arg)
        return block.like(np.broadcast_to(self.times / 1000, block.v.shape)).unnamed()

    def _relabelled(self, name: str, args: tuple[Expr, ...]) -> Block:
        texts = [_text(arg) for arg in args[1:]]
        block = self.vector(args[0])
        if name == "label_replace":
            labels = relabel.label_replace(block.labels, texts[0], texts[1], texts[2], texts[3])
        else:
            labels = relabel.label_join(block.labels, texts[0], texts[1], texts[2:])
        return Block(labels=labels, v=block.v, ok=block.ok).distinct()

    def _histogram(self, name: str, args: tuple[Expr, ...]) -> Block:
        limits = [self.scalar(arg) for arg in args[:-1]]
        block = self.vector(args[-1])
        if name == "histogram_quantile":
            self._check_quantile(limits[0])
            result, repaired = histogram.quantile(limits[0], block)
            for metric in repaired:
                self.remarks.infos[
                    "PromQL info: input to histogram_quantile needed to be fixed for monotonicity "
                    f'(see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name "{metric}"'
                ] = None
            return result.distinct()
        return histogram.fraction(limits[0], limits[1], block).distinct()

    def _limited(self, name: str, args: tuple[Expr, ...]) -> Block:
        block = self.vector(args[0])
        limits = [self.scalar(arg) for arg in args[1:]]
        match name:
            case "round":
                v = functions.rounded(block.v, limits[0] if limits else np.ones(len(self.times)))
            case "clamp":
                v = functions.clamped(block.v, limits[0], limits[1])
                possible = ~(limits[1] < limits[0])
                block = Block(labels=block.labels, v=v, ok=block.ok & possible)
                return block.compact().unnamed()
            case "clamp_min":
                v = np.maximum(limits[0], block.v)
            case "clamp_max":
                v = np.minimum(limits[0], block.v)
            case _:
                raise EvaluationError(f"{name}() is not supported")
        return block.like(v).unnamed()


def _text(expr: Expr) -> str:
    expr = unwrap(expr)
    if not isinstance(expr, ast.Text):
        raise EvaluationError("expected a string")
    return expr.value


def _only_element(block: Block) -> Floats:
    """Return the value at the steps with exactly one element, NaN elsewhere."""
    count = block.ok.sum(axis=0)
    total = np.where(block.ok, block.v, 0.0).sum(axis=0)
    return np.where(count == 1, total, np.nan)


def _absent(arg: Expr, there: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Block:
    labels = relabel.absent_labels(arg)
    return Block(labels=(labels,), v=np.ones((1, len(there))), ok=~there[None, :]).compact()


def _sorted(block: Block, *, descending: bool) -> Block:
    """Order an instant query's result by value, NaN last; a range query's result keeps its order."""
    if block.v.shape[1] != 1:
        return block
    values = block.v[:, 0]
    order: Indices = np.lexsort((-values if descending else values, np.isnan(values)))
    return block.rows(order)
