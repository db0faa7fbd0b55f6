"""What both visitors of the virtual machine use: Docker's API, the kernel's files, and the console to say how far they are."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CGROUPS: Final = Path("/sys/fs/cgroup")
PATIENCE_SECONDS: Final = 120.0
NOTES: Final[list[str]] = []
KERNEL_FILES: Final = (
    *("cpu.stat", "cpu.max", "cpu.weight", "cpu.pressure", "memory.pressure", "io.pressure", "io.stat"),
    *("memory.current", "memory.peak", "memory.swap.current", "memory.stat", "memory.events"),
    *("memory.max", "memory.low", "memory.swap.max", "pids.current", "pids.max", "cgroup.procs"),
)
HOST_FILES: Final = (
    *("meminfo", "stat", "vmstat", "partitions", "1/net/dev"),
    *("pressure/cpu", "pressure/memory", "pressure/io"),
)


class Engine(http.client.HTTPConnection):
    """A connection to the Docker daemon."""

    def __init__(self) -> None:
        super().__init__("docker", timeout=60)

    def connect(self) -> None:
        """Connect to the daemon's socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect("/run/docker.sock")


def docker(method: str, path: str, body: object = None) -> list[Any]:
    """Ask the daemon; a file is sent as it is, anything else as JSON. Gives the lines of its answer."""
    if isinstance(body, Path):
        kind, sent = "application/x-tar", body.read_bytes()
    else:
        kind, sent = "application/json", None if body is None else json.dumps(body).encode()
    connection = Engine()
    try:
        connection.request(method, path, sent, {"Content-Type": kind})
        answer = connection.getresponse()
        said = answer.read()
    finally:
        connection.close()
    if answer.status >= 400:
        raise RuntimeError(f"{method} {path}: {answer.status} {said.decode()}")
    return [json.loads(line) for line in said.splitlines()]


def inspect(name: str) -> dict[str, Any]:
    """What Docker says of a container."""
    (found,) = docker("GET", f"/containers/{name}/json")
    return dict(found)


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
    """Everything the kernel's files say of the containers, by the pid of their first process, and of the host."""
    found: dict[str, Any] = {"at": time.time(), "containers": {}}
    for name, pid in pids.items():
        path = cgroup(pid)
        own = _files(CGROUPS / path.lstrip("/"), KERNEL_FILES)
        open_files = [link for process in own["cgroup.procs"].split() for link in _descriptors(process)]
        found["containers"][name] = {
            "path": path,
            "net/dev": read(Path(f"/proc/{pid}/net/dev")),
            "descriptors": "\n".join(open_files),
            **own,
        }
    found["host"] = {"path": "/", **_files(CGROUPS, KERNEL_FILES), **_files(Path("/proc"), HOST_FILES)}
    found["host"]["net/dev"] = found["host"].pop("1/net/dev")
    return found


def until(what: str, holds: Callable[[], object]) -> None:
    """Wait until something holds, which gives what is still missing; what never comes is left to the tests, which say it better."""
    end = time.monotonic() + PATIENCE_SECONDS
    while missing := holds():
        if time.monotonic() > end:
            note(f"NOT within {PATIENCE_SECONDS:g} s: {what}: {missing}")
            return
        time.sleep(1)  # a scrape is work for an emulated machine
    note(what)


def note(what: str) -> None:
    """Say on the console how far it is, in seconds since power-on."""
    NOTES.append(f"{Path('/proc/uptime').read_text().split()[0]} {what}")
    print(NOTES[-1], flush=True)  # noqa: T201 - the console is all there is


def _files(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    return {name: text for name in names if (text := read(folder / name)) is not None}


def _descriptors(pid: str) -> list[str]:
    """What a process has open; nothing of one that has ended."""
    found = []
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(str(path.readlink()))
    return found
