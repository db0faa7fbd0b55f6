"""What is broken costs its own part of its own container, and is said; what is gone costs itself."""

import gc
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.cgroups.files import CgroupFiles, CgroupGoneError, Descriptors
from exporter.cgroups.readers import ALL_PARTS, DEFAULT_PARTS
from tests.exporter.cgroups.hosts import DISK, OLD, OOM, WEB, Host
from tests.size import examples

# The field of Usage each file belongs to.
PART = {
    "v2": {
        "cpu.stat": "cpu",
        "memory.current": "memory",
        "memory.stat": "memory",
        "memory.events": "memory",
        "memory.swap.current": "memory",
        "memory.peak": "memory",
        "io.stat": "io",
        "cpu.pressure": "pressure",
        "memory.pressure": "pressure",
        "io.pressure": "pressure",
        "cpu.max": "limits",
        "memory.max": "limits",
        "memory.swap.max": "limits",
        "memory.low": "limits",
        "pids.current": "pids",
        "pids.max": "pids",
    },
    "v1": {
        "cpuacct.usage": "cpu",
        "cpuacct.stat": "cpu",
        "cpu.stat": "cpu",
        "memory.usage_in_bytes": "memory",
        "memory.stat": "memory",
        "memory.oom_control": "memory",
        "memory.max_usage_in_bytes": "memory",
        "memory.failcnt": "memory",
        "memory.kmem.usage_in_bytes": "memory",
        "blkio.throttle.io_serviced_recursive": "io",
        "blkio.throttle.io_service_bytes_recursive": "io",
        "cpu.cfs_quota_us": "limits",
        "cpu.cfs_period_us": "limits",
        "cpu.shares": "limits",
        "memory.limit_in_bytes": "limits",
        "memory.memsw.limit_in_bytes": "limits",
        "memory.soft_limit_in_bytes": "limits",
        "pids.current": "pids",
        "pids.max": "pids",
    },
}
CONTAINER = {"v2": WEB, "v1": OLD}
FILES = [(version, name) for version, files in PART.items() for name in files]


def parts_of(usage):
    """Return the fields of a reading."""
    return {name: getattr(usage, name) for name in type(usage).__slots__}


@pytest.fixture(scope="module", params=FILES, ids=" ".join)
def damaged(request, tmp_path_factory):
    """A host and one of its files."""
    version, name = request.param
    host = Host.copy(version, tmp_path_factory.mktemp("host"))
    return host, host.file(name, CONTAINER[version]), PART[version][name]


@pytest.mark.parametrize("text", [b"what?\n", b"1 2 3\n", b"\xff\x00\n", b"99999999999999999999999\n"])
def test_a_garbled_file_costs_its_part(damaged, text):
    """That part is None and the sentence names container, file and remedy; all else is read."""
    host, path, part = damaged
    sound = path.read_bytes()
    container = CONTAINER[host.version]
    expected = Host(host.version).collect().usage
    try:
        path.write_bytes(text)
        readings = host.collect()
    finally:
        path.write_bytes(sound)
    found = parts_of(readings.usage[container])
    assert found.pop(part) is None
    whole = parts_of(expected[container])
    whole.pop(part)
    if path.name == "cpu.max":  # whether there is a quota is not known then
        for side in (found, whole):
            side["cpu"] = side["cpu"].seconds
    assert found == whole
    assert {key: value for key, value in readings.usage.items() if key != container} == {
        key: value for key, value in expected.items() if key != container
    }
    ((name, sentence),) = readings.faults.items()
    assert name == {"io": "disk_io"}.get(part, part)
    assert sentence.startswith(f"container {host.name(container)}: {path}: ")
    assert "; report this" in sentence


@settings(
    max_examples=examples(10), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_bytes_cost_one_part_at_most(damaged, data):
    """Whatever a file holds, nothing is raised, other parts and other containers are as ever, and None is accounted for."""
    host, path, part = damaged
    sound = path.read_bytes()
    container = CONTAINER[host.version]
    lines = st.lists(
        st.sampled_from([*sound.splitlines(keepends=True), b"a b\n", b"-1\n", b"max\n", b"7:0 \n"])
    )
    text = data.draw(st.one_of(st.binary(max_size=80), lines.map(b"".join)))
    try:
        path.write_bytes(text)
        readings = host.collect()
    finally:
        path.write_bytes(sound)
    found = parts_of(readings.usage[container])
    assert set(readings.faults) <= {{"io": "disk_io"}.get(part, part)}
    assert (found.pop(part) is None) >= bool(readings.faults)
    assert (
        None
        not in {
            key: value for key, value in found.items() if (host.version, key) != ("v1", "pressure")
        }.values()
    )
    assert readings.host is not None


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_meminfo_that_cannot_be_understood(version, tmp_path):
    """It costs the host its limits, and swap in version 2."""
    host = Host.copy(version, tmp_path)
    (host.folder / "proc" / "meminfo").write_text("what?\n")
    readings = host.collect()
    assert readings.host.limits is None
    assert readings.host.memory is not None
    assert list(readings.faults) == ["limits"]
    (host.folder / "proc" / "meminfo").unlink()
    assert "meminfo" in host.collect().faults["limits"]


def test_the_first_sentence_about_a_part_is_kept(tmp_path):
    """A second container with the same trouble adds nothing; another part does."""
    host = Host.copy("v2", tmp_path)
    for container in (WEB, OOM):
        host.file("memory.stat", container).write_text("")
    host.file("io.stat", OOM).write_text("what?")
    readings = host.collect()
    assert sorted(readings.faults) == ["disk_io", "memory"]
    first = next(view.name for view in host.snapshot.containers if view.id in (WEB, OOM))
    assert readings.faults["memory"].startswith(f"container {first}: ")
    assert readings.fault in readings.faults.values()


def test_a_file_that_cannot_be_read(tmp_path):
    """The sentence has the kernel's words; a container whose process cannot be looked at is told of as a whole."""
    host = Host.copy("v2", tmp_path)
    peak, process = host.file("memory.peak", WEB), host.folder / "proc" / "638" / "cgroup"
    for path in (peak, process):
        path.unlink()
        path.mkdir()
    readings = host.collect()
    assert readings.faults == {
        "memory": f"container web: {peak}: Is a directory; see whether other programs can read it",
        "cgroups": f"container disk: {process}: Is a directory; let the exporter's user read the host's /proc",
    }
    assert readings.usage[WEB].memory is None
    assert DISK not in readings.usage


def test_a_host_of_which_nothing_can_be_read(tmp_path):
    """It has no reading at all, and every part is told of."""
    host = Host.copy("v2", tmp_path)
    for path in [*host.cgroupfs.glob("*.*"), host.folder / "proc" / "meminfo"]:
        if path.is_file() and path.name not in ("cgroup.controllers", "io.stat"):
            path.write_text("what?")
    host.file("io.stat").unlink()
    readings = host.collect()
    assert readings.host is None
    assert sorted(readings.faults) == ["cpu", "limits", "memory", "pressure"]
    assert WEB in readings.usage


def test_a_disk_that_is_plugged_in(tmp_path):
    """Its name is known at the next collection; one that is pulled out has none any more."""
    host = Host.copy("v2", tmp_path)
    collector = host.collector()
    disk = host.folder / "sys" / "block" / "vda"
    for there in (True, False, True):
        if there:
            disk.mkdir(exist_ok=True)
            (disk / "dev").write_text("254:0\n")
        else:
            (disk / "dev").unlink()
            disk.rmdir()
        (io,) = collector.collect(host.snapshot, driver="").usage[WEB].io
        assert io.device == ("/dev/vda" if there else "")


def test_only_the_wanted_parts_are_read(tmp_path):
    """What is switched off is neither read nor wrong."""
    host = Host.copy("v2", tmp_path)
    host.file("memory.stat", WEB).write_text("what?")
    readings = host.collect(parts=frozenset({"cpu", "pids"}))
    assert not readings.faults
    assert {name for name, value in parts_of(readings.usage[WEB]).items() if value is not None} == {
        "cpu",
        "pids",
    }
    assert readings.host.limits is None


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_processes(version, tmp_path):
    """On request every process is looked at: its descriptors, and how many of them are sockets."""
    host = Host.copy(version, tmp_path)
    container = CONTAINER[version]
    host.file("cgroup.procs", container).write_text("11\n12\n13\n")
    for pid, links in ((11, ["/dev/null", "socket:[1]", "socket:[2]"]), (12, ["pipe:[3]"])):
        folder = host.folder / "proc" / str(pid) / "fd"
        folder.mkdir(parents=True)
        for number, link in enumerate(links):
            (folder / str(number)).symlink_to(link)
    pids = host.collect(parts=ALL_PARTS).usage[container].pids
    assert (pids.processes, pids.file_descriptors, pids.sockets) == (3, 4, 2)
    assert host.collect(parts=DEFAULT_PARTS).usage[container].pids.processes is None


def test_processes_outside_our_namespace(tmp_path):
    """They are shown as 0: they can be counted, and that is all."""
    host = Host.copy("v2", tmp_path)
    host.file("cgroup.procs", WEB).write_text("0\n0\n")
    pids = host.collect(parts=ALL_PARTS).usage[WEB].pids
    assert (pids.processes, pids.file_descriptors, pids.sockets) == (2, None, None)


@pytest.mark.parametrize("name", ["fd", "cgroup.procs"])
def test_processes_that_cannot_be_looked_at(name, tmp_path):
    """That costs what is counted there, as a part of its own, and not the threads."""
    host = Host.copy("v2", tmp_path)
    host.file("cgroup.procs", WEB).write_text("11\n")
    folder = host.folder / "proc" / "11"
    folder.mkdir()
    if name == "fd":
        (folder / "fd").write_text("no folder")
    else:
        host.file("cgroup.procs", WEB).write_text("what?")
    readings = host.collect(parts=ALL_PARTS)
    pids = readings.usage[WEB].pids
    assert replace(pids, processes=None) == host.collect().usage[WEB].pids
    assert pids.processes == 1
    ((part, sentence),) = readings.faults.items()
    assert part == "processes"
    assert sentence.startswith("container web: ")
    assert name in sentence


def test_a_wrong_procfs(tmp_path):
    """One look without any process may be a race; a second one is a /proc of somebody else."""
    host = Host.copy("v2", tmp_path)
    for pid in ("553", "638", "726"):
        (host.folder / "proc" / pid / "cgroup").unlink()
    collector = host.collector()
    assert not collector.collect(host.snapshot, driver="").faults
    readings = collector.collect(host.snapshot, driver="")
    assert readings.faults["cgroups"].endswith("or say where it is with --path.procfs")
    stopped = replace(host.snapshot, containers=())
    assert not collector.collect(stopped, driver="").faults


def test_cgroups_that_are_mounted_later(tmp_path):
    """The version is found out when there is one."""
    host = Host.copy("v2", tmp_path)
    away = host.cgroupfs.rename(tmp_path / "away")
    collector = host.collector()
    assert list(collector.collect(host.snapshot, driver="").faults) == ["cgroups", "host"]
    away.rename(host.cgroupfs)
    readings = collector.collect(host.snapshot, driver="")
    assert not readings.faults
    assert WEB in readings.usage


def descriptors():
    """Return how many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_descriptors_are_kept_within_the_bound_and_given_back(tmp_path):
    """Values are the same with all, some and no files kept; a container that stops gives its own back."""
    host = Host.copy("v2", tmp_path)
    plain = host.collect()
    gc.collect()
    before = descriptors()
    for keep in (1000, 20, 1):
        collector = host.collector(keep=keep)
        for _ in range(3):
            readings = collector.collect(host.snapshot, driver="")
            assert readings == plain
        assert before < descriptors() <= before + keep + 1  # and /proc/meminfo
        collector.collect(replace(host.snapshot, containers=()), driver="")
        of_the_host = 7
        assert descriptors() <= before + min(keep, of_the_host) + 1
        del collector
        gc.collect()
        assert descriptors() == before


def test_values_move_in_files_kept_open(tmp_path):
    """A kept descriptor is read anew each time."""
    host = Host.copy("v2", tmp_path)
    collector = host.collector(keep=100)
    collector.collect(host.snapshot, driver="")
    host.file("memory.current", WEB).write_text("777777\n")
    assert collector.collect(host.snapshot, driver="").usage[WEB].memory.usage_bytes == 777777


def test_a_restarted_container_is_read_anew(tmp_path):
    """Another pid means another cgroup, even under the same path."""
    host = Host.copy("v2", tmp_path)
    collector = host.collector(keep=100)
    collector.collect(host.snapshot, driver="")
    path = host.file("memory.current", WEB)
    path.unlink()
    path.write_text("888888\n")
    (host.folder / "proc" / "553").rename(host.folder / "proc" / "999")
    views = tuple(replace(view, pid=999) if view.id == WEB else view for view in host.snapshot.containers)
    readings = collector.collect(replace(host.snapshot, containers=views), driver="")
    assert readings.usage[WEB].memory.usage_bytes == 888888


def test_a_kept_file_that_dies(tmp_path):
    """The kernel says so when it is read again (here: a process' file, which dies as a cgroup's does); all are closed."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        (tmp_path / "current").symlink_to(f"/proc/{process.pid}/oom_score")
        (tmp_path / "other").write_text("1\n")
        budget = Descriptors(10)
        files = CgroupFiles({"": str(tmp_path)}, budget)
        assert int(files.read("current")) >= 0
        assert files.read("other") == b"1\n"
        assert budget.free == 8
        process.communicate(b"\n", timeout=30)
    with pytest.raises(CgroupGoneError):
        files.read_if_any("current")
    assert budget.free == 10


def test_out_of_descriptors(tmp_path):
    """When the process has none left, kept ones are given up and reading goes on."""
    program = """
import os, resource, sys
from exporter.cgroups.files import CgroupFiles, Descriptors
files = CgroupFiles({"": sys.argv[1]}, Descriptors(100))
files.read("a"), files.read("b")
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
try:
    while True:
        os.open("/dev/null", os.O_RDONLY)
except OSError:
    pass
print(files.read("c").decode(), files.read("a").decode())
"""
    for name in "abc":
        (tmp_path / name).write_text(name)
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "c a\n"


def test_descriptors_by_default():
    """Half of what the process may open is left to others."""
    assert 0 < Descriptors().free <= 4096
