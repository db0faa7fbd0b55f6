"""Recorded hosts, and containers on them."""

import shutil
from pathlib import Path

from exporter.docker.inventory import Inventory
from tests.exporter.stories import EPOCH, facts

FIXTURES = Path(__file__).parent / "fixtures"
VM = FIXTURES / "vm"
DEBIAN = FIXTURES / "debian12"

WEB = "5b25982d512bcb8523bf8f2cf9d60bf2686314f02dd751521e1b62638c687867"
HOST = "c4f7221767b825e2a98a9ba88bf204d4849e90e29bb3cd32837471f4ca23422a"
IDLE = "c2e08592300bf8c9ee92e99a7db9763776751bb9b03dc312188013891690b4fd"
PIDS = {WEB: 553, HOST: 805, IDLE: 876}
NAMES = {WEB: "web", HOST: "host", IDLE: "idle"}
MODES = {WEB: "default", HOST: "host", IDLE: "default"}


def snapshot_of(*containers):
    """Return a snapshot with containers of these facts."""
    inventory = Inventory()
    for changes in containers:
        inventory.inspected(facts(**changes), float(EPOCH))
    return inventory.snapshot(float(EPOCH))


def recorded(container, **changes):
    """Return the facts of a recorded container."""
    known = {
        "id": container,
        "name": NAMES[container],
        "pid": PIDS[container],
        "network_mode": MODES[container],
    }
    return {**known, **changes}


def views_of(*containers):
    """Return what is known of the containers with these facts."""
    return snapshot_of(*containers).containers


def copy_of(host, folder):
    """Return a copy of a recorded host that a test may damage."""
    return Path(shutil.copytree(host, folder / host.name))


def own_namespaces(procfs, names):
    """Give processes their network namespaces, by pid."""
    for pid, name in names.items():
        folder = procfs / str(pid) / "ns"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "net").symlink_to(f"net:[{name}]")
