"""What the engine says when there is no daemon to talk to; the daemon itself is met in tests/real."""

import asyncio
import contextlib
import socket
import threading
import time

import pytest

from exporter.docker.engine import DockerEngine
from exporter.errors import (
    ContainerGoneError,
    DockerAbsentError,
    DockerForbiddenError,
    DockerLostError,
    DockerTimeoutError,
)


@contextlib.contextmanager
def listening(path, answer=None):
    """Listen on a unix socket and give every request one answer; None: accept and never answer."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    connections = []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                connections.append(connection)
                if answer is not None:
                    if connection.recv(65536):
                        connection.sendall(answer)
                    connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        for connection in connections:
            connection.close()
        thread.join(5)


@pytest.fixture
async def engine_at(tmp_path):
    """Make engines for sockets in a folder; all are closed afterwards."""
    engines = []

    def make(name="docker.sock", **options):
        engines.append(DockerEngine(f"unix://{tmp_path}/{name}", **options))
        return engines[-1]

    yield make
    for engine in engines:
        await engine.close()


async def test_no_socket(engine_at, tmp_path):
    """No daemon, or one elsewhere."""
    with pytest.raises(DockerAbsentError) as caught:
        await engine_at().ping()
    assert str(caught.value) == (
        f"Docker is not running or not installed: {tmp_path}/docker.sock does not exist; start Docker, or say where it is with "
        "docker.host or DOCKER_HOST"
    )


async def test_nobody_listens(engine_at, tmp_path):
    """The socket is there, left by a daemon that is not."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{tmp_path}/docker.sock")
    with pytest.raises(DockerAbsentError) as caught:
        await engine_at().list()
    assert str(caught.value) == (
        f"Docker is not running: nothing listens on {tmp_path}/docker.sock; start it, for example with `systemctl start docker`"
    )


async def test_events_without_a_daemon(engine_at):
    """A subscription fails with the same error."""
    with pytest.raises(DockerAbsentError):
        async with engine_at().events(since=1):
            pass


def http(status, body):
    """Return an HTTP answer."""
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        pytest.param(
            http("403 Forbidden", ""),
            DockerForbiddenError,
            "let the socket proxy pass it",
            id="a socket proxy refuses",
        ),
        pytest.param(
            http("500 Internal Server Error", '{"message": "boom"}'),
            DockerLostError,
            "answered 500",
            id="the daemon fails",
        ),
        pytest.param(
            http("404 Not Found", '{"message": "No such container: x"}'),
            ContainerGoneError,
            "No such container: x",
            id="no such container",
        ),
        pytest.param(
            http("404 Not Found", '{"message": "page not found"}'),
            DockerLostError,
            "answered 404",
            id="something else answers",
        ),
        pytest.param(
            b"SSH-2.0-OpenSSH_9.2\r\n", DockerLostError, "the connection to Docker at", id="not HTTP"
        ),
        pytest.param(b"", DockerLostError, "the connection to Docker at", id="hangs up"),
    ],
)
async def test_answers_that_are_none(engine_at, tmp_path, answer, error, words):
    """Each becomes one of our errors, naming the place."""
    with listening(tmp_path / "docker.sock", answer):
        with pytest.raises(error) as caught:
            await engine_at().inspect("x")
        assert type(caught.value) is error
        assert words in str(caught.value)
        assert f"{tmp_path}/docker.sock" in str(caught.value)


async def test_a_daemon_that_hangs(engine_at, tmp_path):
    """Every call gives up in time, and closing does not wait for the threads stuck in it."""
    with listening(tmp_path / "docker.sock"):
        engine = engine_at(timeout=0.3)
        began = time.monotonic()
        for call in (engine.list(), engine.inspect("x"), engine.info(), engine.past_events(since=1, until=2)):
            with pytest.raises(DockerTimeoutError, match=r"did not answer within 0\.3 s"):
                await call
        with pytest.raises(DockerTimeoutError):
            async with engine.events(since=1):
                pass
        await engine.close()
        assert time.monotonic() - began < 4


async def test_one_call_that_hangs_holds_up_no_other(engine_at, tmp_path):
    """More calls than any pool has threads: the last gives up when the first does."""
    with listening(tmp_path / "docker.sock"):
        engine = engine_at(timeout=0.5)
        began = time.monotonic()
        results = await asyncio.gather(
            *(engine.inspect(str(number)) for number in range(40)), return_exceptions=True
        )
        assert {type(result) for result in results} == {DockerTimeoutError}
        assert time.monotonic() - began < 3


async def test_proxies_of_the_environment_are_not_taken(engine_at, tmp_path, monkeypatch):
    """A proxy variable must not lead the question elsewhere."""
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with listening(tmp_path / "docker.sock", http("200 OK", '{"ApiVersion": "1.45"}')):
        engine = engine_at()
        await engine.ping()
        assert not engine._client(2.0).trust_env
