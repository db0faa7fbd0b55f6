"""The web server handle, over real sockets on loopback."""

import asyncio
import time

import aiohttp
import pytest
from aiohttp import web

from vakhta.web import ListenError, Readiness, WebServer, base_app, error_response, split_address


@pytest.fixture
async def serve():
    """Start applications on any free port; all are stopped afterwards."""
    servers = []

    async def start(app):
        server = WebServer(app, listen="127.0.0.1:0")
        servers.append(server)
        await server.start()
        return server

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
async def client():
    """A client that follows nothing and takes no proxy."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        yield session


def an_app(readiness=None):
    """Return a small application; ready unless told otherwise."""
    return base_app(
        title="vakhta-test",
        links={"/metrics": "the metrics <all>"},
        ready=lambda: readiness or Readiness(ok=True),
    )


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        pytest.param(
            "/",
            200,
            '<li><a href="/metrics">/metrics</a> the metrics &lt;all&gt;</li>',
            id="landing page, escaped",
        ),
        pytest.param("/-/healthy", 200, "vakhta-test is healthy.\n", id="healthy"),
        pytest.param("/-/ready", 200, "vakhta-test is ready.\n", id="ready"),
        pytest.param(
            "/none",
            404,
            '{"status": "error", "errorType": "not_found", "error": "GET /none: Not Found"}',
            id="an unknown path is an error as JSON",
        ),
    ],
)
async def test_pages(serve, client, path, status, text):
    """Every program answers these pages."""
    server = await serve(an_app())
    async with client.get(server.url + path) as answer:
        assert answer.status == status
        assert text in await answer.text()


async def test_not_ready_says_why(serve, client):
    """Readiness answers 503 with a sentence per line."""
    server = await serve(an_app(Readiness(ok=False, details=("the first look has not finished",))))
    async with client.get(server.url + "/-/ready") as answer:
        assert answer.status == 503
        assert await answer.text() == "vakhta-test is not ready.\nthe first look has not finished\n"


async def test_a_wrong_method_names_the_right_one(serve, client):
    """405 keeps its Allow header."""
    server = await serve(an_app())
    async with client.post(server.url + "/-/healthy") as answer:
        assert answer.status == 405
        assert "GET" in answer.headers["Allow"]
        assert (await answer.json())["errorType"] == "method_not_allowed"


async def test_a_broken_page_is_an_error_as_json(serve, client):
    """An exception in a handler becomes 500 without its text: that goes to the log."""

    async def broken(_):
        raise KeyError("internal detail")

    app = an_app()
    app.router.add_get("/broken", broken)
    server = await serve(app)
    async with client.get(server.url + "/broken") as answer:
        assert answer.status == 500
        assert await answer.json() == {
            "status": "error",
            "errorType": "internal",
            "error": "KeyError; the log has the details",
        }


def test_error_types_can_be_named():
    """A caller may name the error type Prometheus uses."""
    assert b'"errorType": "execution"' in error_response(422, "no", error_type="execution").body


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("127.0.0.1:9817", ("127.0.0.1", 9817)),
        (":9817", (None, 9817)),
        ("[::1]:9817", ("::1", 9817)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_addresses(listen, expected):
    """Addresses have the form of Prometheus' flags."""
    assert split_address(listen) == expected


@pytest.mark.parametrize(
    ("listen", "message"),
    [
        pytest.param("9817", "cannot listen on '9817': it is not host:port, such as 127.0.0.1:9817 or :9817", id="bare port"),
        pytest.param("localhost:http", "cannot listen on 'localhost:http': it is not host:port, such as 127.0.0.1:9817 or :9817", id="name"),
        pytest.param("a:70000", "cannot listen on 'a:70000': it is not host:port, such as 127.0.0.1:9817 or :9817", id="too high"),
        pytest.param("::1:9817", "cannot listen on '::1:9817': write an IPv6 address in brackets, such as [::1]:9817", id="bare IPv6"),
        pytest.param("192.0.2.1:0", "cannot listen on 192.0.2.1:0: this machine has no such address; choose another --web.listen-address", id="foreign address"),
    ],
)  # fmt: skip
async def test_addresses_that_cannot_be_listened_on(listen, message):
    """The error says what is wrong with the address and what to do."""
    with pytest.raises(ListenError) as caught:
        await WebServer(web.Application(), listen=listen).start()
    assert str(caught.value) == message


async def test_a_taken_port_is_named(serve):
    """The second server on a port says so and leaves the first alone."""
    first = await serve(an_app())
    address = first.url.removeprefix("http://")
    with pytest.raises(ListenError) as caught:
        await WebServer(an_app(), listen=address).start()
    assert str(caught.value) == (
        f"cannot listen on {address}: address already in use; stop the other program or choose another --web.listen-address"
    )


async def test_stopping_does_not_wait_for_streams(serve, client):
    """Clients that hang on an endless stream are cut off within five seconds."""
    cancelled = asyncio.Event()

    async def endless(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"hello\n")
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    app = an_app()
    app.router.add_get("/endless", endless)
    server = await serve(app)
    async with client.get(server.url + "/endless") as answer:
        assert await answer.content.readline() == b"hello\n"
        began = time.monotonic()
        await server.stop()
        assert time.monotonic() - began < 5
        await asyncio.wait_for(cancelled.wait(), 1)
    await server.stop()
