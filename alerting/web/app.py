"""The pages of vakhta-alerting: health, readiness, metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from vakhta.web import Readiness, base_app


def application(
    registry: CollectorRegistry,
    ready: Callable[[], Readiness],
    *,
    apis: Iterable[Callable[[web.Application], None]] = (),
) -> web.Application:
    """Return the web application.

    Args:
        registry: What ``/metrics`` shows.
        ready: Asked at each ``/-/ready``.
        apis: Each adds its own paths.
    """
    app = base_app(
        title="Vakhta alerting", links={"/metrics": "own metrics", "/-/ready": "readiness"}, ready=ready
    )

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/metrics", metrics)
    for add in apis:
        add(app)
    return app
