"""Recorded hosts to read, and to damage.

`fixtures/v2` was recorded on Debian 12 (Linux 6.1, systemd, Docker 20.10). `fixtures/v1` has the files of Linux 6.18 with every number
made different by hand, so that no value can stand for another.
"""

import shutil
from pathlib import Path

from exporter.cgroups.collector import CgroupCollector
from exporter.docker.inventory import Inventory
from tests.exporter.stories import EPOCH, facts

FIXTURES = Path(__file__).parent / "fixtures"
WEB = "5b25982d512bcb8523bf8f2cf9d60bf2686314f02dd751521e1b62638c687867"
DISK = "fb6dbf821cd0c996c55c5286af7a5f98b44a2a32d8f0c5832ad4a630ea463fda"
OOM = "f2dca317ff47dca629c7afe75979fdbfc0115c9762c7f564f56f701a56dff127"
OLD = "8d55bfae52dd5cfb835ca135d33dd69179c48a2bd5b3c0b9429e00a2cf77b6b0"
CONTAINERS = {"v2": {WEB: ("web", 553), DISK: ("disk", 638), OOM: ("oom", 726)}, "v1": {OLD: ("old", 2299)}}


class Host:
    """A host of one version in a folder.

    Args:
        version: `v1` or `v2`.
        folder: A copy of the recording, or the recording itself.
    """

    def __init__(self, version, folder=None):
        self.version = version
        self.folder = folder or FIXTURES / version
        self.cgroupfs = self.folder / "sys" / "fs" / "cgroup"
        inventory = Inventory()
        for container, (name, pid) in CONTAINERS[version].items():
            inventory.inspected(facts(id=container, name=name, pid=pid), float(EPOCH), may_wait=False)
        self.snapshot = inventory.snapshot(float(EPOCH))

    @classmethod
    def copy(cls, version, folder):
        """Return a host that may be damaged."""
        return cls(version, Path(shutil.copytree(FIXTURES / version, folder / version)))

    def collector(self, *, keep=0, **options):
        """Return a collector; files are opened anew each time, as ordinary files outlive their names."""
        return CgroupCollector(
            procfs=self.folder / "proc",
            cgroupfs=self.cgroupfs,
            sysfs=self.folder / "sys",
            keep=keep,
            **options,
        )

    def collect(self, **options):
        """Return one collection."""
        return self.collector(**options).collect(self.snapshot, driver="")

    def name(self, container):
        """Return a container's name."""
        return CONTAINERS[self.version][container][0]

    def file(self, name, container=None):
        """Return the path of a file of a container, or of the root."""
        found = [
            path
            for path in self.cgroupfs.rglob(name)
            if (
                container in str(path)
                if container
                else path.parent.parent in (self.cgroupfs, self.cgroupfs.parent)
            )
        ]
        assert len(found) == 1, found
        return found[0]
