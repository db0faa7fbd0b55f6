"""Which files a scrape of the exporter reads, found out by letting its collectors open every one of them anew."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from exporter.cgroups.collector import CgroupCollector
from exporter.docker.containers import facts_from_inspect
from exporter.docker.snapshot import Snapshot, view_of
from exporter.host.network import NetworkCollector
from exporter.memory import Book

if TYPE_CHECKING:
    import docker

_ROOTS = ("/sys/fs/cgroup/", "/proc/")


def files_of_a_collection(client: docker.APIClient) -> list[str]:
    """Return the files that one scrape reads for the containers of a daemon, in order."""
    inspected = (client.inspect_container(entry["Id"]) for entry in client.containers())
    facts = [facts_from_inspect(raw) for raw in inspected]
    views = tuple(view_of(one, Book(id=one.id, first_seen=0.0)) for one in facts)
    snapshot = Snapshot(at=time.time(), containers=views)
    cgroups = CgroupCollector(procfs=Path("/proc"), cgroupfs=Path("/sys/fs/cgroup"), keep=0)
    network = NetworkCollector(procfs=Path("/proc"))
    # The second time nothing is looked up any more that a process never changes.
    for _ in range(2):
        with _Opened() as opened:
            cgroups.collect(snapshot, driver="cgroupfs")
            network.collect(views)
    return opened.paths


class _Opened:
    """The files opened within the block."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self._listening = False

    def __enter__(self) -> Self:
        sys.addaudithook(self._hear)  # for good: a hook cannot be taken away, but it can stop to listen
        self._listening = True
        return self

    def __exit__(self, *_: object) -> None:
        self._listening = False

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if self._listening and event == "open" and str(args[0]).startswith(_ROOTS):
            self.paths.append(str(args[0]))
