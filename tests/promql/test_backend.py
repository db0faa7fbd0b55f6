"""Backends: who is asked, how a server's answers are read, and what its failures are called."""

from __future__ import annotations

import asyncio
import json
import math
from datetime import timedelta

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from alerting.labels import Labels
from alerting.promql import (
    BackendError,
    Embedded,
    Engine,
    EvaluationError,
    Overlaid,
    ParseError,
    QueryError,
    Result,
    Sample,
    Scalar,
    String,
    parse,
)
from alerting.promql.remote import Remote, decode
from alerting.window import Window

_UP = Labels({"__name__": "up", "name": "web"})


class _Server:
    """A loopback server that gives one answer and remembers what it was asked."""

    def __init__(self, status: int, body: bytes, *, hangs: bool = False) -> None:
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self._answer = (status, body)
        self._may_answer = asyncio.Event()
        if not hangs:
            self._may_answer.set()

    async def __aenter__(self) -> str:
        """Start on any free port; give the base URL."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        """Let go of whoever still waits, and stop."""
        self._may_answer.set()
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append((request.path, form, request.headers.get("X-Scope-OrgID", "")))
        await self._may_answer.wait()
        status, body = self._answer
        return web.Response(status=status, body=body)


def _success(kind: str, result: object, **more: object) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}, **more}).encode()


async def test_a_server_is_asked_with_the_original_text() -> None:
    """The rule's own words, the time in seconds, a timeout, and the headers given."""
    server = _Server(200, _success("vector", []))
    text = "up{name=~`w.*`}  # as written\n"
    async with server as url, aiohttp.ClientSession() as session:
        remote = Remote(
            session, f"{url}/prom/", headers={"X-Scope-OrgID": "me"}, timeout=timedelta(seconds=10)
        )
        assert (await remote.query(parse(text), 1_700_000_000_123)).value == []
    form = {"query": text, "time": "1700000000.123", "timeout": "8s"}
    assert server.asked == [("/prom/api/v1/query", form, "me")]


@pytest.mark.parametrize(
    ("status", "body", "error", "reason"),
    [
        pytest.param(
            400, b'{"status":"error","errorType":"bad_data","error":"parse error"}', ParseError, "parse error",
            id="a query it cannot parse",
        ),
        pytest.param(
            422, b'{"status":"error","errorType":"execution","error":"many-to-many"}', EvaluationError, "many-to-many",
            id="a query it cannot evaluate",
        ),
        pytest.param(
            503, b'{"status":"error","errorType":"timeout","error":"query timed out"}', BackendError, "timed out",
            id="a query that takes too long",
        ),
        pytest.param(502, b"<html>Bad Gateway</html>", BackendError, "HTTP 502", id="a proxy's own page"),
        pytest.param(200, b"{}", BackendError, "not the answer of a Prometheus", id="something else"),
        pytest.param(200, b"", BackendError, "not the answer of a Prometheus", id="nothing"),
        pytest.param(
            200, _success("vector", [{"metric": {}, "histogram": [0, {}]}]), EvaluationError, "native histograms",
            id="a native histogram",
        ),
        pytest.param(
            200, _success("vector", [{"metric": {}, "value": [0, "x"]}]), BackendError, "not the answer",
            id="a value that is no number",
        ),
        pytest.param(
            200, b'{"status":"success","data":{"resultType":"scalar","result":[1e999,"1"]}}', BackendError, "not the answer",
            id="a time without end",
        ),
    ],
)  # fmt: skip
async def test_a_failure_says_whose_it_is(status, body, error, reason) -> None:
    """The error's class tells rule, data and server apart; its text is the expression."""
    async with _Server(status, body) as url, aiohttp.ClientSession() as session:
        with pytest.raises(error, match=reason) as caught:
            await Remote(session, url).query(parse("up"), 0)
    assert caught.value.text == "up"


async def test_a_server_that_hangs_is_given_up() -> None:
    """After the timeout, and the error names the address."""
    async with _Server(200, b"", hangs=True) as url, aiohttp.ClientSession() as session:
        with pytest.raises(BackendError, match=r"no answer from http://127\.0\.0\.1"):
            await Remote(session, url, timeout=timedelta(milliseconds=50)).query(parse("up"), 0)


async def test_a_server_that_is_not_there_is_a_backend_error() -> None:
    """A refused connection is no crash."""
    async with _Server(200, b"") as url:
        pass
    async with aiohttp.ClientSession() as session:
        with pytest.raises(BackendError, match=r"127\.0\.0\.1"):
            await Remote(session, url).query(parse("up"), 0)


async def test_an_answer_without_end_is_refused() -> None:
    """A limit protects the memory."""
    async with _Server(200, b" " * (2 << 20)) as url, aiohttp.ClientSession() as session:
        with pytest.raises(BackendError, match="larger than 1 MiB"):
            await Remote(session, url, max_bytes=1 << 20).query(parse("up"), 0)


@pytest.mark.parametrize(
    ("kind", "result", "value"),
    [
        ("vector", [{"metric": dict(_UP), "value": [1.5, "+Inf"]}], [Sample(_UP, 1500, math.inf)]),
        ("vector", [], []),
        ("scalar", [1700000000.123, "-0.5"], Scalar(1_700_000_000_123, -0.5)),
        ("string", [2, "text"], String(2000, "text")),
    ],
    ids=["a vector", "an empty vector", "a scalar", "a string"],
)
def test_a_server_s_answer_becomes_a_value(kind, result, value) -> None:
    """Times become milliseconds, values floats."""
    assert decode(200, _success(kind, result)).value == value


def test_a_server_s_matrix_becomes_series() -> None:
    """NaN is a value like another."""
    body = _success("matrix", [{"metric": {"a": "b"}, "values": [[1, "2"], [1.001, "NaN"]]}])
    found = decode(200, body).value[0]
    assert (found.labels, found.t.tolist()) == (Labels({"a": "b"}), [1000, 1001])
    assert found.v[0] == 2
    assert math.isnan(found.v[1])


def test_a_server_s_remarks_are_kept() -> None:
    """Warnings and infos are no errors."""
    result = decode(200, _success("vector", [], warnings=["w"], infos=["i", "j"]))
    assert result == Result([], ("w",), ("i", "j"))


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["metric", "value", "values", "error"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.one_of(
        st.binary(max_size=50),
        st.builds(
            lambda status, kind, result: json.dumps(
                {"status": status, "data": {"resultType": kind, "result": result}}
            ).encode(),
            st.sampled_from(["success", "error"]),
            st.sampled_from(["vector", "matrix", "scalar", "string", "other"]),
            _JSON,
        ),
    )
)
def test_any_answer_is_a_result_or_a_query_error(body: bytes) -> None:
    """Whatever a server sends, nothing else is raised."""
    try:
        found: object = decode(200, body)
    except QueryError as exc:
        found = exc
    assert isinstance(found, (Result, QueryError))


async def test_the_embedded_backend_says_what_is_not_kept() -> None:
    """An empty answer about what no rule selects comes with a warning."""
    window = Window(keep=parse('up{name="web"}').selectors)
    window.append(_UP, 1000, 1.0)
    backend = Embedded(Engine(), window)
    assert await backend.query(parse('up{name="web"}'), 2000) == Result([Sample(_UP, 2000, 1.0)])
    result = await backend.query(parse("down"), 2000)
    assert result == Result([], ("down is not kept: no rule selects it",))


class _Fixed:
    def __init__(self, value: float) -> None:
        self._value = value

    async def query(self, _, at_ms):
        """Give the same scalar always."""
        return Result(Scalar(at_ms, self._value))


@pytest.mark.parametrize(
    ("text", "value", "warnings"),
    [
        ('ALERTS{alertstate="firing"}', 1.0, ()),
        ("rate(vakhta_x_total[5m]) > 0", 1.0, ()),
        ("up", 2.0, ()),
        ("1 + 1", 2.0, ()),
        ("up unless ALERTS", 2.0, ("ALERTS of this Vakhta is not visible where this query is evaluated",)),
    ],
    ids=["own alerts", "own metrics", "another's metric", "nothing selected", "both"],
)
async def test_what_only_we_know_is_not_asked_elsewhere(text, value, warnings) -> None:
    """Own alerts and metrics are evaluated here; a mixture cannot be."""
    backend = Overlaid(own=_Fixed(1.0), other=_Fixed(2.0))
    assert await backend.query(parse(text), 7) == Result(Scalar(7, value), warnings)
