"""Which labels a result keeps, and which series belong together.

Labelsets derived from others are remembered: the same series are evaluated again every few seconds, and building
a labelset costs more than any arithmetic on its value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from alerting.labels import METRIC_NAME, Labels

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from alerting.promql.blocks import Indices

_LIMIT: Final = 20_000
_DROPPED: dict[tuple[str, ...], dict[Labels, Labels]] = {}


def dropped(labels: Sequence[Labels], names: tuple[str, ...]) -> list[Labels]:
    """Return the labelsets without the named labels."""
    known = _DROPPED.setdefault(names, {})
    if len(known) > _LIMIT:
        known.clear()
    out = []
    for one in labels:
        short = known.get(one)
        if short is None:
            short = known[one] = one.drop(names)
        out.append(short)
    return out


def without_names(labels: Sequence[Labels]) -> list[Labels]:
    """Return the labelsets without their metric names."""
    return dropped(labels, (METRIC_NAME,))


def keys(labels: Sequence[Labels], names: tuple[str, ...], *, only: bool) -> Sequence[Hashable]:
    """Return what each labelset is matched or grouped by: only the named labels, or all but them and the name."""
    if not only:
        return dropped(labels, tuple(sorted({*names, METRIC_NAME})))
    if not names:
        return [()] * len(labels)
    if len(names) == 1:
        name = names[0]
        return [one.get(name, "") for one in labels]
    return [tuple([one.get(name, "") for name in names]) for one in labels]


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
