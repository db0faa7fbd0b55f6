"""Runs inside the virtual machine and judges nothing: starts containers and exporters, writes down what kernel, Docker and exporters say.

guest.py FOLDER: reads busybox.tar there, writes result.json. The machine's own Python has nothing but its standard library.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
import traceback
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from containers import CONTAINERS, IMAGE, RUNNING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CGROUPS: Final = Path("/sys/fs/cgroup")
PATIENCE_SECONDS: Final = 90.0
PORTS: Final = {"files": 9817, "api": 9818}
"""The exporter that reads the kernel's files, and the one that can see none of them."""
NEEDED: Final = ("docker", "cgroups", "network", "node", "size", "logs", "images")
KERNEL_FILES: Final = (
    *("cpu.stat", "cpu.max", "cpu.weight", "cpu.pressure", "memory.pressure", "io.pressure", "io.stat"),
    *("memory.current", "memory.peak", "memory.swap.current", "memory.stat", "memory.events"),
    *("memory.max", "memory.low", "memory.swap.max", "pids.current", "pids.max", "cgroup.procs"),
)
HOST_FILES: Final = ("meminfo", "stat", "vmstat", "pressure/cpu", "pressure/memory", "pressure/io", "1/net/dev")


class Engine(http.client.HTTPConnection):
    """Docker's API; each call is a connection of its own."""

    def __init__(self) -> None:
        super().__init__("docker", timeout=60)

    def connect(self) -> None:
        """Connect to the daemon's socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect("/run/docker.sock")


def docker(method: str, path: str, body: object = None) -> Any:
    """Ask the daemon; a file is sent as it is, anything else as JSON."""
    connection = Engine()
    raw = isinstance(body, Path)
    sent = body.read_bytes() if isinstance(body, Path) else json.dumps(body).encode()
    kind = "application/x-tar" if raw else "application/json"
    try:
        connection.request(method, path, None if body is None else sent, {"Content-Type": kind})
        answer = connection.getresponse()
        said = answer.read()
    finally:
        connection.close()
    if answer.status >= 400:
        raise RuntimeError(f"{method} {path}: {answer.status} {said.decode()}")
    return [json.loads(line) for line in said.splitlines()] if said else []


def inspect(name: str) -> dict[str, Any]:
    """What Docker says of a container."""
    (found,) = docker("GET", f"/containers/{name}/json")
    return dict(found)


def make(name: str) -> None:
    """Create and start one container, then do to it what is wanted."""
    wanted = CONTAINERS[name]
    spec = {
        "Image": IMAGE,
        "Cmd": ["/bin/sh", "-c", wanted.script],
        "Labels": dict(wanted.labels),
        "HostConfig": dict(wanted.limits),
    }
    docker("POST", f"/containers/create?name={name}", spec)
    docker("POST", f"/containers/{name}/start")
    if wanted.then:
        time.sleep(1)  # it is to have used something
        docker("POST", f"/containers/{name}/{wanted.then}")


def start_exporter(folder: Path, which: str, *flags: str) -> subprocess.Popen[bytes]:
    """Start one as a person would, beside its log."""
    with Path(f"/tmp/{which}.log").open("wb") as log:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "exporter", f"--web.listen-address=127.0.0.1:{PORTS[which]}"),
                *(f"--storage.path=/tmp/{which}", *flags),
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": f"{folder}:/libraries", "PYTHONDONTWRITEBYTECODE": "1"},
        )


def scrape(which: str) -> str:
    """Scrape once; empty while it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", PORTS[which], timeout=30)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read().decode()
    except OSError:
        return ""
    finally:
        connection.close()
    return text if answer.status == 200 else ""


def read(path: Path) -> str | None:
    """Read a file of the kernel; None: there is none."""
    try:
        return path.read_text()
    except OSError:
        return None


def cgroup(pid: int) -> str:
    """Where the kernel says that a process is."""
    return Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::")


def kernel(pids: Mapping[str, int]) -> dict[str, Any]:
    """Everything the kernel's files say of the containers and the host."""
    found: dict[str, Any] = {"at": time.time(), "containers": {}}
    for name, pid in pids.items():
        path = cgroup(pid)
        folder = CGROUPS / path.lstrip("/")
        own = {file: text for file in KERNEL_FILES if (text := read(folder / file)) is not None}
        processes = own.get("cgroup.procs", "").split()
        own["descriptors"] = "\n".join(link for pid in processes for link in descriptors(pid))
        found["containers"][name] = {"path": path, "net/dev": read(Path(f"/proc/{pid}/net/dev")), **own}
    found["host"] = {file: text for file in KERNEL_FILES if (text := read(CGROUPS / file)) is not None}
    found["host"] |= {file: text for file in HOST_FILES if (text := read(Path("/proc", file))) is not None}
    return found


def descriptors(pid: str) -> list[str]:
    """What a process has open; nothing of one that has ended."""
    found = []
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(str(path.readlink()))
    return found


def until(what: str, holds: Callable[[], bool]) -> None:
    """Wait; what never comes is left to the tests, which say it better."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > PATIENCE_SECONDS:
            note(f"NOT within {PATIENCE_SECONDS:g} s: {what}")
            return
        time.sleep(0.25)
    note(what)


def note(what: str) -> None:
    """Say on the console how far it is, in seconds since power-on."""
    seconds = Path("/proc/uptime").read_text().split()[0]
    NOTES.append(f"{seconds} {what}")
    print(f"[{seconds}] {what}", flush=True)


NOTES: Final[list[str]] = []


def sees_everybody(text: str) -> bool:
    """Whether a scrape has every container, what is looked at on a schedule too."""
    collectors = (f'vakhta_collector_success{{collector="{name}"}} 1' for name in NEEDED)
    return all(f'name="{name}"' in text for name in CONTAINERS) and all(row in text for row in collectors)


def api_serves(text: str) -> bool:
    """Whether a scrape has what the stats API says of every running container."""
    rows = [row for row in text.splitlines() if row.startswith("container_cpu_usage_seconds_total{")]
    return all(any(f'name="{name}"' in row for row in rows) for name in RUNNING)


def busy_enough(pids: Mapping[str, int]) -> bool:
    """Whether everything has happened that the containers are there for."""

    def value(name: str, file: str, key: str) -> int:
        words = (read(CGROUPS / cgroup(pids[name]).lstrip("/") / file) or "").replace("=", " ").split()
        return int(words[words.index(key) + 1]) if key in words else 0

    swapped = read(CGROUPS / cgroup(pids["memory"]).lstrip("/") / "memory.swap.current") or "0"
    return all(
        (
            value("limited", "cpu.stat", "nr_throttled") > 5,
            value("oom", "memory.events", "oom_kill") > 0,
            value("writer", "io.stat", "rbytes") > 0,
            value("writer", "io.stat", "wbytes") > 0,
            int(swapped) > 0,
        )
    )


def visit(folder: Path, result: dict[str, Any]) -> None:
    """Do everything."""
    note("Docker answers" if docker("GET", "/version") else "")
    empty = Path("/tmp/empty")
    empty.mkdir()
    flags = (f"--path.cgroupfs={empty}", f"--path.procfs={empty}")
    exporters = [start_exporter(folder, "files", "--collector.processes"), start_exporter(folder, "api", *flags)]
    repository, _, tag = IMAGE.partition(":")
    where = urllib.parse.urlencode({"fromSrc": "-", "repo": repository, "tag": tag})
    docker("POST", f"/images/create?{where}", folder / "busybox.tar")
    Path("/proc/sys/vm/drop_caches").write_text("1")  # so that something is read from the disk
    began = int(time.time())
    note("the image is there")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(make, CONTAINERS))
    note("containers are started")
    pids = {name: int(inspect(name)["State"]["Pid"]) for name in RUNNING}
    first = kernel(pids)
    scrape("api")  # from now on it asks Docker
    until("all has happened", lambda: busy_enough(pids))
    until("the exporter sees everybody", lambda: sees_everybody(scrape("files")))
    until("the stats API serves", lambda: api_serves(scrape("api")))
    result["kernel"] = [kernel(pids)]
    result["scrapes"] = []
    for _ in range(2):
        result["scrapes"].append(scrape("files"))
        result["kernel"].append(kernel(pids))
        if "stats" not in result:
            result["stats"] = {name: docker("GET", f"/containers/{name}/stats?stream=false&one-shot=true")[0] for name in CONTAINERS}
            result["kernel"].append(kernel(pids))
    result["fallback"] = {"first": first, "scrape": scrape("api"), "last": kernel(pids)}
    note("everything is read")
    result["inspect"] = {name: inspect(name) for name in CONTAINERS}
    result["version"], result["info"] = docker("GET", "/version")[0], docker("GET", "/info")[0]
    result["events"] = docker("GET", f"/events?since={began}&until={int(time.time()) + 1}")
    for exporter in exporters:
        exporter.terminate()
    result["codes"] = [exporter.wait(20) for exporter in exporters]


def main() -> int:
    """Write the result, whatever happens."""
    folder, result = Path(sys.argv[1]), {}
    try:
        visit(folder, result)
    except BaseException:
        result["error"] = traceback.format_exc()
        raise
    finally:
        result["notes"] = NOTES
        result["logs"] = {which: read(Path(f"/tmp/{which}.log")) for which in PORTS}
        (folder / "result.json").write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
