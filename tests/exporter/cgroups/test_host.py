"""Whose cgroup is at the root of what is mounted: the host's, or a container's own that passes for it."""

import shutil
from dataclasses import replace

import pytest

from exporter.cgroups.collector import CgroupCollector
from tests.exporter.cgroups.hosts import OLD, WEB, Host


def in_a_container(version, folder, *, procfs=None):
    """Return a host, and a collector that sees a container's own cgroup in the place of the host's cgroupfs."""
    host = Host.copy(version, folder)
    own = folder / "own"
    if version == "v2":
        shutil.copytree(host.file("memory.current", WEB).parent, own)
        (own / "cgroup.controllers").write_text("cpu io memory pids\n")
    else:
        for controller in host.cgroupfs.iterdir():
            shutil.copytree(next(controller.rglob(OLD)), own / controller.name)
    return host, CgroupCollector(
        procfs=procfs or host.folder / "proc", cgroupfs=own, sysfs=host.folder / "sys", keep=0
    )


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_container_is_not_the_host(version, tmp_path):
    """Without the host's cgroupfs nothing is said of the host, and why is said by itself: Docker can serve all but that."""
    host, collector = in_a_container(version, tmp_path)
    for _ in range(2):
        readings = collector.collect(host.snapshot, driver="")
        assert readings.host is None
        assert readings.usage == {}
        assert readings.faults["host"] == (
            f"host: {tmp_path}/own: it is a container's own cgroup, not the host's; "
            "mount the host's cgroupfs there or say where it is with --path.cgroupfs"
        )
    assert readings.faults["cgroups"].startswith(
        f"{tmp_path}/own: no cgroup of any running container is there; mount the host's cgroupfs"
    )


def test_neither_mount(tmp_path):
    """Both are told of."""
    host, collector = in_a_container("v2", tmp_path, procfs=tmp_path)
    collector.collect(host.snapshot, driver="")
    faults = collector.collect(host.snapshot, driver="").faults
    assert "no process of any running container" in faults["cgroups"]
    assert "not the host's" in faults["host"]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_root_is_the_host_without_any_container(version):
    """It can be told from every other cgroup by its files."""
    host = Host(version)
    readings = host.collector().collect(replace(host.snapshot, containers=()), driver="")
    assert readings.host is not None
    assert not readings.faults


@pytest.mark.parametrize(
    ("version", "name"), [("v1", "release_agent"), ("v2", "cgroup.events"), ("v2", "memory.current")]
)
def test_docker_in_a_container(version, name, tmp_path):
    """What containers run in is their host, whatever it runs in itself; it stays that when they have stopped."""
    host = Host.copy(version, tmp_path)
    for folder in [host.cgroupfs, *host.cgroupfs.iterdir()]:
        if (folder / "release_agent").exists():
            (folder / name).unlink()
        elif version == "v2" and folder == host.cgroupfs:
            (folder / name).write_text("populated 1\n")
    collector = host.collector()
    stopped = replace(host.snapshot, containers=())
    assert "not the host's" in collector.collect(stopped, driver="").faults["host"]
    running = collector.collect(host.snapshot, driver="")
    assert running.host == Host(version).collect().host
    assert not running.faults
    assert collector.collect(stopped, driver="").host is not None


def test_no_cgroups_at_all(tmp_path):
    """The host is missing, and a host that is missing is always told of under its own name."""
    host = Host.copy("v2", tmp_path)
    shutil.rmtree(host.cgroupfs)
    readings = host.collect()
    assert readings.host is None
    assert readings.faults["host"].startswith(f"host: {host.cgroupfs}: there are no cgroups; mount ")
