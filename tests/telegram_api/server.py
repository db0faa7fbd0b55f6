"""The stand-in on a local port, for programs that are started as they are shipped.

Beside the Bot API it answers ``GET /_ledger`` (``?since=N``), ``GET /_chats``, ``POST /_faults`` (a list of faults, or
``[]`` for none), ``POST /_say``, ``POST /_press`` and ``POST /_refuse`` (``{"seconds": N}``).
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from dataclasses import asdict
from typing import Any, Self

from aiohttp import web

from tests.telegram_api.chats import User
from tests.telegram_api.exchange import Exchange
from tests.telegram_api.faults import Fault
from tests.telegram_api.params import MOST_BYTES
from tests.telegram_api.rules import BotApi, Connection


class StandIn:
    """A handle on a running server.

    Attributes:
        api: The rules behind it.
        url: Where it listens; a bot's ``base_url`` is this and ``/bot``.
    """

    def __init__(self, api: BotApi | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.api = api or BotApi(wall_offset=time.time() - time.monotonic())
        self._host, self._port = host, port
        self._exchange = Exchange(self.api, time.monotonic)
        self._runner: web.AppRunner | None = None
        self._site: web.SockSite | None = None
        self._reopening: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen."""
        app = web.Application(client_max_size=MOST_BYTES * 4)
        app.router.add_get("/_ledger", self._ledger)
        app.router.add_get("/_chats", self._chats)
        app.router.add_post("/_faults", self._faults)
        app.router.add_post("/_say", self._say)
        app.router.add_post("/_press", self._press)
        app.router.add_post("/_refuse", self._refuse)
        app.router.add_route("*", "/{path:.*}", self._bot)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await self.accept()

    async def stop(self) -> None:
        """Close everything; requests that are waiting end at once."""
        for task in tuple(self._reopening):
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def refuse(self) -> None:
        """Refuse connections from now on; the port stays ours to come back to."""
        if self._site is not None:
            await self._site.stop()
            self._site = None

    async def accept(self) -> None:
        """Take connections again, on the same port."""
        if self._site is None and self._runner is not None:
            listening = socket.create_server((self._host, self._port))
            self._port = listening.getsockname()[1]
            self._site = web.SockSite(self._runner, listening)
            await self._site.start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _bot(self, request: web.Request) -> web.StreamResponse:
        params = await _params(request)
        if params is None:
            body = {"ok": False, "error_code": 400, "description": "Bad Request: unsupported content type"}
            return web.json_response(body, status=400)
        response = await self._exchange.request(request.path, params)
        if response.connection is not Connection.KEPT:
            assert request.transport is not None
            request.transport.abort()
            raise web.HTTPServiceUnavailable  # nobody reads it
        kind = "application/json" if isinstance(response.body, dict) else "text/html"
        return web.Response(status=response.status, body=response.encode(), content_type=kind)

    # ---- the tester's own doors ----

    async def _ledger(self, request: web.Request) -> web.Response:
        return web.json_response(self.api.ledger.as_list(int(request.query.get("since", "0"))))

    async def _chats(self, _: web.Request) -> web.Response:
        shown = {
            str(chat.id): [asdict(message) for message in chat.messages.values()]
            for chat in self.api.chats.values()
        }
        return web.json_response(shown)

    async def _faults(self, request: web.Request) -> web.Response:
        given = await request.json()
        try:
            faults = [Fault.from_dict(each) for each in (given if isinstance(given, list) else [given])]
        except (TypeError, ValueError) as exc:
            return web.json_response({"error": str(exc)}, status=400)
        if not faults:
            self.api.faults.clear()
        self.api.faults.add(*faults)
        return web.json_response({"ok": True})

    async def _say(self, request: web.Request) -> web.Response:
        given = await request.json()
        user = User(**given["user"]) if "user" in given else None
        message = self.api.say(given["chat_id"], given["text"], time.monotonic(), user)
        return web.json_response({"message_id": message.id})

    async def _press(self, request: web.Request) -> web.Response:
        given = await request.json()
        user = User(**given["user"]) if "user" in given else None
        number = self.api.press(given["chat_id"], given["message_id"], given["data"], time.monotonic(), user)
        return web.json_response({"callback_query_id": number})

    async def _refuse(self, request: web.Request) -> web.Response:
        seconds = float((await request.json())["seconds"])

        async def reopen() -> None:
            await asyncio.sleep(0.05)  # this answer has to leave first
            await self.refuse()
            await asyncio.sleep(seconds)
            await self.accept()

        task = asyncio.create_task(reopen())
        self._reopening.add(task)
        task.add_done_callback(self._reopening.discard)
        return web.json_response({"ok": True})


async def _params(request: web.Request) -> dict[str, str] | None:
    """Read a request's parameters; ``None``: it is in none of the formats the Bot API takes."""
    query = dict(request.query)
    if request.method == "GET" or not request.can_read_body:
        return query
    if request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        form = await request.post()
        return query | {key: value for key, value in form.items() if isinstance(value, str)}
    if request.content_type == "application/json":
        given: Any = await request.json()
        if isinstance(given, dict):
            return query | {
                key: value if isinstance(value, str) else json.dumps(value)
                for key, value in given.items()
                if value is not None
            }
    return None
