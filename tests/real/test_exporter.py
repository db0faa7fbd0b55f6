"""The exporter against a real Docker daemon: every fact is there at its tick, and a deploy looks like no crash.

The exporter runs in this process. A test scrapes at the start and after every tick, never in between: what a tick is about must be in the
scrape that follows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from exporter.docker.engine import DockerEngine
from exporter.errors import DockerForbiddenError
from tests.real.lint import complaints
from tests.real.watching import CRASHES, Scrape, Watching, docker, run, watching
from tests.size import FULL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.real.conftest import Tool
    from tests.real.engine import Engine

HANGS_SECONDS = 30 if FULL else 10
STUBBORN = "trap '' TERM; while :; do sleep 0.2; done"
COMPOSE = """\
services:
  web:
    image: busybox:{tag}
    command: sh -c "trap '' TERM; while :; do sleep 0.2; done"
    restart: always
    stop_grace_period: 1s
"""


@pytest.fixture
async def watch(engine: Engine, tmp_path: Path) -> AsyncIterator[Watching]:
    """An exporter that watches the engine, which has no containers yet."""
    async with watching(engine, tmp_path) as it:
        yield it


async def test_killed(engine: Engine, watch: Watching, promtool: Tool) -> None:
    """Docker kill: down, killed, 137, told within a second; usage came from the cgroup while it ran."""
    id_ = await run(
        engine,
        "web",
        STUBBORN,
        "-m",
        "64m",
        "-l",
        "com.docker.compose.project=shop",
        "-l",
        "com.docker.compose.service=api",
    )
    scrape = await watch.until(lambda scrape: scrape.get("container_memory_usage_bytes", name="web"))
    assert scrape.state("web") == "running"
    assert (
        scrape.get("container_state_status", name="web", project="shop", service="api", status="running") == 1
    )
    assert scrape.get("compose_service_containers", project="shop", service="api", state="running") == 1
    assert 0 < (scrape.get("container_memory_usage_bytes", name="web") or 0) < 64 * 2**20
    assert scrape.get("container_cpu_usage_seconds_total", id=f"/docker/{id_}", cpu="total") is not None
    assert (scrape.get("container_memory_usage_bytes", id="/") or 0) > 64 * 2**20
    await docker(engine, "kill", "web")
    scrape = await watch.until(lambda scrape: scrape.state("web") == "exited", within=2)
    assert (scrape.reason("web"), scrape.exits("web")) == ("killed", {})
    # Counted only when a removal can no longer explain the SIGKILL, ten seconds after it.
    scrape = await watch.until(lambda scrape: scrape.exits("web"), within=15)
    assert (scrape.reason("web"), scrape.exits("web")) == ("killed", {"killed": 1})
    assert scrape.get("container_last_exit_code", name="web") == 137
    assert scrape.get("container_memory_usage_bytes", name="web") is None
    assert scrape.get("container_last_seen", id=f"/docker/{id_}") is not None
    (seconds,) = [
        at - scrape.get("container_last_exit_timestamp_seconds", name="web")
        for tick, at in watch.ticks
        if tick.get("reason") == "die"
    ]
    assert seconds < 1
    assert await asyncio.to_thread(complaints, promtool, scrape.text) == []


async def test_restarted_by_policy(engine: Engine, watch: Watching) -> None:
    """Exit 7 with restart always: restarting, never exited, and every exit and restart counted."""
    await run(engine, "web", "sleep 0.2; exit 7", "--restart", "always")
    scrape = await watch.until(lambda scrape: (scrape.get("container_restarts_total", name="web") or 0) >= 2)
    assert (scrape.reason("web"), scrape.get("container_last_exit_code", name="web")) == ("error", 7)
    assert scrape.exits("web")["error"] in (2, 3)
    assert "exited" not in {scrape.state("web") for scrape in watch.scrapes}
    await docker(engine, "stop", "-t", "0", "web")
    await watch.until(lambda scrape: scrape.state("web") == "exited" and scrape.reason("web") == "requested")
    assert not watch.alarms("web")


async def test_tries_are_exhausted(engine: Engine, watch: Watching) -> None:
    """on-failure:2: down after the third exit, and never before."""
    await run(engine, "web", "sleep 0.1; exit 7", "--restart", "on-failure:2")
    scrape = await watch.until(lambda scrape: scrape.state("web") == "exited")
    assert (scrape.exits("web"), scrape.get("container_restarts_total", name="web")) == ({"error": 3}, 2)


async def test_out_of_memory(engine: Engine, watch: Watching) -> None:
    """The kernel kills the main process: reason oom, counted once, dated."""
    await run(engine, "web", "sleep 0.2; exec tail /dev/zero", "-m", "16m")
    scrape = await watch.until(lambda scrape: scrape.state("web") == "exited")
    assert (scrape.reason("web"), scrape.exits("web")) == ("oom", {"oom": 1})
    assert scrape.get("container_oom_events_total", name="web") == 1
    assert abs((scrape.get("container_last_oom_timestamp_seconds", name="web") or 0) - time.time()) < 5


async def test_health(engine: Engine, watch: Watching) -> None:
    """A check that fails and recovers: each verdict at its tick; none once it is stopped."""
    flags = (
        "--health-cmd",
        "test -f /ok",
        "--health-interval",
        "200ms",
        "--health-retries",
        "1",
        "--stop-signal",
        "KILL",
    )
    await run(engine, "web", "touch /ok; sleep 1000", *flags)
    seen = [
        await watch.until(
            lambda scrape: scrape.get("container_state_health_status", name="web", status="healthy")
        )
    ]
    await docker(engine, "exec", "web", "rm", "/ok")
    seen.append(
        await watch.until(
            lambda scrape: scrape.get("container_state_health_status", name="web", status="unhealthy")
        )
    )
    await docker(engine, "exec", "web", "touch", "/ok")
    seen.append(
        await watch.until(
            lambda scrape: scrape.get("container_state_health_status", name="web", status="healthy")
        )
    )
    assert [scrape.get("container_health_state", name="web") for scrape in seen] == [1, 0, 1]
    await docker(engine, "kill", "-s", "KILL", "web")
    scrape = await watch.until(lambda scrape: scrape.state("web") == "exited")
    assert scrape.get("container_state_health_status", name="web", status="none") == 1
    assert scrape.reason("web") == "requested", "SIGKILL is its stop signal"


async def test_stopped_against_its_will(engine: Engine, watch: Watching) -> None:
    """Docker stop of an application that ignores SIGTERM ends it with 137, and is a request at every tick."""
    await run(engine, "web", STUBBORN, "--restart", "always")
    await docker(engine, "stop", "-t", "1", "web")
    scrape = await watch.until(lambda scrape: scrape.state("web") == "exited")
    assert (scrape.reason("web"), scrape.exits("web")) == ("requested", {"requested": 1})
    assert scrape.get("container_last_exit_code", name="web") == 137
    assert not watch.alarms("web")


async def test_removed_by_force(engine: Engine, watch: Watching) -> None:
    """Docker rm -f is a request; the name's counters go on with the next container of that name."""
    await run(engine, "web", STUBBORN)
    await watch.until(lambda scrape: scrape.state("web") == "running")
    await docker(engine, "rm", "-f", "web")
    await watch.until(lambda scrape: scrape.state("web") is None)
    await run(engine, "web", STUBBORN)
    scrape = await watch.until(lambda scrape: scrape.state("web") == "running")
    assert scrape.exits("web") == {"requested": 1}
    assert not watch.alarms("web")


async def test_restarted_on_request(engine: Engine, watch: Watching) -> None:
    """Docker restart is neither a crash nor a restart of ours."""
    await run(engine, "web", STUBBORN)
    await watch.until(lambda scrape: scrape.state("web") == "running")
    await docker(engine, "restart", "-t", "0", "web")
    scrape = await watch.until(lambda scrape: scrape.exits("web") and scrape.state("web") == "running")
    assert (scrape.exits("web"), scrape.get("container_restarts_total", name="web")) == ({"requested": 1}, 0)
    assert not watch.alarms("web")


async def test_paused_and_renamed(engine: Engine, watch: Watching) -> None:
    """Pause and unpause are states; a rename takes the history along."""
    await run(engine, "web", STUBBORN)
    await docker(engine, "pause", "web")
    await watch.until(lambda scrape: scrape.state("web") == "paused")
    await docker(engine, "unpause", "web")
    await watch.until(lambda scrape: scrape.state("web") == "running")
    await docker(engine, "restart", "-t", "0", "web")
    await docker(engine, "rename", "web", "api")
    scrape = await watch.until(
        lambda scrape: scrape.state("api") == "running" and scrape.state("web") is None
    )
    assert scrape.exits("api") == {"requested": 1}


async def test_a_deploy_looks_like_no_crash(engine: Engine, watch: Watching, tmp_path: Path) -> None:
    """Compose up with a change, restart, and down: the container never looks crashed, and a name is one series."""

    def running(scrape: Scrape) -> float | None:
        return scrape.get("compose_service_containers", project="shop", service="web", state="running")

    project = tmp_path / "shop"
    project.mkdir()
    for tag, command in (("1.35", ("up", "-d")), ("1.36", ("up", "-d")), ("1.36", ("restart",))):
        (project / "compose.yml").write_text(COMPOSE.format(tag=tag))
        deploy = asyncio.create_task(asyncio.to_thread(engine.compose, project, *command))
        await watch.until(lambda scrape, done=deploy: done.done() and running(scrape) == 1, within=30)
    await asyncio.to_thread(engine.compose, project, "down")
    scrape = await watch.until(lambda scrape: running(scrape) is None)
    assert scrape.state("shop-web-1") is None
    assert not watch.alarms("shop-web-1")


async def test_the_exporter_is_restarted(engine: Engine, tmp_path: Path) -> None:
    """Reasons and counters are kept, and what happened meanwhile is learnt from the daemon's memory of events."""
    async with watching(engine, tmp_path) as first:
        await run(engine, "old", "exit 7")
        await run(engine, "new", "until [ -f /go ]; do sleep 0.05; done; exit 9")
        await first.until(lambda scrape: scrape.exits("old") and scrape.state("new") == "running")
    await docker(engine, "exec", "new", "touch", "/go")
    await docker(engine, "wait", "new")
    async with watching(engine, tmp_path) as second:
        scrape = second.scrapes[-1]
        assert [scrape.reason(name) for name in ("old", "new")] == ["error", "error"]
        assert [scrape.exits(name) for name in ("old", "new")] == [{"error": 1}, {"error": 1}]
    async with watching(engine, tmp_path / "empty") as third:
        # One that ended just now is given a moment for its event, which a fresh exporter does not ask for.
        scrape = await third.until(
            lambda scrape: [scrape.reason(name) for name in ("old", "new")] == ["unknown", "unknown"]
        )
        assert [scrape.get("container_last_exit_code", name=name) for name in ("old", "new")] == [7, 9]
        assert scrape.exits("new") == {}


async def test_the_daemon_is_restarted(engine: Engine, watch: Watching) -> None:
    """Down and up again are told; containers that come back with it did not crash."""
    await run(engine, "web", STUBBORN, "--restart", "always", "--stop-timeout", "1")
    await watch.until(lambda scrape: scrape.state("web") == "running")
    await asyncio.to_thread(engine.down)
    scrape = await watch.until(lambda scrape: scrape.get("docker_up") == 0)
    assert scrape.get("vakhta_docker_events_connected") == 0
    assert scrape.state("web") is not None, "the last known facts stay"
    await asyncio.to_thread(engine.up)
    scrape = await watch.until(
        lambda scrape: scrape.get("docker_up") == 1 and scrape.state("web") == "running"
    )
    assert not CRASHES & scrape.exits("web").keys()
    assert not watch.alarms("web")


async def test_the_daemon_hangs(engine: Engine, watch: Watching) -> None:
    """A frozen daemon holds up no scrape; it is told down, its facts stay, and it is told up once it answers."""
    await run(engine, "web", STUBBORN)
    await watch.until(lambda scrape: scrape.state("web") == "running")
    engine.freeze()
    thaw_at = time.monotonic() + HANGS_SECONDS
    try:
        scrape = await watch.until(lambda scrape: scrape.get("docker_up") == 0)
        assert (scrape.get("vakhta_docker_facts_age_seconds") or 0) > 1
        while time.monotonic() < thaw_at:
            assert (scrape.state("web"), scrape.get("docker_up"), scrape.seconds < 1) == ("running", 0, True)
            assert scrape.get("container_memory_usage_bytes", name="web") is not None, (
                "cgroups need no daemon"
            )
            await asyncio.sleep(0.5)
            scrape = await watch.scrape()
    finally:
        engine.thaw()
    await watch.until(lambda scrape: scrape.get("docker_up") == 1)
    assert [tick["reason"] for tick, _ in watch.ticks if tick.get("reason", "").startswith("docker_")][
        -2:
    ] == ["docker_down", "docker_up"]


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Be nobody for a while, in all threads, and in no group."""
    user, group, groups = os.geteuid(), os.getegid(), os.getgroups()
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        os.setegid(group)
        os.setgroups(groups)


async def test_a_socket_that_may_not_be_opened(engine: Engine) -> None:
    """Another user is told what to do."""
    asking = DockerEngine(engine.host)
    with nobody():
        with pytest.raises(DockerForbiddenError) as caught:
            await asking.ping()
        await asking.close()
    assert str(caught.value) == (
        f"permission denied on {engine.socket_path}: this user may not talk to Docker; add the user to group docker, or run "
        "vakhta-exporter as root or behind a socket proxy"
    )


class Proxy:
    """A socket before the daemon's that passes one request per connection, and holds those whose path has a certain word."""

    def __init__(self, upstream: Path, path: Path) -> None:
        self.upstream, self.path = upstream, path
        self.held = ""
        self.holding = asyncio.Event()
        self._relays: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for relay in self._relays:
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay = asyncio.current_task()
        assert relay is not None
        self._relays.add(relay)
        upward = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if self.held and self.held.encode() in head.partition(b"\r\n")[0]:
                self.holding.set()
                await asyncio.Event().wait()
            downward, upward = await asyncio.open_unix_connection(self.upstream)
            upward.write(
                head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n").replace(
                    b"Connection: keep-alive\r\n", b""
                )
            )
            while part := await downward.read(65536):
                writer.write(part)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # one side hung up, which ends the other
        finally:
            self._relays.discard(relay)
            writer.close()
            if upward is not None:
                upward.close()


async def test_one_inspect_that_hangs(engine: Engine, tmp_path: Path) -> None:
    """It holds up its own container's details and nothing else: other facts and ticks come at once, its own events too."""
    id_ = await run(engine, "stuck", "sleep 1000")
    proxied = Proxy(engine.socket_path, tmp_path / "proxy.sock")
    async with proxied as proxy, watching(engine, tmp_path, host=f"unix://{proxy.path}") as it:
        await it.until(lambda scrape: scrape.state("stuck") == "running")
        proxy.held = f"/containers/{id_}/json"
        await docker(engine, "pause", "stuck")
        await it.until(lambda scrape: scrape.state("stuck") == "paused", within=2)
        await proxy.holding.wait()
        await run(engine, "web", "exit 3")
        scrape = await it.until(lambda scrape: scrape.exits("web"), within=2)
        assert scrape.reason("web") == "error"
        await docker(engine, "kill", "stuck")
        scrape = await it.until(lambda scrape: scrape.state("stuck") == "exited", within=2)
        assert scrape.reason("stuck") == "killed"
