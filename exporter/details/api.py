"""`GET /api/v1/containers/{name}` and `…/logs`: who may ask, what is asked of Docker meanwhile, and the answers' form.

Off without a token, because a log tells more about a host than its metrics do. Docker is asked with a short limit; what is known answers when
it does not.
"""

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aiohttp import web

from exporter.details.answer import rfc3339
from exporter.details.logs import asked_for, excerpt, lines_of, to_json
from exporter.details.store import Details
from exporter.docker.containers import Facts
from exporter.docker.snapshot import ContainerView, Snapshot
from exporter.errors import ContainerGoneError, DockerError
from vakhta.secrets import Secret
from vakhta.web import error_response

__all__ = ["DEFAULT_TAIL", "LONGEST_TAIL", "MOST_BYTES", "Engine", "mount"]

_Handler = Callable[[web.Request], Awaitable[web.Response]]

DEFAULT_TAIL: Final = 12
LONGEST_TAIL: Final = 200
MOST_BYTES: Final = 65536

# 201 messages of 16 KiB, which is the longest that Docker writes in one piece, and their times.
_MOST_RAW_BYTES: Final = 4 * 1024 * 1024
_LABEL: Final = "vakhta.logs"
_INSPECT_SECONDS: Final = 2.0
# Each may hold some megabytes for a moment.
_LOGS_AT_ONCE: Final = 2

_OFF: Final = (
    "details of containers are off: they need a token; give vakhta-exporter VAKHTA_API_TOKEN, VAKHTA_API_TOKEN_FILE or "
    "api.token_file and send it as `Authorization: Bearer <token>`"
)
_NO_LOGS: Final = (
    "logs are off: set `api: {logs: true}` in exporter.yml to let holders of the token read them"
)


class Engine(Protocol):
    """What is asked of Docker; both raise `DockerError`."""

    async def inspect(self, container: str) -> Facts:
        """Ask for everything about one container."""

    async def logs(self, container: str, *, tail: int, most_bytes: int) -> bytes:
        """Ask for the newest lines of both streams with their times, as the daemon sends them, cut after so many bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Api:
    details: Details
    engine: Engine | None
    snapshot: Callable[[float], Snapshot]
    known_at: Callable[[], float | None]
    host_name: Callable[[], str]
    has_logs: bool
    inspect_seconds: float
    clock: Callable[[], float]
    inspects: dict[str, asyncio.Task[Facts | None]]
    gate: asyncio.Semaphore

    async def container(self, request: web.Request) -> web.Response:
        """Answer with one container's details."""
        name = request.match_info["name"]
        view = self._look(name)
        if view is None:
            return _unknown(name)
        fresh = None if self.details.is_gone(name) else await self._inspect(view.id)
        view = self._look(name) or view
        found = self.details.of(
            name,
            self.clock(),
            fresh=fresh if fresh is not None and fresh.id == view.id else None,
            known_at=self.known_at(),
        )
        return _unknown(name) if found is None else _json(found)

    async def logs(self, request: web.Request) -> web.Response:
        """Answer with one container's newest log lines."""
        name, tail = request.match_info["name"], _tail(request.query.get("tail", str(DEFAULT_TAIL)))
        if not self.has_logs:
            return error_response(403, _NO_LOGS)
        if tail is None:
            return error_response(400, f"tail: it is a number of lines, from 1 to {LONGEST_TAIL}")
        view = self._look(name)
        return _unknown(name) if view is None else await self._logs_of(view, tail)

    async def _logs_of(self, view: ContainerView, tail: int) -> web.Response:
        if view.labels.get(_LABEL, "").strip().lower() == "off":
            return error_response(403, f"{view.name}: its label {_LABEL}=off keeps its logs to itself")
        if self.details.is_gone(view.name):
            return _removed(view.name)
        if self.engine is None:
            return error_response(503, "the docker collector is switched off: nobody to ask for logs")
        try:
            async with self.gate:
                raw = await self.engine.logs(view.id, tail=asked_for(tail), most_bytes=_MOST_RAW_BYTES)
        except ContainerGoneError:
            return _removed(view.name)
        except DockerError as exc:
            return error_response(503, str(exc))
        # Up to a second for the longest answers there can be.
        return _json(await asyncio.to_thread(self._log_answer, view, raw, tail))

    def _look(self, name: str) -> ContainerView | None:
        now = self.clock()
        self.details.observe(self.snapshot(now), {}, now)
        return self.details.find(name)

    async def _inspect(self, container: str) -> Facts | None:
        """Ask Docker, for a short while; those who ask at the same time share one question."""
        if self.engine is None:
            return None
        task = self.inspects.get(container)
        if task is None:
            task = self.inspects[container] = asyncio.create_task(
                _ask(self.engine, container, self.inspect_seconds)
            )
            task.add_done_callback(lambda _: self.inspects.pop(container, None))
        return await asyncio.shield(task)

    def _log_answer(self, view: ContainerView, raw: bytes, tail: int) -> dict[str, Any]:
        head = {
            "v": 1,
            "host": self.host_name(),
            "observed_at": rfc3339(self.clock()),
            "id": view.id,
            "name": view.name,
            "project": view.project or None,
            "service": view.service,
            "masked": 0,
            "truncated": False,
            "lines": [],
        }
        # Some room for the number of masked values.
        room = MOST_BYTES - len(_text(head).encode()) - 16
        found = excerpt(lines_of(raw, asked=asked_for(tail)), tail=tail, most_bytes=room)
        return head | {
            "masked": found.masked,
            "truncated": found.truncated or len(raw) >= _MOST_RAW_BYTES,
            "lines": [to_json(line) for line in found.lines],
        }


def mount(
    app: web.Application,
    *,
    details: Details,
    engine: Engine | None,
    snapshot: Callable[[float], Snapshot],
    host_name: Callable[[], str],
    token: Secret | None,
    logs: bool = False,
    known_at: Callable[[], float | None] = lambda: None,
    inspect_seconds: float = _INSPECT_SECONDS,
    clock: Callable[[], float] = time.time,
) -> None:
    """Add both pages to an application made by `vakhta.web.base_app`.

    Args:
        app: Where.
        details: Fed with usage by whoever scrapes; what it knows is refreshed here before each answer.
        engine: Docker; None: it is not watched, and only what is known answers.
        snapshot: Takes a time and returns the inventory as it is then.
        host_name: What this host is called.
        token: Who sends it may ask; None: the pages are off.
        logs: Whether logs may be read too.
        known_at: Until when Docker confirmed what is known; None: until now.
        inspect_seconds: How long a fresh inspect is waited for.
        clock: Unix seconds.
    """
    api = _Api(
        details=details,
        engine=engine,
        snapshot=snapshot,
        known_at=known_at,
        host_name=host_name,
        has_logs=logs,
        inspect_seconds=inspect_seconds,
        clock=clock,
        inspects={},
        gate=asyncio.Semaphore(_LOGS_AT_ONCE),
    )
    for path, handler in (("", api.container), ("/logs", api.logs)):
        app.router.add_get(f"/api/v1/containers/{{name}}{path}", _guarded(handler, token), allow_head=False)


def _guarded(handler: _Handler, token: Secret | None) -> _Handler:
    """Let only those in who show the token."""

    async def guarded(request: web.Request) -> web.Response:
        if token is None:
            response = error_response(404, _OFF)
        elif not _shows(request, token):
            response = error_response(401, "send the exporter's API token as `Authorization: Bearer <token>`")
            response.headers["WWW-Authenticate"] = 'Bearer realm="vakhta-exporter"'
        else:
            response = await handler(request)
        response.headers["Cache-Control"] = "no-store"
        return response

    return guarded


def _shows(request: web.Request, token: Secret) -> bool:
    scheme, _, shown = request.headers.get("Authorization", "").strip().partition(" ")
    # A header's bytes that are no text come as half surrogates.
    given = shown.strip().encode("utf-8", "surrogateescape")
    return hmac.compare_digest(given, token.reveal().encode()) and scheme.lower() == "bearer"


async def _ask(engine: Engine, container: str, seconds: float) -> Facts | None:
    try:
        async with asyncio.timeout(seconds):
            return await engine.inspect(container)
    except (DockerError, TimeoutError):
        return None


def _tail(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 3):
        return None
    return int(text) if 1 <= int(text) <= LONGEST_TAIL else None


def _unknown(name: str) -> web.Response:
    return error_response(404, f"no container is called {name!r} here, nor was one in the last 15 minutes")


def _removed(name: str) -> web.Response:
    return error_response(404, f"{name} was removed, and Docker removed its logs with it")


def _text(answer: dict[str, Any]) -> str:
    return json.dumps(answer, ensure_ascii=False)


def _json(answer: dict[str, Any]) -> web.Response:
    # Text of containers may hold halves of surrogate pairs, which are no UTF-8.
    body = _text(answer).encode("utf-8", "replace")
    return web.Response(body=body, content_type="application/json", charset="utf-8")
