"""Who evaluates a query: our engine over the window, or a Prometheus-compatible server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alerting.promql.engine import Engine
    from alerting.promql.parse import Query, Selector
    from alerting.promql.storage import Storage
    from alerting.promql.values import Result

OWN_METRICS: Final = ("ALERTS", "ALERTS_FOR_STATE")
_OWN_PREFIX: Final = "vakhta_"


class Backend(Protocol):
    """Evaluates one query at one time."""

    async def query(self, query: Query, at_ms: int) -> Result:
        """Return the query's result.

        Raises:
            QueryError: No result: the expression, the data or the server is at fault.
        """
        ...


class Embedded:
    """Our own engine over a store in this process.

    If the store can tell what it does not keep (a method `doubts` of selectors), the result carries that as warnings.
    """

    def __init__(self, engine: Engine, storage: Storage) -> None:
        self._engine = engine
        self._storage = storage
        self._doubts: Callable[[Sequence[Selector]], tuple[str, ...]] = getattr(
            storage, "doubts", lambda _: ()
        )

    async def query(self, query: Query, at_ms: int) -> Result:
        """Return the query's result; it is computed at once, without yielding to the loop."""
        result = self._engine.instant(query, self._storage, at_ms)
        return result.with_warnings(self._doubts(query.selectors))


class Overlaid:
    """Another backend, except for what only this process knows: its alerts and its own metrics."""

    def __init__(self, *, own: Backend, other: Backend) -> None:
        self._own = own
        self._other = other

    async def query(self, query: Query, at_ms: int) -> Result:
        """Ask the own backend if all that is selected is our own, else the other one."""
        ours = [_is_own(selector) for selector in query.selectors]
        if ours and all(ours):
            return await self._own.query(query, at_ms)
        result = await self._other.query(query, at_ms)
        names = sorted({one.metric for one, own in zip(query.selectors, ours, strict=True) if own})
        return result.with_warnings(
            tuple(f"{name} of this Vakhta is not visible where this query is evaluated" for name in names)
        )


def _is_own(selector: Selector) -> bool:
    return selector.metric in OWN_METRICS or selector.metric.startswith(_OWN_PREFIX)
