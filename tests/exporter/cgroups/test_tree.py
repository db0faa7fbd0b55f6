"""The synthetic host that benchmarks read."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.cgroup_tree import make_tree
from exporter.cgroups.collector import CgroupCollector


@pytest.mark.parametrize("version", [1, 2])
def test_a_synthetic_host_is_read_completely(version, tmp_path):
    """Every file of it is one that a collection reads, and every part of every container is there."""
    tree = make_tree(tmp_path, version=version, containers=12)
    collector = CgroupCollector(procfs=tree.procfs, cgroupfs=tree.cgroupfs, sysfs=tree.sysfs, keep=0)
    readings = collector.collect(tree.snapshot, driver="")
    assert not readings.faults
    assert len(readings.usage) == 12
    absent = {"pressure"} if version == 1 else set()
    for usage in readings.usage.values():
        assert {name for name in type(usage).__slots__ if getattr(usage, name) is None} == absent
    assert {io.device for usage in readings.usage.values() for io in usage.io} == {"/dev/vda"}
    assert readings.host.limits.memory_bytes == 16384000 * 1024
    damaged = [path for path in tree.files if f"{11:08x}" * 8 in path]
    assert len(damaged) == (19 if version == 1 else 16)
    for number, path in enumerate(damaged, start=1):
        later = replace(tree.snapshot, at=tree.snapshot.at + number * 3600)  # when limits are read again
        sound = Path(path).read_bytes()
        Path(path).write_bytes(b"what?\n")
        assert collector.collect(later, driver="").faults, path
        Path(path).write_bytes(sound)
