"""From a container's death to the request at Telegram.

Containers are killed one after the other on a real Docker Engine; measured is the time from the daemon's own event time (``timeNano``
of ``die``) to the moment the request with that container's message arrives at the stand-in. The pace stays under Telegram's
limit of one message a second for a chat, which our own limiter keeps: what is measured is the path, not the queue.
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path

import docker

from tests.real.engine import Engine
from tests.real.site import Site

EVENTS = int(os.environ.get("EVENTS", "200"))
PROMISE_SECONDS = 1.0
_PACE = (1.1, 1.7)
_IMAGE = "busybox:1.35"


def main() -> bool:
    """Measure, print a table, and return whether the promise was kept."""
    with Engine() as engine, tempfile.TemporaryDirectory() as folder:
        engine.import_busybox()
        with Site(engine.host, Path(folder)) as site:
            seconds = measure(engine, site)
    return report(seconds)


def measure(engine: Engine, site: Site) -> list[float]:
    """Kill containers and return the seconds each took."""
    names = [f"app-{number:03}" for number in range(EVENTS)]
    for name in names:
        engine.docker("run", "-d", "--network", "none", "--name", name, _IMAGE, "/bin/sleep", "100000")
    died: dict[str, float] = {}
    client = docker.APIClient(base_url=engine.host)
    events = client.events(decode=True, filters={"event": ["die"]})
    listener = threading.Thread(target=_listen, args=(events, died), daemon=True)
    listener.start()
    last = names[-1]
    site.wait(lambda: site.scrape_value(_running(last)) == 1, "every container is seen running", 60)
    pace = random.Random(1)
    for name in names:
        engine.docker("kill", name)
        time.sleep(pace.uniform(*_PACE))
    site.wait(lambda: len(_arrivals(site)) >= EVENTS, "a message for every container", 60)
    arrived = _arrivals(site)
    events.close()
    client.close()
    return [arrived[name] - died[name] for name in names]


def report(seconds: list[float]) -> bool:
    """Print what was measured."""
    ordered = sorted(seconds)
    p95 = statistics.quantiles(ordered, n=100)[94]
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"death of a container -> request at Telegram, {len(ordered)} events, load average {load}")
    print(f"{'p50':>8} {'p95':>8} {'max':>8}")
    print(f"{statistics.median(ordered):7.3f}s {p95:7.3f}s {ordered[-1]:7.3f}s")
    print(f"promise: p95 < {PROMISE_SECONDS:g} s: {'kept' if p95 < PROMISE_SECONDS else 'NOT KEPT'}")
    return p95 < PROMISE_SECONDS


def _listen(events: object, died: dict[str, float]) -> None:
    for event in events:  # type: ignore[attr-defined]  # the docker package gives it no type
        died[event["Actor"]["Attributes"]["name"]] = event["timeNano"] / 1e9


def _arrivals(site: Site) -> dict[str, float]:
    """Return when the first message about each container arrived."""
    found: dict[str, float] = {}
    for told in site.sent():
        if " is down" in told.first_line:
            found.setdefault(told.first_line.split()[1], told.wall)
    return found


def _running(name: str) -> str:
    return f'container_state_status{{name="{name}",service="{name}",status="running"}}'
