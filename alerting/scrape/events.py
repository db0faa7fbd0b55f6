"""Listen to a target's event stream and turn its ticks into scrapes.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html; what the exporter sends is in docs/interfaces.md.
Losing the stream is itself a tick: what happened meanwhile is seen by a scrape.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from vakhta import logs

_SILENCE: Final = 40.0  # seconds; the exporter writes a comment every 15 s
_FIRST_RETRY: Final = 0.2
_LAST_RETRY: Final = 5.0
_log = logs.get("alerting.scrape.events")


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event of a stream: its type, its data and its id."""

    event: str
    data: str
    id: str


class Connected(Protocol):
    """Hears of the connection as it comes and goes."""

    def __call__(self, *, connected: bool, host: str = "") -> None:
        """Take the new state, and what the target calls its host, if it says so."""


class EventParser:
    """Turns the lines of an event stream into events. No I/O."""

    def __init__(self) -> None:
        self._event = ""
        self._data: list[str] = []
        self._id = ""

    def feed(self, line: str) -> ServerEvent | None:
        """Take one line (without its end); return an event when the line completes one."""
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                self._event = value
            elif name == "data":
                self._data.append(value)
            elif name == "id":
                self._id = value
            return None
        done = ServerEvent(self._event or "message", "\n".join(self._data), self._id) if self._data else None
        self._event, self._data = "", []
        return done


class EventStream:
    """Keeps one event stream connected until cancelled.

    Args:
        url: The stream.
        session: The HTTP client.
        on_tick: Called with the time of each change, and with None when the stream connects or is lost.
        on_connected: Called with True and False as the connection comes and goes.
        headers: Credentials.
        silence: Seconds without a byte after which the stream counts as lost.
    """

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        on_tick: Callable[[datetime | None], None],
        on_connected: Connected,
        headers: tuple[tuple[str, str], ...] = (),
        *,
        silence: float = _SILENCE,
    ) -> None:
        self._url = url
        self._session = session
        self._on_tick = on_tick
        self._on_connected = on_connected
        self._headers = headers
        self._silence = silence
        self._retry = _FIRST_RETRY

    async def run(self) -> None:
        """Connect, listen, connect again."""
        self._on_connected(connected=False)
        while True:
            error = await self._listen()
            self._on_connected(connected=False)
            self._on_tick(None)
            _log.debug("event stream lost", url=self._url, error=error)
            await asyncio.sleep(self._retry)
            self._retry = min(_LAST_RETRY, self._retry * 2)

    async def _listen(self) -> str:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=self._silence)
        headers = {"Accept": "text/event-stream", **dict(self._headers)}
        try:
            async with self._session.get(self._url, timeout=timeout, headers=headers) as answer:
                if answer.status != 200:
                    return f"HTTP status {answer.status}"
                async for event in _events(answer.content):
                    self._take(event)
        except TimeoutError:
            return "silent"
        except (
            aiohttp.ClientError,
            HttpProcessingError,
            ValueError,
        ) as exc:  # the last two: a line beyond the reader's limit
            return str(exc) or type(exc).__name__
        return "closed by the exporter"

    def _take(self, event: ServerEvent) -> None:
        if event.event == "hello":
            self._retry = _FIRST_RETRY
            self._on_connected(connected=True, host=_host(event.data))
            self._on_tick(None)
        elif event.event == "tick":
            self._on_tick(_event_time(event.data))


async def _events(stream: aiohttp.StreamReader) -> AsyncIterator[ServerEvent]:
    parser = EventParser()
    async for raw in stream:
        event = parser.feed(raw.decode(errors="replace").rstrip("\r\n"))
        if event is not None:
            yield event


def _host(data: str) -> str:
    """Return the host's name in a greeting; empty when it cannot be read (the greeting still counts)."""
    try:
        host = json.loads(data)["host"]
    except (ValueError, KeyError, TypeError):
        return ""
    return host if isinstance(host, str) else ""


def _event_time(data: str) -> datetime | None:
    """Return the instant a tick speaks of; None when it cannot be read (the tick still counts)."""
    try:
        at = datetime.fromisoformat(json.loads(data)["ts"])
    except (ValueError, KeyError, TypeError):
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
