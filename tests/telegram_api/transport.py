"""A way for python-telegram-bot to reach the stand-in without a network."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
from telegram.error import NetworkError
from telegram.request import BaseRequest, RequestData

from tests.telegram_api.exchange import Exchange
from tests.telegram_api.rules import BotApi, Connection


class MemoryRequest(BaseRequest):
    """Hands every request to a :class:`~tests.telegram_api.BotApi`; fails the way httpx does."""

    def __init__(self, api: BotApi, clock: Callable[[], float] = time.monotonic) -> None:
        self._exchange = Exchange(api, clock)

    @property
    def read_timeout(self) -> float | None:
        """The default of the library."""
        return 5.0

    async def initialize(self) -> None:
        """There is nothing to open."""

    async def shutdown(self) -> None:
        """There is nothing to close."""

    async def do_request(
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        *_: Any,
        **__: Any,
    ) -> tuple[int, bytes]:
        """Make the request."""
        assert method == "POST"
        params = request_data.json_parameters if request_data else {}
        for value in params.values():
            value.encode()  # as a real client would, before anything leaves
        response = await self._exchange.request(urlsplit(url).path, params)
        if response.connection is Connection.REFUSED:
            raise NetworkError("httpx.ConnectError: refused") from httpx.ConnectError("refused")
        if response.connection is Connection.DROPPED:
            raise NetworkError("httpx.ReadError: ") from httpx.ReadError("")
        return response.status, response.encode()
