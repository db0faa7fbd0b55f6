"""Aggregations: one result per group of series, or a selection of series within each group."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from alerting.promql import kahan, labelsets, sums
from alerting.promql.blocks import Block, Indices
from alerting.promql.errors import EvaluationError
from alerting.promql.numbers import format_full, format_g
from alerting.promql.operators import merged
from alerting.promql.values import Floats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def aggregate(op: str, block: Block, names: tuple[str, ...], *, without: bool) -> Block:
    """Aggregate a vector at every step, by an operator without a parameter."""
    index, labels = labelsets.grouped(block.labels, names, without=without)
    shape = (len(labels), block.v.shape[1])
    present = np.zeros(shape, dtype=np.int64)
    np.add.at(present, index, block.ok)
    if op == "count":
        v = present.astype(np.float64)
    elif op == "group":
        v = np.ones(shape)
    elif op in ("min", "max"):
        # fmin and fmax pass over NaN, and so over the samples that do not exist.
        v = np.full(shape, np.nan)
        ufunc = np.fmin if op == "min" else np.fmax
        ufunc.at(v, index, np.where(block.ok, block.v, np.nan))
    elif op in _SUMS:
        v = _SUMS[op](block, index, shape)
    else:
        v = _each_group(block, index, shape, lambda _, values: _STATISTICS[op](values))
    return Block(labels=labels, v=v, ok=present > 0).compact()


def quantile(q: Floats, block: Block, names: tuple[str, ...], *, without: bool) -> Block:
    """Compute a quantile of each group at every step."""
    index, labels = labelsets.grouped(block.labels, names, without=without)
    v = _each_group(
        block,
        index,
        (len(labels), block.v.shape[1]),
        lambda step, values: kahan.quantile(float(q[step]), values),
    )
    ok = np.zeros(v.shape, dtype=bool)
    np.logical_or.at(ok, index, block.ok)
    return Block(labels=labels, v=v, ok=ok).compact()


def _each_group(
    block: Block, index: Indices, shape: tuple[int, int], of: Callable[[int, list[float]], float]
) -> Floats:
    """Apply a plain function to the values of each group at each step, in the order of the series."""
    out = np.zeros(shape)
    order = np.argsort(index, kind="stable")
    bounds = [*np.flatnonzero(np.diff(index[order], prepend=-1)).tolist(), len(order)]
    v, ok = block.v[order], block.ok[order]
    complete = bool(ok.all())
    for step in range(shape[1]):
        column, exists = v[:, step].tolist(), ok[:, step]
        for group in range(shape[0]):
            part = slice(bounds[group], bounds[group + 1])
            values = column[part]
            if not complete:
                values = [value for value, there in zip(values, exists[part].tolist(), strict=True) if there]
            if values:
                out[group, step] = of(step, values)
    return out


def _stddev(values: Sequence[float]) -> float:
    return math.sqrt(kahan.aggregate_variance(values))


def _sums(block: Block, index: Indices, shape: tuple[int, int]) -> Floats:
    return _each_run(block, index, shape, sums.group_totals)


def _means(block: Block, index: Indices, shape: tuple[int, int]) -> Floats:
    return _each_run(block, index, shape, sums.means)


def _each_run(
    block: Block,
    index: Indices,
    shape: tuple[int, int],
    of: Callable[[Floats, Indices, Indices], Floats],
) -> Floats:
    """Lay the values of each group and step in a run, in the order of the series, and apply a function to all runs."""
    cell = (index[:, None] * shape[1] + np.arange(shape[1]))[block.ok]
    order = np.argsort(cell, kind="stable")
    cell = cell[order]
    lo = np.flatnonzero(np.diff(cell, prepend=-1))
    out = np.zeros(shape)
    if len(lo):
        out.flat[cell[lo]] = of(block.v[block.ok][order], lo, np.append(lo[1:], len(cell)))
    return out


_SUMS: Final = {"sum": _sums, "avg": _means}
_STATISTICS: Final[dict[str, Callable[[Sequence[float]], float]]] = {
    "stdvar": kahan.aggregate_variance,
    "stddev": _stddev,
}


def top(op: str, block: Block, names: tuple[str, ...], *, without: bool, param: Floats) -> Block:
    """Keep each group's k largest or smallest elements, at every step; ordered by value where there is one step."""
    index, labels = labelsets.grouped(block.labels, names, without=without)
    members: list[list[int]] = [[] for _ in labels]
    for row, group in enumerate(index.tolist()):
        members[group].append(row)
    keep = np.zeros(block.ok.shape, dtype=bool)
    ordered: list[int] = []
    for step in range(len(param)):
        if not np.any(block.ok[:, step]):
            continue
        k = min(_limit(float(param[step])), len(block.labels))
        for rows in members:
            chosen = _chosen(op, block.v[:, step], [row for row in rows if block.ok[row, step]], k)
            keep[chosen, step] = True
            ordered.extend(chosen)
    kept = Block(labels=block.labels, v=block.v, ok=keep)
    return kept.rows(np.array(ordered, dtype=np.int64)) if len(param) == 1 else kept.compact()


def _limit(k: float) -> int:
    if not -(2.0**63) <= k <= 2.0**63:
        raise EvaluationError(f"Scalar value {format_g(k)} overflows int64")
    return int(k)


def _chosen(op: str, values: Floats, rows: list[int], k: int) -> list[int]:
    """Choose up to k rows, best first; NaN loses against every number.

    Among equal values a heap decides, and which of them it keeps depends on how it is maintained: this one follows
    Go's container/heap step by step.
    """
    if k < 1:
        return []
    sign = 1.0 if op == "topk" else -1.0
    heap: list[tuple[float, int]] = []
    for row in rows:
        value = sign * float(values[row])
        if len(heap) < k:
            heap.append((value, row))
            _up(heap, len(heap) - 1)
        elif heap[0][0] < value or (math.isnan(heap[0][0]) and not math.isnan(value)):
            heap[0] = (value, row)
            _down(heap)
    return [row for _, row in sorted(heap, key=lambda item: (math.isnan(item[0]), -item[0]))]


def _less(a: float, b: float) -> bool:
    return math.isnan(a) or a < b


def _up(heap: list[tuple[float, int]], at: int) -> None:
    while at > 0:
        parent = (at - 1) // 2
        if not _less(heap[at][0], heap[parent][0]):
            return
        heap[parent], heap[at] = heap[at], heap[parent]
        at = parent


def _down(heap: list[tuple[float, int]]) -> None:
    at = 0
    while (child := 2 * at + 1) < len(heap):
        if child + 1 < len(heap) and _less(heap[child + 1][0], heap[child][0]):
            child += 1
        if not _less(heap[child][0], heap[at][0]):
            return
        heap[at], heap[child] = heap[child], heap[at]
        at = child


def count_values(block: Block, label: str, names: tuple[str, ...], *, without: bool) -> Block:
    """Count, per group and step, the elements of each value; the value becomes a label."""
    steps = block.ok.shape[1]
    kept = names if without else tuple(sorted({*names, label}))
    blocks = []
    for step in range(steps):
        rows = np.flatnonzero(block.ok[:, step]).tolist()
        labelled = [block.labels[row].with_({label: format_full(float(block.v[row, step]))}) for row in rows]
        index, labels = labelsets.grouped(labelled, kept, without=without)
        v = np.zeros((len(labels), steps))
        ok = np.zeros(v.shape, dtype=bool)
        v[:, step] = np.bincount(index, minlength=len(labels)) if rows else 0.0
        ok[:, step] = True
        blocks.append(Block(labels=labels, v=v, ok=ok))
    return merged(blocks)
