"""Cleans up what a Docker engine leaves behind when it is killed: processes, mounts, cgroups, bridges.

Everything is found by what it holds of the engine's folder or container ids, never by name alone, so that another
engine on the machine is not touched. Cleaning a folder that was never used does nothing.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DAEMONS = {"dockerd", "containerd", "containerd-shim-runc-v2", "docker-proxy", "runc"}
_CGROUPS = Path("/sys/fs/cgroup")
_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")


def clean(root: Path, *, networks: ipaddress.IPv4Network) -> None:
    """Remove whatever an engine with this folder left: its processes first, its folder last.

    Args:
        root: the engine's folder: data root, exec root, sockets, logs.
        networks: address range that the engine alone uses; bridges inside it are its own.
    """
    ids = _container_ids(root)
    end(daemons(root))
    for cgroup in _cgroups_of(ids):
        _thaw(cgroup)  # a paused process does not even die of SIGKILL (cgroup v1)
    end(_members(ids))
    for mount in sorted(_mounts(root), reverse=True):  # the deepest first
        subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
    for cgroup in _cgroups_of(ids):
        _remove_cgroup(cgroup)
    for bridge in _bridges(networks):
        subprocess.run(["ip", "link", "delete", bridge], check=False, capture_output=True)
    if root.exists():
        shutil.rmtree(root)


def end(pids: Iterable[int], *, within_seconds: float = 10) -> None:
    """Kill processes and wait until each is gone or a zombie; those already gone are fine."""
    waiting = set(pids)
    for pid in waiting:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + within_seconds
    while waiting := {pid for pid in waiting if alive(pid)}:
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {sorted(waiting)} survive SIGKILL: look at /proc/PID/stack")
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Tell whether a process still runs; a zombie, which only waits for its parent, does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def _processes() -> Iterator[Path]:
    return (entry for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def daemons(root: Path) -> list[int]:
    """Find Docker's own programs that were started with a path under the folder, shims included."""
    found = []
    for process in _processes():
        with contextlib.suppress(OSError):  # it ended, or is a kernel thread
            program = (process / "exe").readlink().name.removesuffix(" (deleted)")
            if program in _DAEMONS and f"{root}/" in (process / "cmdline").read_text(errors="replace"):
                found.append(int(process.name))
    return found


def _members(ids: set[str]) -> list[int]:
    """Find the processes inside the containers, which live on without their shims."""
    found = []
    for process in _processes():
        with contextlib.suppress(OSError):
            if not ids.isdisjoint(_CONTAINER_ID.findall((process / "cgroup").read_text())):
                found.append(int(process.name))
    return found


def _container_ids(root: Path) -> set[str]:
    folder = root / "data/containers"
    return {entry.name for entry in folder.iterdir()} if folder.exists() else set()


def _mounts(root: Path) -> list[str]:
    mounted = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return [place for place in mounted if Path(place).is_relative_to(root)]


def _cgroups_of(ids: set[str]) -> list[Path]:
    """List the containers' cgroups in every hierarchy (v1 and v2, cgroupfs and systemd drivers), children last."""
    tops = [
        *_CGROUPS.glob("docker/*"),
        *_CGROUPS.glob("*/docker/*"),
        *_CGROUPS.glob("system.slice/docker-*.scope"),
        *_CGROUPS.glob("*/system.slice/docker-*.scope"),
    ]
    ours = [top for top in tops if not ids.isdisjoint(_CONTAINER_ID.findall(top.name))]
    return [Path(folder) for top in ours for folder, _, _ in os.walk(top)]


def _thaw(cgroup: Path) -> None:
    for knob, value in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
        if (cgroup / knob).exists():
            with contextlib.suppress(OSError):
                (cgroup / knob).write_text(value)


def _remove_cgroup(cgroup: Path) -> None:
    for folder, _, _ in os.walk(cgroup, topdown=False):
        with contextlib.suppress(OSError):  # the kernel still buries a process: an empty cgroup harms nobody
            Path(folder).rmdir()


def _bridges(networks: ipaddress.IPv4Network) -> list[str]:
    shown = subprocess.run(
        ["ip", "-json", "address", "show", "type", "bridge"], check=True, capture_output=True, text=True
    )
    links = json.loads(shown.stdout or "[]")
    return [
        link["ifname"]
        for link in links
        for address in link.get("addr_info", ())
        if address.get("family") == "inet" and ipaddress.IPv4Address(address["local"]) in networks
    ]
