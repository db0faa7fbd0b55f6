"""Which labels a result keeps, and which series belong together.

The same series are evaluated again every few seconds, and working with their labels costs more than any arithmetic on
their values. So what was derived from a *tuple* of labelsets is remembered as long as that very tuple is used: a
store hands out the same tuple until its series change, and what is remembered here is a tuple again. A selection made
by values, which is another one each time, is a list and remembered nowhere.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from alerting.labels import METRIC_NAME, Labels

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from alerting.promql.blocks import Indices

_T = TypeVar("_T")
_MEMORY_LIMIT: Final = 1_000
_DROPPED_LIMIT: Final = 5_000
_REMEMBERED: Final[OrderedDict[Hashable, tuple[tuple[Sequence[Labels], ...], Any]]] = OrderedDict()
_DROPPED: Final[dict[tuple[str, ...], dict[Labels, Labels]]] = {}


def remembered(inputs: tuple[Sequence[Labels], ...], what: Hashable, compute: Callable[[], _T]) -> _T:
    """Return what `compute` makes of these labelsets, from memory if they are the same tuples as before.

    `what` names the computation and all else it depends on.
    """
    if not all(type(one) is tuple for one in inputs):
        return compute()
    key = (what, *map(id, inputs))
    known = _REMEMBERED.get(key)
    if known is not None:
        _REMEMBERED.move_to_end(key)
        value: _T = known[1]
        return value
    value = compute()
    # The inputs are kept with it: as long as they live, no other tuple has their id.
    _REMEMBERED[key] = (inputs, value)
    if len(_REMEMBERED) > _MEMORY_LIMIT:
        _REMEMBERED.popitem(last=False)
    return value


def dropped(labels: Sequence[Labels], names: tuple[str, ...]) -> Sequence[Labels]:
    """Return the labelsets without the named labels."""

    def compute() -> tuple[Labels, ...]:
        known = _DROPPED.setdefault(names, {})
        if len(known) > _DROPPED_LIMIT:
            known.clear()
        for one in labels:
            if one not in known:
                known[one] = one.drop(names)
        return tuple([known[one] for one in labels])

    return remembered((labels,), ("dropped", names), compute)


def without_names(labels: Sequence[Labels]) -> Sequence[Labels]:
    """Return the labelsets without their metric names."""
    return dropped(labels, (METRIC_NAME,))


def distinct(labels: Sequence[Labels]) -> bool:
    """Tell whether no labelset occurs twice."""
    return remembered((labels,), "distinct", lambda: len(set(labels)) == len(labels))


def metrics(labels: Sequence[Labels]) -> list[str]:
    """Return the distinct metric names."""
    return remembered((labels,), "metrics", lambda: list(dict.fromkeys(one.metric for one in labels)))


def keys(labels: Sequence[Labels], names: tuple[str, ...], *, only: bool) -> Sequence[Hashable]:
    """Return what each labelset is matched or grouped by: only the named labels, or all but them and the name."""
    if not only:
        return dropped(labels, tuple(sorted({*names, METRIC_NAME})))
    if len(names) == 1:
        name = names[0]
        return remembered((labels,), ("key", name), lambda: tuple([one.get(name, "") for one in labels]))
    return remembered(
        (labels,),
        ("key", names),
        lambda: tuple([tuple([one.get(name, "") for name in names]) for one in labels]),
    )


def key_labels(key: Hashable, names: tuple[str, ...], *, only: bool) -> Labels:
    """Return the labelset that a key of `keys` stands for."""
    if not only:
        assert isinstance(key, Labels)
        return key
    values = key if isinstance(key, tuple) else (key,)
    return Labels(zip(names, values, strict=True))


def numbered(found: Sequence[Hashable]) -> tuple[Indices, list[Hashable]]:
    """Number distinct keys in order of appearance: each key's number, and the keys by number."""
    numbers: dict[Hashable, int] = {}
    index = [numbers.setdefault(key, len(numbers)) for key in found]
    return np.array(index, dtype=np.int64), list(numbers)


def grouped(
    labels: Sequence[Labels], names: tuple[str, ...], *, without: bool
) -> tuple[Indices, Sequence[Labels]]:
    """Number each series' group, and return the groups' labelsets by number."""

    def compute() -> tuple[Indices, Sequence[Labels]]:
        index, found = numbered(keys(labels, names, only=not without))
        return index, tuple([key_labels(key, names, only=not without) for key in found])

    return remembered((labels,), ("grouped", names, without), compute)
