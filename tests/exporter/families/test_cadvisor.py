"""cAdvisor's families: every one its users have by default, each value where it belongs, and nothing said that is not known."""

import re
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.cgroups.collector import Readings
from exporter.cgroups.usage import CpuUsage, DeviceIo, Limits, MemoryUsage, Pids, Usage
from exporter.docker.containers import Health, RestartPolicy
from exporter.families import cadvisor
from exporter.host.node import NodeReadings
from tests.exporter.families.readings import DISK, FULL, MACHINE
from tests.exporter.stories import EPOCH, ID, Story, facts, world_of
from tests.size import examples

FAMILIES = {family.name: family for family in cadvisor.FAMILIES}


def world(usage=None, *, host=None, machine=None, node=None, **changes):
    """Return a world with one running container, `web`, that has this usage."""
    story = Story(facts(**changes))
    readings = Readings(usage={} if usage is None else {ID: usage}, paths={ID: f"/docker/{ID}"}, host=host)
    return world_of(story.inventory.snapshot(EPOCH + 60.0), readings=readings, machine=machine, node=node)


def series(name, seen):
    """Return a family's values: of the container by the family's own labels, of the host with `/` before them."""
    found = {}
    for base, labels, value in FAMILIES[name].samples(seen):
        key = ",".join(f"{name}={value}" for name, value in labels if value)
        found["/" + key if base.labels == (("id", "/"),) else key] = value
    return found


def test_labels_of_a_container():
    """Its series have cgroup path, image and name, and the host's have its path alone."""
    seen = world(FULL, host=FULL)
    host, container = FAMILIES["container_memory_rss"].samples(seen)
    assert host[0].text(()) == '{id="/"}'
    assert container[0].text(()) == f'{{id="/docker/{ID}",image="busybox:1.35",name="web"}}'


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("container_cpu_usage_seconds_total", {"cpu=total": 100}),
        ("container_cpu_user_seconds_total", {"": 101}),
        ("container_cpu_system_seconds_total", {"": 102}),
        ("container_cpu_cfs_periods_total", {"": 103}),
        ("container_cpu_cfs_throttled_periods_total", {"": 104}),
        ("container_cpu_cfs_throttled_seconds_total", {"": 105}),
        ("container_cpu_cfs_burst_periods_total", {"": 106}),
        ("container_cpu_cfs_burst_seconds_total", {"": 107}),
        ("container_cpu_load_average_10s", {"": 0}),
        ("container_cpu_load_d_average_10s", {"": 0}),
        ("container_tasks_state", {f"state={state}": 0 for state in ("iowaiting", "running", "sleeping", "stopped", "uninterruptible")}),
        ("container_memory_usage_bytes", {"": 200}),
        ("container_memory_working_set_bytes", {"": 201}),
        ("container_memory_cache", {"": 202}),
        ("container_memory_rss", {"": 203}),
        ("container_memory_mapped_file", {"": 204}),
        ("container_memory_swap", {"": 205}),
        ("container_memory_kernel_usage", {"": 206}),
        ("container_memory_max_usage_bytes", {"": 207}),
        ("container_memory_total_active_file_bytes", {"": 208}),
        ("container_memory_total_inactive_file_bytes", {"": 209}),
        ("container_memory_file_dirty_bytes", {"": 210}),
        ("container_memory_file_writeback_bytes", {"": 211}),
        ("container_memory_failcnt", {"": 212}),
        ("container_memory_events_high_total", {"": 213}),
        ("container_memory_events_max_total", {"": 214}),
        ("container_memory_failures_total", {f"failure_type={type_},scope={scope}": number for type_, number in (("pgfault", 215), ("pgmajfault", 216)) for scope in ("container", "hierarchy")}),
        ("container_memory_pgscan_total", {"": 217}),
        ("container_memory_pgsteal_total", {"": 218}),
        ("container_memory_workingset_refault_file_total", {"": 219}),
        ("container_memory_workingset_refault_anon_total", {"": 220}),
        ("container_pressure_cpu_waiting_seconds_total", {"": 300}),
        ("container_pressure_cpu_stalled_seconds_total", {"": 301}),
        ("container_pressure_memory_waiting_seconds_total", {"": 302}),
        ("container_pressure_memory_stalled_seconds_total", {"": 303}),
        ("container_pressure_io_waiting_seconds_total", {"": 304}),
        ("container_pressure_io_stalled_seconds_total", {"": 305}),
        ("container_fs_reads_bytes_total", {"device=/dev/vda": 401}),
        ("container_fs_writes_bytes_total", {"device=/dev/vda": 402}),
        ("container_fs_reads_total", {"device=/dev/vda": 403}),
        ("container_fs_writes_total", {"device=/dev/vda": 404}),
        ("container_blkio_device_usage_total", {f"device=/dev/vda,major=254,minor=16,operation={word}": number for word, number in (("Read", 405), ("Write", 406), ("Discard", 407))}),
        ("container_spec_cpu_period", {"": 500}),
        ("container_spec_cpu_quota", {"": 501}),
        ("container_spec_cpu_shares", {"": 502}),
        ("container_spec_memory_limit_bytes", {"": 503}),
        ("container_spec_memory_swap_limit_bytes", {"": 504}),
        ("container_spec_memory_reservation_limit_bytes", {"": 505}),
        ("container_threads", {"": 600}),
        ("container_threads_max", {"": 601}),
        ("container_processes", {"": 602}),
        ("container_file_descriptors", {"": 603}),
        ("container_sockets", {"": 604}),
    ],
)  # fmt: skip
def test_every_value_is_where_it_belongs(name, expected):
    """A container's reading, each number in its own family; the host's likewise, with its limits from the machine."""
    seen = world(FULL, host=FULL, machine=MACHINE)
    host = {
        "container_spec_memory_limit_bytes": {"/": 8_000_000},
        "container_spec_memory_swap_limit_bytes": {"/": 2_000_000},
    }.get(name, {"/" + key: value for key, value in expected.items()})
    assert series(name, seen) == expected | host


OF_DOCKER = {
    "container_last_seen",
    "container_start_time_seconds",
    "container_creation_time_seconds",
    "container_health_state",
    "container_oom_events_total",
    "container_info",
    "container_spec_cpu_period",
    "container_spec_cpu_shares",
    "container_spec_memory_limit_bytes",
    "container_spec_memory_swap_limit_bytes",
    "container_spec_memory_reservation_limit_bytes",
}


@pytest.mark.parametrize("usage", [Usage(), None], ids=["nothing could be read", "there is no cgroup"])
def test_what_is_not_known_is_left_out(usage):
    """A container without a reading keeps what Docker says of it, and nothing is made up."""
    seen = world(usage, host=None if usage is None else usage, created_at=EPOCH - 5.5)
    found = {name for name in FAMILIES if any(key[:1] != "/" for key in series(name, seen))}
    assert found == OF_DOCKER


@pytest.mark.parametrize(
    ("part", "field"),
    [
        pytest.param(part, field.name, id=f"{part} {field.name}")
        for part, type_ in (("cpu", CpuUsage), ("memory", MemoryUsage), ("limits", Limits), ("pids", Pids))
        for field in fields(type_)
        if field.default is None
    ],
)
def test_a_number_the_kernel_does_not_say(part, field):
    """One missing number costs the families that carry it, and no other."""
    whole = world(FULL)
    lacking = world(replace(FULL, **{part: replace(getattr(FULL, part), **{field: None})}))
    number = getattr(getattr(FULL, part), field)
    for name in FAMILIES:
        before, after = series(name, whole), series(name, lacking)
        gone = {key for key, value in before.items() if value == number}
        if field == "periods" and name.startswith("container_cpu_cfs_"):
            gone = set(before)
        if name in OF_DOCKER:
            # How the container was made stands in for its cgroup.
            assert after.keys() == before.keys()
        else:
            assert after == {key: value for key, value in before.items() if key not in gone}


# What no reading says, with the reason that the documentation gives.
NOT_OURS = {
    "container_fs_usage_bytes": "slow facts",
    "container_fs_limit_bytes": "slow facts",
    "container_fs_inodes_total": "slow facts",
    "container_fs_inodes_free": "slow facts",
    **dict.fromkeys(
        (
            "container_fs_sector_reads_total",
            "container_fs_sector_writes_total",
            "container_fs_reads_merged_total",
            "container_fs_writes_merged_total",
            "container_fs_read_seconds_total",
            "container_fs_write_seconds_total",
            "container_fs_io_time_seconds_total",
            "container_fs_io_time_weighted_seconds_total",
            "container_fs_io_current",
        ),
        "cAdvisor gives every container the host's numbers for a partition, seconds wrong by a million",
    ),
}
WANTED = re.findall(
    r"\w+",
    """
container_last_seen container_start_time_seconds container_creation_time_seconds container_health_state
container_spec_cpu_period container_spec_cpu_quota container_spec_cpu_shares container_spec_memory_limit_bytes
container_spec_memory_swap_limit_bytes container_spec_memory_reservation_limit_bytes
container_cpu_usage_seconds_total container_cpu_user_seconds_total container_cpu_system_seconds_total
container_cpu_cfs_periods_total container_cpu_cfs_throttled_periods_total container_cpu_cfs_throttled_seconds_total
container_cpu_cfs_burst_periods_total container_cpu_cfs_burst_seconds_total
container_cpu_load_average_10s container_cpu_load_d_average_10s container_tasks_state
container_memory_usage_bytes container_memory_working_set_bytes container_memory_cache container_memory_rss
container_memory_mapped_file container_memory_swap container_memory_kernel_usage container_memory_max_usage_bytes
container_memory_failcnt container_memory_total_active_file_bytes container_memory_total_inactive_file_bytes
container_memory_failures_total container_memory_events_high_total container_memory_events_max_total
container_memory_file_dirty_bytes container_memory_file_writeback_bytes container_memory_pgscan_total
container_memory_pgsteal_total container_memory_workingset_refault_file_total
container_memory_workingset_refault_anon_total container_oom_events_total
container_pressure_cpu_waiting_seconds_total container_pressure_cpu_stalled_seconds_total
container_pressure_memory_waiting_seconds_total container_pressure_memory_stalled_seconds_total
container_pressure_io_waiting_seconds_total container_pressure_io_stalled_seconds_total
container_fs_usage_bytes container_fs_limit_bytes container_fs_inodes_total container_fs_inodes_free
container_fs_reads_bytes_total container_fs_writes_bytes_total container_fs_reads_total container_fs_writes_total
container_fs_sector_reads_total container_fs_sector_writes_total container_fs_reads_merged_total
container_fs_writes_merged_total container_fs_read_seconds_total container_fs_write_seconds_total
container_fs_io_time_seconds_total container_fs_io_time_weighted_seconds_total container_fs_io_current
container_blkio_device_usage_total
""",
)


@pytest.mark.parametrize("name", WANTED)
def test_every_default_family_of_cadvisor(name):
    """What cAdvisor publishes by default of CPU, memory, pressure, disks and limits is here, or there is a reason."""
    assert (name in FAMILIES) is not (name in NOT_OURS)


@pytest.mark.parametrize(
    ("limits", "changes", "name", "expected"),
    [
        pytest.param(Limits(memory_bytes=0), {}, "container_spec_memory_limit_bytes", {"": 0}, id="unlimited memory is 0"),
        pytest.param(Limits(), {"memory_limit": 64}, "container_spec_memory_limit_bytes", {"": 64}, id="a limit only Docker tells"),
        pytest.param(Limits(memory_bytes=96), {"memory_limit": 64}, "container_spec_memory_limit_bytes", {"": 96}, id="the cgroup knows better"),
        pytest.param(Limits(), {"complete": False}, "container_spec_memory_limit_bytes", {}, id="nobody tells"),
        pytest.param(Limits(), {"memory_reservation": 32}, "container_spec_memory_reservation_limit_bytes", {"": 32}, id="a reservation only Docker tells"),
        pytest.param(Limits(swap_bytes=0), {}, "container_spec_memory_swap_limit_bytes", {"": 0}, id="unlimited swap is 0"),
        pytest.param(Limits(), {}, "container_spec_cpu_shares", {"": 1024}, id="shares unset are 1024"),
        pytest.param(Limits(), {"cpu_shares": 512}, "container_spec_cpu_shares", {"": 512}, id="shares as given, not from the weight"),
        pytest.param(Limits(), {"complete": False}, "container_spec_cpu_shares", {}, id="shares not known yet"),
        pytest.param(Limits(cpu_period_us=100_000), {}, "container_spec_cpu_quota", {}, id="no quota"),
        pytest.param(Limits(cpu_period_us=100_000), {"cpu_quota": 5}, "container_spec_cpu_quota", {}, id="a quota that was taken away behind Docker's back"),
        pytest.param(None, {}, "container_spec_cpu_quota", {}, id="no cgroup and no quota"),
        pytest.param(None, {"cpu_quota": 125_000}, "container_spec_cpu_quota", {"": 125_000}, id="a quota only Docker tells"),
        pytest.param(None, {}, "container_spec_cpu_period", {"": 100_000}, id="the period unless set"),
        pytest.param(None, {"cpu_period": 50_000}, "container_spec_cpu_period", {"": 50_000}, id="a period only Docker tells"),
        pytest.param(None, {"memory_limit": 64, "memory_swap": 96}, "container_spec_memory_swap_limit_bytes", {"": 32}, id="cgroup v2 limits swap alone"),
        pytest.param(None, {"memory_limit": 64, "memory_swap": -1}, "container_spec_memory_swap_limit_bytes", {"": 0}, id="all the swap it wants"),
        pytest.param(None, {}, "container_spec_memory_swap_limit_bytes", {"": 0}, id="no limit of swap"),
    ],
)  # fmt: skip
def test_limits(limits, changes, name, expected):
    """The odd conventions that dashboards and rules rely on."""
    assert series(name, world(Usage(cpu=FULL.cpu, limits=limits), **changes)) == expected


def test_swap_that_only_docker_tells_on_cgroup_v1():
    """There memory and swap have a limit together; before the version is known nothing is said."""
    seen = world(Usage(cpu=FULL.cpu), memory_limit=64, memory_swap=96)
    old = replace(seen, daemon=replace(seen.daemon, info=replace(seen.daemon.info, cgroup_version="1")))
    unknown = replace(seen, daemon=replace(seen.daemon, info=None))
    assert series("container_spec_memory_swap_limit_bytes", old) == {"": 96}
    assert series("container_spec_memory_swap_limit_bytes", unknown) == {}


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        pytest.param(MACHINE, {"/": 8_000_000}, id="all the memory there is"),
        pytest.param(replace(MACHINE, memory_bytes=None), {"/": 503}, id="the machine cannot be read"),
        pytest.param(None, {"/": 503}, id="the machine is switched off"),
    ],
)
def test_the_host_is_limited_by_its_machine(machine, expected):
    """As the machine tells, or else the reading of usage, which asks /proc/meminfo: a root cgroup would say that it is unlimited."""
    found = series("container_spec_memory_limit_bytes", world(host=FULL, machine=machine))
    assert {key: value for key, value in found.items() if key.startswith("/")} == expected


@pytest.mark.parametrize(
    ("health", "value"), [(Health.HEALTHY, 1), (Health.STARTING, 0), (Health.UNHEALTHY, 0), (None, -1)]
)
def test_health_state(health, value):
    """Three values, and the host has no health check."""
    assert series("container_health_state", world(host=FULL, health=health)) == {"": value, "/": -1}


def test_times():
    """Whole seconds, as cAdvisor has them; the host is seen now and started when it booted."""
    seen = world(
        host=FULL, created_at=EPOCH - 9.75, started_at=EPOCH + 0.5, node=NodeReadings(boot_time=EPOCH - 99)
    )
    assert series("container_creation_time_seconds", seen) == {"": EPOCH - 10}
    assert series("container_start_time_seconds", seen) == {"": EPOCH, "/": EPOCH - 99}
    assert series("container_last_seen", seen) == {"": EPOCH + 60, "/": EPOCH + 60}


def test_a_stopped_container_has_no_usage():
    """What it used is over; what is known of it stays."""
    story = Story(facts(created_at=EPOCH - 5.0)).play("1 die 1")
    readings = Readings(usage={ID: FULL}, paths={ID: f"/docker/{ID}"}, host=None)
    seen = world_of(story.inventory.snapshot(EPOCH + 60.0), readings=readings)
    found = {name for name in FAMILIES if series(name, seen)}
    assert found == {"container_last_seen", "container_oom_events_total", "container_info"}


def test_info():
    """The long labels are on one series instead of on all."""
    seen = world(
        image_id="sha256:77",
        policy=RestartPolicy(name="on-failure", maximum_retries=3),
        network_mode="shop_default",
        log_driver="json-file",
        labels={"com.docker.compose.project.working_dir": "/srv/shop"},
    )
    assert series("container_info", seen) == {
        "image_id=sha256:77,restart_policy=on-failure:3,network_mode=shop_default,log_driver=json-file,"
        "compose_working_dir=/srv/shop": 1
    }
    assert series("container_info", world(complete=False)) == {}


def test_operations_of_a_source_that_tells_only_totals():
    """Reads and writes are known as bytes even where the source does not list operations."""
    found = series("container_blkio_device_usage_total", world(Usage(io=(replace(DISK, operations=()),))))
    assert {key.rpartition("=")[2]: value for key, value in found.items()} == {"Read": 401, "Write": 402}


_DEVICES = st.builds(
    DeviceIo,
    device=st.sampled_from(["", "/dev/sda", "/dev/dm-0"]),
    major=st.integers(0, 9),
    minor=st.integers(0, 9),
    read_bytes=st.integers(0, 2**63),
    written_bytes=st.integers(0, 2**63),
    reads=st.integers(0, 2**63),
    writes=st.integers(0, 2**63),
)


@settings(max_examples=examples(100), deadline=None)
@given(devices=st.lists(_DEVICES, max_size=6, unique_by=lambda io: (io.major, io.minor)))
def test_no_device_is_counted_twice_or_lost(devices):
    """Series are unique although several devices may have no name, and the sum over devices is right."""
    seen = world(Usage(io=tuple(devices)))
    samples = list(FAMILIES["container_fs_reads_bytes_total"].samples(seen))
    texts = [base.text(labels) for base, labels, _ in samples]
    assert len(texts) == len(set(texts))
    assert sum(value for _, _, value in samples) == sum(io.read_bytes for io in devices)
    usage = [
        base.text(labels) for base, labels, _ in FAMILIES["container_blkio_device_usage_total"].samples(seen)
    ]
    assert len(usage) == len(set(usage)) == 2 * len(devices)
