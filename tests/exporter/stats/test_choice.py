"""Which path serves what, and what the API serves in place of the files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cgroups.usage import Pids, Usage
from exporter.docker.containers import Facts, Status
from exporter.docker.snapshot import Snapshot, view_of
from exporter.docker.stats import (
    Coverage,
    Part,
    StatsReading,
    StatsReadings,
    choose,
    coverage,
    interfaces_of,
    targets,
    usage_of,
)
from exporter.host.netdev import InterfaceCounters
from exporter.memory import Book

READ = Usage(pids=Pids(threads=1, threads_max=0))
ETH0 = InterfaceCounters(
    interface="eth0",
    receive_bytes=1,
    receive_packets=1,
    receive_errors=0,
    receive_dropped=0,
    transmit_bytes=1,
    transmit_packets=1,
    transmit_errors=0,
    transmit_dropped=0,
)


def snapshot_of(*facts):
    """Return a snapshot of containers with these facts."""
    return Snapshot(
        at=1000.0, containers=tuple(view_of(one, Book(id=one.id, first_seen=0.0)) for one in facts)
    )


def container(name, **facts):
    """Return the facts of a running container on a bridge."""
    known = {"status": Status.RUNNING, "pid": 10, "network_mode": "bridge", "complete": True} | facts
    return Facts(id=name, name=name, image="busybox", labels={}, **known)


def readings_of(*names):
    """Return what the API said of these."""
    reading = StatsReading(usage=READ, interfaces=(ETH0,), taken_at=999.0, seconds=0.02)
    return StatsReadings(by_id=dict.fromkeys(names, reading), wanted=len(names))


@pytest.mark.parametrize(
    ("found", "expected", "before", "by_api"),
    [
        pytest.param(150, 150, False, False, id="all is well"),
        pytest.param(149, 150, False, False, id="one fails: its own fault"),
        pytest.param(75, 150, False, False, id="half fail: faults to be seen, not hidden"),
        pytest.param(16, 150, False, False, id="more than a tenth can be read"),
        pytest.param(15, 150, False, True, id="a tenth: nearly everything fails"),
        pytest.param(0, 150, False, True, id="a mount is missing"),
        pytest.param(0, 1, False, True, id="the only one fails"),
        pytest.param(1, 2, False, False, id="one of two"),
        pytest.param(0, 0, False, False, id="nothing runs: no reason to change"),
        pytest.param(0, 0, True, True, id="nothing runs: no reason to change back"),
        pytest.param(0, 150, True, True, id="still missing"),
        pytest.param(75, 150, True, True, id="half of them back: not yet"),
        pytest.param(76, 150, True, False, id="most of them back"),
        pytest.param(1, 1, True, False, id="the only one back"),
    ],
)
@pytest.mark.parametrize("part", Part)
def test_choice(part, found, expected, before, by_api):
    """Each part by itself."""
    other = next(one for one in Part if one is not part)
    files = {part: Coverage(found=found, expected=expected), other: Coverage(found=5, expected=5)}
    chosen = choose(files, frozenset({part}) if before else frozenset())
    assert chosen == (frozenset({part}) if by_api else frozenset())


COUNTS = st.integers(0, 200).flatmap(
    lambda expected: st.builds(Coverage, expected=st.just(expected), found=st.integers(0, expected))
)


@given(files=st.fixed_dictionaries(dict.fromkeys(Part, COUNTS)), before=st.frozensets(st.sampled_from(Part)))
def test_a_choice_is_stable(files, before):
    """Law: while the files tell the same, the choice does not swing."""
    chosen = choose(files, before)
    assert choose(files, chosen) == chosen


def test_coverage():
    """What runs is expected; an empty reading is none; a network of its own is what counts for interfaces."""
    snapshot = snapshot_of(
        container("read"),
        container("empty"),
        container("unread", network_mode="shop_default"),
        container("paused", status=Status.PAUSED, network_mode="host"),
        container("joined", network_mode="container:read"),
        container("alone", network_mode="none"),
        container("ended", status=Status.EXITED, pid=0),
        container("starting", pid=0),
    )
    usage = {"read": READ, "empty": Usage(), "paused": READ, "ended": READ}
    assert coverage(snapshot, usage, {"read", "joined", "paused"}) == {
        Part.USAGE: Coverage(expected=6, found=2),
        Part.NETWORK: Coverage(expected=3, found=1),
    }


def test_targets():
    """Containers with processes, by the pid that tells one run from the next."""
    snapshot = snapshot_of(
        container("a", pid=7),
        container("b", status=Status.PAUSED, pid=8),
        container("c", pid=0),
        container("d", status=Status.EXITED),
        container("e", status=Status.RESTARTING),
    )
    assert targets(snapshot) == {"a": 7, "b": 8, "c": 0}


def test_usage_of_what_runs():
    """No usage for one that has ended since, nor for one that never answered."""
    snapshot = snapshot_of(
        container("a"), container("ended", status=Status.EXITED), container("silent")
    )  # fmt: skip
    assert usage_of(snapshot, readings_of("a", "ended", "removed")) == {"a": READ}


def test_interfaces_of_their_owners():
    """Docker repeats the owner's traffic for one that joined its network; it is counted once."""
    modes = {"bridged": "bridge", "named": "shop_default", "joined": "container:bridged", "host": "host"}
    snapshot = snapshot_of(*(container(name, network_mode=mode) for name, mode in modes.items()))
    assert interfaces_of(snapshot, readings_of(*modes)) == {"bridged": (ETH0,), "named": (ETH0,)}
