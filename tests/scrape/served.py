"""An exporter on loopback that says what a test wants it to: metrics and an event stream."""

from __future__ import annotations

import asyncio
import json
import time

from aiohttp import web

LIMIT = 10  # real seconds nothing here comes near


class Served:
    """A running exporter.

    Attributes:
        text: What it answers; bytes go out as they are.
        status: With which status.
        gate: Answers wait for it; set by default.
        scrapes: When each request for metrics came, by the steady clock.
        headers: Of each of those requests.
        streams: Event streams that are open.
    """

    def __init__(self):
        self.text = ""
        self.status = 200
        self.gate = asyncio.Event()
        self.gate.set()
        self.refuse_streams = False
        self.scrapes = []
        self.headers = []
        self.streams = []
        self.stream_count = 0
        self._changed = asyncio.Condition()
        self._port = 0
        self._runner = None

    @property
    def address(self):
        """Host and port; the same after a restart."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self):
        """Where it listens."""
        return f"http://{self.address}"

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *_):
        await self.stop()

    async def start(self):
        """Listen."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/events", self._events)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = site._server.sockets[0].getsockname()[1]

    async def stop(self):
        """Be gone: connections are refused from now on."""
        if self._runner is not None:
            for stream in self.streams:
                stream.put_nowait(None)
            await self._runner.cleanup()
            self._runner = None

    async def scraped(self, count):
        """Wait until there were so many requests for metrics."""
        await self._until(lambda: len(self.scrapes) >= count)

    async def streamed(self, count=1):
        """Wait until so many event streams were opened."""
        await self._until(lambda: self.stream_count >= count and self.streams)

    async def _until(self, happened):
        async with asyncio.timeout(LIMIT), self._changed:
            await self._changed.wait_for(happened)

    async def _tell(self):
        async with self._changed:
            self._changed.notify_all()

    async def _metrics(self, request):
        self.scrapes.append(time.monotonic())
        self.headers.append(request.headers)
        await self._tell()
        await self.gate.wait()
        body = self.text if isinstance(self.text, bytes) else self.text.encode()
        return web.Response(status=self.status, body=body, content_type="text/plain")

    async def _events(self, request):
        if self.refuse_streams:
            raise web.HTTPServiceUnavailable
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue = asyncio.Queue()
        self.streams.append(queue)
        self.stream_count += 1
        await self._tell()
        try:
            while (piece := await queue.get()) is not None:
                await response.write(piece)
        finally:
            self.streams.remove(queue)
        return response

    def send(self, piece):
        """Write bytes into every open stream."""
        for stream in self.streams:
            stream.put_nowait(piece)

    def hello(self):
        """Greet, as on connect."""
        self.send(b'event: hello\ndata: {"v":1,"host":"host-1"}\n\n')

    def tick(self, ts="2026-09-21T14:13:20.123456Z", reason="die"):
        """Say that something changed."""
        data = json.dumps({"reason": reason, "name": "web", "ts": ts})
        self.send(f"event: tick\nid: 1\ndata: {data}\n\n".encode())

    def close(self):
        """End every open stream."""
        for stream in self.streams:
            stream.put_nowait(None)
