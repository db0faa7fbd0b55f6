"""Makes a kernel of today count the disk I/O of version 1 cgroups.

Since Linux 6.10 the throttling layer, which does the counting, is idle until a disk has its first limit; and where the disk has no BFQ scheduler
nothing else counts. cAdvisor reads the same files and finds as little.
"""

from __future__ import annotations

import os
from pathlib import Path

NO_LIMIT = 10**12
"""Bytes per second: what no disk reaches."""


def count_disk_io(container_id: str, folder: Path) -> None:
    """Give a running container a limit that limits nothing, on the disk that holds a folder."""
    number = folder.stat().st_dev
    block = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    disk = block.parent if (block / "partition").exists() else block
    limit = Path(f"/sys/fs/cgroup/blkio/docker/{container_id}/blkio.throttle.write_bps_device")
    limit.write_text(f"{(disk / 'dev').read_text().strip()} {NO_LIMIT}\n")
