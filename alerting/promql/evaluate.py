"""Walks a syntax tree and computes every node at every step.

One `Evaluation` is one run over fixed steps; a subquery is another one with steps of its own. A scalar is an array of
one value per step, a vector a `Block`, a range vector `Windows`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from alerting.promql import aggregate, ast, calls, dates, functions, operators
from alerting.promql.ast import Expr, ValueType, unwrap, value_type
from alerting.promql.blocks import Block, Columns, Windows
from alerting.promql.catalogue import RANGE_FUNCTIONS
from alerting.promql.errors import EvaluationError
from alerting.promql.values import Floats, Times, is_stale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alerting.labels import Matcher
    from alerting.promql.remarks import Remarks
    from alerting.promql.storage import Storage


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
                value = np.full(len(self.times), expr.value)
            case ast.Paren():
                value = self.scalar(expr.expr)
            case ast.Negation():
                value = -self.scalar(expr.expr)
            case ast.Binary():
                first, operations = ast.spine(expr)
                value = self.scalar(first)
                for one in operations:
                    value = operators.scalars(one.op, value, self.scalar(one.rhs))
            case ast.Call(func="time"):
                value = self.times / 1000
            case ast.Call(func="pi"):
                value = np.full(len(self.times), np.pi)
            case ast.Call(func="scalar"):
                value = _only_element(self.vector(expr.args[0]))
            case _:
                raise EvaluationError(f"expected a scalar, got {value_type(expr)}")
        return value

    def vector(self, expr: Expr) -> Block:
        """Compute an instant vector at every step."""
        match expr:
            case ast.VectorSelector():
                block = self.instant(expr)[0]
            case ast.Paren():
                block = self.vector(expr.expr)
            case ast.Negation():
                inner = self.vector(expr.expr)
                block = inner.like(-inner.v).unnamed().distinct()
            case ast.Binary():
                block = self._chain(expr)
            case ast.Aggregate():
                block = self._aggregate(expr)
            case ast.Call():
                block = self._call(expr)
            case _:
                raise EvaluationError(f"expected an instant vector, got {value_type(expr)}")
        return block

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
        columns: Callable[[Sequence[Matcher], int, int], Columns] | None = getattr(
            self.storage, "columns", None
        )
        if columns is not None:  # a ColumnStorage; asking the protocol takes longer than most queries
            return columns(selector.matchers, start, end)
        return Columns.of(self.storage.select(selector.matchers, start, end))

    def instant(self, selector: ast.VectorSelector) -> tuple[Block, Times]:
        """Return the newest sample of each series at each step, and the samples' own times."""
        refs = self._ends(selector.at, selector.offset)
        columns = self._columns(selector, int(refs.min()) - self.lookback_ms, int(refs.max()))
        if not len(columns.start):
            empty = Block.empty(len(self.times))
            return empty, empty.v.astype(np.int64)
        self._spend(len(columns.start) * len(refs))
        last = columns.upto(refs) - 1
        ok = last >= columns.start[:, None]
        at = np.where(ok, last, 0)
        t = columns.t[at] if len(columns.t) else np.zeros(at.shape, dtype=np.int64)
        v = columns.v[at] if len(columns.v) else np.zeros(at.shape)
        ok &= (t > refs - self.lookback_ms) & ~is_stale(v)
        alive = ok.any(axis=1)
        block = Block(labels=columns.labels, v=v, ok=ok)
        if alive.all():
            return block, t
        rows = np.flatnonzero(alive)
        return block.rows(rows), t[rows]

    def _windows(self, columns: Columns, ends: Times, range_ms: int) -> Windows:
        self._spend(len(columns.start) * len(ends))
        lo, hi = columns.upto(ends - range_ms), columns.upto(ends)
        return Windows(columns=columns, lo=lo, hi=hi, ends=ends, times=self.times, range_ms=range_ms)

    def _subquery(self, expr: ast.Subquery, ends: Times) -> Columns:
        """Evaluate the inner expression at every multiple of the step that some window covers."""
        step = expr.step or self.default_step_ms
        first, last = (int(ends.min()) - expr.range) // step * step + step, int(ends.max())
        self._spend((last - first) // step + 1)
        if last < first:
            return Columns.of(())
        times = np.arange(first, last + 1, step, dtype=np.int64)
        block = replace(self, times=times).vector(expr.expr)
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

    def _chain(self, expr: ast.Binary) -> Block:
        first, operations = ast.spine(expr)
        value = self._operand(first)
        for one in operations:
            value = self._operation(one, value, self._operand(one.rhs))
        assert isinstance(value, Block)
        return value

    def _operand(self, expr: Expr) -> Block | Floats:
        return self.scalar(expr) if value_type(expr) is ValueType.SCALAR else self.vector(expr)

    def _operation(self, expr: ast.Binary, lhs: Block | Floats, rhs: Block | Floats) -> Block | Floats:
        match lhs, rhs, expr.matching:
            case Block(), Block(), ast.Matching() as matching:
                if expr.op in ast.SET_OPERATORS:
                    return operators.set_operation(expr.op, lhs, rhs, matching)
                return operators.vectors(expr.op, lhs, rhs, matching, return_bool=expr.return_bool)
            case Block(), np.ndarray(), None:
                return operators.vector_scalar(expr.op, lhs, rhs, swapped=False, return_bool=expr.return_bool)
            case np.ndarray(), Block(), None:
                return operators.vector_scalar(expr.op, rhs, lhs, swapped=True, return_bool=expr.return_bool)
            case np.ndarray(), np.ndarray(), None:
                return operators.scalars(expr.op, lhs, rhs)
        raise EvaluationError(f"{expr.op} cannot combine these operands")

    def _aggregate(self, expr: ast.Aggregate) -> Block:
        if expr.param is None:
            block = self.vector(expr.expr)
            return aggregate.aggregate(expr.op, block, expr.labels, without=expr.without)
        if expr.op == "count_values":
            label = unwrap(expr.param)
            if not isinstance(label, ast.Text) or not label.value:
                raise EvaluationError("count_values needs a label name")
            block = self.vector(expr.expr)
            return aggregate.count_values(block, label.value, expr.labels, without=expr.without)
        param = self.scalar(expr.param)
        if ast.step_invariant(expr.expr):
            param = np.full(
                len(param), param[0]
            )  # Prometheus computes such an aggregation once, at the first step
        block = self.vector(expr.expr)
        if expr.op == "quantile":
            self.remarks.invalid_quantiles(_extremes(param))
            return aggregate.quantile(param, block, expr.labels, without=expr.without)
        return aggregate.top(expr.op, block, expr.labels, without=expr.without, param=param)

    def _call(self, expr: ast.Call) -> Block:
        if expr.func in RANGE_FUNCTIONS:
            return calls.of_range(self, expr.func, expr.args)
        if expr.func in functions.MATH:
            return calls.of_number(self, functions.MATH[expr.func], expr.args[0])
        if expr.func in dates.NAMES:
            return calls.of_date(self, expr.func, expr.args)
        return calls.OTHERS[expr.func](self, expr.args)


def _only_element(block: Block) -> Floats:
    """Return the value at the steps with exactly one element, NaN elsewhere."""
    count = block.ok.sum(axis=0)
    total = np.where(block.ok, block.v, 0.0).sum(axis=0)
    return np.where(count == 1, total, np.nan)


def _extremes(q: Floats) -> Floats:
    """Return what a quantile's argument deserves a warning for: NaN if it ever is, else its extremes."""
    return np.array([q.min(initial=0.0), q.max(initial=1.0)])[: 1 if np.isnan(q).any() else 2]
