"""The exporter over a real Docker daemon when things are odd: churn, names and labels nobody expects, files with garbage, no files."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.processes import resident_bytes
from exporter.config import Config
from tests.real import servers
from tests.real.watching import Scrape, Watching, docker, run, watching
from tests.size import FULL
from vakhta.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.real.engine import Engine
    from tests.real.servers import Server

AT_ONCE = 5
CHURN_CONTAINERS, CHURN_SECONDS = (200, 60) if FULL else (40, 15)
TOKEN = "a-token-for-tests"


@pytest.fixture
async def watch(engine: Engine, tmp_path: Path) -> AsyncIterator[Watching]:
    """An exporter that watches the engine, which has no containers yet."""
    async with watching(engine, tmp_path) as it:
        yield it


@pytest.fixture
def exporter(engine: Engine, tmp_path: Path) -> Iterator[Server]:
    """An exporter as a process of its own, with nothing of the test in its memory."""
    port = servers.free_port()
    flags = (f"--web.listen-address=127.0.0.1:{port}", f"--storage.path={tmp_path}")
    command = ("env", f"DOCKER_HOST={engine.host}", sys.executable, "-m", "exporter", *flags)
    server = servers.start(*command, port=port, folder=tmp_path, ready="/-/ready")
    yield server
    server.stop()


async def test_containers_come_and_go(engine: Engine, exporter: Server) -> None:
    """However many were there: series, label sets, open files and memory return to where they were."""
    await run(engine, "stays", "sleep 1000")
    # Threads, their connections to Docker and what Python loads late are there from the first rush on.
    await _come_and_go(engine, exporter, seconds=0, least=2 * AT_ONCE)
    before, files, memory = _settled(exporter), _open_files(exporter), resident_bytes(exporter.process.pid)
    await _come_and_go(engine, exporter, seconds=CHURN_SECONDS, least=CHURN_CONTAINERS)
    after = _settled(exporter)
    # What was there stays known for a while: its last sight for 5 min, its counters for a day in case the name comes back.
    kept = {key for key in after.values if key[0] == "container_last_seen"}
    gained, lost = after.values.keys() - before.values.keys(), before.values.keys() - after.values.keys()
    assert {key for key in gained - kept if "churn-" in str(key)} == set()
    assert lost == set()
    assert _open_files(exporter) == files
    assert resident_bytes(exporter.process.pid) - memory < 8e6


async def _come_and_go(engine: Engine, exporter: Server, *, seconds: float, least: int) -> None:
    """Create and remove containers for so long, and at least so many."""
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end or number < least:
        names = [f"churn-{number + index}" for index in range(AT_ONCE)]
        await asyncio.gather(*(run(engine, name, "sleep 1000", "--network", "none") for name in names))
        scrape = Scrape(exporter.get("/metrics"), 0)
        assert scrape.get("container_memory_usage_bytes", name="stays") is not None
        await docker(engine, "rm", "-f", *names)
        number += len(names)


def _settled(exporter: Server) -> Scrape:
    """Scrape until nothing of what came and went is said to be there."""
    end = time.monotonic() + 10
    while _running(scrape := Scrape(exporter.get("/metrics"), 0), "churn-"):
        assert time.monotonic() < end, scrape.text
        time.sleep(0.2)
    return scrape


def _open_files(server: Server) -> list[str]:
    """Return what a process has open; of sockets, only whether there are more than a full pool of connections to Docker and a few."""
    folder = Path(f"/proc/{server.process.pid}/fd")
    links = [str(link.readlink()) for link in folder.iterdir()]
    files = sorted(link for link in links if not link.startswith("socket:"))
    return [*files, f"too many sockets: {len(links) - len(files) > 25}"]


async def test_names_and_labels(engine: Engine, watch: Watching, tmp_path: Path) -> None:
    """Every character a name may have; labels with any text, and keys that read alike as a label."""
    name = "Az09_.-x"
    labels = ("-l", 'odd.text=a"b\\c\nd é 🔴', "-l", "a.b=", "-l", "a_b=second", "-l", "a-b=third")
    await run(engine, name, "sleep 1000", *labels)
    config = Config(label_allow=("odd.text", "a.b", "a_b", "a-b"))
    async with watching(engine, tmp_path / "other", config=config) as it:
        for _ in range(3):
            scrape = await it.until(lambda scrape: scrape.get("container_memory_usage_bytes", name=name))
            found = scrape.get(
                "container_memory_usage_bytes",
                name=name,
                container_label_odd_text='a"b\\c\nd é 🔴',
                container_label_a_b="third",
            )
            assert found is not None
    assert (await watch.scrape()).state(name) == "running"


async def test_a_renamed_container(engine: Engine, watch: Watching) -> None:
    """Its series carry the new name at once, and the old one's are gone."""
    await run(engine, "before", "sleep 1000")
    await watch.until(lambda scrape: scrape.get("container_memory_usage_bytes", name="before"))
    await docker(engine, "rename", "before", "after")
    scrape = await watch.until(
        lambda scrape: scrape.get("container_memory_usage_bytes", name="after"), within=2
    )
    assert scrape.get("container_memory_usage_bytes", name="before") is None
    assert (scrape.state("before"), scrape.state("after")) == (None, "running")


async def test_a_garbage_line_in_a_cgroup_file(engine: Engine, tmp_path: Path) -> None:
    """It costs that part of that container, and the collector says so."""
    broken = await run(engine, "broken", "sleep 1000")
    await run(engine, "whole", "sleep 1000")
    garbage = tmp_path / "garbage"
    garbage.write_text("\x00not a number at all\n")
    with _mounted(garbage, Path(f"/sys/fs/cgroup/memory/docker/{broken}/memory.usage_in_bytes")):
        async with watching(engine, tmp_path / "state") as it:
            scrape = await it.scrape()
            assert scrape.get("container_memory_usage_bytes", name="broken") is None
            assert scrape.get("container_cpu_usage_seconds_total", name="broken") is not None
            assert scrape.get("container_memory_usage_bytes", name="whole") is not None
            assert scrape.get("vakhta_collector_success", collector="cgroups:memory") == 0
            assert scrape.get("vakhta_collector_success", collector="cgroups") == 1


async def test_without_cgroupfs_and_proc(engine: Engine, tmp_path: Path) -> None:
    """Docker's stats API serves the same families; which path serves is told."""
    await run(engine, "busy", "while :; do :; done", "-m", "64m")
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    async with watching(engine, tmp_path / "state", procfs=nothing, cgroupfs=nothing) as it:
        end = time.monotonic() + 30
        while (await it.scrape()).get("container_memory_usage_bytes", name="busy") is None:
            assert time.monotonic() < end, it.scrapes[-1].text
            await asyncio.sleep(0.5)
        scrape = it.scrapes[-1]
        assert 0 < (scrape.get("container_memory_usage_bytes", name="busy") or 0) < 64 * 2**20
        assert (scrape.get("container_cpu_usage_seconds_total", name="busy") or 0) > 0
        assert scrape.get("container_network_receive_bytes_total", name="busy") is not None
        success = {
            name: scrape.get("vakhta_collector_success", collector=name) for name in ("stats", "cgroups")
        }
        assert success == {"stats": 1, "cgroups": 0}


@pytest.fixture
async def with_token(engine: Engine, tmp_path: Path) -> AsyncIterator[Watching]:
    """An exporter that gives details and logs to who shows the token."""
    config = Config(token=Secret(TOKEN), logs=True)
    async with watching(engine, tmp_path, config=config) as it:
        yield it


async def test_details(engine: Engine, with_token: Watching) -> None:
    """Of a container that died of its memory limit: what a message wants to know."""
    await run(engine, "web", "sleep 1; exec tail /dev/zero", "-m", "16m")
    await with_token.until(lambda scrape: scrape.reason("web") == "oom")
    found = await _details(with_token, "web")
    assert {key: found[key] for key in ("state", "exit_code", "exit_reason", "signal", "oom_killed")} == {
        "state": "exited",
        "exit_code": 137,
        "exit_reason": "oom",
        "signal": "SIGKILL",
        "oom_killed": True,
    }
    assert found["memory"]["limit_bytes"] == 16 * 2**20


@pytest.mark.parametrize("flags", [(), ("-t",)], ids=["two streams", "a terminal"])
async def test_logs(engine: Engine, with_token: Watching, flags: tuple[str, ...]) -> None:
    """The newest lines in order, without what looks like a secret and without colours."""
    script = "echo one; printf '\\033[31mred\\033[0m\\n'; echo password=hunter2hunter2; sleep 1000"
    await run(engine, "web", script, *flags)
    await with_token.until(lambda scrape: scrape.state("web") == "running")
    end = time.monotonic() + 5
    while len((found := await _details(with_token, "web/logs?tail=3"))["lines"]) < 3:
        assert time.monotonic() < end, found
    assert [line["text"] for line in found["lines"]] == ["one", "red", "password=***"]
    assert found["masked"] == 1


async def test_no_logs_without_a_log(engine: Engine, with_token: Watching) -> None:
    """A driver that keeps none is said, in Docker's words."""
    await run(engine, "web", "sleep 1000", "--log-driver", "none")
    await with_token.until(lambda scrape: scrape.state("web") == "running")
    found = await _details(with_token, "web/logs", status=503)
    assert found["errorType"] == "unavailable"


async def _details(watch: Watching, path: str, *, status: int = 200) -> dict:  # type: ignore[type-arg] # JSON
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with watch.client.get(f"{watch.exporter.url}/api/v1/containers/{path}", headers=headers) as answer:
        assert answer.status == status, await answer.text()
        return dict(await answer.json())


def _running(scrape: object, prefix: str) -> bool:
    return any(
        name == "container_state_status" and prefix in str(labels)
        for name, labels in scrape.values  # type: ignore[attr-defined] # a Scrape
    )


@contextmanager
def _mounted(source: Path, target: Path) -> Iterator[None]:
    """Lay a file over another."""
    subprocess.run(["mount", "--bind", source, target], check=True)
    try:
        yield
    finally:
        # Lazily: an exporter that has ended gives its open files back when Python finds the time.
        subprocess.run(["umount", "--lazy", target], check=True)
