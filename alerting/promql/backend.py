"""Who evaluates a query: our engine over the window, or a Prometheus-compatible server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from alerting.promql.engine import Engine
    from alerting.promql.parse import Query
    from alerting.promql.storage import Storage
    from alerting.promql.values import Result


class Backend(Protocol):
    """Evaluates one query at one time."""

    async def query(self, query: Query, at_ms: int) -> Result:
        """Return the query's result.

        Raises:
            QueryError: No result: the expression, the data or the server is at fault.
        """
        ...


class Embedded:
    """Our own engine over a store in this process."""

    def __init__(self, engine: Engine, storage: Storage) -> None:
        self._engine = engine
        self._storage = storage

    async def query(self, query: Query, at_ms: int) -> Result:
        """Return the query's result; it is computed at once, without yielding to the loop."""
        return self._engine.instant(query, self._storage, at_ms)
