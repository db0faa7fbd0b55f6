"""What each function does with its arguments: which of them it evaluates, and what becomes of labels and names.

The arithmetic is in `functions`, `ranges`, `dates` and `histogram`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import numpy as np

from alerting.labels import Labels
from alerting.promql import ast, dates, functions, histogram, labelsets, operators, ranges, relabel
from alerting.promql.ast import Expr, unwrap
from alerting.promql.blocks import Block, Indices, Windows
from alerting.promql.errors import EvaluationError
from alerting.promql.values import Flags, Floats, Times

if TYPE_CHECKING:
    from collections.abc import Callable

    from alerting.promql.remarks import Remarks

Args: TypeAlias = tuple[Expr, ...]


class Arguments(Protocol):
    """Evaluates a call's arguments."""

    @property
    def times(self) -> Times:
        """The evaluation times."""
        ...

    @property
    def remarks(self) -> Remarks:
        """Where to note what is doubtful."""
        ...

    def scalar(self, expr: Expr) -> Floats:
        """Evaluate a scalar."""
        ...

    def vector(self, expr: Expr) -> Block:
        """Evaluate an instant vector."""
        ...

    def windows(self, expr: Expr) -> Windows:
        """Evaluate a range vector."""
        ...

    def instant(self, selector: ast.VectorSelector) -> tuple[Block, Times]:
        """Evaluate a selector, keeping the samples' own times."""
        ...


def of_number(of: Arguments, function: Callable[[Floats], Floats], arg: Expr) -> Block:
    """Apply a function of one number to every element."""
    block = of.vector(arg)
    return _renamed(block.like(function(block.v)))


def of_date(of: Arguments, name: str, args: Args) -> Block:
    """Apply a calendar function to every element, or without an argument to the evaluation time."""
    if not args:
        return _unlabelled(dates.date_part(name, of.times / 1000))
    block = of.vector(args[0])
    return _renamed(block.like(dates.date_part(name, block.v)))


def of_range(of: Arguments, name: str, args: Args) -> Block:
    """Apply a function of a range vector."""
    if name == "absent_over_time":
        there: Flags = np.any(of.windows(args[0]).size > 0, axis=0)
        return _invented(unwrap(args[0]), there)
    windows, (v, ok) = _outcome(of, name, args)
    block = Block(labels=windows.columns.labels, v=v, ok=ok).compact()
    if name in ("rate", "increase"):
        for metric in labelsets.metrics(block.labels):
            of.remarks.possible_gauge(metric)
    return block if name == "last_over_time" else block.unnamed().distinct()


def _outcome(of: Arguments, name: str, args: Args) -> tuple[Windows, ranges.Outcome]:
    if name == "quantile_over_time":
        windows, q = of.windows(args[1]), of.scalar(args[0])
        of.remarks.invalid_quantiles(q[np.any(windows.size > 0, axis=0)])
        return windows, ranges.quantile_over_time(windows, q)
    windows = of.windows(args[0])
    if name == "predict_linear":
        return windows, ranges.predict_linear(windows, of.scalar(args[1]))
    return windows, ranges.PLAIN[name](windows)


def _vector(of: Arguments, args: Args) -> Block:
    return _unlabelled(of.scalar(args[0]))


def _absent(of: Arguments, args: Args) -> Block:
    there: Flags = np.any(of.vector(args[0]).ok, axis=0)
    return _invented(unwrap(args[0]), there)


def _timestamp(of: Arguments, args: Args) -> Block:
    arg = unwrap(args[0])
    if isinstance(arg, ast.VectorSelector):
        block, t = of.instant(arg)
        return _renamed(block.like(t / 1000))
    block = of.vector(arg)
    return _renamed(block.like(np.broadcast_to(of.times / 1000, block.v.shape)))


def _sort(of: Arguments, args: Args) -> Block:
    return _sorted(of.vector(args[0]), descending=False)


def _sort_desc(of: Arguments, args: Args) -> Block:
    return _sorted(of.vector(args[0]), descending=True)


def _label_replace(of: Arguments, args: Args) -> Block:
    block = of.vector(args[0])
    target, template, source, pattern = (_text(arg) for arg in args[1:])
    labels = relabel.label_replace(block.labels, target, template, source, pattern)
    return Block(labels=labels, v=block.v, ok=block.ok).distinct()


def _label_join(of: Arguments, args: Args) -> Block:
    block = of.vector(args[0])
    target, separator, *sources = (_text(arg) for arg in args[1:])
    labels = relabel.label_join(block.labels, target, separator, sources)
    return Block(labels=labels, v=block.v, ok=block.ok).distinct()


def _histogram_quantile(of: Arguments, args: Args) -> Block:
    q, block = of.scalar(args[0]), of.vector(args[1])
    of.remarks.invalid_quantiles(q)
    return histogram.quantile(q, block, of.remarks)


def _histogram_fraction(of: Arguments, args: Args) -> Block:
    low, high, block = of.scalar(args[0]), of.scalar(args[1]), of.vector(args[2])
    return histogram.fraction(low, high, block, of.remarks)


def _round(of: Arguments, args: Args) -> Block:
    block = of.vector(args[0])
    nearest = of.scalar(args[1]) if len(args) > 1 else np.ones(len(of.times))
    return _renamed(block.like(functions.rounded(block.v, nearest)))


def _clamp(of: Arguments, args: Args) -> Block:
    block, low, high = of.vector(args[0]), of.scalar(args[1]), of.scalar(args[2])
    v = functions.clamped(block.v, low, high)
    return _renamed(Block(labels=block.labels, v=v, ok=block.ok & ~(high < low)).compact())


def _clamp_min(of: Arguments, args: Args) -> Block:
    block = of.vector(args[0])
    return _renamed(block.like(functions.larger(of.scalar(args[1]), block.v)))


def _clamp_max(of: Arguments, args: Args) -> Block:
    block = of.vector(args[0])
    return _renamed(block.like(functions.smaller(of.scalar(args[1]), block.v)))


OTHERS: Final[dict[str, Callable[[Arguments, Args], Block]]] = {
    "absent": _absent,
    "clamp": _clamp,
    "clamp_max": _clamp_max,
    "clamp_min": _clamp_min,
    "histogram_fraction": _histogram_fraction,
    "histogram_quantile": _histogram_quantile,
    "label_join": _label_join,
    "label_replace": _label_replace,
    "round": _round,
    "sort": _sort,
    "sort_desc": _sort_desc,
    "timestamp": _timestamp,
    "vector": _vector,
}
"""The functions that fit no family."""


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


def _invented(arg: Expr, there: Flags) -> Block:
    labels = relabel.absent_labels(arg)
    return Block(labels=(labels,), v=np.ones((1, len(there))), ok=~there[None, :]).compact()


def _sorted(block: Block, *, descending: bool) -> Block:
    """Order an instant query's result by value, NaN last; a range query's result keeps its order."""
    if block.v.shape[1] != 1:
        return block
    values = block.v[:, 0]
    order: Indices = np.lexsort((-values if descending else values, np.isnan(values)))
    return block.rows(order)
