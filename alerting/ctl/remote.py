"""A test through the running service: one request, one line of JSON per message as it goes."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import aiohttp

from alerting.ctl.output import CannotRunError
from alerting.telegram.sample import Order
from alerting.telegram.shot import Report, Stage
from alerting.web.test_api import CONTENT_TYPE, PATH

_LONGEST_LINE: Final = 65536
_EXPLAINED: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


class NotRunningError(Exception):
    """Nothing listens there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the service may take, in seconds: to connect and to answer at all, and from one line to the next."""

    answer: float = 10.0
    line: float = 45.0


async def fire(url: str, order: Order, told: Callable[[Report], None], patience: Patience) -> bool:
    """Run a test through the service and tell of each message; return whether all were confirmed.

    Raises:
        NotRunningError: The connection was refused.
        CannotRunError: Whatever answers there did not run the test.
    """
    if not url.startswith(("http://", "https://")):
        raise CannotRunError(f"--alerting.url: {url!r} is not a URL: write it as http://127.0.0.1:9818")
    body = {key: value for key, value in _fields(order).items() if value}
    timeout = aiohttp.ClientTimeout(total=None, sock_read=patience.line)
    async with aiohttp.ClientSession(trust_env=False, timeout=timeout) as session:
        try:
            async with asyncio.timeout(patience.answer):
                response = await session.post(f"{url.rstrip('/')}{PATH}", json=body, allow_redirects=False)
            async with response:
                return await _read(url, response, told)
        except aiohttp.ClientConnectorError as exc:
            if _refused(exc.os_error):
                raise NotRunningError from None
            raise CannotRunError(f"{url} cannot be reached, {_why(exc)}: check --alerting.url") from exc
        except aiohttp.InvalidURL as exc:
            raise CannotRunError(
                f"--alerting.url: {url!r} is not a URL: write it as http://127.0.0.1:9818"
            ) from exc
        except TimeoutError as exc:
            raise CannotRunError(
                f"{url} takes connections but does not answer: look at the log of vakhta-alerting and restart it"
            ) from exc
        except aiohttp.ClientError as exc:
            raise CannotRunError(
                f"{url} closed the connection in the middle of the test: look at the log of vakhta-alerting"
            ) from exc


def _fields(order: Order) -> dict[str, str]:
    return {"rule": order.rule, "severity": order.severity, "receiver": order.receiver}


def _refused(error: OSError) -> bool:
    """Whether nobody listens; a host with several addresses has its errors folded into one text."""
    return error.errno == errno.ECONNREFUSED or (
        error.errno is None and f"[Errno {errno.ECONNREFUSED}]" in str(error)
    )


def _why(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "no address is known for this name"
    return error.os_error.strerror or str(error.os_error)


async def _read(url: str, response: aiohttp.ClientResponse, told: Callable[[Report], None]) -> bool:
    if response.status in _EXPLAINED:
        raise CannotRunError(await _explained(url, response))
    if response.status != HTTPStatus.OK or response.content_type != CONTENT_TYPE:
        raise CannotRunError(_stranger(url, f"answers {response.status} ({response.content_type})"))
    async for line in response.content:
        given = _parse(url, line)
        if given.get("done") is True:
            return given.get("ok") is True
        told(_report(url, given))
    raise CannotRunError(
        f"{url} stopped in the middle of the test: look at the log of vakhta-alerting, and test again"
    )


async def _explained(url: str, response: aiohttp.ClientResponse) -> str:
    """Return the service's own sentence for a refusal."""
    try:
        given = json.loads(await response.content.read(_LONGEST_LINE))
    except ValueError:
        given = None
    error = given.get("error") if isinstance(given, dict) else None
    if not isinstance(error, str) or not error:
        return _stranger(url, f"answers {response.status} ({response.content_type})")
    return f"vakhta-alerting at {url}: {error}"


def _parse(url: str, line: bytes) -> dict[str, Any]:
    try:
        given = json.loads(line)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise CannotRunError(_stranger(url, "answers in words that are not a test's"))
    return given


def _report(url: str, given: dict[str, Any]) -> Report:
    try:
        return Report(
            receiver=str(given["receiver"]),
            chat_id=int(given["chat_id"]),
            thread_id=given.get("message_thread_id"),
            stage=Stage(given["stage"]),
            ok=given["ok"] is True,
            message_id=given.get("message_id"),
            seconds=None if given.get("seconds") is None else float(given["seconds"]),
            reason=str(given.get("reason", "")),
            error=str(given.get("error", "")),
        )
    except (KeyError, TypeError, ValueError):
        raise CannotRunError(_stranger(url, "answers in words that are not a test's")) from None


def _stranger(url: str, what: str) -> str:
    return (
        f"{url} {what}: it is another program, or another version of vakhta-alerting than this alertctl "
        f"({version('vakhta')}): check --alerting.url, or restart vakhta-alerting after an upgrade"
    )
