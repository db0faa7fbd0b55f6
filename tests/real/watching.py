"""A running exporter over a real Docker daemon, its ticks, and every scrape made so far."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from exporter.config import Config
from exporter.service import Exporter, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.real.engine import Engine

CRASHES = {"oom", "killed", "error"}


class Scrape:
    """One scrape, and questions to it."""

    def __init__(self, text: str, seconds: float) -> None:
        self.text, self.seconds = text, seconds
        self.values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def get(self, name: str, /, **labels: str) -> float | None:
        """Return the value of the one series with these labels among its own; None: there is none."""
        wanted = set(labels.items())
        found = [value for (series, own), value in self.values.items() if series == name and wanted <= own]
        assert len(found) <= 1, f"{name}{labels} are {len(found)} series"
        return found[0] if found else None

    def label(self, name: str, label: str, container: str) -> str | None:
        """Return the value of a label in the series of a container whose value is 1."""
        for (series, own), value in self.values.items():
            labels = dict(own)
            if series == name and labels.get("name") == container and value == 1:
                return labels[label]
        return None

    def state(self, container: str) -> str | None:
        """Return a container's state."""
        return self.label("container_state_status", "status", container)

    def reason(self, container: str) -> str | None:
        """Return why a container last stopped."""
        return self.label("container_last_exit_reason", "reason", container)

    def exits(self, container: str) -> dict[str, float]:
        """Return the exits counted of a container, without those that are 0."""
        found = {}
        for (series, own), value in self.values.items():
            if series == "container_exits_total" and dict(own)["name"] == container and value:
                found[dict(own)["reason"]] = value
        return found


class Watching:
    """A running exporter, its ticks, and every scrape made so far."""

    def __init__(self, exporter: Exporter, client: aiohttp.ClientSession) -> None:
        self.exporter, self.client = exporter, client
        self.scrapes: list[Scrape] = []
        self.ticks: list[tuple[dict[str, str], float]] = []
        self._arrived: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def listen(self) -> None:
        """Read the stream of ticks."""
        async with self.client.get(f"{self.exporter.url}/events") as stream:
            async for line in stream.content:
                if line.startswith(b"data: "):
                    tick = json.loads(line.removeprefix(b"data: "))
                    self.ticks.append((tick, time.time()))
                    self._arrived.put_nowait(tick)

    async def scrape(self) -> Scrape:
        """Scrape once; while the first look lasts, again."""
        while True:
            began = time.monotonic()
            async with self.client.get(f"{self.exporter.url}/metrics") as answer:
                if answer.status == 503:
                    continue
                self.scrapes.append(Scrape(await answer.text(), time.monotonic() - began))
                return self.scrapes[-1]

    async def until(self, holds: Callable[[Scrape], object], within: float = 10) -> Scrape:
        """Scrape after every tick until something holds."""
        try:
            async with asyncio.timeout(within):
                while not holds(scrape := await self.scrape()):
                    await self._arrived.get()
                    while not self._arrived.empty():
                        self._arrived.get_nowait()
                return scrape
        except TimeoutError:
            ticks = [f"{tick.get('reason')} {tick.get('name')}" for tick, _ in self.ticks]
            raise AssertionError(
                f"it did not come to hold; ticks: {ticks}\n{self.scrapes[-1].text}"
            ) from None

    def alarms(self, container: str) -> list[str | None]:
        """Return the reasons of all scrapes in which the container looked crashed: down for a reason that is told."""
        down = [scrape for scrape in self.scrapes if scrape.state(container) in ("exited", "dead")]
        return [scrape.reason(container) for scrape in down if scrape.reason(container) in CRASHES]


@contextlib.asynccontextmanager
async def watching(
    engine: Engine, storage: Path, host: str = "", *, config: Config | None = None, **settings: Path
) -> AsyncIterator[Watching]:
    """Run an exporter over the engine, or over what stands before it, and listen to it."""
    config = replace(config or Config(), docker_host=host or engine.host)
    exporter = Exporter(Settings(config=config, listen="127.0.0.1:0", storage=storage, **settings))
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    async with aiohttp.ClientSession(trust_env=False, timeout=timeout) as client:
        await exporter.start()
        it = Watching(exporter, client)
        listening = asyncio.create_task(it.listen())
        try:
            await it.until(lambda scrape: scrape.get("docker_up") == 1)
            yield it
        finally:
            began = time.monotonic()
            await exporter.stop()
            assert time.monotonic() - began < 5
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def run(engine: Engine, name: str, script: str, *flags: str) -> str:
    """Start a container with a shell script."""
    return await docker(engine, "run", "-d", "--name", name, *flags, "busybox:1.35", "sh", "-c", script)


async def docker(engine: Engine, *args: str) -> str:
    """Run the docker command without holding up the exporter."""
    return await asyncio.to_thread(engine.docker, *args)
