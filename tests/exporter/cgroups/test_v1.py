"""Every value of a host of version 1, against numbers read off its files by hand."""

import shutil

import pytest

from exporter.cgroups.usage import CpuUsage, DeviceIo, Limits, MemoryUsage, Pids, Usage
from tests.exporter.cgroups.hosts import OLD, Host


def test_a_container_with_every_limit():
    """All parts; I/O is the throttling layer's, as BFQ counts nothing; there is no pressure."""
    readings = Host("v1").collect()
    assert not readings.faults
    assert readings.paths[OLD] == f"/docker/{OLD}"
    assert readings.usage[OLD] == Usage(
        cpu=CpuUsage(
            seconds=28.181574321,
            user_seconds=24.26,
            system_seconds=3.91,
            periods=604,
            throttled_periods=481,
            throttled_seconds=20.760055123,
        ),
        memory=MemoryUsage(
            usage_bytes=2391040,
            working_set_bytes=2391040 - 1327104,
            cache_bytes=1982464,
            rss_bytes=53248,
            mapped_file_bytes=135168,
            swap_bytes=40960,
            kernel_bytes=311296,
            max_usage_bytes=16777216,
            active_file_bytes=655360,
            inactive_file_bytes=1327104,
            dirty_file_bytes=12288,
            writeback_file_bytes=4096,
            limit_hits=37,
            page_faults=5192,
            major_page_faults=7,
            refaults_file=21,
            refaults_anon=5,
            oom_kills=1,
        ),
        io=(
            DeviceIo(
                device="/dev/vda",
                major=254,
                minor=0,
                read_bytes=20480,
                written_bytes=41943040,
                reads=5,
                writes=37,
                operations=(
                    ("Read", 20480),
                    ("Write", 41943040),
                    ("Sync", 41963520),
                    ("Async", 0),
                    ("Discard", 8192),
                    ("Total", 41971712),
                ),
            ),
            DeviceIo(
                device="",
                major=7,
                minor=0,
                read_bytes=4096,
                written_bytes=0,
                reads=1,
                writes=0,
                operations=(
                    ("Read", 4096),
                    ("Write", 0),
                    ("Sync", 4096),
                    ("Async", 0),
                    ("Discard", 0),
                    ("Total", 4096),
                ),
            ),
        ),
        pressure=None,
        limits=Limits(
            cpu_period_us=100000,
            cpu_quota_us=50000,
            cpu_shares=512,
            memory_bytes=16777216,
            swap_bytes=33554432,
            reservation_bytes=8388608,
        ),
        pids=Pids(threads=3, threads_max=50),
    )


def test_the_host():
    """The root has the files of every cgroup; its limits are the machine's, and its OOM kills nobody's."""
    host = Host("v1").collect().host
    assert host.cpu == CpuUsage(seconds=13690.115091124, user_seconds=11161.44, system_seconds=2528.67)
    assert (host.memory.usage_bytes, host.memory.max_usage_bytes) == (2333691904, 3798863872)
    assert host.memory.oom_kills is None
    assert host.limits == Limits(
        cpu_period_us=100000,
        cpu_quota_us=None,
        cpu_shares=1024,
        memory_bytes=2026004 * 1024,
        swap_bytes=1048576 * 1024,
        reservation_bytes=0,
    )
    assert (host.io, host.pressure, host.pids) == ((), None, None)


def test_no_limits(tmp_path):
    """A quota of -1 is none, the largest number of pages is 0, and without a quota bandwidth control says nothing."""
    host = Host.copy("v1", tmp_path)
    host.file("cpu.cfs_quota_us", OLD).write_text("-1\n")
    host.file("pids.max", OLD).write_text("max\n")
    for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes"):
        host.file(name, OLD).write_text("9223372036854771712\n")
    usage = host.collect().usage[OLD]
    assert usage.limits == Limits(
        cpu_period_us=100000, cpu_shares=512, memory_bytes=0, swap_bytes=0, reservation_bytes=0
    )
    assert (usage.cpu.periods, usage.cpu.throttled_periods, usage.cpu.throttled_seconds) == (None, None, None)
    assert usage.pids.threads_max == 0


@pytest.mark.parametrize(
    ("prefix", "suffix", "beside"),
    [
        pytest.param("blkio.bfq.", "_recursive", "blkio.throttle.", id="BFQ before the throttling layer"),
        pytest.param("blkio.", "_recursive", "blkio.throttle.", id="CFQ before the throttling layer"),
        pytest.param("blkio.throttle.", "_recursive", None, id="the throttling layer"),
        pytest.param("blkio.throttle.", "", None, id="not recursive, on old kernels"),
    ],
)
def test_who_counts_io(tmp_path, prefix, suffix, beside):
    """The first that has something to say is believed."""
    host = Host.copy("v1", tmp_path)
    for path in list(host.cgroupfs.glob("blkio/**/blkio.*")):
        if beside is None or not path.name.startswith(beside):
            path.unlink()
    for folder in (host.cgroupfs / "blkio", host.cgroupfs / "blkio" / "docker" / OLD):
        (folder / f"{prefix}io_serviced{suffix}").write_text("254:0 Read 3\n254:0 Write 4\nTotal 7\n")
        (folder / f"{prefix}io_service_bytes{suffix}").write_text(
            "254:0 Read 300\n254:0 Write 400\nTotal 700\n"
        )
    (io,) = host.collect().usage[OLD].io
    assert (io.device, io.reads, io.writes, io.read_bytes, io.written_bytes) == ("/dev/vda", 3, 4, 300, 400)


def test_controllers_that_share_a_folder(tmp_path):
    """Most distributions mount cpu and cpuacct together."""
    host = Host.copy("v1", tmp_path)
    shared = (host.cgroupfs / "cpu").rename(host.cgroupfs / "cpu,cpuacct")
    for path in (host.cgroupfs / "cpuacct").rglob("cpuacct.*"):
        path.rename(shared / path.relative_to(host.cgroupfs / "cpuacct"))
    (host.cgroupfs / "cpuacct" / "release_agent").unlink()
    for folder in sorted((host.cgroupfs / "cpuacct").rglob("*"), reverse=True):
        folder.rmdir()
    (host.cgroupfs / "cpuacct").rmdir()
    usage = host.collect().usage[OLD]
    assert (usage.cpu.seconds, usage.limits.cpu_quota_us) == (28.181574321, 50000)


def test_paths_that_differ_by_controller(tmp_path):
    """Each controller has a path of its own; the memory's names the container."""
    host = Host.copy("v1", tmp_path)
    membership = host.folder / "proc" / "2299" / "cgroup"
    membership.write_text(membership.read_text().replace("8:pids:/docker/", "8:pids:/other/"))
    (host.cgroupfs / "pids" / "docker").rename(host.cgroupfs / "pids" / "other")
    readings = host.collect()
    assert readings.usage[OLD].pids.threads == 3
    assert readings.paths[OLD] == f"/docker/{OLD}"


def test_a_kernel_without_some_controllers(tmp_path, caplog):
    """What is not counted is absent, which is no failure; it is said once what would help."""
    host = Host.copy("v1", tmp_path)
    membership = host.folder / "proc" / "2299" / "cgroup"
    kept = [line for line in membership.read_text().splitlines(keepends=True) if line.split(":")[1] not in ("memory", "blkio", "pids")]  # fmt: skip
    membership.write_text("".join(kept))
    for name in ("memory", "blkio", "pids"):
        shutil.rmtree(host.cgroupfs / name)
    collector = host.collector()
    for _ in range(2):
        readings = collector.collect(host.snapshot, driver="")
    assert not readings.faults
    assert readings.host.memory is None
    assert [record.facts["controller"] for record in caplog.records] == ["blkio", "memory", "pids"]
    assert "cgroup_enable=memory" in caplog.records[1].facts["remedy"]
    usage = readings.usage[OLD]
    assert (usage.memory, usage.io, usage.pids) == (None, None, None)
    assert usage.cpu.seconds == 28.181574321
    assert readings.paths[OLD] == f"/docker/{OLD}"
