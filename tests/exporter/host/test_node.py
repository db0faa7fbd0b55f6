"""The host in parts, each with a fault of its own."""

import os
import shutil
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.host.filesystems import FilesystemProber, Space
from exporter.host.mounttable import REREAD_SECONDS
from exporter.host.node import NodeCollector, NodeReadings, Part
from exporter.host.timex import ClockState
from tests.exporter.host.hosts import VM, copy_of
from tests.exporter.host.test_mounts import CONTAINER, HOST
from tests.size import examples

SPACE = Space(size_bytes=100, free_bytes=60, avail_bytes=50, files=10, files_free=5)
CLOCK = ClockState(offset_seconds=0.001, maxerror_seconds=0.5, synchronized=True)
NOW = 1795478511.5
FILES = {
    Part.MEMINFO: "meminfo",
    Part.VMSTAT: "vmstat",
    Part.LOADAVG: "loadavg",
    Part.PRESSURE: "pressure/io",
    Part.STAT: "stat",
    Part.FILESYSTEM: "1/mountinfo",
}


@pytest.fixture
def host(tmp_path):
    """A recorded host with the mounts of another."""
    made = copy_of(VM, tmp_path)
    (made / "proc/1").mkdir()
    (made / "proc/1/mountinfo").write_bytes(HOST)
    return made


def refuse():
    """Answer as a seccomp profile does."""
    raise PermissionError(1, "Operation not permitted", "adjtimex")


def collector_of(host, **changes):
    """Return a collector of a recorded host, whose disks answer at once."""
    plain = {
        "procfs": host / "proc",
        "prober": FilesystemProber(ask=lambda _: SPACE, patience=10.0),
        "clock": lambda: CLOCK,
        "now": lambda: NOW,
    }
    return NodeCollector(**{**plain, **changes})


def filled(readings):
    """Return the parts that have something to show."""
    shown = {
        Part.MEMINFO: readings.memory,
        Part.VMSTAT: readings.vmstat,
        Part.LOADAVG: readings.load,
        Part.PRESSURE: readings.pressure,
        Part.STAT: readings.cpu and readings.boot_time,
        Part.FILESYSTEM: readings.filesystems,
        Part.TIMEX: readings.clock,
        Part.UNAME: readings.uname,
    }
    return {part for part, value in shown.items() if value}


def test_recorded_host(host):
    """Every part of a recorded host is there."""
    readings = collector_of(host).collect()
    assert (readings.faults, filled(readings)) == ({}, set(Part))
    assert readings.at == NOW
    assert readings.boot_time == 1795458609
    assert readings.vmstat["oom_kill"] == 46
    assert readings.pressure.keys() == {
        "cpu_waiting",
        "memory_waiting",
        "memory_stalled",
        "io_waiting",
        "io_stalled",
    }
    assert readings.clock == CLOCK
    assert readings.uname.domainname == "(none)"
    assert {found.mount.mountpoint for found in readings.filesystems} == {
        "/",
        "/run",
        "/boot/efi",
        "/mnt/nas",
        "/srv/my data",
    }


@pytest.mark.parametrize(
    "content", [pytest.param(None, id="missing"), pytest.param(b"\0\xff garbage\n", id="garbage")]
)
@pytest.mark.parametrize("part", [pytest.param(part, id=part) for part in FILES])
def test_one_part_fails(host, part, content):
    """A file that is missing or holds something else costs its own part; the fault has place and remedy."""
    path = host / "proc" / FILES[part]
    path.unlink() if content is None else path.write_bytes(content)
    if part is Part.PRESSURE and content is None:
        # That would be a kernel without it, which is no fault; a folder is one.
        path.mkdir()
    readings = collector_of(host).collect()
    assert filled(readings) == set(Part) - {part}
    assert readings.faults.keys() == {part}
    assert str(host / "proc") in readings.faults[part]
    assert "; mount the host's " in readings.faults[part]


def test_no_pressure(host):
    """A kernel that does not measure pressure has no such families, and that is no fault."""
    shutil.rmtree(host / "proc/pressure")
    readings = collector_of(host).collect()
    assert (readings.pressure, readings.faults) == ({}, {})


def test_no_proc(tmp_path):
    """Without the host's /proc every part that needs it says so."""
    readings = collector_of(tmp_path).collect()
    assert filled(readings) == {Part.TIMEX}
    assert readings.faults.keys() == set(Part) - {Part.TIMEX}


def test_clock_refused(host):
    """A seccomp profile that forbids the question costs the clock only."""
    readings = collector_of(host, clock=refuse).collect()
    assert filled(readings) == set(Part) - {Part.TIMEX}
    assert readings.faults[Part.TIMEX].startswith("adjtimex: Operation not permitted; allow ")


def test_parts_switched_off(host):
    """What is not wanted is not read and is no fault."""
    readings = collector_of(host, parts={Part.MEMINFO, Part.LOADAVG}).collect()
    assert (filled(readings), readings.faults) == ({Part.MEMINFO, Part.LOADAVG}, {})
    assert filled(NodeReadings()) == set()


def test_inside_a_container(host):
    """With the host's root mounted, its filesystems are found below it in the table of our own container."""
    (host / "proc/1/mountinfo").unlink()
    (host / "proc/self").mkdir()
    (host / "proc/self/mountinfo").write_bytes(CONTAINER)
    readings = collector_of(host, rootfs="/host").collect()
    assert {found.mount.mountpoint for found in readings.filesystems} == {"/", "/boot/efi", "/srv/broken"}
    assert readings.faults == {}


def test_inside_a_container_without_the_hosts_root(host):
    """A container's own files are not the host's disks: nothing is shown, and the fault says what to mount."""
    (host / "proc/1/mountinfo").write_bytes(CONTAINER.splitlines(keepends=True)[0])
    readings = collector_of(host).collect()
    assert readings.filesystems == ()
    assert readings.faults[Part.FILESYSTEM] == (
        f"{host}/proc/1/mountinfo: shows no filesystem of the host;"
        " mount the host's root directory and say where with --path.rootfs"
    )


def test_mounted_later(host):
    """A filesystem mounted while we run is there after half a minute, even where the kernel does not tell of it."""
    times = iter([NOW, NOW, NOW + REREAD_SECONDS, NOW + REREAD_SECONDS])
    collector = collector_of(host, now=lambda: next(times))
    collector.collect()
    (host / "proc/1/mountinfo").write_bytes(HOST + b"99 28 8:33 / /new rw - ext4 /dev/sdc1 rw\n")
    assert "/new" in {found.mount.mountpoint for found in collector.collect().filesystems}


@pytest.mark.parametrize(
    ("second", "published"),
    [
        pytest.param((20, 350), (0.2, 4.0), id="idle goes back a little: it stays"),
        pytest.param((5, 90), (0.05, 0.9), id="idle starts over: the CPU was off, so do all"),
        pytest.param((5, 450), (0.1, 4.5), id="another mode goes back: it stays"),
    ],
)
def test_cpu_time_never_goes_back(host, second, published):
    """A counter that sinks a little would read as a reset and a huge rate."""
    line = "cpu0 {} 0 0 {} 0 0 0 0 0 0\nbtime 1\n"
    collector = collector_of(host)
    (host / "proc/stat").write_text(line.format(10, 400))
    collector.collect()
    (host / "proc/stat").write_text(line.format(*second))
    times = collector.collect().cpu["0"]
    assert (times[0], times[3]) == pytest.approx(published)


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.dictionaries(st.sampled_from(sorted(FILES.values())), st.binary(max_size=60), min_size=1))
def test_any_bytes_in_any_file(host, content):
    """Whatever the files hold, every part is there or has its fault, and nothing is raised."""
    before = {name: (host / "proc" / name).read_bytes() for name in content}
    try:
        for name, data in content.items():
            (host / "proc" / name).write_bytes(data)
        readings = collector_of(host).collect()
    finally:
        for name, data in before.items():
            (host / "proc" / name).write_bytes(data)
    assert filled(readings) | set(readings.faults) == set(Part)
    assert set(readings.faults) <= {part for part, name in FILES.items() if name in content}


def test_this_machine():
    """On the machine the test runs on, values are those the system says elsewhere."""
    readings = NodeCollector(prober=FilesystemProber(patience=5.0)).collect()
    assert readings.memory["MemTotal_bytes"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert len(readings.cpu) == os.sysconf("SC_NPROCESSORS_ONLN")
    assert abs(readings.at - time.time()) < 60
    assert readings.boot_time < time.time()
    assert readings.uname.release == os.uname().release
    assert readings.faults.keys() <= {Part.FILESYSTEM, Part.TIMEX}
