"""What the engine asks of a store of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alerting.labels import Matcher
    from alerting.promql.blocks import Columns
    from alerting.promql.values import Series


@runtime_checkable
class Storage(Protocol):
    """A store of samples, read while it does not change."""

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Sequence[Series]:
        """Return the series that all matchers match, with their samples of start_ms < t <= end_ms.

        Samples are sorted by time, stale markers included; a series without such samples may be left out.
        """
        ...


@runtime_checkable
class ColumnStorage(Storage, Protocol):
    """A store that can show its samples without copying them."""

    def columns(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Columns:
        """Return at least what `select` would; samples outside the times do no harm."""
        ...
