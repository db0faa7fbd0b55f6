"""Every family that a real cAdvisor and the exporter both have, over the same containers: same labels, same values.

cAdvisor reads its containers every second, so its value of a moment lies between two scrapes of ours around it. What it has wrong, or
only in that old version, is in `DIFFERENT`, by name and with the reason.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.real.blkio import count_disk_io
from tests.real.servers import start_cadvisor
from tests.real.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.real.engine import Engine

IMAGE = "busybox:1.35"
MIB = 1 << 20
RUNS = {
    "idle": ((), "sleep 100000"),
    "busy": ((), "while :; do :; done"),
    "hog": (("--memory", "128m"), "head -c 40m /dev/zero | tail | sleep 100000"),
    "writer": ((), "while :; do dd if=/dev/zero of=/f bs=64k count=64 conv=fsync; sleep 0.5; done"),
    "talker": ((), "ping -q -s 1000 $(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p')"),
    "limited": (("--cpus", "0.2", "--memory", "64m", "--memory-reservation", "32m", "--cpu-shares", "512"), "while :; do :; done"),
    "hosted": (("--network", "host"), "sleep 100000"),
    "guest": (("--network", "container:talker"), "sleep 100000"),
}  # fmt: skip
DIFFERENT = {
    "container_start_time_seconds": "before 0.57 it is the time of creation, and does not move on a restart",
    "container_last_seen": "the wall clock of the scrape, on both sides",
    "container_cpu_load_average_10s": "0 on both sides unless its load reader is on",
    "container_fs_io_current": "of the partition, for the whole host; not ours to attribute",
    "container_fs_io_time_seconds_total": "of the partition, for the whole host, and in the wrong unit",
    "container_fs_io_time_weighted_seconds_total": "of the partition, for the whole host, and in the wrong unit",
    "container_fs_read_seconds_total": "of the partition, for the whole host, and in the wrong unit",
    "container_fs_write_seconds_total": "of the partition, for the whole host, and in the wrong unit",
    "container_fs_reads_merged_total": "of the partition, for the whole host",
    "container_fs_writes_merged_total": "of the partition, for the whole host",
    "container_fs_sector_reads_total": "of the partition, for the whole host",
    "container_fs_sector_writes_total": "of the partition, for the whole host",
    "container_fs_inodes_free": "always 0 for a container",
    "container_fs_inodes_total": "the inodes used, under a wrong name",
    "container_fs_usage_bytes": "read every minute at best; compared by the slow facts' own test",
    "container_fs_reads_total": "0.38 has a 0 without a disk for every container, and no other",
    "container_fs_writes_total": "0.38 has a 0 without a disk for every container, and no other",
    "container_scrape_error": "has no container",
}
"""Families whose values cannot be compared, each with the reason."""
EXACT = ("container_spec_",)

# Every family of a present cAdvisor that is on by default, or that a public dashboard or rule asks for.
EVERY = Path(__file__).with_name("cadvisor_families.txt").read_text().split()
VERSION_1 = "only cgroup v2 counts it"
NOT_THE_CONTAINERS = "without the CFQ or BFQ scheduler the kernel counts it for the whole partition only"
ABSENT = {
    **dict.fromkeys(
        ("container_cpu_cfs_burst_periods_total", "container_cpu_cfs_burst_seconds_total"), VERSION_1
    ),
    **dict.fromkeys((name for name in EVERY if "_pressure_" in name or "_memory_events_" in name), VERSION_1),
    **dict.fromkeys(("container_memory_pgscan_total", "container_memory_pgsteal_total"), VERSION_1),
    **dict.fromkeys(
        (
            name
            for name in EVERY
            if name in DIFFERENT and name.startswith("container_fs_") and "partition" in DIFFERENT[name]
        ),
        NOT_THE_CONTAINERS,
    ),
}
"""Families that a host with cgroup v1 cannot have, each with the reason."""

Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Page:
    """One scrape: family -> labels -> value, and the families' types."""

    values: dict[str, dict[Key, float]]
    types: dict[str, str]

    @classmethod
    def read(cls, text: str) -> Page:
        """Take the series of our containers; per-CPU series are added up, as every query does."""
        values: dict[str, dict[Key, float]] = {}
        types: dict[str, str] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.labels.get("name") not in RUNS or not sample.name.startswith("container_"):
                    continue
                labels = {name: value for name, value in sample.labels.items() if value and name != "cpu"}
                key = tuple(sorted(labels.items()))
                found = values.setdefault(sample.name, {})
                found[key] = found.get(key, 0.0) + sample.value
                types[sample.name] = family.type
        return cls(values, types)


@dataclass(frozen=True)
class Pages:
    """Ours, then theirs, then ours again; and the last of ours as it came."""

    text: str
    before: Page
    theirs: Page
    after: Page


@pytest.fixture(scope="module")
def pages(running_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """The scrapes, some fifteen seconds after the containers began."""
    engine = running_engine
    labels = ("--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=web")
    for name, (flags, script) in RUNS.items():
        id_ = engine.docker("run", "-d", "--name", name, *labels, *flags, IMAGE, "/bin/sh", "-c", script)
        if name == "writer":
            count_disk_io(id_, engine.socket_path.parent)
    folder: Path = tmp_path_factory.mktemp("cadvisor")
    often = (
        "-housekeeping_interval=1s",
        "-max_housekeeping_interval=1s",
        "-allow_dynamic_housekeeping=false",
    )
    cadvisor = start_cadvisor(engine.host, folder, *often)
    site = Site(engine.host, tmp_path_factory.mktemp("exporter"))
    try:
        site.start_exporter()
        time.sleep(15)
        before = Page.read(site.get(f"{site.exporter_url}/metrics"))
        time.sleep(1.2)
        theirs = Page.read(cadvisor.get("/metrics"))
        time.sleep(0.2)
        text = site.get(f"{site.exporter_url}/metrics")
        yield Pages(text, before, theirs, Page.read(text))
    finally:
        site.stop()
        cadvisor.stop()
        engine.remove_all()


def test_every_container_is_there_on_both_sides(pages: Pages) -> None:
    """Otherwise nothing below would mean anything."""
    for page in (pages.before, pages.theirs, pages.after):
        names = {dict(key)["name"] for key in page.values["container_memory_usage_bytes"]}
        assert names == set(RUNS)


@pytest.mark.parametrize("family", EVERY)
def test_every_family_is_there(pages: Pages, family: str) -> None:
    """On a live scrape, or it is said why this kernel cannot have it."""
    found = re.search(rf"^{family}[ {{]", pages.text, re.MULTILINE) is not None
    assert found != (family in ABSENT), ABSENT.get(family, "missing")


def test_the_labels_are_the_same(pages: Pages) -> None:
    """Names and values of every series of every family both have."""
    differences = []
    for name in sorted(pages.before.values.keys() & pages.theirs.values.keys() - DIFFERENT.keys()):
        ours, theirs = set(pages.after.values[name]), set(pages.theirs.values[name])
        differences += [f"{name}: only ours: {dict(key)}" for key in sorted(ours - theirs)]
        differences += [f"{name}: only cAdvisor's: {dict(key)}" for key in sorted(theirs - ours)]
    assert differences == []


def test_the_values_agree(pages: Pages) -> None:
    """Gauges within 2 % or 1 MiB, counters within 5 %, 0.2 s or 64 KiB of ours around them, specifications exactly."""
    compared, differences = 0, []
    for name in sorted(pages.before.values.keys() & pages.theirs.values.keys() - DIFFERENT.keys()):
        for key in pages.theirs.values[name].keys() & pages.before.values[name].keys():
            theirs = pages.theirs.values[name][key]
            low, high = sorted((pages.before.values[name][key], pages.after.values[name].get(key, theirs)))
            slack = _slack(name, pages.theirs.types[name], high)
            compared += 1
            if not low - slack <= theirs <= high + slack:
                differences.append(f"{name}{dict(key)}: cAdvisor {theirs:g}, ours {low:g} to {high:g}")
    assert differences == []
    assert compared > 200


def test_counters_only_rise(pages: Pages) -> None:
    """From one scrape to the next."""
    counters = [name for name, kind in pages.before.types.items() if kind == "counter"]
    assert len(counters) > 20
    for name in counters:
        for key, value in pages.before.values[name].items():
            assert pages.after.values[name].get(key, value) >= value, f"{name}{dict(key)}"


def test_what_only_cadvisor_has(pages: Pages) -> None:
    """Nothing that is not named here with its reason."""
    missing = pages.theirs.values.keys() - pages.before.values.keys()
    assert missing - DIFFERENT.keys() == set()


def _slack(name: str, kind: str, value: float) -> float:
    if name.startswith(EXACT):
        return 0.0
    if kind == "counter" or name.endswith("_total"):
        return max(0.05 * value, 0.2 if "seconds" in name else 64 * 1024)
    return max(0.02 * value, MIB)
