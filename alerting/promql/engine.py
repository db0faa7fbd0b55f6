"""The PromQL engine: a parsed query, a store and a time in; a value with Prometheus 3.5's semantics out.

The engine reads no clock and does no I/O. It knows nothing of rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from alerting.labels import Labels
from alerting.promql import ast
from alerting.promql.ast import ValueType
from alerting.promql.blocks import Block, Windows
from alerting.promql.errors import EvaluationError
from alerting.promql.evaluate import Evaluation
from alerting.promql.parse import DEFAULT_LOOKBACK
from alerting.promql.remarks import Remarks
from alerting.promql.values import Matrix, Result, Sample, Scalar, Series, String, Times, Value, Vector

if TYPE_CHECKING:
    from collections.abc import Callable

    from alerting.promql.parse import Query
    from alerting.promql.storage import Storage

_MS: Final = timedelta(milliseconds=1)
MAX_STEPS: Final = 11_000
"""Prometheus' limit on the points of one series in a range query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Evaluates queries; one engine serves any number of them.

    `lookback` is how old a sample may be to stand for its series; `default_step` is the step of a subquery that names
    none. `max_samples` limits the series times the steps of any one part of a query: memory, at some 50 bytes each.
    """

    lookback: timedelta = DEFAULT_LOOKBACK
    default_step: timedelta = timedelta(minutes=1)
    max_samples: int = 5_000_000

    def instant(self, query: Query, storage: Storage, at_ms: int) -> Result:
        """Evaluate at one time; a vector keeps the order of topk and sort, otherwise the order is arbitrary.

        Raises:
            EvaluationError: Ambiguous matching, a labelset that occurs twice, or too many samples.
        """
        run = self._run(storage, np.array([at_ms], dtype=np.int64))
        return _explained(query, run, lambda: _instant_value(query, run, at_ms))

    def range(self, query: Query, storage: Storage, start_ms: int, end_ms: int, step_ms: int) -> Result:
        """Evaluate at every step from start to end, both included; the matrix is sorted by labels.

        Raises:
            EvaluationError: As for `instant`; also a query of the wrong type, or steps that make no sense.
        """
        if query.type not in (ValueType.VECTOR, ValueType.SCALAR):
            raise EvaluationError(
                f'invalid expression type "{query.type}" for range query, must be Scalar or instant Vector',
                text=query.text,
            )
        if step_ms <= 0 or end_ms < start_ms:
            raise EvaluationError("a range query needs a positive step and an end not before its start")
        if (end_ms - start_ms) // step_ms > MAX_STEPS:
            raise EvaluationError("exceeded maximum resolution of 11,000 points per timeseries")
        run = self._run(storage, np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64), end_ms)
        return _explained(query, run, lambda: _range_value(query, run))

    def _run(self, storage: Storage, times: Times, end_ms: int | None = None) -> Evaluation:
        return Evaluation(
            storage=storage,
            times=times,
            query_start=int(times[0]),
            query_end=int(times[-1]) if end_ms is None else end_ms,
            lookback_ms=self.lookback // _MS,
            default_step_ms=self.default_step // _MS,
            max_samples=self.max_samples,
            remarks=Remarks(),
        )


def _explained(query: Query, run: Evaluation, compute: Callable[[], Value]) -> Result:
    try:
        with np.errstate(all="ignore"):
            value = compute()
    except EvaluationError as exc:
        exc.text = query.text
        raise
    except RecursionError as exc:
        raise EvaluationError("nested too deep to evaluate", text=query.text) from exc
    return Result(value, tuple(run.remarks.warnings), tuple(run.remarks.infos))


def _instant_value(query: Query, run: Evaluation, at_ms: int) -> Value:
    match query.type:
        case ValueType.STRING:
            text = ast.unwrap(query.expr)
            assert isinstance(text, ast.Text)
            return String(at_ms, text.value)
        case ValueType.SCALAR:
            return Scalar(at_ms, float(run.scalar(query.expr)[0]))
        case ValueType.MATRIX:
            return _window_series(run.windows(query.expr))
        case _:
            return _elements(run.vector(query.expr), at_ms)


def _elements(block: Block, at_ms: int) -> Vector:
    return [
        Sample(labels, at_ms, value)
        for labels, value in zip(block.labels, block.v[:, 0].tolist(), strict=True)
    ]


def _window_series(windows: Windows) -> Matrix:
    series = []
    for labels, lo, hi in zip(
        windows.columns.labels, windows.lo[:, 0].tolist(), windows.hi[:, 0].tolist(), strict=True
    ):
        if hi > lo:
            series.append(Series(labels, windows.columns.t[lo:hi].copy(), windows.columns.v[lo:hi].copy()))
    return sorted(series, key=lambda one: one.labels.pairs)


def _range_value(query: Query, run: Evaluation) -> Matrix:
    if query.type is ValueType.SCALAR:
        return [Series(Labels(), run.times, run.scalar(query.expr))]
    block = run.vector(query.expr)
    series = [
        Series(labels, run.times[ok], v[ok])
        for labels, v, ok in zip(block.labels, block.v, block.ok, strict=True)
    ]
    return sorted((one for one in series if len(one.t)), key=lambda one: one.labels.pairs)
