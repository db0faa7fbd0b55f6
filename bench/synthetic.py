"""What a scrape of very many containers costs: a made-up host in memory, read, put together and rendered as in a real scrape.

Each size runs in a process of its own, so that its memory is its own. `python -m bench.synthetic 2000` is one of them.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.cgroup_tree import make_tree
from bench.processes import resident_bytes
from exporter.cgroups.collector import CgroupCollector
from exporter.docker.status import DaemonStatus
from exporter.exposition import Renderer, own_registry
from exporter.families import ALL, LabelSets, world

SIZES = (500, 1000, 2000)
PROMISE_SECONDS, PROMISE_BYTES = 1.0, 150e6
_ROUNDS = 10
_MEMORY = Path("/dev/shm")


def main() -> bool:
    """Measure every size, print the table, and return whether the promises were kept for the largest."""
    print(
        f"made-up hosts, cgroup v2, median of {_ROUNDS} scrapes, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.2f}\n"
    )
    print("| containers | lines | scrape | per container | memory (RSS) |\n| --- | --- | --- | --- | --- |")
    found: dict[str, float] = {}
    for size in SIZES:
        command = [sys.executable, "-m", "bench.synthetic", str(size)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        seconds = found["seconds"]
        print(
            f"| {size} | {found['lines']:.0f} | {seconds * 1000:.0f} ms | {seconds / size * 1e6:.0f} µs | {found['bytes'] / 1e6:.0f} MB |"
        )
    kept = found["seconds"] < PROMISE_SECONDS and found["bytes"] < PROMISE_BYTES
    print(
        f"\n{'kept    ' if kept else 'NOT KEPT'} {SIZES[-1]} containers: < {PROMISE_SECONDS:g} s, < {PROMISE_BYTES / 1e6:.0f} MB"
    )
    return kept


def measure(containers: int) -> dict[str, float]:
    """Scrape one host of this size; return seconds, lines and bytes of memory."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        tree = make_tree(Path(folder), version=2, containers=containers)
        collector = CgroupCollector(procfs=tree.procfs, cgroupfs=tree.cgroupfs, sysfs=tree.sysfs)
        renderer, labels = Renderer(ALL, own_registry()), LabelSets()
        times, lines = [], 0
        for _ in range(_ROUNDS + 1):
            began = time.perf_counter()
            readings = collector.collect(tree.snapshot, driver="systemd")
            seen = world(
                tree.snapshot,
                readings,
                DaemonStatus(looked=True, up=True),
                labels=labels,
                collectors=(),
                storage_ok=True,
                version="bench",
            )
            lines = renderer.render(seen, as_openmetrics=False).count(b"\n")
            times.append(time.perf_counter() - began)
        gc.collect()
        return {
            "seconds": statistics.median(times[1:]),
            "lines": lines,
            "bytes": resident_bytes(os.getpid()),
        }


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
