"""What happens when the samples outgrow their memory: old ones are kept at wider intervals.

The last samples stay at full resolution. Only what is older than a horizon is thinned, by degrees: as long as the samples
do not fit, the metric with the most samples beyond the horizon goes to the next degree, but to none that a larger one
has not reached. A metric once thinned stays so: its samples keep arriving at the horizon at full resolution, and are
thinned there.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alerting.window.table import Table

DEFAULT_BUDGET: Final = 48 << 20
"""48 MiB: 3 million samples, such as 4000 series of an hour at 5 s intervals."""

_MINUTE: Final = timedelta(minutes=1)
DEGREES: Final = (
    (timedelta(hours=1), _MINUTE),
    (timedelta(hours=1), 5 * _MINUTE),
    (timedelta(minutes=15), _MINUTE),
    (timedelta(minutes=15), 5 * _MINUTE),
    (timedelta(minutes=6), 5 * _MINUTE),
)
"""From which age on samples are thinned and how far apart they are then, each degree harsher than the one before."""
assert all(age >= harsher for (age, _), (harsher, _) in pairwise(DEGREES))

_MS: Final = timedelta(milliseconds=1)
_GROWN: Final = 1.25
"""A thinned metric is thinned again once it takes a quarter more."""
_WORTH: Final = 0.1
"""A metric is thinned only if at least this part of it is beyond the horizon."""
_PAUSE_MS: Final = 60_000
"""What does not fit after all degrees is not looked at again before."""


class Thinning:
    """Which metrics are thinned to which degree, for a budget in bytes."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._degree: dict[str, int] = {}
        self._size: dict[str, int] = {}
        self._not_before_ms = 0

    @property
    def thinned(self) -> Mapping[str, tuple[timedelta, timedelta]]:
        """The thinned metrics: from which age on, and how far apart their samples are there."""
        return MappingProxyType({metric: DEGREES[degree] for metric, degree in self._degree.items()})

    def apply(self, tables: Mapping[str, Table], now_ms: int) -> None:
        """Thin what has grown again, and more of it as long as all tables together exceed the budget."""
        for metric in self._degree.keys() - tables.keys():
            del self._degree[metric], self._size[metric]
        for metric, degree in list(self._degree.items()):
            if tables[metric].bytes > self._size[metric] * _GROWN:
                self._thin(metric, tables[metric], degree, now_ms)
        if now_ms < self._not_before_ms or self._fits(tables):
            return
        for degree, (age, _) in enumerate(DEGREES):
            beyond = {
                metric: table.count_until(now_ms - age // _MS)
                for metric, table in tables.items()
                if self._degree.get(metric, -1) < degree
            }
            for metric in sorted(beyond, key=beyond.__getitem__, reverse=True):
                if beyond[metric] < tables[metric].sample_count * _WORTH:
                    continue
                self._thin(metric, tables[metric], degree, now_ms)
                if self._fits(tables):
                    return
        self._not_before_ms = now_ms + _PAUSE_MS

    def _fits(self, tables: Mapping[str, Table]) -> bool:
        return sum(table.bytes for table in tables.values()) <= self._budget

    def _thin(self, metric: str, table: Table, degree: int, now_ms: int) -> None:
        age, spacing = DEGREES[degree]
        table.thin(now_ms - age // _MS, spacing // _MS)
        self._degree[metric] = degree
        self._size[metric] = table.bytes
