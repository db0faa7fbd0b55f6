"""The first visit: starts the containers and waits until each has done what it is there for. The machine is saved after it.

prepare.py FOLDER: the image's tar is there.
"""

from __future__ import annotations

import contextlib
import sys
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

from containers import CONTAINERS, IMAGE, MIB, RUNNING
from world import CGROUPS, cgroup, docker, inspect, note, read, until

if TYPE_CHECKING:
    from collections.abc import Mapping


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
        time.sleep(2)  # it is to have used something
        docker("POST", f"/containers/{name}/{wanted.then}")
    note(f"{name} is started")


def missing(pids: Mapping[str, int]) -> list[str]:
    """Name what has not happened yet."""

    def value(name: str, file: str, key: str) -> int:
        words = (read(CGROUPS / cgroup(pids[name])[1:] / file) or "").replace("=", " ").split()
        return int(words[words.index(key) + 1]) if key in words else 0

    memory = CGROUPS / cgroup(pids["memory"])[1:]
    held, swapped = (int(read(memory / name) or 0) for name in ("memory.current", "memory.swap.current"))
    if not value("writer", "io.stat", "rbytes"):
        Path("/proc/sys/vm/drop_caches").write_text("1")  # what it reads it has just written
    if held + swapped > 40 * MIB and swapped < 8 * MIB:
        with contextlib.suppress(BlockingIOError):  # some, but not all
            (memory / "memory.reclaim").write_text("12M")
    happened = {
        "throttled": value("limited", "cpu.stat", "nr_throttled") > 5,
        "throttled before it was paused": value("paused", "cpu.stat", "nr_throttled") > 0,
        "killed": value("oom", "memory.events", "oom_kill") > 0,
        "read": value("writer", "io.stat", "rbytes") > 0,
        "written": value("writer", "io.stat", "wbytes") > 0,
        "swapped": swapped > 8 * MIB,
    }
    return [what for what, done in happened.items() if not done]


def main() -> int:
    """Do it all."""
    note(f"Docker {docker('GET', '/version')[0]['Version']} answers")
    repository, _, tag = IMAGE.partition(":")
    where = urllib.parse.urlencode({"fromSrc": "-", "repo": repository, "tag": tag})
    docker("POST", f"/images/create?{where}", Path(sys.argv[1], "busybox.tar"))
    for name in CONTAINERS:
        make(name)
    pids = {name: int(inspect(name)["State"]["Pid"]) for name in RUNNING}
    until("everything has happened", lambda: missing(pids))
    Path("/proc/sys/vm/drop_caches").write_text("3")  # what is not kept need not be saved
    return 1 if missing(pids) else 0


if __name__ == "__main__":
    sys.exit(main())
