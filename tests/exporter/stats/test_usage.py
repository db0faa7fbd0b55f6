"""What an answer of the stats API says, on both versions of cgroups; the answers have Docker's shape for 26.1."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cgroups.usage import CpuUsage, DeviceIo, MemoryUsage, Pids, Usage
from exporter.docker.stats import usage_from_stats
from exporter.host.netdev import InterfaceCounters

FOLDER = Path(__file__).parent


def answer(name, **changes):
    """Return a recorded answer with some of its parts changed."""
    return json.loads((FOLDER / f"{name}.json").read_text()) | changes


def eth0(**changes):
    """Return what both answers say of eth0."""
    fields = {
        "interface": "eth0",
        "receive_bytes": 5338,
        "receive_packets": 36,
        "receive_errors": 0,
        "receive_dropped": 0,
        "transmit_bytes": 648,
        "transmit_packets": 8,
        "transmit_errors": 0,
        "transmit_dropped": 0,
    }
    return InterfaceCounters(**fields | changes)


def test_cgroup1():
    """Everything version 1 has: with the children (`total_`), nanoseconds as seconds, every operation of every device."""
    usage, interfaces = usage_from_stats(
        answer("cgroup1"), device_name={b"8:0": "/dev/sda", b"253:1": ""}.get
    )
    assert usage == Usage(
        cpu=CpuUsage(
            seconds=2.525324358,
            user_seconds=1.88,
            system_seconds=0.61,
            periods=120,
            throttled_periods=17,
            throttled_seconds=1.23456789,
        ),
        memory=MemoryUsage(
            usage_bytes=9416704,
            working_set_bytes=9416704 - 3313664,
            cache_bytes=7098368,
            rss_bytes=1085440,
            mapped_file_bytes=2707456,
            max_usage_bytes=10997760,
            active_file_bytes=3653632,
            inactive_file_bytes=3313664,
            limit_hits=3,
            dirty_file_bytes=0,
            writeback_file_bytes=0,
            page_faults=1914,
            major_page_faults=33,
        ),
        io=(
            DeviceIo(
                device="/dev/sda",
                major=8,
                minor=0,
                read_bytes=6946816,
                written_bytes=40960,
                reads=212,
                writes=10,
                operations=(
                    ("Read", 6946816),
                    ("Write", 40960),
                    ("Sync", 6987776),
                    ("Async", 0),
                    ("Discard", 0),
                    ("Total", 6987776),
                ),
            ),
            DeviceIo(
                device="",
                major=253,
                minor=1,
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
        pids=Pids(threads=5, threads_max=0),
    )
    assert [one.interface for one in interfaces] == ["eth0", "eth1"]
    assert interfaces[0] == eth0(receive_errors=1, receive_dropped=2, transmit_errors=3, transmit_dropped=4)


def test_cgroup2():
    """Version 2's names for the same, and what only it has; its `failcnt` counts OOMs, not the hits of the limit."""
    usage, interfaces = usage_from_stats(answer("cgroup2"))
    assert usage.cpu == CpuUsage(
        seconds=28.181574,
        user_seconds=19.181574,
        system_seconds=9.0,
        periods=10,
        throttled_periods=2,
        throttled_seconds=0.25,
    )
    assert usage.memory == MemoryUsage(
        usage_bytes=2150400,
        working_set_bytes=2150400 - 1372160,
        cache_bytes=1544192,
        rss_bytes=339968,
        mapped_file_bytes=1122304,
        active_file_bytes=172032,
        inactive_file_bytes=1372160,
        dirty_file_bytes=8192,
        writeback_file_bytes=4096,
        page_faults=2310,
        major_page_faults=12,
        pages_scanned=77,
        pages_stolen=70,
    )
    assert [
        (one.major, one.minor, one.read_bytes, one.written_bytes, one.operations) for one in usage.io
    ] == [(254, 0, 1404928, 20480, (("Read", 1404928), ("Write", 20480)))]
    assert usage.pids == Pids(threads=3, threads_max=0)
    assert interfaces == (eth0(),)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(answer("stopped"), id="no processes: Docker's zeros are no measurements"),
        pytest.param(answer("windows"), id="Windows: other units, other fields"),
        pytest.param({}, id="nothing"),
        pytest.param(None, id="null"),
        pytest.param([1], id="no object"),
    ],
)
def test_no_reading(raw):
    """Answers that say nothing about usage give nothing."""
    assert usage_from_stats(raw) == (Usage(), ())


@pytest.mark.parametrize("absent", [{}, None, [], "x"], ids=["empty", "null", "list", "text"])
@pytest.mark.parametrize(
    ("part", "field"),
    [("cpu_stats", "cpu"), ("memory_stats", "memory"), ("blkio_stats", "io"), ("pids_stats", "pids")],
)
@pytest.mark.parametrize("version", ["cgroup1", "cgroup2"])
def test_a_part_that_is_absent(version, part, field, absent):
    """It is None, and costs no other part."""
    whole, interfaces = usage_from_stats(answer(version))
    usage, left = usage_from_stats(answer(version, **{part: absent}))
    assert getattr(usage, field) is None
    assert left == interfaces
    others = {"cpu", "memory", "io", "pids"} - {field}
    assert all(getattr(usage, other) == getattr(whole, other) for other in others)


@pytest.mark.parametrize("networks", [{}, None], ids=["empty", "null"])
def test_no_network(networks):
    """A container without interfaces has none."""
    assert usage_from_stats(answer("cgroup2", networks=networks))[1] == ()


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param(None, (), id="no I/O yet on version 2: null"),
        pytest.param([], (), id="no I/O yet on version 1: empty"),
        pytest.param([{"major": 8, "minor": 0, "op": "READ", "value": 1}], ((8, 0, 1, 0),), id="capitals"),
        pytest.param(
            [
                {"major": 8, "minor": 16, "op": "read", "value": 2},
                {"major": 8, "minor": 0, "op": "write", "value": 1},
            ],
            ((8, 0, 0, 1), (8, 16, 2, 0)),
            id="devices in order of their numbers",
        ),
        pytest.param(
            [
                None,
                {"major": 8, "minor": 0, "op": None, "value": 1},
                {"major": 8, "minor": 0, "op": "read", "value": None},
                {"major": -1, "minor": 0, "op": "read", "value": 5},
            ],
            (),
            id="entries that are none",
        ),
    ],
)
def test_io(entries, expected):
    """Devices with their bytes, whatever the operations' capitals."""
    usage, _ = usage_from_stats({"blkio_stats": {"io_service_bytes_recursive": entries}})
    assert tuple((one.major, one.minor, one.read_bytes, one.written_bytes) for one in usage.io) == expected


@pytest.mark.parametrize(
    ("memory", "working_set"),
    [
        pytest.param(
            {"usage": 100, "stats": {"inactive_file": 30, "total_inactive_file": 40}}, 60, id="version 1"
        ),
        pytest.param({"usage": 100, "stats": {"anon": 1, "inactive_file": 30}}, 70, id="version 2"),
        pytest.param({"usage": 100, "stats": {"anon": 1, "inactive_file": 130}}, 0, id="never below zero"),
        pytest.param({"usage": 100}, 100, id="no details"),
        pytest.param({"usage": 100, "stats": None}, 100, id="details are null"),
    ],
)
def test_working_set(memory, working_set):
    """Usage without the file cache nobody has touched for long."""
    usage, _ = usage_from_stats({"memory_stats": memory})
    assert usage.memory.working_set_bytes == working_set


@pytest.mark.parametrize("value", [True, 1.5, "7", -1, None], ids=repr)
def test_what_is_no_count(value):
    """Docker writes whole numbers; anything else is none."""
    assert usage_from_stats({"memory_stats": {"usage": value}}) == (Usage(), ())


@pytest.mark.parametrize(
    ("pids", "expected"),
    [
        pytest.param({"current": 3, "limit": 100}, Pids(threads=3, threads_max=100), id="limited"),
        pytest.param({"current": 3}, Pids(threads=3, threads_max=0), id="version 1 leaves no limit out"),
        pytest.param({"current": 3, "limit": 2**64 - 1}, Pids(threads=3, threads_max=0), id="version 2: max"),
        pytest.param({"limit": 100}, None, id="no count"),
    ],
)
def test_pids(pids, expected):
    """No limit is 0, however it is written."""
    assert usage_from_stats({"pids_stats": pids})[0].pids == expected


@pytest.mark.parametrize(
    ("throttling", "expected"),
    [
        pytest.param(
            {"periods": 4, "throttled_periods": 3, "throttled_time": 2_000_000_000}, (4, 3, 2.0), id="told"
        ),
        pytest.param(
            {"periods": 0, "throttled_periods": 0, "throttled_time": 0}, (None, None, None), id="no quota"
        ),
        pytest.param({"periods": 4}, (4, None, None), id="told in part"),
        pytest.param(None, (None, None, None), id="not told"),
    ],
)
def test_throttling(throttling, expected):
    """Periods as counts, time in seconds; None without a quota, and where the daemon does not say."""
    cpu = usage_from_stats({"cpu_stats": {"cpu_usage": {"total_usage": 1}, "throttling_data": throttling}})[
        0
    ].cpu
    assert (cpu.periods, cpu.throttled_periods, cpu.throttled_seconds) == expected


LEAVES = st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(max_size=4)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


def paths_of(value, path=()):
    """Return the path of everything inside a value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for key, one in inside:
        found += paths_of(one, (*path, key))
    return found


PATHS = [(version, path) for version in ("cgroup1", "cgroup2") for path in paths_of(answer(version))]


@given(place=st.sampled_from(PATHS), value=JSON)
def test_any_damage_is_survived(place, value):
    """Law: whatever stands in one place of an answer, it is read, and no number is below zero."""
    version, path = place
    raw = answer(version)
    parent = raw
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    usage, interfaces = usage_from_stats(raw)
    if usage.memory is not None:
        assert 0 <= usage.memory.working_set_bytes <= usage.memory.usage_bytes
    if usage.cpu is not None:
        assert usage.cpu.seconds >= 0
    assert all(one.receive_bytes >= 0 for one in interfaces)


@given(raw=JSON)
def test_any_json_is_survived(raw):
    """Law: what is no answer at all says nothing."""
    assert usage_from_stats(raw)[0].memory is None
