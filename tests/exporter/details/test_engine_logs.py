"""How logs are asked of a Docker daemon: over a unix socket, answered as it does."""

import pytest
from aiohttp import web

from exporter.docker.engine import DockerEngine
from exporter.errors import ContainerGoneError, DockerForbiddenError, DockerLostError


class Daemon:
    """Answers every request for logs with what the test says, and keeps what it was asked."""

    def __init__(self, path):
        self.address = f"unix://{path}"
        self.answer, self.asked = web.Response(), []

    async def version(self, _):
        """Return an API version."""
        return web.json_response({"ApiVersion": "1.45", "MinAPIVersion": "1.24"})

    async def logs(self, request):
        """Return what the test says, in pieces if they are many."""
        self.asked.append((request.match_info["id"], dict(request.query)))
        if isinstance(self.answer, web.Response):
            return self.answer
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in self.answer:
            await response.write(piece)
        return response


@pytest.fixture
async def daemon(tmp_path):
    """A daemon at docker.sock that knows nothing but logs: the question must be one question."""
    path = tmp_path / "docker.sock"
    daemon = Daemon(path)
    app = web.Application()
    app.router.add_get("/version", daemon.version)
    app.router.add_get("/v1.45/containers/{id}/logs", daemon.logs)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    yield daemon
    await runner.cleanup()


@pytest.fixture
async def engine(daemon):
    """An engine for that daemon."""
    engine = DockerEngine(daemon.address, timeout=5)
    yield engine
    await engine.close()


async def test_question_and_answer(engine, daemon):
    """Both streams with times, as bytes, whatever they are."""
    daemon.answer = (b"\x01\0\0\0\0\0\0\x04ab", b"c\n", b"\xff\xfe")
    assert await engine.logs("4f0c", tail=12, most_bytes=1000) == b"\x01\0\0\0\0\0\0\x04abc\n\xff\xfe"
    assert daemon.asked == [("4f0c", {"stdout": "1", "stderr": "1", "timestamps": "1", "tail": "12"})]


async def test_no_more_than_wanted(engine, daemon):
    """A daemon that goes on and on is cut off."""
    daemon.answer = (b"x" * 65536 for _ in range(100))
    assert len(await engine.logs("4f0c", tail=200, most_bytes=100_000)) == 100_000
    daemon.answer = (b"next",)
    assert await engine.logs("4f0c", tail=200, most_bytes=100_000) == b"next"


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        pytest.param(404, "No such container: 4f0c", ContainerGoneError, id="gone"),
        pytest.param(403, "", DockerForbiddenError, id="a socket proxy refuses"),
        pytest.param(501, "configured logging driver does not support reading", DockerLostError, id="no logs to read"),
    ],
)  # fmt: skip
async def test_refusals(engine, daemon, status, message, error):
    """Each is one of our errors, in the daemon's words."""
    daemon.answer = web.json_response({"message": message}, status=status)
    with pytest.raises(error) as caught:
        await engine.logs("4f0c", tail=12, most_bytes=1000)
    assert type(caught.value) is error
    assert message in str(caught.value)
