"""Both pages over a real socket: who may ask, what is answered, and what Docker does meanwhile."""

import asyncio
import json
import struct

import aiohttp
import pytest
from yarl import URL

from exporter.cgroups.usage import MemoryUsage, Usage
from exporter.details.api import MOST_BYTES, mount
from exporter.details.store import Details
from exporter.docker.containers import Status
from exporter.errors import ContainerGoneError, DockerForbiddenError, DockerTimeoutError
from tests.exporter.stories import EPOCH, ID, Story, facts
from vakhta.secrets import Secret
from vakhta.web import Readiness, WebServer, base_app

TOKEN = "correct-horse-battery"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PAGES = ("/api/v1/containers/web", "/api/v1/containers/web/logs")


def frame(text, stream=1):
    """Return one log message as the daemon frames it."""
    message = b"2026-09-21T14:13:20.123456789Z " + text
    return struct.pack(">BxxxL", stream, len(message)) + message


class Engine:
    """Docker as far as the pages ask it; what it answers is the test's to say."""

    def __init__(self):
        self.facts = facts()
        self.raw = frame(b"one\n") + frame(b"two password=x1\n", 2)
        self.fault = None
        self.hangs = asyncio.Event()
        self.hangs.set()
        self.inspected, self.logged = [], []

    async def inspect(self, container):
        """Answer, fail, or wait."""
        self.inspected.append(container)
        await self.hangs.wait()
        if self.fault:
            raise self.fault
        return self.facts

    async def logs(self, container, *, tail, most_bytes):
        """Answer or fail."""
        self.logged.append((container, tail))
        if self.fault:
            raise self.fault
        return self.raw[:most_bytes]


class Served:
    """A server with the pages, a story for it to tell of, and a client."""

    def __init__(self, session, **options):
        self.session = session
        self.story = Story(options.pop("told", facts()))
        self.engine = Engine()
        self.details = Details(host_name=lambda: "host-1")
        self.app = base_app(title="test", links={}, ready=lambda: Readiness(ok=True))
        plain = {
            "snapshot": self.story.inventory.snapshot,
            "engine": self.engine,
            "token": Secret(TOKEN),
            "logs": True,
            "inspect_seconds": 5.0,
        }
        mount(
            self.app,
            details=self.details,
            host_name=lambda: "host-1",
            clock=lambda: self.story.now,
            **{**plain, **options},
        )
        self.server = WebServer(self.app)

    async def get(self, path, *, headers=BEARER, method="GET"):
        """Return (status, headers, body as JSON or None)."""
        url = URL(self.server.url + path, encoded=True)
        async with self.session.request(method, url, headers=headers) as answer:
            body = await answer.read()
            return answer.status, answer.headers, json.loads(body) if body else None


@pytest.fixture
async def serve():
    """Start servers; all are stopped afterwards."""
    servers = []
    async with aiohttp.ClientSession(trust_env=False, timeout=aiohttp.ClientTimeout(total=10)) as session:

        async def start(**options):
            served = Served(session, **options)
            await served.server.start()
            servers.append(served.server)
            return served

        yield start
        for server in servers:
            await server.stop()


def told_error(answer):
    """Return (status, kind, sentence) of an error."""
    status, _, body = answer
    assert body["status"] == "error"
    return status, body["errorType"], body["error"]


# --- who may ask ---


@pytest.mark.parametrize("path", PAGES)
async def test_off_without_a_token(serve, path):
    """Whoever asks is told how to switch it on."""
    served = await serve(token=None)
    status, kind, said = told_error(await served.get(path))
    assert (status, kind) == (404, "not_found")
    assert "VAKHTA_API_TOKEN" in said
    assert "api.token_file" in said


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"Authorization": "Bearer wrong"}, id="another token"),
        pytest.param({"Authorization": f"Bearer {TOKEN}x"}, id="a longer token"),
        pytest.param({"Authorization": "Bearer"}, id="no token"),
        pytest.param({"Authorization": f"Basic {TOKEN}"}, id="another scheme"),
        pytest.param({"Authorization": TOKEN}, id="no scheme"),
        pytest.param({"Authorization": "Bearer t\u00f6ken"}, id="beyond ASCII"),
    ],
)
async def test_strangers(serve, path, headers):
    """They learn nothing, not even whether the container exists."""
    served = await serve()
    answer = await served.get(path, headers=headers)
    assert told_error(answer)[:2] == (401, "unauthorized")
    assert answer[1]["WWW-Authenticate"] == 'Bearer realm="vakhta-exporter"'
    assert (served.engine.inspected, served.engine.logged) == ([], [])


async def test_bytes_that_are_no_text(serve):
    """A header of odd bytes is a wrong token, not a fault."""
    served = await serve()
    url = URL(served.server.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    async with asyncio.timeout(10):
        writer.write(
            b"GET /api/v1/containers/web HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\nConnection: close\r\n\r\n"
        )
        assert b" 401 " in await reader.readline()
        await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_scheme_in_any_case(serve):
    """As HTTP has it."""
    served = await serve()
    assert (await served.get(PAGES[0], headers={"Authorization": f"bEARER  {TOKEN}"}))[0] == 200


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
async def test_only_get(serve, path, method):
    """Nothing here can be changed."""
    served = await serve()
    status, headers, _ = await served.get(path, method=method)
    assert (status, headers["Allow"]) == (405, "GET")


# --- details ---


async def test_details(serve):
    """What a fresh inspect says, with what is remembered; kept by nobody on the way."""
    served = await serve(told=facts(memory_limit=512))
    usage = Usage(memory=MemoryUsage(usage_bytes=5, working_set_bytes=5))
    served.details.observe(served.story.inventory.snapshot(EPOCH), {ID: usage}, float(EPOCH))
    served.engine.facts = facts(memory_limit=512, status=Status.PAUSED)
    served.story.wait(1)
    status, headers, body = await served.get("/api/v1/containers/web")
    assert status == 200
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert (body["v"], body["host"], body["id"], body["state"]) == (1, "host-1", ID, "paused")
    assert body["observed_at"] == "2026-09-21T14:13:21.000000Z"
    assert body["memory"] == {"usage_bytes": 5, "limit_bytes": 512, "at": "2026-09-21T14:13:20.000000Z"}
    assert served.engine.inspected == [ID]


async def test_nobody_need_have_scraped(serve):
    """What the inventory knows is looked up before each answer."""
    served = await serve()
    assert len(served.details) == 0
    served.story.play("10 die 3")
    served.engine.fault = DockerTimeoutError("no answer")
    assert (await served.get("/api/v1/containers/web"))[2]["exit_code"] == 3


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(DockerTimeoutError("no answer"), id="hangs"),
        pytest.param(DockerForbiddenError("no"), id="refuses"),
        pytest.param(ContainerGoneError("gone"), id="knows it no more"),
    ],
)
async def test_docker_does_not_answer(serve, fault):
    """What is known does, and says how old it is."""
    served = await serve(known_at=lambda: EPOCH - 30.0)
    served.engine.fault = fault
    status, _, body = await served.get("/api/v1/containers/web")
    assert (status, body["state"], body["observed_at"]) == (200, "running", "2026-09-21T14:12:50.000000Z")


async def test_docker_hangs(serve):
    """An answer comes after the time an inspect has."""
    served = await serve(inspect_seconds=0.05)
    served.engine.hangs.clear()
    assert (await served.get("/api/v1/containers/web"))[2]["state"] == "running"


async def test_without_docker(serve):
    """With the docker collector off only what is known answers."""
    served = await serve(engine=None)
    assert (await served.get("/api/v1/containers/web"))[0] == 200
    assert told_error(await served.get("/api/v1/containers/web/logs"))[:2] == (503, "unavailable")


async def test_one_inspect_for_all_who_wait(serve):
    """Many who ask at once cost Docker one question; an answer that was given is not given again."""
    arrived = asyncio.Semaphore(0)

    def snapshot(now):
        arrived.release()
        return served.story.inventory.snapshot(now)

    served = await serve(snapshot=snapshot)
    served.engine.hangs.clear()
    asking = [asyncio.create_task(served.get("/api/v1/containers/web")) for _ in range(5)]
    async with asyncio.timeout(10):
        for _ in asking:
            await arrived.acquire()
        served.engine.hangs.set()
        assert [status for status, *_ in await asyncio.gather(*asking)] == [200] * 5
    assert len(served.engine.inspected) == 1
    await served.get("/api/v1/containers/web")
    assert len(served.engine.inspected) == 2


async def test_died_while_asked(serve):
    """What events told meanwhile is newer than the inspect's answer."""
    arrived = asyncio.Event()

    def snapshot(now):
        arrived.set()
        return served.story.inventory.snapshot(now)

    served = await serve(snapshot=snapshot)
    served.engine.hangs.clear()
    asking = asyncio.create_task(served.get("/api/v1/containers/web"))
    async with asyncio.timeout(10):
        await arrived.wait()
        served.story.play("10 die 3")
        served.engine.hangs.set()
        _, _, body = await asking
    assert (body["state"], body["exit_code"], body["exit_reason"]) == ("exited", 3, "error")


async def test_recreated_while_asked(serve):
    """The old container's inspect says nothing about the new one."""
    served = await serve()
    served.engine.facts = facts(id="77" * 32, status=Status.DEAD)
    assert (await served.get("/api/v1/containers/web"))[2]["state"] == "running"


@pytest.mark.parametrize(
    ("path", "known"),
    [
        pytest.param("web", True, id="as it is"),
        pytest.param("%77eb", True, id="encoded"),
        pytest.param("other", False, id="another"),
        pytest.param("web%2F", False, id="a slash"),
        pytest.param("%2Fweb", False, id="as an inspect writes it"),
        pytest.param("..", False, id="dots"),
        pytest.param("%00", False, id="a control character"),
        pytest.param("%ff", False, id="no UTF-8"),
        pytest.param("", False, id="no name"),
        pytest.param(ID, False, id="an id"),
        pytest.param("web/archive", False, id="another page"),
    ],
)
async def test_names(serve, path, known):
    """Exactly a container's name, nothing else."""
    answer = await (await serve()).get(f"/api/v1/containers/{path}")
    assert answer[0] == (200 if known else 404)
    if not known:
        assert told_error(answer)[1] == "not_found"


async def test_every_character_a_name_may_have(serve):
    """Letters, digits, underscore, dot, hyphen."""
    name = "a1_B.c-9__..--Z"
    served = await serve(told=facts(name=name))
    served.engine.facts = facts(name=name)
    for written in (name, name.replace(".", "%2E").replace("_", "%5f")):
        assert (await served.get(f"/api/v1/containers/{written}"))[2]["name"] == name


async def test_gone(serve):
    """It is still told of, without asking Docker; its logs are gone."""
    served = await serve()
    await served.get("/api/v1/containers/web")
    served.engine.inspected.clear()
    served.story.play("10 kill 9\n10.1 die 137\n10.2 destroy")
    status, _, body = await served.get("/api/v1/containers/web")
    assert (status, body["exit_reason"], served.engine.inspected) == (200, "requested", [])
    status, kind, said = told_error(await served.get("/api/v1/containers/web/logs"))
    assert (status, kind) == (404, "not_found")
    assert "removed" in said
    assert served.engine.logged == []


# --- logs ---


async def test_logs(serve):
    """Lines with their times and streams, what looked like a secret masked and counted."""
    served = await serve(told=facts(labels={"com.docker.compose.project": "shop"}))
    status, headers, body = await served.get("/api/v1/containers/web/logs")
    at = "2026-09-21T14:13:20.123456Z"
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert body == {
        "v": 1,
        "host": "host-1",
        "observed_at": "2026-09-21T14:13:20.000000Z",
        "id": ID,
        "name": "web",
        "project": "shop",
        "service": "web",
        "masked": 1,
        "truncated": False,
        "lines": [
            {"at": at, "stream": "stdout", "text": "one"},
            {"at": at, "stream": "stderr", "text": "two password=***"},
        ],
    }
    assert served.engine.logged == [(ID, 13)]


@pytest.mark.parametrize(
    ("query", "tail"),
    [
        pytest.param("tail=1", 1, id="one"),
        pytest.param("tail=200", 200, id="most"),
        pytest.param("tail=007", 7, id="with zeros"),
        pytest.param("x=1", 12, id="not given"),
        pytest.param("tail=0", None, id="none"),
        pytest.param("tail=201", None, id="too many"),
        pytest.param("tail=-1", None, id="negative"),
        pytest.param("tail=all", None, id="all"),
        pytest.param("tail=", None, id="empty"),
        pytest.param("tail=1.5", None, id="a fraction"),
        pytest.param("tail=%D9%A1", None, id="a digit beyond ASCII"),
        pytest.param("tail=" + "1" * 5000, None, id="a very long number"),
    ],
)
async def test_tail(serve, query, tail):
    """From 1 to 200; anything else is said to be wrong, and Docker is not asked."""
    served = await serve()
    answer = await served.get(f"/api/v1/containers/web/logs?{query}")
    # One more, to know whether the first that is shown is a whole line.
    assert served.engine.logged == ([] if tail is None else [(ID, tail + 1)])
    if tail is None:
        assert told_error(answer) == (400, "bad_data", "tail: it is a number of lines, from 1 to 200")


async def test_logs_are_off_unless_switched_on(serve):
    """The token alone does not open them."""
    served = await serve(logs=False)
    status, kind, said = told_error(await served.get("/api/v1/containers/web/logs"))
    assert (status, kind) == (403, "forbidden")
    assert "api: {logs: true}" in said
    assert served.engine.logged == []
    assert (await served.get("/api/v1/containers/web"))[0] == 200


@pytest.mark.parametrize(
    ("value", "status"),
    [("off", 403), (" OFF ", 403), ("on", 200), ("", 200)],
)
async def test_a_container_that_keeps_its_logs(serve, value, status):
    """Its label says so."""
    served = await serve(told=facts(labels={"vakhta.logs": value}))
    answer = await served.get("/api/v1/containers/web/logs")
    assert answer[0] == status
    if status == 403:
        assert told_error(answer)[2] == "web: its label vakhta.logs=off keeps its logs to itself"
        assert served.engine.logged == []


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        pytest.param(ContainerGoneError("no such container"), 404, "removed", id="gone meanwhile"),
        pytest.param(DockerTimeoutError("Docker did not answer"), 503, "Docker did not answer", id="hangs"),
        pytest.param(
            DockerForbiddenError("let the proxy pass it"), 503, "let the proxy pass it", id="refuses"
        ),
    ],
)
async def test_docker_gives_no_logs(serve, fault, status, said):
    """The reason is told."""
    served = await serve()
    served.engine.fault = fault
    answer = told_error(await served.get("/api/v1/containers/web/logs"))
    assert answer[0] == status
    assert said in answer[2]


async def test_unknown_container_has_no_logs(serve):
    """Nor is Docker asked about it."""
    served = await serve()
    assert told_error(await served.get("/api/v1/containers/other/logs"))[0] == 404
    assert served.engine.logged == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"x" * 16000, id="plain"),
        pytest.param(b'"\\\x01' * 5000, id="signs that JSON writes longer"),
        pytest.param("ы".encode() * 8000, id="beyond ASCII"),
        pytest.param(b"\xff" * 16000, id="no text"),
    ],
)
async def test_at_most_64_kib(serve, text):
    """Two hundred of the longest messages there are."""
    served = await serve()
    served.engine.raw = frame(text + b"\n") * 200
    async with served.session.get(
        f"{served.server.url}/api/v1/containers/web/logs?tail=200", headers=BEARER
    ) as answer:
        body = await answer.read()
    assert len(body) <= MOST_BYTES
    found = json.loads(body)
    assert found["truncated"] is True
    assert len(found["lines"]) > 10


async def test_labels_too_long_for_any_line(serve):
    """No room for lines is no fault."""
    served = await serve(told=facts(labels={"com.docker.compose.project": "p" * 70000}))
    body = (await served.get("/api/v1/containers/web/logs"))[2]
    assert (body["lines"], body["truncated"]) == ([], True)


async def test_environment_never_appears(serve):
    """Nothing an inspect says beyond the page's keys gets out."""
    served = await serve()
    _, _, body = await served.get("/api/v1/containers/web")
    assert set(body) == {
        *("v", "host", "observed_at", "id", "name", "project", "service", "replica", "replicas", "image", "image_id"),
        *("image_changed_at", "previous_image", "state", "exit_code", "exit_reason", "signal", "oom_killed", "error"),
        *("started_at", "finished_at", "last_uptime_seconds", "restart_policy", "restart_count", "health", "memory"),
    }  # fmt: skip
