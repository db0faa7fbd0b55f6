"""Walks a syntax tree and computes every node at every step.

One `Evaluation` is one run over fixed steps; a subquery is another one with steps of its own. A scalar is an array of
one value per step, a vector a `Block`, a range vector `Windows`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from alerting.labels import Labels
from alerting.promql import aggregate, ast, dates, functions, histogram, operators, ranges, relabel
from alerting.promql.ast import Expr, ValueType, unwrap, value_type
from alerting.promql.blocks import Block, Columns, Windows
from alerting.promql.catalogue import RANGE_FUNCTIONS
from alerting.promql.errors import EvaluationError
from alerting.promql.storage import ColumnStorage, Storage
from alerting.promql.values import Flags, Floats, Times, is_stale

if TYPE_CHECKING:
    from collections.abc import Callable

    from alerting.promql.blocks import Indices
    from alerting.promql.remarks import Remarks


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
                return inner.like(-inner.v).unnamed().distinct()
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
            return _renamed(block.like(functions.MATH[name](block.v)))
        if name in dates.NAMES:
            return self._date(name, args)
        return _CALLS[name](self, args)

    def _range_call(self, name: str, args: tuple[Expr, ...]) -> Block:
        if name == "absent_over_time":
            there: Flags = (self.windows(args[0]).size > 0).any(axis=0)
            return _absent(unwrap(args[0]), there)
        windows, (v, ok) = self._range_outcome(name, args)
        block = Block(labels=windows.columns.labels, v=v, ok=ok).compact()
        if name in ("rate", "increase"):
            for metric in {labels.metric for labels in block.labels}:
                self.remarks.possible_gauge(metric)
        return block if name == "last_over_time" else block.unnamed().distinct()

    def _range_outcome(self, name: str, args: tuple[Expr, ...]) -> tuple[Windows, ranges.Outcome]:
        if name == "quantile_over_time":
            windows, q = self.windows(args[1]), self.scalar(args[0])
            self._check_quantile(q[(windows.size > 0).any(axis=0)])
            return windows, ranges.quantile_over_time(windows, q)
        windows = self.windows(args[0])
        if name == "predict_linear":
            return windows, ranges.predict_linear(windows, self.scalar(args[1]))
        return windows, ranges.PLAIN[name](windows)

    def _check_quantile(self, q: Floats) -> None:
        for value in q[~((q >= 0) & (q <= 1))].tolist():
            self.remarks.invalid_quantile(value)

    def _date(self, name: str, args: tuple[Expr, ...]) -> Block:
        if not args:
            return _unlabelled(dates.date_part(name, self.times / 1000))
        block = self.vector(args[0])
        return _renamed(block.like(dates.date_part(name, block.v)))

    def _vector(self, args: tuple[Expr, ...]) -> Block:
        return _unlabelled(self.scalar(args[0]))

    def _absent(self, args: tuple[Expr, ...]) -> Block:
        there: Flags = self.vector(args[0]).ok.any(axis=0)
        return _absent(args[0], there)

    def _timestamp(self, args: tuple[Expr, ...]) -> Block:
        arg = unwrap(args[0])
        if isinstance(arg, ast.VectorSelector):
            # With @, Prometheus looks at that very time here and forgets the offset beside it.
            block, t = self._instant(arg if arg.at is None else replace(arg, offset=0))
            return _renamed(block.like(t / 1000))
        block = self.vector(arg)
        return _renamed(block.like(np.broadcast_to(self.times / 1000, block.v.shape)))

    def _sort(self, args: tuple[Expr, ...]) -> Block:
        return _sorted(self.vector(args[0]), descending=False)

    def _sort_desc(self, args: tuple[Expr, ...]) -> Block:
        return _sorted(self.vector(args[0]), descending=True)

    def _label_replace(self, args: tuple[Expr, ...]) -> Block:
        block = self.vector(args[0])
        target, template, source, pattern = (_text(arg) for arg in args[1:])
        labels = relabel.label_replace(block.labels, target, template, source, pattern)
        return Block(labels=labels, v=block.v, ok=block.ok).distinct()

    def _label_join(self, args: tuple[Expr, ...]) -> Block:
        block = self.vector(args[0])
        target, separator, *sources = (_text(arg) for arg in args[1:])
        labels = relabel.label_join(block.labels, target, separator, sources)
        return Block(labels=labels, v=block.v, ok=block.ok).distinct()

    def _histogram_quantile(self, args: tuple[Expr, ...]) -> Block:
        q, block = self.scalar(args[0]), self.vector(args[1])
        self._check_quantile(q)
        return histogram.quantile(q, block, self.remarks)

    def _histogram_fraction(self, args: tuple[Expr, ...]) -> Block:
        low, high, block = self.scalar(args[0]), self.scalar(args[1]), self.vector(args[2])
        return histogram.fraction(low, high, block, self.remarks)

    def _round(self, args: tuple[Expr, ...]) -> Block:
        block = self.vector(args[0])
        nearest = self.scalar(args[1]) if len(args) > 1 else np.ones(len(self.times))
        return _renamed(block.like(functions.rounded(block.v, nearest)))

    def _clamp(self, args: tuple[Expr, ...]) -> Block:
        block, low, high = self.vector(args[0]), self.scalar(args[1]), self.scalar(args[2])
        v = functions.clamped(block.v, low, high)
        return _renamed(Block(labels=block.labels, v=v, ok=block.ok & ~(high < low)).compact())

    def _clamp_min(self, args: tuple[Expr, ...]) -> Block:
        block = self.vector(args[0])
        return _renamed(block.like(np.maximum(self.scalar(args[1]), block.v)))

    def _clamp_max(self, args: tuple[Expr, ...]) -> Block:
        block = self.vector(args[0])
        return _renamed(block.like(np.minimum(self.scalar(args[1]), block.v)))


_CALLS: Final[dict[str, Callable[[Evaluation, tuple[Expr, ...]], Block]]] = {
    "absent": Evaluation._absent,
    "clamp": Evaluation._clamp,
    "clamp_max": Evaluation._clamp_max,
    "clamp_min": Evaluation._clamp_min,
    "histogram_fraction": Evaluation._histogram_fraction,
    "histogram_quantile": Evaluation._histogram_quantile,
    "label_join": Evaluation._label_join,
    "label_replace": Evaluation._label_replace,
    "round": Evaluation._round,
    "sort": Evaluation._sort,
    "sort_desc": Evaluation._sort_desc,
    "timestamp": Evaluation._timestamp,
    "vector": Evaluation._vector,
}


def _unlabelled(v: Floats) -> Block:
    return Block(labels=(Labels(),), v=v[None, :], ok=np.ones((1, len(v)), dtype=bool))


def _renamed(block: Block) -> Block:
    """Drop the names; series that then agree become one if they never meet."""
    return operators.merged((block.unnamed(),))


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


def _absent(arg: Expr, there: Flags) -> Block:
    labels = relabel.absent_labels(arg)
    return Block(labels=(labels,), v=np.ones((1, len(there))), ok=~there[None, :]).compact()


def _sorted(block: Block, *, descending: bool) -> Block:
    """Order an instant query's result by value, NaN last; a range query's result keeps its order."""
    if block.v.shape[1] != 1:
        return block
    values = block.v[:, 0]
    order: Indices = np.lexsort((-values if descending else values, np.isnan(values)))
    return block.rows(order)
