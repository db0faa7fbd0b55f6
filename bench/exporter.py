"""cAdvisor and vakhta-exporter side by side over the same containers, in one run.

Measured are scrapes, one after the other and alternating; memory; CPU with nobody scraping and under a scrape every 5 s; how old
the values are; and how many scrapes miss a container that runs all the time while others come and go. The floor is the bare
time of opening, reading and closing the files that our scrape reads.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import docker

from bench.processes import cpu_share, resident_bytes
from bench.reading import files_of_a_collection
from tests.real import servers
from tests.real.engine import Engine

CONTAINERS = int(os.environ.get("CONTAINERS", "150"))
SCRAPES = int(os.environ.get("SCRAPES", "50"))
IDLE_SECONDS = float(os.environ.get("IDLE_SECONDS", "60"))
CHURN_SECONDS = float(os.environ.get("CHURN_SECONDS", "60"))
# Keys with the service's name in them, as Traefik wants them: cAdvisor gives every series the keys of all containers.
TRAEFIK = os.environ.get("TRAEFIK") == "1"
_IMAGE = "busybox:1.35"
_PER_SECOND, _HANDS = 10, 4  # a start takes the daemon longer than a tenth of a second
_REST_SECONDS = 0.3
# Both look at every container when they begin: cAdvisor at its files, Vakhta at sizes, logs and images.
_SETTLE_SECONDS = 40
_STAYING = re.compile(r'^container_memory_usage_bytes\{[^}]*name="(stay-\d+)"', re.MULTILINE)
_STAMPED = re.compile(
    r'^container_cpu_user_seconds_total\{[^}]*name="stay-\d+"[^}]*\} \S+ (\d+)$', re.MULTILINE
)
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(slots=True)
class Side:
    """One of the two exporters, and what was measured of it.

    Attributes:
        ages: Seconds between the time a value was read and the scrape that showed it.
        incomplete, churned: Scrapes under churn that missed a container, of how many.
    """

    name: str
    url: str
    pid: int
    seconds: list[float] = field(default_factory=list)
    size: int = 0
    resident: int = 0
    idle: float = 0.0
    scraped: float = 0.0
    ages: list[float] = field(default_factory=list)
    incomplete: int = 0
    churned: int = 0

    def scrape(self) -> str:
        """Fetch the whole exposition."""
        with _DIRECT.open(f"{self.url}/metrics", timeout=60) as answer:
            return str(answer.read().decode())


def main() -> bool:
    """Measure, print the table, and return whether the promises were kept."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine = stack.enter_context(Engine())
        engine.import_busybox()
        client = docker.APIClient(base_url=engine.host)
        stack.callback(client.close)
        for number in range(CONTAINERS):
            _start(client, f"stay-{number:03}")
        sides = [_cadvisor(engine, folder, stack), _vakhta(engine, folder, stack)]
        for side in sides:
            _wait_for(side)
        files = files_of_a_collection(client)
        measure(sides, client, engine.host)
        report(sides, floor(files), len(files))
        return _kept(sides, floor(files))


def _start(client: docker.APIClient, name: str) -> None:
    """Start a service as Compose does: it is the labels that make up most of an exposition."""
    compose = {
        "config-hash": hashlib.sha256(name.encode()).hexdigest(),
        "container-number": "1",
        "depends_on": "",
        "image": f"sha256:{hashlib.sha256(_IMAGE.encode()).hexdigest()}",
        "oneoff": "False",
        "project": "site",
        "project.config_files": "/srv/site/compose.yml",
        "project.working_dir": "/srv/site",
        "service": name,
        "version": "5.6.1",
    }
    labels = {f"com.docker.compose.{key}": value for key, value in compose.items()}
    if TRAEFIK:
        labels |= {
            "traefik.enable": "true",
            f"traefik.http.routers.{name}.entrypoints": "websecure",
            f"traefik.http.routers.{name}.rule": f"Host(`{name}.example.org`)",
            f"traefik.http.services.{name}.loadbalancer.server.port": "8080",
        }
    limits = client.create_host_config(mem_limit="64m")
    made = client.create_container(
        _IMAGE, ["/bin/sleep", "100000"], name=name, labels=labels, host_config=limits
    )
    client.start(made)


def measure(sides: list[Side], client: docker.APIClient, host: str) -> None:
    """Fill in what is measured."""
    pids = [side.pid for side in sides]
    time.sleep(_SETTLE_SECONDS)
    for side, share in zip(sides, cpu_share(pids, IDLE_SECONDS), strict=True):
        side.idle = share
    for _ in range(SCRAPES):
        for side in sides:
            began = time.perf_counter()
            text = side.scrape()
            side.seconds.append(time.perf_counter() - began)
            side.size = len(text)
            side.ages.extend(time.time() - int(stamp) / 1000 for stamp in _STAMPED.findall(text))
            time.sleep(_REST_SECONDS)  # or the one would pay for the other's clearing up
    with _scraping(sides, 5.0):
        for side, share in zip(sides, cpu_share(pids, IDLE_SECONDS), strict=True):
            side.scraped = share
    _churn(sides, client, host)
    for side in sides:
        side.resident = resident_bytes(side.pid)


def floor(files: list[str], rounds: int = 20) -> float:
    """Return the median seconds of opening, reading and closing these files."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        for path in files:
            with contextlib.suppress(OSError):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.read(descriptor, 16384)
                finally:
                    os.close(descriptor)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def report(sides: list[Side], floor_seconds: float, files: int) -> None:
    """Print the table."""
    rows: list[tuple[str, Callable[[Side], str]]] = [
        ("scrape p50", lambda s: f"{statistics.median(s.seconds) * 1000:.0f} ms"),
        ("scrape p99", lambda s: f"{_p99(s.seconds) * 1000:.0f} ms"),
        ("scrape size", lambda s: f"{s.size / 1e6:.1f} MB"),
        ("memory (RSS)", lambda s: f"{s.resident / 1e6:.0f} MB"),
        ("CPU, nobody scrapes", lambda s: f"{s.idle * 100:.2f} %"),
        ("CPU, a scrape every 5 s", lambda s: f"{s.scraped * 100:.2f} %"),
        ("age of values, max", lambda s: f"{max(s.ages):.1f} s" if s.ages else "0 s (read by the scrape)"),
        ("incomplete scrapes under churn", lambda s: f"{s.incomplete} of {s.churned}"),
    ]
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"{CONTAINERS} containers, {SCRAPES} scrapes each, {os.cpu_count()} CPUs, load average {load}\n")
    print(f"| | {' | '.join(side.name for side in sides)} |\n| --- | {' | '.join('---' for _ in sides)} |")
    for name, cell in rows:
        print(f"| {name} | {' | '.join(cell(side) for side in sides)} |")
    ours = statistics.median(sides[1].seconds)
    print(
        f"\nfloor: {files} files opened, read and closed: {floor_seconds * 1000:.0f} ms; a scrape is {ours / floor_seconds:.1f} times that"
    )


def _kept(sides: list[Side], floor_seconds: float) -> bool:
    theirs, ours = (statistics.median(side.seconds) for side in sides)
    vakhta, cadvisor = sides[1], sides[0]
    promises = {
        "p50 < 60 ms": ours < 0.060,
        "6 times faster than cAdvisor": ours * 6 <= theirs,
        "at most 3 times the floor": ours <= 3 * floor_seconds,
        "RSS < 70 MB": vakhta.resident < 70e6,
        "RSS below cAdvisor's": vakhta.resident < cadvisor.resident,
        "idle CPU < 0.5 %": vakhta.idle < 0.005,
        "no incomplete scrape": vakhta.incomplete == 0 < vakhta.churned,
    }
    for promise, kept in promises.items():
        print(f"{'kept    ' if kept else 'NOT KEPT'} {promise}")
    return all(promises.values())


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def _cadvisor(engine: Engine, folder: Path, stack: contextlib.ExitStack) -> Side:
    home = folder / "cadvisor"
    home.mkdir()
    server = servers.start_cadvisor(engine.host, home)
    stack.callback(server.stop)
    return Side("cAdvisor 0.38.7", server.url, server.process.pid)


def _vakhta(engine: Engine, folder: Path, stack: contextlib.ExitStack) -> Side:
    home = folder / "vakhta"
    home.mkdir()
    port = servers.free_port()
    environ = {**os.environ, "DOCKER_HOST": engine.host}
    command = [
        sys.executable,
        "-m",
        "exporter",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.path={home}",
    ]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
    stack.callback(_end, process)
    return Side("vakhta-exporter", f"http://127.0.0.1:{port}", process.pid)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(20)


def _wait_for(side: Side, within_seconds: float = 120) -> None:
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if len(set(_STAYING.findall(side.scrape()))) == CONTAINERS:
                return
        time.sleep(1)
    raise RuntimeError(f"{side.name} does not show {CONTAINERS} containers")


@contextlib.contextmanager
def _scraping(sides: list[Side], interval: float) -> Iterator[None]:
    """Scrape every side at this interval meanwhile."""
    over = threading.Event()

    def run(side: Side) -> None:
        while not over.wait(interval):
            side.scrape()

    threads = [threading.Thread(target=run, args=(side,)) for side in sides]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _churn(sides: list[Side], client: docker.APIClient, host: str) -> None:
    """Start and stop containers, ten changes a second, and look whether those that stay are in every scrape."""
    names = [f"churn-{number}" for number in range(2 * _PER_SECOND)]
    for name in names:
        client.create_container(
            _IMAGE,
            ["/bin/sleep", "100000"],
            name=name,
            host_config=client.create_host_config(network_mode="none"),
        )
    over = threading.Event()
    changes = [0] * _HANDS

    def run(hand: int) -> None:
        began = time.monotonic()
        mine = names[hand::_HANDS]
        with contextlib.closing(docker.APIClient(base_url=host)) as own:
            while not over.is_set():
                name = mine[changes[hand] // 2 % len(mine)]
                with contextlib.suppress(docker.errors.APIError):
                    own.start(name) if changes[hand] % 2 == 0 else own.kill(name)
                changes[hand] += 1
                time.sleep(max(0.0, began + changes[hand] * _HANDS / _PER_SECOND - time.monotonic()))

    threads = [threading.Thread(target=run, args=(hand,)) for hand in range(_HANDS)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + CHURN_SECONDS
    while time.monotonic() < end:
        for side in sides:
            side.churned += 1
            side.incomplete += len(set(_STAYING.findall(side.scrape()))) < CONTAINERS
        time.sleep(1)
    over.set()
    for thread in threads:
        thread.join()
    print(f"churn: {sum(changes) / CHURN_SECONDS:.1f} starts and stops a second")
