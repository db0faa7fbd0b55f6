"""Every value of a recorded host of version 2, against numbers read off its files by hand."""

from exporter.cgroups.usage import CpuUsage, DeviceIo, Limits, MemoryUsage, Pids, Pressure, Usage
from tests.exporter.cgroups.hosts import DISK, OOM, WEB, Host

RECORDED = Host("v2")


def test_a_container_with_every_limit():
    """All parts of `web`: a quota, a reservation, a swap limit, throttled, one read of one disk."""
    readings = RECORDED.collect()
    assert not readings.faults
    assert readings.paths[WEB] == f"/system.slice/docker-{WEB}.scope"
    assert readings.usage[WEB] == Usage(
        cpu=CpuUsage(
            seconds=28.181574,
            user_seconds=24.267745,
            system_seconds=3.913829,
            periods=604,
            throttled_periods=481,
            throttled_seconds=20.760055,
            bursts=0,
            burst_seconds=0.0,
        ),
        memory=MemoryUsage(
            usage_bytes=344064,
            working_set_bytes=344064 - 4096,
            cache_bytes=20480,
            rss_bytes=65536,
            mapped_file_bytes=0,
            swap_bytes=0,
            kernel_bytes=258048,
            max_usage_bytes=4747264,
            active_file_bytes=16384,
            inactive_file_bytes=4096,
            dirty_file_bytes=0,
            writeback_file_bytes=0,
            limit_hits=0,
            high_events=0,
            max_events=0,
            page_faults=692,
            major_page_faults=0,
            pages_scanned=0,
            pages_stolen=0,
            refaults_file=0,
            refaults_anon=0,
            oom_kills=0,
        ),
        io=(
            DeviceIo(
                device="/dev/vda",
                major=254,
                minor=0,
                read_bytes=20480,
                written_bytes=0,
                reads=1,
                writes=0,
                operations=(("Read", 20480), ("Write", 0)),
            ),
        ),
        pressure=Pressure(
            cpu_some=20.827039,
            cpu_full=20.733732,
            memory_some=0.0,
            memory_full=0.0,
            io_some=0.0,
            io_full=0.0,
        ),
        limits=Limits(
            cpu_period_us=100000,
            cpu_quota_us=50000,
            cpu_shares=None,
            memory_bytes=67108864,
            swap_bytes=33554432,
            reservation_bytes=33554432,
        ),
        pids=Pids(threads=1, threads_max=50),
    )


def test_a_container_without_a_quota():
    """`disk` has no figures of bandwidth control, the file cache is not in its working set, and two disks."""
    usage = RECORDED.collect().usage[DISK]
    assert usage.cpu == CpuUsage(seconds=1.702153, user_seconds=0.272818, system_seconds=1.429334)
    assert usage.memory.working_set_bytes == 43507712 - 41943040
    assert usage.limits == Limits(
        cpu_period_us=100000, memory_bytes=134217728, swap_bytes=134217728, reservation_bytes=0
    )
    assert [(io.device, io.minor, io.written_bytes, io.writes) for io in usage.io] == [
        ("/dev/vdb", 16, 0, 1),
        ("/dev/vda", 0, 41943040, 37),
    ]


def test_a_container_at_its_limit():
    """`oom` has hit it 650 times and lost 19 children; a swap limit of 0 is what the kernel says."""
    readings = RECORDED.collect()
    usage = readings.usage[OOM]
    assert (usage.memory.limit_hits, usage.memory.max_events, usage.memory.oom_kills) == (650, 650, 19)
    assert usage.memory.max_usage_bytes == usage.limits.memory_bytes == 16777216
    assert (OOM, 726, 19) in readings.ooms(RECORDED.snapshot)
    assert usage.io == ()
    assert usage.pressure.memory_some == 0.449054


def test_the_host():
    """The root has no memory.current, no events and no limits: usage is anon and file, the limit is the machine's."""
    host = RECORDED.collect().host
    assert host.cpu == CpuUsage(seconds=226.236, user_seconds=107.464, system_seconds=118.772)
    assert host.memory.usage_bytes == 123043840 + 264445952
    assert host.memory.working_set_bytes == 123043840 + 264445952 - 136859648
    assert (host.memory.kernel_bytes, host.memory.major_page_faults) == (15466496, 1507)
    assert (host.memory.max_usage_bytes, host.memory.limit_hits, host.memory.oom_kills) == (None, None, None)
    assert host.memory.swap_bytes == 0
    assert host.limits == Limits(
        cpu_period_us=0, memory_bytes=2026004 * 1024, swap_bytes=0, reservation_bytes=0
    )
    assert [(io.device, io.read_bytes, io.writes) for io in host.io] == [
        ("/dev/vdb", 5214208, 57),
        ("/dev/vda", 211440640, 1820),
    ]
    assert (host.pressure.cpu_some, host.pressure.io_full) == (99.970837, 2.878763)
    assert host.pids is None


def test_swap_of_the_host(tmp_path):
    """The root's swap is what the machine has in use."""
    host = Host.copy("v2", tmp_path)
    (host.folder / "proc" / "meminfo").write_text("MemTotal: 8 kB\nSwapTotal: 1000 kB\nSwapFree: 400 kB\n")
    found = host.collect().host
    assert found.memory.swap_bytes == 600 * 1024
    assert found.limits.swap_bytes == 1000 * 1024


def test_no_limit_is_0(tmp_path):
    """`max` means unlimited, which cAdvisor writes as 0."""
    host = Host.copy("v2", tmp_path)
    for name in ("memory.max", "memory.swap.max", "pids.max"):
        host.file(name, WEB).write_text("max\n")
    usage = host.collect().usage[WEB]
    assert (usage.limits.memory_bytes, usage.limits.swap_bytes, usage.pids.threads_max) == (0, 0, 0)


def test_an_older_kernel(tmp_path):
    """What the kernel does not measure is None, and nothing is wrong; swap without accounting is 0."""
    host = Host.copy("v2", tmp_path)
    gone = (
        "memory.peak",
        "memory.swap.current",
        "io.stat",
        "pids.current",
        "memory.pressure",
        "memory.swap.max",
    )
    for name in gone:
        host.file(name, WEB).unlink()
    stat = host.file("memory.stat", WEB)
    stat.write_text("".join(line for line in stat.read_text().splitlines(keepends=True) if not line.startswith(("kernel ", "pgscan "))))  # fmt: skip
    readings = host.collect()
    usage = readings.usage[WEB]
    assert not readings.faults
    assert (usage.pressure, usage.io, usage.pids) == (None, None, None)
    assert (usage.memory.max_usage_bytes, usage.memory.kernel_bytes, usage.memory.pages_scanned) == (
        None,
    ) * 3
    assert (usage.memory.swap_bytes, usage.limits.swap_bytes, usage.memory.rss_bytes) == (0, 0, 65536)


def test_pressure_before_linux_5_13(tmp_path):
    """cpu.pressure had no line `full`: nothing stalled completely, as later kernels say for the root."""
    host = Host.copy("v2", tmp_path)
    host.file("cpu.pressure", WEB).write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\n")
    pressure = host.collect().usage[WEB].pressure
    assert (pressure.cpu_some, pressure.cpu_full) == (1.5, 0.0)


def test_a_missing_line_break_in_io_stat(tmp_path):
    """Some kernels name a device without numbers and go on in the same line."""
    host = Host.copy("v2", tmp_path)
    host.file("io.stat", WEB).write_text(
        "7:0 254:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n8:0 rbytes=7\n"
    )
    found = host.collect().usage[WEB].io
    assert [(io.device, io.read_bytes, io.written_bytes, io.reads, io.writes) for io in found] == [
        ("/dev/vdb", 1, 2, 3, 4),
        ("", 7, 0, 0, 0),
    ]


def test_a_file_longer_than_one_read(tmp_path):
    """A host with hundreds of disks is read to the end, kept open or not."""
    host = Host.copy("v2", tmp_path)
    lines = [
        f"259:{number} rbytes={number} wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n" for number in range(900)
    ]
    host.file("io.stat", WEB).write_text("".join(lines))
    collector = host.collector(keep=100)
    for _ in range(2):
        found = collector.collect(host.snapshot, driver="").usage[WEB].io
        assert [io.read_bytes for io in found] == list(range(900))


def test_a_memory_controller_that_is_off(tmp_path):
    """It is said what to do, and the rest is read."""
    host = Host.copy("v2", tmp_path)
    for name in ("memory.current", "memory.max"):
        host.file(name, WEB).unlink()
    path = host.file("cpu.stat", WEB).with_name("memory.current")
    readings = host.collect()
    assert readings.faults == {
        "memory": f"container web: {path}: the memory controller is not enabled there; have whoever made this cgroup enable it "
        "(cgroup.subtree_control above it; with systemd Delegate=memory)"
    }
    usage = readings.usage[WEB]
    assert usage.memory is None
    assert usage.cpu.seconds == 28.181574
    assert usage.limits.memory_bytes is None


def test_a_kernel_without_a_memory_controller(tmp_path, caplog):
    """As Raspberry Pi OS is by default: memory is absent, which is no failure; it is said once what would help."""
    host = Host.copy("v2", tmp_path)
    (host.cgroupfs / "cgroup.controllers").write_text("cpuset cpu io pids\n")
    for path in host.cgroupfs.rglob("memory.*"):
        if path.name != "memory.pressure":
            path.unlink()
    collector = host.collector()
    for _ in range(2):
        readings = collector.collect(host.snapshot, driver="")
    assert not readings.faults
    assert (readings.usage[WEB].memory, readings.host.memory) == (None, None)
    assert readings.host.cpu is not None
    assert readings.host.limits is not None
    (record,) = caplog.records
    assert (record.facts["controller"], "cgroup_enable=memory" in record.facts["remedy"]) == ("memory", True)
