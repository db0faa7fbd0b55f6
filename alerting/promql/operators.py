"""Binary operators: arithmetic, comparisons, and how the elements of two vectors find each other.

Matching depends on labels only, so it is done once for all steps: every pair that could meet is listed, and at each
step those pairs count whose two samples exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from alerting.labels import METRIC_NAME, Labels
from alerting.promql import labelsets
from alerting.promql.ast import COMPARISONS, Card, Matching
from alerting.promql.blocks import Block, Indices
from alerting.promql.errors import EvaluationError
from alerting.promql.values import Flags, Floats

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

_ARITHMETIC: Final[dict[str, Callable[[Floats, Floats], Floats]]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
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
    index, found = labelsets.numbered(theirs)
    present = np.zeros((len(found) + 1, ok.shape[1]), dtype=bool)
    np.logical_or.at(present, index, ok)
    numbers = {key: number for number, key in enumerate(found)}
    return present[np.array([numbers.get(key, len(found)) for key in mine], dtype=np.int64)]


def merged(blocks: Sequence[Block]) -> Block:
    """Join blocks into one, putting rows with the same labelset together.

    Raises:
        EvaluationError: Two rows with the same labelset both have a sample at one step.
    """
    parts = [block for block in blocks if len(block.labels)]
    if not parts:
        return blocks[0]
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
    """Rows of the "many" side and of the "one" side that have the same key."""

    many: Indices
    one: Indices


def vectors(op: str, lhs: Block, rhs: Block, matching: Matching, *, return_bool: bool) -> Block:
    """Apply an arithmetic operator or a comparison to two vectors.

    Raises:
        EvaluationError: An element of one side matches several of the other where only one may.
    """
    swapped = matching.card is Card.ONE_TO_MANY
    many, one = (rhs, lhs) if swapped else (lhs, rhs)
    many_keys = labelsets.keys(many.labels, matching.labels, only=matching.on)
    one_keys = labelsets.keys(one.labels, matching.labels, only=matching.on)
    # Prometheus looks for duplicates only at steps where both sides have anything at all.
    _check_one_side(one, one_keys, many.ok.any(axis=0), matching, side="left" if swapped else "right")
    pairs = _paired(many_keys, one_keys)
    mv, ov = many.v[pairs.many], one.v[pairs.one]
    ok = many.ok[pairs.many] & one.ok[pairs.one]
    left, right = (ov, mv) if swapped else (mv, ov)
    if op not in COMPARISONS:
        value = _ARITHMETIC[op](left, right)
    else:
        holds = _COMPARE[op](left, right)
        value = holds.astype(np.float64) if return_bool else left
        ok = ok if return_bool else ok & holds
    alive = np.flatnonzero(ok.any(axis=1))
    pairs = _Pairs(many=pairs.many[alive], one=pairs.one[alive])
    unnamed = op not in COMPARISONS or return_bool
    labels = _result_labels(many.labels, one.labels, pairs, matching, unnamed=unnamed)
    result = Block(labels=labels, v=value[alive], ok=ok[alive])
    _check_many_side(result, pairs, many_keys, matching)
    return merged((result,))


def _paired(many_keys: Sequence[Hashable], one_keys: Sequence[Hashable]) -> _Pairs:
    rows: dict[Hashable, list[int]] = {}
    for row, key in enumerate(one_keys):
        rows.setdefault(key, []).append(row)
    many: list[int] = []
    one: list[int] = []
    for row, key in enumerate(many_keys):
        for other in rows.get(key, ()):
            many.append(row)
            one.append(other)
    return _Pairs(many=np.array(many, dtype=np.int64), one=np.array(one, dtype=np.int64))


def _check_one_side(
    one: Block, keys: Sequence[Hashable], steps: Flags, matching: Matching, *, side: str
) -> None:
    if len(set(keys)) == len(keys):
        return
    seen: dict[Hashable, list[int]] = {}
    for row, key in enumerate(keys):
        for other in seen.setdefault(key, []):
            if (one.ok[row] & one.ok[other] & steps).any():
                group = labelsets.key_labels(key, matching.labels, only=matching.on)
                raise EvaluationError(
                    f"found duplicate series for the match group {group} on the {side} hand-side of the operation: "
                    f"[{one.labels[row]}, {one.labels[other]}];many-to-many matching not allowed: "
                    "matching labels must be unique on one side"
                )
        seen[key].append(row)


def _check_many_side(result: Block, pairs: _Pairs, keys: Sequence[Hashable], matching: Matching) -> None:
    """Refuse two results of one match group at one step: any two, or with group_* two of the same labels."""
    one_to_one = matching.card is Card.ONE_TO_ONE
    rows = pairs.many.tolist()
    groups: Sequence[Hashable] = [keys[row] for row in rows]
    if not one_to_one:
        groups = list(zip(groups, result.labels, strict=True))
    index, found = labelsets.numbered(groups)
    if len(found) == len(groups):
        return
    count = np.zeros((len(found), result.ok.shape[1]), dtype=np.int64)
    np.add.at(count, index, result.ok)
    if (count > 1).any():
        raise EvaluationError(
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
            if one_to_one
            else "multiple matches for labels: grouping labels must ensure unique matches"
        )


def _result_labels(
    many: Sequence[Labels], one: Sequence[Labels], pairs: _Pairs, matching: Matching, *, unnamed: bool
) -> list[Labels]:
    labels = [many[row] for row in pairs.many.tolist()]
    gone = {METRIC_NAME} if unnamed else set()
    if matching.card is Card.ONE_TO_ONE:
        if matching.on:
            kept = tuple(name for name in matching.labels if name not in gone)
            return [label.keep(kept) for label in labels]
        return labelsets.dropped(labels, tuple(sorted(gone | set(matching.labels))))
    if gone:
        labels = labelsets.without_names(labels)
    if not matching.include:
        return labels
    others = [one[row] for row in pairs.one.tolist()]
    return [
        label.with_({name: other.get(name, "") for name in matching.include})
        for label, other in zip(labels, others, strict=True)
    ]
