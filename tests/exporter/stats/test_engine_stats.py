"""How the question is asked: over a unix socket, as a Docker daemon understands it."""

import json
from pathlib import Path

import pytest
from aiohttp import web

from exporter.docker.engine import DockerEngine
from exporter.errors import ContainerGoneError, DockerForbiddenError

ANSWER = json.loads((Path(__file__).parent / "cgroup2.json").read_text())


class Daemon:
    """Answers one question with what the test says, and keeps what it was asked."""

    def __init__(self):
        self.status, self.answer, self.asked = 200, ANSWER, []

    async def version(self, _):
        """Return an API version."""
        return web.json_response({"ApiVersion": "1.45", "MinAPIVersion": "1.24"})

    async def stats(self, request):
        """Return what the test says."""
        self.asked.append((request.match_info["id"], dict(request.query)))
        return web.json_response(self.answer, status=self.status)


@pytest.fixture
async def daemon(tmp_path):
    """A daemon at docker.sock."""
    daemon = Daemon()
    app = web.Application()
    app.router.add_get("/version", daemon.version)
    app.router.add_get("/v1.45/containers/{id}/stats", daemon.stats)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, f"{tmp_path}/docker.sock").start()
    yield daemon
    await runner.cleanup()


@pytest.fixture
async def engine(tmp_path):
    """An engine that talks to it."""
    engine = DockerEngine(f"unix://{tmp_path}/docker.sock")
    yield engine
    await engine.close()


async def test_one_reading(daemon, engine):
    """No stream, and no waiting for the second reading that a rate would take; the answer is not changed."""
    assert await engine.stats("4f0c") == ANSWER
    (asked,) = daemon.asked
    assert (asked[0], {key: value.lower() for key, value in asked[1].items()}) == (
        "4f0c",
        {"stream": "false", "one-shot": "true"},
    )


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        pytest.param(404, "No such container: 4f0c", ContainerGoneError, id="no such container"),
        pytest.param(403, "forbidden", DockerForbiddenError, id="a socket proxy that does not pass it"),
    ],
)
async def test_refusals(daemon, engine, status, message, error):
    """Each is one of our errors."""
    daemon.status, daemon.answer = status, {"message": message}
    with pytest.raises(error):
        await engine.stats("4f0c")
