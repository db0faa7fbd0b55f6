"""Usage from recorded cgroup trees of both versions."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.cgroups.collector import CgroupCollector
from exporter.cgroups.paths import CgroupNamespaceError, derived_path, membership
from exporter.docker.containers import Status, facts_from_inspect
from exporter.docker.inventory import Inventory

FIXTURES = Path(__file__).parent / "fixtures"
ID = "4f0c" * 16


def snapshot_of(tree, now=1795463000.0):
    """Return a snapshot with the recorded containers of a tree."""
    inventory = Inventory()
    for path in sorted((tree / "inspect").iterdir()):
        inventory.inspected(facts_from_inspect(json.loads(path.read_text())), now)
    return inventory.snapshot(now)


def collector_of(tree, *, parts=frozenset({"memory"}), keep=0):
    """Return a collector for a tree; files are opened anew each time, as ordinary files outlive their names."""
    return CgroupCollector(procfs=tree / "proc", cgroupfs=tree / "sys", parts=parts, keep=keep)


@pytest.fixture(params=["cgroup1", "cgroup2"])
def tree(request, tmp_path):
    """A recorded host that a test may damage."""
    return Path(shutil.copytree(FIXTURES / request.param, tmp_path / request.param))


def test_paths_are_the_id_label(tree):
    """Running containers have the path found, with either driver."""
    snapshot = snapshot_of(tree)
    readings = collector_of(tree).collect(snapshot, driver="cgroupfs")
    for view in snapshot.containers:
        expected = f"/docker/{view.id}" if tree.name == "cgroup1" else f"/system.slice/docker-{view.id}.scope"
        assert readings.paths[view.id] == expected


def test_a_container_that_vanishes_costs_its_own_series(tree):
    """Its cgroup is gone in the middle of the collection: the others are read, nothing is wrong."""
    snapshot = snapshot_of(tree)
    collector = collector_of(tree)
    collector.collect(snapshot, driver="")
    first = snapshot.containers[0]
    for folder in [path for path in (tree / "sys").rglob("*") if path.is_dir() and first.id in path.name]:
        shutil.rmtree(folder)
    readings = collector.collect(snapshot, driver="")
    assert first.id not in readings.usage
    assert readings.usage.keys() == {view.id for view in snapshot.containers[1:]}
    assert readings.fault == ""


def test_a_process_that_vanishes_costs_its_own_series(tree):
    """So does a pid that is gone before the first reading."""
    snapshot = snapshot_of(tree)
    first = snapshot.containers[0]
    shutil.rmtree(tree / "proc" / str(first.pid))
    readings = collector_of(tree).collect(snapshot, driver="")
    assert readings.usage.keys() == {view.id for view in snapshot.containers[1:]}
    assert readings.fault == ""


def test_a_pid_that_went_to_another_process_is_not_read(tree):
    """The path must name the container."""
    snapshot = snapshot_of(tree)
    first = snapshot.containers[0]
    (tree / "proc" / str(first.pid) / "cgroup").write_text(
        "4:memory:/user\n2:cpuacct:/user\n0::/user.slice\n"
    )
    readings = collector_of(tree).collect(snapshot, driver="")
    assert first.id not in readings.usage


def test_a_stopped_container_keeps_its_path(tree):
    """Its series must not change their id when it stops."""
    snapshot = snapshot_of(tree)
    collector = collector_of(tree)
    before = collector.collect(snapshot, driver="none of both").paths
    stopped = replace(
        snapshot, containers=tuple(replace(view, status=Status.EXITED, pid=0) for view in snapshot.containers)
    )
    after = collector.collect(stopped, driver="none of both")
    assert after.paths == before
    assert after.usage == {}


def test_no_cgroupfs_is_a_fault(tree):
    """The remedy is named; containers are missing from usage only."""
    shutil.rmtree(tree / "sys")
    (tree / "sys").mkdir()
    readings = collector_of(tree).collect(snapshot_of(tree), driver="")
    assert readings.host is None
    assert readings.fault.endswith(
        "; mount the host's cgroupfs there or say where it is with --path.cgroupfs"
    )


def test_a_namespace_of_our_own_is_a_fault(tree):
    """Paths that lead out of it cannot be read."""
    snapshot = snapshot_of(tree)
    for view in snapshot.containers:
        (tree / "proc" / str(view.pid) / "cgroup").write_text(f"0::/../docker-{view.id}.scope\n")
    readings = collector_of(tree).collect(snapshot, driver="")
    assert readings.usage == {}
    assert "cgroup: host" in readings.fault


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            f"0::/system.slice/docker-{ID}.scope\n",
            f"/system.slice/docker-{ID}.scope",
            id="version 2, systemd",
        ),
        pytest.param(f"0::/docker/{ID}\n", f"/docker/{ID}", id="version 2, cgroupfs"),
        pytest.param(
            f"0::/docker/{ID}/init.scope\n", f"/docker/{ID}", id="systemd inside has cgroups of its own"
        ),
        pytest.param(
            f"4:memory:/docker/{ID}\n3:cpu,cpuacct:/docker/{ID}\n0::/\n", f"/docker/{ID}", id="version 1"
        ),
        pytest.param(
            f"4:memory:/docker/{'aa' * 32}/docker/{ID}\n",
            f"/docker/{'aa' * 32}/docker/{ID}",
            id="Docker in Docker",
        ),
        pytest.param("0::/user.slice/user-0.slice\n", None, id="another process"),
        pytest.param("", None, id="empty"),
    ],
)
def test_membership(text, expected):
    """The cgroup named by /proc/PID/cgroup."""
    found = membership(text, ID)
    assert (found.path if found else None) == expected


def test_membership_outside_our_namespace():
    """That is an error, not another process."""
    with pytest.raises(CgroupNamespaceError):
        membership(f"0::/../../docker/{ID}\n", ID)


@pytest.mark.parametrize(
    ("parent", "driver", "expected"),
    [
        ("", "cgroupfs", f"/docker/{ID}"),
        ("", "", f"/docker/{ID}"),
        ("/batch/", "cgroupfs", f"/batch/{ID}"),
        ("", "systemd", f"/system.slice/docker-{ID}.scope"),
        ("batch.slice", "systemd", f"/batch.slice/docker-{ID}.scope"),
        ("batch-night.slice", "systemd", f"/batch.slice/batch-night.slice/docker-{ID}.scope"),
        ("/odd", "systemd", f"/odd/docker-{ID}.scope"),
    ],
)
def test_derived_paths(parent, driver, expected):
    """Where Docker would put a container that does not run."""
    assert derived_path(ID, parent=parent, driver=driver) == expected


@pytest.mark.parametrize(
    ("seconds", "again", "expected"),
    [
        pytest.param(59, False, "known", id="nothing happened"),
        pytest.param(61, False, "read", id="long ago"),
        pytest.param(-1, False, "read", id="the clock was put back"),
        pytest.param(1, True, "read", id="something happened to a container"),
    ],
)
def test_limits_are_read_anew_when_they_may_have_changed(tree, seconds, again, expected):
    """Docker tells when it changes them; who else does is noticed after a minute."""
    snapshot = snapshot_of(tree)
    collector = collector_of(tree, parts=frozenset({"memory", "limits"}))
    _limit_memory(tree, 8192)
    before = collector.collect(snapshot, driver="").usage
    _limit_memory(tree, 4096)
    later = snapshot_of(tree, snapshot.at + seconds) if again else replace(snapshot, at=snapshot.at + seconds)
    after = collector.collect(later, driver="").usage
    assert before.keys() == after.keys() != set()
    for container, usage in after.items():
        assert usage.memory is not None
        assert usage.limits.memory_bytes == {"known": 8192, "read": 4096}[expected], container


def _limit_memory(tree, limit):
    for path in (tree / "sys").rglob("memory.stat"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            (path.parent / name).write_text(f"{limit}\n")
