"""The exporter's pages: /metrics and /events beside those every program has."""

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import web

from exporter.exposition import OPENMETRICS, TEXT, wants_openmetrics
from exporter.scrape import Scraper, time_to_read
from exporter.ticks import Broadcaster, hello
from vakhta.web import Readiness, base_app, error_response

__all__ = ["exporter_app"]

_COMMENT_SECONDS: Final = 15.0
_LINKS: Final = {
    "/metrics": "what Prometheus scrapes",
    "/events": "a stream of changes (server-sent events)",
    "/-/healthy": "whether this process lives",
    "/-/ready": "whether it has looked at Docker, and how Docker is",
}


def exporter_app(
    *,
    scraper: Scraper,
    ticks: Broadcaster,
    host_name: Callable[[], str],
    looked: Callable[[], bool],
    ready: Callable[[], Readiness],
    comment_seconds: float = _COMMENT_SECONDS,
) -> web.Application:
    """Return the application.

    Args:
        scraper: Makes expositions.
        ticks: Where the stream's ticks come from; closed when the server stops.
        host_name: What the stream's greeting calls this host.
        looked: Whether the first look at Docker is over; before, a scrape must fail rather than say that there are no containers.
        ready: See `base_app`.
        comment_seconds: How often a silent stream shows that it lives.
    """
    app = base_app(title="vakhta-exporter", links=_LINKS, ready=ready)

    async def metrics(request: web.Request) -> web.Response:
        if not looked():
            response = error_response(
                503, "the first look at Docker has not ended yet; try again in a second"
            )
            response.headers["Retry-After"] = "1"
            return response
        as_openmetrics = wants_openmetrics(request.headers.get("Accept", ""))
        compressed = "gzip" in request.headers.get("Accept-Encoding", "").lower()
        body = await scraper.scrape(
            as_openmetrics=as_openmetrics, compressed=compressed, seconds=time_to_read(request.headers)
        )
        headers = {"Content-Type": OPENMETRICS if as_openmetrics else TEXT, "Vary": "Accept, Accept-Encoding"}
        if compressed:
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers)

    async def events(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}
        )
        # Listening begins before the greeting: whoever scrapes after it misses nothing in between.
        subscription = ticks.subscribe(on_drop=lambda: _cut(request))
        try:
            await response.prepare(request)
            await response.write(hello(host_name()))
            while True:
                try:
                    async with asyncio.timeout(comment_seconds):
                        tick = await subscription.next()
                except TimeoutError:
                    await response.write(b": still here\n\n")
                    continue
                if tick is None:
                    return response
                await response.write(tick.to_sse())
        except ConnectionError:
            return response  # the listener went; nothing is wrong
        finally:
            ticks.unsubscribe(subscription)

    async def end_streams(_: web.Application) -> None:
        ticks.close()

    app.router.add_get("/metrics", metrics)
    app.router.add_get("/events", events)
    app.on_shutdown.append(end_streams)
    return app


def _cut(request: web.Request) -> None:
    """End a connection whose handler may be stuck in a write."""
    if request.transport is not None:
        request.transport.abort()
