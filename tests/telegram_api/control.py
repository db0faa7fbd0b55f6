"""A client of the stand-in's own doors, for demonstrations and benchmarks that run it as a process."""

from __future__ import annotations

from typing import Any, Self

import aiohttp

from tests.telegram_api.faults import Fault


class Control:
    """What a tester does with a running stand-in."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(trust_env=False, timeout=aiohttp.ClientTimeout(total=10))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def ledger(self, since: int = 0) -> list[dict[str, Any]]:
        """Return the entries from the given number on."""
        return list(await self._get(f"/_ledger?since={since}"))

    async def chats(self) -> dict[str, list[dict[str, Any]]]:
        """Return the messages of every chat as they stand."""
        return dict(await self._get("/_chats"))

    async def faults(self, *faults: Fault) -> None:
        """Switch faults on; none: all off."""
        await self._post("/_faults", [fault.as_dict() for fault in faults])

    async def say(self, chat_id: int, text: str) -> int:
        """Write into a chat and return the message's number."""
        return int((await self._post("/_say", {"chat_id": chat_id, "text": text}))["message_id"])

    async def press(self, chat_id: int, message_id: int, data: str) -> str:
        """Press a button."""
        given = {"chat_id": chat_id, "message_id": message_id, "data": data}
        return str((await self._post("/_press", given))["callback_query_id"])

    async def refuse(self, seconds: float) -> None:
        """Refuse connections for a while, these included."""
        await self._post("/_refuse", {"seconds": seconds})

    async def _get(self, path: str) -> Any:
        assert self._session is not None
        async with self._session.get(self._url + path, raise_for_status=True) as response:
            return await response.json()

    async def _post(self, path: str, body: Any) -> Any:
        assert self._session is not None
        async with self._session.post(self._url + path, json=body) as response:
            if response.status != 200:
                raise ValueError(await response.text())
            return await response.json()
