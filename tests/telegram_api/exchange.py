"""One request in real time: the delays, the long polls and the second poller the rules only speak of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final
from weakref import WeakKeyDictionary

from tests.telegram_api.params import NAMES
from tests.telegram_api.rules import BotApi, Response

_CONFLICT: Final = (
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
)
# The poll that waits for each bot, whichever way it came; set when a newer one ends it.
_POLLERS: Final[WeakKeyDictionary[BotApi, asyncio.Event]] = WeakKeyDictionary()


class Exchange:
    """Carries requests to a bot and keeps the ones waiting that have to wait."""

    def __init__(self, api: BotApi, clock: Callable[[], float]) -> None:
        self.api = api
        self.clock = clock

    async def request(self, path: str, params: Mapping[str, str]) -> Response:
        """Answer a request when it is time to."""
        method = path.rpartition("/")[2]
        if NAMES.get(method.lower()) != "getUpdates":
            return await self._later(self.api.request(path, params, self.clock()))
        if (older := _POLLERS.get(self.api)) is not None:
            older.set()
        _POLLERS[self.api] = ended = asyncio.Event()
        return await self._later(await self._poll(path, params, ended))

    async def _later(self, response: Response) -> Response:
        if response.delay:
            await asyncio.sleep(response.delay)
        return response

    async def _poll(self, path: str, params: Mapping[str, str], ended: asyncio.Event) -> Response:
        response = self.api.request(path, params, self.clock())
        if not response.poll:
            return response
        entry = self.api.ledger.entries[-1]
        changed = asyncio.Event()
        self.api.listeners.append(changed.set)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(response.poll):
                    while not len(self.api.updates) and not ended.is_set():
                        await _either(changed, ended)
                        changed.clear()
        finally:
            self.api.listeners.remove(changed.set)
        if ended.is_set():
            return Response(status=409, body={"ok": False, "error_code": 409, "description": _CONFLICT})
        with suppress(ValueError):
            self.api.ledger.entries.remove(entry)  # one poll is one entry: the one that answers
        return self.api.request(path, params, self.clock())


async def _either(first: asyncio.Event, second: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(first.wait()), asyncio.ensure_future(second.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def until(api: BotApi, happened: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until something is true of a bot; asked after every request.

    Raises:
        TimeoutError: It never was; the text shows the last requests.
    """
    changed = asyncio.Event()
    api.listeners.append(changed.set)
    try:
        async with asyncio.timeout(seconds):
            while not happened():
                await changed.wait()
                changed.clear()
    except TimeoutError:
        last = [(entry.method, entry.chat_id, entry.status, entry.text) for entry in api.ledger.entries[-5:]]
        raise TimeoutError(f"not within {seconds} s; {len(api.ledger)} requests, the last: {last}") from None
    finally:
        api.listeners.remove(changed.set)
