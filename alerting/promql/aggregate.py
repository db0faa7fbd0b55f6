"""Aggregations: one result per group of series, or a selection of series within each group."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from alerting.labels import Labels
from alerting.promql import kahan, labelsets
from alerting.promql.blocks import Block, Indices
from alerting.promql.errors import EvaluationError
from alerting.promql.operators import merged
from alerting.promql.values import Floats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def grouped(
    labels: Sequence[Labels], names: tuple[str, ...], *, without: bool
) -> tuple[Indices, list[Labels]]:
    """Number each series' group, and return the groups' labelsets by number."""
    found = labelsets.keys(labels, names, only=not without)
    index, keys = labelsets.numbered(found)
    return index, [labelsets.key_labels(key, names, only=not without) for key in keys]


def aggregate(op: str, block: Block, names: tuple[str, ...], *, without: bool, param: Floats | None) -> Block:
    """Aggregate a vector at every step; `param` is quantile's argument."""
    index, labels = grouped(block.labels, names, without=without)
    shape = (len(labels), block.v.shape[1])
    present = np.zeros(shape, dtype=np.int64)
    np.add.at(present, index, block.ok)
    ok = present > 0
    if op == "count":
        v = present.astype(np.float64)
    elif op == "group":
        v = np.ones(shape)
    elif op in ("min", "max"):
        # fmin and fmax pass over NaN, and so over the samples that do not exist.
        v = np.full(shape, np.nan)
        ufunc = np.fmin if op == "min" else np.fmax
        ufunc.at(v, index, np.where(block.ok, block.v, np.nan))
    else:
        v = _each(op, block, index, shape, param)
    return Block(labels=labels, v=v, ok=ok).compact()


def _each(op: str, block: Block, index: Indices, shape: tuple[int, int], param: Floats | None) -> Floats:
    out = np.zeros(shape)
    order = np.argsort(index, kind="stable")
    bounds = np.flatnonzero(np.diff(index[order], prepend=-1)).tolist() + [len(order)]
    v, ok = block.v[order], block.ok[order]
    complete = bool(ok.all())
    for step in range(shape[1]):
        column, exists = v[:, step].tolist(), ok[:, step]
        for group in range(shape[0]):
            part = slice(bounds[group], bounds[group + 1])
            values = column[part]
            if not complete:
                values = [value for value, there in zip(values, exists[part].tolist(), strict=True) if there]
            if not values:
                continue
            if op == "quantile":
                assert param is not None
                out[group, step] = kahan.quantile(float(param[step]), values)
            else:
                out[group, step] = _STATISTICS[op](values)
    return out


def _stddev(values: Sequence[float]) -> float:
    return math.sqrt(kahan.aggregate_variance(values))


_STATISTICS: Final[dict[str, Callable[[Sequence[float]], float]]] = {
    "sum": kahan.aggregate_sum,
    "avg": kahan.mean,
    "stdvar": kahan.aggregate_variance,
    "stddev": _stddev,
}


def top(op: str, block: Block, names: tuple[str, ...], *, without: bool, param: Floats) -> Block:
    """Keep each group's k largest or smallest elements, at every step; ordered by value where there is one step."""
    index, labels = grouped(block.labels, names, without=without)
    members: list[list[int]] = [[] for _ in labels]
    for row, group in enumerate(index.tolist()):
        members[group].append(row)
    keep = np.zeros(block.ok.shape, dtype=bool)
    ordered: list[int] = []
    for step in range(block.ok.shape[1]):
        if not block.ok[:, step].any():
            continue
        k = _limit(float(param[step]))
        for rows in members:
            chosen = _chosen(op, block.v[:, step], [row for row in rows if block.ok[row, step]], k)
            keep[chosen, step] = True
            ordered.extend(chosen)
    kept = Block(labels=block.labels, v=block.v, ok=keep)
    return kept.rows(np.array(ordered, dtype=np.int64)) if keep.shape[1] == 1 else kept.compact()


def _limit(k: float) -> int:
    if math.isnan(k) or not -(2.0**63) <= k < 2.0**63:
        raise EvaluationError(f"Scalar value {k} overflows int64")
    return int(k)


def _chosen(op: str, values: Floats, rows: list[int], k: int) -> list[int]:
    if k < 1:
        return []
    sign = -1.0 if op == "topk" else 1.0
    # NaN loses against every number, at both ends.
    return sorted(rows, key=lambda row: (math.isnan(values[row]), sign * values[row]))[:k]


def count_values(block: Block, label: str, names: tuple[str, ...], *, without: bool) -> Block:
    """Count, per group and step, the elements of each value; the value becomes a label."""
    steps = block.ok.shape[1]
    kept = names if without else tuple(sorted({*names, label}))
    blocks = []
    for step in range(steps):
        rows = np.flatnonzero(block.ok[:, step]).tolist()
        labelled = [block.labels[row].with_({label: decimal(float(block.v[row, step]))}) for row in rows]
        index, labels = grouped(labelled, kept, without=without)
        v = np.zeros((len(labels), steps))
        ok = np.zeros(v.shape, dtype=bool)
        v[:, step] = np.bincount(index, minlength=len(labels)) if rows else 0.0
        ok[:, step] = True
        blocks.append(Block(labels=labels, v=v, ok=ok))
    return merged(blocks)


def decimal(value: float) -> str:
    """Write a number in full, without an exponent, by its shortest digits, as Go's 'f' format does."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return np.format_float_positional(value, unique=True, trim="-")
