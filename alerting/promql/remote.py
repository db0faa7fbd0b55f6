"""A Prometheus-compatible server as backend: Prometheus, Thanos, Mimir, VictoriaMetrics.

The server gets the rule's original text. A tree written back as text could mean something else.
"""

from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from alerting.labels import Labels
from alerting.promql.errors import BackendError, EvaluationError, ParseError, QueryError
from alerting.promql.numbers import parse_float
from alerting.promql.values import Result, Sample, Scalar, Series, String

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alerting.promql.parse import Query
    from alerting.promql.values import Value

_GRACE: Final = timedelta(seconds=2)
"""The server is told to give up this much earlier than we do, so that its own words reach the log."""


class Remote:
    """Evaluates queries by ``/api/v1/query`` below a base URL.

    The session brings its own TLS and connection settings; `headers` carry authorization or a tenant. An
    answer of more than `max_bytes` is refused.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: timedelta = timedelta(seconds=30),
        max_bytes: int = 64 << 20,
    ) -> None:
        self._max_bytes = max_bytes
        self._session = session
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._headers = dict(headers or {})
        self._timeout = timeout

    async def query(self, query: Query, at_ms: int) -> Result:
        """Return the server's result.

        Raises:
            ParseError: The server does not accept the expression.
            EvaluationError: The server could not evaluate it.
            BackendError: The server does not answer in time, or not as a Prometheus.
        """
        seconds = max(1.0, (self._timeout - _GRACE).total_seconds())
        form = {"query": query.text, "time": f"{at_ms / 1000:.3f}", "timeout": f"{seconds:g}s"}
        try:
            status, body = await self._post(form)
        except TimeoutError:
            waited = f"{self._timeout.total_seconds():g} s"
            raise BackendError(f"no answer from {self._url} within {waited}", text=query.text) from None
        except aiohttp.ClientError as exc:
            reason = str(exc) or type(exc).__name__
            raise BackendError(f"{self._url}: {reason}", text=query.text) from exc
        try:
            return decode(status, body)
        except QueryError as exc:
            exc.text = query.text
            raise

    async def _post(self, form: Mapping[str, str]) -> tuple[int, bytes]:
        timeout = aiohttp.ClientTimeout(total=self._timeout.total_seconds())
        async with self._session.post(self._url, data=form, headers=self._headers, timeout=timeout) as answer:
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > self._max_bytes:
                    raise BackendError(f"{self._url}: the answer is larger than {self._max_bytes >> 20} MiB")
            return answer.status, bytes(body)


def decode(status: int, body: bytes) -> Result:
    """Read the answer to a query.

    Raises:
        QueryError: The answer is an error, or nothing that a Prometheus answers.
    """
    try:
        answer = json.loads(body)
        if answer["status"] == "success":
            data = answer["data"]
            value = _value(data["resultType"], data["result"])
            return Result(value, _texts(answer, "warnings"), _texts(answer, "infos"))
        kind, reason = str(answer.get("errorType", "")), str(answer["error"])
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as exc:
        start = body[:100].decode(errors="replace")
        raise BackendError(f"HTTP {status}, and not the answer of a Prometheus: {start!r}") from exc
    raise _ERRORS.get(kind, BackendError)(reason)


_ERRORS: Final[dict[str, type[QueryError]]] = {"bad_data": ParseError, "execution": EvaluationError}


def _texts(answer: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(str(text) for text in answer.get(key) or ())


def _value(kind: str, result: Any) -> Value:
    match kind:
        case "vector":
            return [Sample(_labels(one), *_point(one["value"])) for one in result]
        case "matrix":
            return [Series.of(_labels(one), [_point(point) for point in one["values"]]) for one in result]
        case "scalar":
            return Scalar(*_point(result))
        case "string":
            return String(_milliseconds(result[0]), str(result[1]))
    raise ValueError(f"unknown result type {kind}")


def _labels(element: Mapping[str, Any]) -> Labels:
    if "histogram" in element or "histograms" in element:
        raise EvaluationError("the result has native histograms, which are not supported")
    return Labels({str(name): str(value) for name, value in element["metric"].items()})


def _point(pair: Any) -> tuple[int, float]:
    value = parse_float(str(pair[1]))
    if value is None:
        raise ValueError(f"{pair[1]!r} is not a number")
    return _milliseconds(pair[0]), value


def _milliseconds(seconds: Any) -> int:
    if not math.isfinite(seconds):
        raise ValueError("not a time")
    milliseconds: int = round(seconds * 1000)
    return milliseconds
