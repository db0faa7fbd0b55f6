"""Binary operators: arithmetic, comparisons, and how the elements of two vectors find each other.

Matching depends on labels only, so it is done once for all steps: every pair that could meet is listed, and at each
step those pairs count whose two samples exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from alerting.labels import METRIC_NAME, Labels
from alerting.promql import gomath, labelsets
from alerting.promql.ast import COMPARISONS, Card, Matching
from alerting.promql.blocks import Block, Indices
from alerting.promql.errors import EvaluationError
from alerting.promql.numbers import quoted
from alerting.promql.values import Flags, Floats

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

_ARITHMETIC: Final[dict[str, Callable[[Floats, Floats], Floats]]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": gomath.power,
    "atan2": gomath.atan2,
}
_COMPARE: Final[dict[str, Callable[[Floats, Floats], Flags]]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


def scalars(op: str, lhs: Floats, rhs: Floats) -> Floats:
    """Apply an operator to two scalars at every step; a comparison gives 0 or 1."""
    if op in COMPARISONS:
        return _COMPARE[op](lhs, rhs).astype(np.float64)
    return _ARITHMETIC[op](lhs, rhs)


def vector_scalar(op: str, vector: Block, scalar: Floats, *, swapped: bool, return_bool: bool) -> Block:
    """Apply an operator to a vector and a scalar; `swapped` means that the scalar stands on the left."""
    lhs, rhs = (scalar, vector.v) if swapped else (vector.v, scalar)
    if op not in COMPARISONS:
        return merged((vector.like(_ARITHMETIC[op](lhs, rhs)).unnamed(),))
    holds = _COMPARE[op](lhs, rhs)
    if return_bool:
        return merged((vector.like(holds.astype(np.float64)).unnamed(),))
    return Block(labels=vector.labels, v=vector.v, ok=vector.ok & holds).compact()


def set_operation(op: str, lhs: Block, rhs: Block, matching: Matching) -> Block:
    """Combine two vectors by which elements exist: ``and``, ``or``, ``unless``."""
    keys = [labelsets.keys(side.labels, matching.labels, only=matching.on) for side in (lhs, rhs)]
    if op == "or":
        mine = _present(keys[0], lhs.ok, keys[1])
        rest = Block(labels=rhs.labels, v=rhs.v, ok=rhs.ok & ~mine).compact()
        return merged((lhs, rest))
    theirs = _present(keys[1], rhs.ok, keys[0])
    ok = lhs.ok & theirs if op == "and" else lhs.ok & ~theirs
    return Block(labels=lhs.labels, v=lhs.v, ok=ok).compact()


def _present(theirs: Sequence[Hashable], ok: Flags, mine: Sequence[Hashable]) -> Flags:
    """Tell for each of my keys, at each step, whether a sample with that key exists on the other side."""
    numbers: dict[Hashable, int] = {}
    index = [numbers.setdefault(key, len(numbers)) for key in theirs]
    present = np.zeros((len(numbers) + 1, ok.shape[1]), dtype=bool)
    np.logical_or.at(present, np.array(index, dtype=np.int64), ok)
    return present[np.array([numbers.get(key, -1) for key in mine], dtype=np.int64)]


def merged(blocks: Sequence[Block]) -> Block:
    """Join blocks into one, putting rows with the same labelset together.

    Raises:
        EvaluationError: Two rows with the same labelset both have a sample at one step.
    """
    parts = [block for block in blocks if len(block.labels)]
    if len(parts) <= 1 and all(labelsets.distinct(part.labels) for part in parts):
        return parts[0] if parts else blocks[0]
    joined = Block(
        labels=[one for part in parts for one in part.labels],
        v=np.concatenate([part.v for part in parts]),
        ok=np.concatenate([part.ok for part in parts]),
    )
    index, found = labelsets.numbered(joined.labels)
    if len(found) == len(joined.labels):
        return joined
    v = np.zeros((len(found), joined.v.shape[1]))
    ok = np.zeros(v.shape, dtype=bool)
    for row, number in enumerate(index.tolist()):
        here = joined.ok[row]
        if (ok[number] & here).any():
            raise EvaluationError("vector cannot contain metrics with the same labelset")
        v[number][here] = joined.v[row][here]
        ok[number] |= here
    return Block(labels=[key for key in found if isinstance(key, Labels)], v=v, ok=ok)


@dataclass(slots=True, kw_only=True)
class _Pairs:
    """Rows of the "many" side and of the "one" side that have the same key, and the labels of what they give.

    `rivals` are the rows of the "one" side that share a key, by key; `groups` numbers the results of which only one may
    exist at a step, or is None where there are no two such results.
    """

    many: Indices
    one: Indices
    labels: Sequence[Labels]
    rivals: tuple[tuple[Hashable, tuple[int, ...]], ...]
    groups: Indices | None


def vectors(op: str, lhs: Block, rhs: Block, matching: Matching, *, return_bool: bool) -> Block:
    """Apply an arithmetic operator or a comparison to two vectors.

    Raises:
        EvaluationError: An element of one side matches several of the other where only one may.
    """
    swapped = matching.card is Card.ONE_TO_MANY
    many, one = (rhs, lhs) if swapped else (lhs, rhs)
    unnamed = op not in COMPARISONS or return_bool
    pairs = labelsets.remembered(
        (many.labels, one.labels),
        ("pairs", matching, unnamed),
        lambda: _paired(many.labels, one.labels, matching, unnamed=unnamed),
    )
    # Prometheus looks for duplicates only at steps where both sides have anything at all.
    _check_one_side(one, pairs, np.any(many.ok, axis=0), matching, side="left" if swapped else "right")
    mv, ov = many.v[pairs.many], one.v[pairs.one]
    ok = many.ok[pairs.many] & one.ok[pairs.one]
    left, right = (ov, mv) if swapped else (mv, ov)
    if op not in COMPARISONS:
        value = _ARITHMETIC[op](left, right)
    else:
        holds = _COMPARE[op](left, right)
        value = holds.astype(np.float64) if return_bool else left
        ok = ok if return_bool else ok & holds
    _check_many_side(ok, pairs, matching)
    return merged((Block(labels=pairs.labels, v=value, ok=ok).compact(),))


def _paired(many: Sequence[Labels], one: Sequence[Labels], matching: Matching, *, unnamed: bool) -> _Pairs:
    rows: dict[Hashable, list[int]] = {}
    one_keys = labelsets.keys(one, matching.labels, only=matching.on)
    for row, key in enumerate(one_keys):
        rows.setdefault(key, []).append(row)
    many_keys = labelsets.keys(many, matching.labels, only=matching.on)
    found = [(row, other) for row, key in enumerate(many_keys) for other in rows.get(key, ())]
    many_rows, one_rows = [row for row, _ in found], [other for _, other in found]
    labels = _result_labels(
        [many[row] for row in many_rows], [one[row] for row in one_rows], matching, unnamed=unnamed
    )
    groups: Sequence[Hashable] = [many_keys[row] for row in many_rows]
    if matching.card is not Card.ONE_TO_ONE:
        groups = list(zip(groups, labels, strict=True))
    return _Pairs(
        many=np.array(many_rows, dtype=np.int64),
        one=np.array(one_rows, dtype=np.int64),
        labels=tuple(labels),
        rivals=tuple((key, tuple(members)) for key, members in rows.items() if len(members) > 1),
        groups=labelsets.numbered(groups)[0] if len(set(groups)) < len(groups) else None,
    )


def _check_one_side(one: Block, pairs: _Pairs, steps: Flags, matching: Matching, *, side: str) -> None:
    for key, rows in pairs.rivals:
        for first, second in combinations(rows, 2):
            if (one.ok[first] & one.ok[second] & steps).any():
                group = labelsets.key_labels(key, matching.labels, only=matching.on)
                raise EvaluationError(
                    f"found duplicate series for the match group {_written(group)} on the {side} hand-side of the operation: "
                    f"[{_written(one.labels[second])}, {_written(one.labels[first])}];many-to-many matching not allowed: "
                    "matching labels must be unique on one side"
                )


def _written(labels: Labels) -> str:
    """Write a labelset as Prometheus' messages do: with the name among the labels."""
    return "{" + ", ".join(f"{name}={quoted(value)}" for name, value in labels.pairs) + "}"


def _check_many_side(ok: Flags, pairs: _Pairs, matching: Matching) -> None:
    """Refuse two results of one match group at one step: any two, or with group_* two of the same labels."""
    if pairs.groups is None:
        return
    count = np.zeros((int(pairs.groups.max()) + 1, ok.shape[1]), dtype=np.int64)
    np.add.at(count, pairs.groups, ok)
    if (count > 1).any():
        raise EvaluationError(
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
            if matching.card is Card.ONE_TO_ONE
            else "multiple matches for labels: grouping labels must ensure unique matches"
        )


def _result_labels(
    many: Sequence[Labels], one: Sequence[Labels], matching: Matching, *, unnamed: bool
) -> Sequence[Labels]:
    gone = {METRIC_NAME} if unnamed else set()
    if matching.card is Card.ONE_TO_ONE:
        if matching.on:
            kept = tuple(name for name in matching.labels if name not in gone)
            return [label.keep(kept) for label in many]
        return labelsets.dropped(many, tuple(sorted(gone | set(matching.labels))))
    labels = labelsets.without_names(many) if gone else many
    if not matching.include:
        return labels
    return [
        label.with_({name: other.get(name, "") for name in matching.include})
        for label, other in zip(labels, one, strict=True)
    ]
