"""The web server both processes stand on: a handle with start and stop, health pages, errors as JSON.

It knows nothing of what is served. Pages that every Prometheus-like program has are here; everything else is added by the caller.
"""

import asyncio
import errno
import html
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from vakhta import logs

__all__ = ["ListenError", "Readiness", "WebServer", "base_app", "error_response", "split_address"]

_log: Final = logs.get(__name__)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Requests still running get this long to finish; aiohttp then waits as long again before it cancels their handlers. The whole stop
# stays under five seconds.
_SHUTDOWN_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 4.0

_ERROR_TYPES: Final = {
    400: "bad_data",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media_type",
    503: "unavailable",
}

_BIND_FAULTS: Final = {
    errno.EADDRINUSE: "address already in use; stop the other program or choose another --web.listen-address",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose another --web.listen-address",
    errno.EACCES: "permission denied; choose a port above 1023 for --web.listen-address",
}


class ListenError(OSError):
    """The server cannot listen where it was told to; the text names the address, the fault and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether a program does its work, and what it has to say about it, one sentence per line."""

    ok: bool
    details: tuple[str, ...] = ()


def split_address(listen: str) -> tuple[str | None, int]:
    """Split `host:port`, `[v6]:port` or `:port` into host (None: every interface) and port.

    Raises:
        ListenError: It is none of these.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ListenError(
            f"cannot listen on {listen!r}: it is not host:port, such as 127.0.0.1:9817 or :9817"
        )
    bare = host.removeprefix("[").removesuffix("]")
    if ":" in bare and bare == host:
        raise ListenError(
            f"cannot listen on {listen!r}: write an IPv6 address in brackets, such as [::1]:{port}"
        )
    return bare or None, int(port)


class WebServer:
    """One application on one address: `await start()`, then `url`, then `await stop()`.

    Port 0 takes any free port; `url` names the one taken.
    """

    def __init__(self, app: web.Application, *, listen: str = "127.0.0.1:0") -> None:
        self._app = app
        self._listen = listen
        self._runner: web.AppRunner | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """Where the server answers, without a trailing slash; empty until it was started."""
        return self._url

    async def start(self) -> None:
        """Start listening.

        Raises:
            ListenError: The address is taken, not ours, or not an address.
        """
        host, port = split_address(self._listen)
        runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as exc:
            await runner.cleanup()
            raise ListenError(f"cannot listen on {self._listen}: {_bind_fault(exc)}") from exc
        self._runner = runner
        taken = runner.addresses[0][1]
        self._url = f"http://{_url_host(host)}:{taken}"

    async def stop(self) -> None:
        """Stop listening and end every request, in under five seconds; a second call does nothing."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await runner.cleanup()
        except TimeoutError:
            _log.warning("requests still running were left behind", seconds=_STOP_SECONDS)


def _bind_fault(exc: OSError) -> str:
    if isinstance(exc, socket.gaierror):
        return "its host name does not resolve; choose another --web.listen-address"
    # asyncio wraps the system's text into its own; the number survives.
    return _BIND_FAULTS.get(exc.errno or 0) or (exc.strerror or str(exc))


def _url_host(host: str | None) -> str:
    match host:
        case None | "0.0.0.0" | "::":  # noqa: S104 - compared with, not listened on
            return "127.0.0.1"
        case _ if ":" in host:
            return f"[{host}]"
        case _:
            return host


def base_app(*, title: str, links: Mapping[str, str], ready: Callable[[], Readiness]) -> web.Application:
    """Return an application with `/`, `/-/healthy` and `/-/ready`, whose errors are JSON.

    Args:
        title: Heading of the landing page.
        links: Path to what is found there, in the order they are listed.
        ready: Asked at each `/-/ready`.
    """
    page = _landing_page(title, links)

    async def landing(_: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html")

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text=f"{title} is healthy.\n")

    async def readiness(_: web.Request) -> web.Response:
        answer = ready()
        first = f"{title} is ready." if answer.ok else f"{title} is not ready."
        return web.Response(text="\n".join((first, *answer.details, "")), status=200 if answer.ok else 503)

    app = web.Application(middlewares=[_errors_as_json])
    app.router.add_get("/", landing)
    app.router.add_get("/-/healthy", healthy)
    app.router.add_get("/-/ready", readiness)
    return app


def error_response(status: int, error: str, *, error_type: str | None = None) -> web.Response:
    """Return an error in the form of Prometheus' API: `{"status": "error", "errorType": …, "error": …}`."""
    kind = error_type or _ERROR_TYPES.get(status, "internal" if status >= 500 else "bad_data")
    return web.json_response({"status": "error", "errorType": kind, "error": error}, status=status)


@web.middleware
async def _errors_as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as exc:
        if exc.status < 400:
            raise
        response = error_response(exc.status, f"{request.method} {request.path}: {exc.reason}")
        if "Allow" in exc.headers:
            response.headers["Allow"] = exc.headers["Allow"]
        return response
    except ConnectionResetError:
        raise
    except Exception as exc:  # noqa: BLE001 - the top of every request: one broken page must not end the connection without a word
        _log.exception("request failed", method=request.method, path=request.path)
        return error_response(500, f"{type(exc).__name__}; the log has the details")


def _landing_page(title: str, links: Mapping[str, str]) -> str:
    items = "".join(
        f'<li><a href="{html.escape(path)}">{html.escape(path)}</a> {html.escape(what)}</li>'
        for path, what in links.items()
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"
        f"<h1>{html.escape(title)}</h1><ul>{items}</ul></html>\n"
    )
