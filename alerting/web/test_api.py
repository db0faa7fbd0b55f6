"""``POST /api/vakhta/v1/test``: sample alerts through the real delivery, told line by line as they go (docs/interfaces.md, section 6)."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from alerting.telegram.sample import Order, OrderError
from alerting.telegram.shot import Report
from alerting.telegram.trial import NoBotError, Plan, Trial
from alerting.web.guard import Guard
from vakhta.web import error_response

PATH: Final = "/api/vakhta/v1/test"
CONTENT_TYPE: Final = "application/x-ndjson"
_KEYS: Final = ("receiver", "rule", "severity")


def mount(app: web.Application, trial: Callable[[], Trial], may_write: Guard) -> None:
    """Serve the path.

    Args:
        app: Where.
        trial: Returns what runs tests; asked at each request.
        may_write: Who may ask.
    """

    async def test(request: web.Request) -> web.StreamResponse:
        refusal = may_write(request)
        if refusal is not None:
            return refusal
        runner = trial()
        try:
            plan = runner.plan(_order(await request.text()))
        except OrderError as exc:
            return error_response(HTTPStatus.BAD_REQUEST, str(exc))
        except NoBotError as exc:
            return error_response(HTTPStatus.SERVICE_UNAVAILABLE, str(exc))
        return await _stream(request, runner, plan)

    app.router.add_post(PATH, test)


async def _stream(request: web.Request, runner: Trial, plan: Plan) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})
    await response.prepare(request)
    reports: list[Report] = []
    async for report in runner.run(plan):
        reports.append(report)
        await response.write(_line(report.as_dict()))
    await response.write(_line({"done": True, "ok": plan.passed(reports)}))
    await response.write_eof()
    return response


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def _order(body: str) -> Order:
    """Read a request's body; an empty one asks for the default test.

    Raises:
        OrderError: It is not what section 6 says.
    """
    try:
        given = json.loads(body) if body.strip() else {}
    except ValueError as exc:
        raise OrderError(f"the body is not JSON: {exc}") from None
    if not isinstance(given, dict):
        raise OrderError('the body is not a JSON object, such as {"rule": "ContainerDown"}')
    unknown = sorted(given.keys() - set(_KEYS))
    if unknown:
        raise OrderError(f"unknown key {unknown[0]!r}; known: {', '.join(_KEYS)}")
    for key, value in given.items():
        if not isinstance(value, str):
            raise OrderError(f"{key} is not a string")
    return Order(**given)
