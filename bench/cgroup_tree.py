"""A host made of files: N running containers in a cgroup tree of either version, and the inventory that goes with it.

``python -m bench.cgroup_tree`` makes one in memory and prints what a collection costs beside the bare cost of opening, reading and closing
the same files. Ordinary files are cheaper to read than the kernel's, which are written anew for each reader: the ratio is what counts.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.cgroups.collector import CgroupCollector
from exporter.docker.containers import Facts, Status
from exporter.docker.inventory import Inventory
from exporter.docker.snapshot import Snapshot

AT: Final = 1_790_000_000.0
IMAGE: Final = "registry.example/shop/app:1.4.2"

# The names of memory.stat, in the kernel's order.
_STAT_V2: Final = (
    "anon file kernel kernel_stack pagetables sec_pagetables percpu sock vmalloc shmem file_mapped file_dirty file_writeback "
    "swapcached anon_thp file_thp shmem_thp inactive_anon active_anon inactive_file active_file unevictable slab_reclaimable "
    "slab_unreclaimable slab workingset_refault_anon workingset_refault_file workingset_activate_anon workingset_activate_file "
    "workingset_restore_anon workingset_restore_file workingset_nodereclaim pgscan pgsteal pgscan_kswapd pgscan_direct pgsteal_kswapd "
    "pgsteal_direct pgfault pgmajfault pgrefill pgactivate pgdeactivate pglazyfree pglazyfreed thp_fault_alloc thp_collapse_alloc"
)
_STAT_V1: Final = (
    "cache rss rss_huge shmem mapped_file dirty writeback workingset_refault_anon workingset_refault_file swap swapcached pgpgin pgpgout "
    "pgfault pgmajfault inactive_anon active_anon inactive_file active_file unevictable"
)
_SMALL: Final = frozenset({"file_dirty", "file_writeback", "dirty", "writeback", "swap", "swapcached"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A host in a folder.

    Attributes:
        files: Every cgroup file in it, as many as a collection reads.
    """

    procfs: Path
    cgroupfs: Path
    sysfs: Path
    snapshot: Snapshot
    files: tuple[str, ...]


def make_tree(root: Path, *, version: int, containers: int) -> Tree:
    """Write a host with so many containers.

    Args:
        root: An empty folder.
        version: 1 (driver cgroupfs) or 2 (driver systemd).
        containers: How many; each is a service of a Compose project of ten.
    """
    cgroupfs, procfs, sysfs = root / "sys" / "fs" / "cgroup", root / "proc", root / "sys"
    files: list[str] = []

    def write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def write_all(texts: dict[str, str], path: str) -> None:
        for name, text in texts.items():
            controller, _, file = name.rpartition("/")
            target = cgroupfs / controller / path / file
            write(target, text)
            files.append(str(target))

    for index, disk in enumerate(("vda", "vdb")):
        write(sysfs / "block" / disk / "dev", f"254:{index * 16}\n")
    write(procfs / "meminfo", "MemTotal: 16384000 kB\nMemFree: 8192000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
    texts = _texts_v1 if version == 1 else _texts_v2
    if version == 1:
        write_all({name: text for name, text in texts(0).items() if not name.startswith("pids/")}, "")
    else:
        write(cgroupfs / "cgroup.controllers", "cpuset cpu io memory pids\n")
        of_root = ("cpu.stat", "memory.stat", "io.stat", "cpu.pressure", "memory.pressure", "io.pressure")
        write_all({name: text for name, text in texts(0).items() if name in of_root}, "")
    inventory = Inventory()
    for index in range(containers):
        facts = _facts(index)
        path = f"docker/{facts.id}" if version == 1 else f"system.slice/docker-{facts.id}.scope"
        write_all(texts(index), path)
        names = ("cpu", "cpuacct", "memory", "blkio", "pids") if version == 1 else ("",)
        lines = (f"{number if name else 0}:{name}:/{path}\n" for number, name in enumerate(names, 1))
        write(procfs / str(facts.pid) / "cgroup", "".join(lines))
        inventory.inspected(facts, AT, may_wait=False)
    return Tree(
        procfs=procfs, cgroupfs=cgroupfs, sysfs=sysfs, snapshot=inventory.snapshot(AT), files=tuple(files)
    )


def _facts(index: int) -> Facts:
    project, service = f"project{index // 10}", f"service{index % 10}"
    return Facts(
        id=f"{index:08x}" * 8,
        name=f"{project}-{service}-1",
        image=IMAGE,
        labels={
            "com.docker.compose.project": project,
            "com.docker.compose.service": service,
            "com.docker.compose.oneoff": "False",
        },
        status=Status.RUNNING,
        pid=10_000 + index,
        started_at=AT - 3600 - index,
        complete=True,
    )


def _stat(names: str, index: int, prefix: str = "") -> str:
    """Return a memory.stat whose numbers have the digits of a busy server's."""
    return "".join(
        f"{prefix}{name} {0 if name in _SMALL else 40_960 * (position + 1) * (index % 97 + 1)}\n"
        for position, name in enumerate(names.split())
    )


def _texts_v2(index: int) -> dict[str, str]:
    busy = 1_000_000 * (index + 1)
    stall = f"avg10=0.00 avg60=0.12 avg300=0.03 total={busy // 7}\n"
    return {
        "cpu.stat": f"usage_usec {busy * 9}\nuser_usec {busy * 6}\nsystem_usec {busy * 3}\nnr_periods {busy // 500}\nnr_throttled 3\n"
        f"throttled_usec 20817\nnr_bursts 0\nburst_usec 0\n",
        "cpu.max": "50000 100000\n" if index % 2 else "max 100000\n",
        "memory.current": f"{268_435_456 + index * 4096}\n",
        "memory.stat": _stat(_STAT_V2, index),
        "memory.events": "low 0\nhigh 0\nmax 12\noom 0\noom_kill 0\noom_group_kill 0\n",
        "memory.swap.current": "0\n",
        "memory.peak": f"{536_870_912 + index * 4096}\n",
        "memory.max": "536870912\n" if index % 2 else "max\n",
        "memory.swap.max": "max\n",
        "memory.low": "0\n",
        "io.stat": f"254:0 rbytes={busy} wbytes={busy * 2} rios={busy // 4096} wios={busy // 2048} dbytes=0 dios=0\n",
        "cpu.pressure": f"some {stall}full {stall}",
        "memory.pressure": f"some {stall}full {stall}",
        "io.pressure": f"some {stall}full {stall}",
        "pids.current": f"{index % 40 + 1}\n",
        "pids.max": "max\n",
    }


def _texts_v1(index: int) -> dict[str, str]:
    busy = 1_000_000 * (index + 1)
    operations = ("Read", "Write", "Sync", "Async", "Discard", "Total")

    def blkio(value: int) -> str:
        return "".join(f"254:0 {name} {value}\n" for name in operations) + f"Total {value}\n"

    return {
        "cpuacct/cpuacct.usage": f"{busy * 9000}\n",
        "cpuacct/cpuacct.stat": f"user {busy // 100}\nsystem {busy // 300}\n",
        "cpu/cpu.stat": f"nr_periods {busy // 500}\nnr_throttled 3\nthrottled_time 20817000\n",
        "cpu/cpu.cfs_quota_us": "50000\n" if index % 2 else "-1\n",
        "cpu/cpu.cfs_period_us": "100000\n",
        "cpu/cpu.shares": "1024\n",
        "memory/memory.usage_in_bytes": f"{268_435_456 + index * 4096}\n",
        "memory/memory.stat": _stat(_STAT_V1, index)
        + "hierarchical_memory_limit 536870912\nhierarchical_memsw_limit 1073741824\n"
        + _stat(_STAT_V1, index, "total_"),
        "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
        "memory/memory.max_usage_in_bytes": f"{536_870_912 + index * 4096}\n",
        "memory/memory.failcnt": "12\n",
        "memory/memory.kmem.usage_in_bytes": "4820992\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/memory.memsw.limit_in_bytes": "9223372036854771712\n",
        "memory/memory.soft_limit_in_bytes": "9223372036854771712\n",
        "blkio/blkio.throttle.io_serviced_recursive": blkio(busy // 4096),
        "blkio/blkio.throttle.io_service_bytes_recursive": blkio(busy),
        "pids/pids.current": f"{index % 40 + 1}\n",
        "pids/pids.max": "max\n",
    }


def bare(files: tuple[str, ...]) -> None:
    """Open, read and close: the floor of every exporter that keeps nothing open."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        os.read(descriptor, 16384)
        os.close(descriptor)


def _milliseconds(calls: tuple[Callable[[], object], ...], rounds: int) -> list[float]:
    """Return the least CPU time of each, taken in turns: what else the machine does then falls on all of them."""
    least = [float("inf")] * len(calls)
    for _ in range(rounds):
        for index, call in enumerate(calls):
            began = time.thread_time()
            call()
            least[index] = min(least[index], (time.thread_time() - began) * 1e3)
    return least


def main(arguments: list[str]) -> int:
    """Measure and print; return 0 when a collection costs at most 1.6 times the bare reading."""
    parser = argparse.ArgumentParser(prog="python -m bench.cgroup_tree", description=__doc__)
    parser.add_argument("--containers", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--keep", type=int, help="files that may be kept open (default: as the exporter)")
    options = parser.parse_args(arguments)
    memory = Path("/dev/shm")
    kept = True
    print(f"{'version':8}{'files':>8}{'bare ms':>10}{'collect ms':>12}{'ratio':>8}")
    for version in (1, 2):
        with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
            tree = make_tree(Path(folder), version=version, containers=options.containers)
            collector = CgroupCollector(
                procfs=tree.procfs, cgroupfs=tree.cgroupfs, sysfs=tree.sysfs, keep=options.keep
            )
            readings = collector.collect(tree.snapshot, driver="")
            assert not readings.faults, readings.faults
            assert len(readings.usage) == options.containers
            floor, ours = _milliseconds(
                (lambda t=tree: bare(t.files), lambda c=collector, t=tree: c.collect(t.snapshot, driver="")),
                options.rounds,
            )
            print(f"v{version:<7}{len(tree.files):>8}{floor:>10.1f}{ours:>12.1f}{ours / floor:>8.2f}")
            kept = kept and ours <= 1.6 * floor
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
