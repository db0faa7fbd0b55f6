"""Which container reports which interfaces."""

import pytest

from exporter.docker.containers import Status
from exporter.host.network import NetworkCollector
from tests.exporter.host.hosts import (
    DEBIAN,
    HOST,
    IDLE,
    PIDS,
    WEB,
    copy_of,
    own_namespaces,
    recorded,
    views_of,
)
from tests.exporter.stories import EPOCH


@pytest.fixture
def procfs(tmp_path):
    """The /proc of a recorded host with three containers, of which one is in the host's network."""
    return copy_of(DEBIAN, tmp_path) / "proc"


def received(readings):
    """Return bytes received by container and interface."""
    return {
        container: {counters.interface: counters.receive_bytes for counters in found}
        for container, found in readings.by_container.items()
    }


ALL = (recorded(WEB), recorded(HOST), recorded(IDLE))


def test_recorded_host(procfs):
    """Each container has its interface, and the one in the host's network has the host's."""
    readings = NetworkCollector(procfs=procfs).collect(views_of(*ALL))
    assert received(readings) == {WEB: {"eth0": 1252}, IDLE: {"eth0": 796}, HOST: {"ens3": 1290}}
    assert readings.by_container[HOST] == readings.host
    assert readings.fault == ""


@pytest.mark.parametrize(
    ("changes", "namespaces", "reporting"),
    [
        pytest.param({"network_mode": f"container:{WEB}"}, {}, {WEB}, id="joined another container's"),
        pytest.param({"network_mode": "container:web"}, {}, {WEB}, id="joined another container's, by name"),
        pytest.param(
            {"network_mode": f"container:{'0' * 64}"}, {}, {WEB, IDLE}, id="joined one that is not ours"
        ),
        pytest.param({}, {553: 7, 876: 8}, {WEB, IDLE}, id="one each"),
        pytest.param({}, {}, {WEB, IDLE}, id="namespaces we may not know"),
        pytest.param(
            {"started_at": EPOCH - 9.0}, {553: 7, 876: 7}, {IDLE}, id="shared: the older one, second"
        ),
        pytest.param({"started_at": EPOCH + 9.0}, {553: 7, 876: 7}, {WEB}, id="shared: the older one, first"),
        pytest.param({"status": Status.EXITED}, {}, {WEB}, id="stopped"),
        pytest.param({"status": Status.PAUSED}, {}, {WEB, IDLE}, id="paused"),
        pytest.param({"pid": 0}, {}, {WEB}, id="its process not known yet"),
        pytest.param({"pid": 4711}, {}, {WEB}, id="its process gone"),
        pytest.param({"pid": 553}, {}, {WEB}, id="its process's number is another container's now"),
    ],
)
def test_who_reports(procfs, changes, namespaces, reporting):
    """A namespace is counted once, and a container that is not there costs nobody else anything."""
    own_namespaces(procfs, namespaces)
    readings = NetworkCollector(procfs=procfs).collect(views_of(recorded(WEB), recorded(IDLE, **changes)))
    assert set(readings.by_container) == reporting
    assert readings.fault == ""


@pytest.mark.parametrize(
    "namespaces", [pytest.param({}, id="unknown"), pytest.param({553: 7, 805: 7, 876: 7}, id="known")]
)
@pytest.mark.parametrize(
    ("owner", "reporting"),
    [
        pytest.param({}, WEB, id="the owner runs"),
        pytest.param({"status": Status.EXITED}, IDLE, id="the owner has ended"),
        pytest.param({"labels": {"vakhta.ignore": "true"}}, IDLE, id="the owner is none of our business"),
    ],
)
def test_several_that_joined_one(procfs, owner, reporting, namespaces):
    """Their traffic is counted once: at the owner, or, while that does not report, at the one that has run longest."""
    own_namespaces(procfs, namespaces)
    joined = {"network_mode": f"container:{WEB}"}
    views = views_of(
        recorded(HOST, **joined),
        recorded(IDLE, started_at=EPOCH - 9.0, **joined),
        recorded(WEB, **owner),
    )
    readings = NetworkCollector(procfs=procfs).collect(views)
    assert (set(readings.by_container), readings.fault) == ({reporting}, "")


def test_joined_one_that_joined(procfs):
    """A chain leads to the one at its end."""
    views = views_of(
        recorded(WEB),
        recorded(HOST, network_mode=f"container:{WEB}"),
        recorded(IDLE, network_mode=f"container:{HOST}"),
    )
    assert set(NetworkCollector(procfs=procfs).collect(views).by_container) == {WEB}


@pytest.mark.parametrize(
    "namespaces",
    [
        pytest.param({1: 1, 553: 99, 876: 99}, id="known"),
        pytest.param({}, id="unknown"),
    ],
)
def test_rootless_host_network(procfs, namespaces):
    """Rootless Docker's "host" is the namespace of RootlessKit: such a container reports what it sees, not what the host does."""
    own_namespaces(procfs, namespaces)
    views = views_of(recorded(WEB, network_mode="host"), recorded(IDLE, network_mode="host"))
    readings = NetworkCollector(procfs=procfs).collect(views)
    assert received(readings) == {WEB: {"eth0": 1252}, IDLE: {"eth0": 796}}
    assert [counters.interface for counters in readings.host] == ["ens3"]


@pytest.mark.parametrize(
    ("own", "namespace", "published"),
    [
        pytest.param(True, "pid:[4026531836]", True, id="ours, in the machine's first pid namespace"),
        pytest.param(True, "pid:[4026532199]", False, id="ours, in another one"),
        pytest.param(True, "", False, id="ours, in one that we may not know"),
        pytest.param(False, "pid:[4026532199]", True, id="one that is named: the host's"),
    ],
)
def test_whose_proc_it_is(procfs, own, namespace, published):
    """While no container shows that /proc is the host's, a container's own counters are not taken for the host's."""
    if namespace:
        (procfs / "self/ns").mkdir(parents=True)
        (procfs / "self/ns/pid").symlink_to(namespace)
    collector = NetworkCollector(procfs=procfs, own_procfs=procfs if own else procfs.parent / "own")
    readings = collector.collect(())
    assert [counters.interface for counters in readings.host] == (["ens3"] if published else [])
    assert readings.fault == (
        ""
        if published
        else f"{procfs}: may be that of a container of our own; run the exporter in the host's pid namespace,"
        " or mount the host's /proc and say where with --path.procfs"
    )
    # The first container that is found there says so.
    readings = collector.collect(views_of(recorded(WEB)))
    assert (len(readings.host), readings.fault) == (1, "")
    assert len(collector.collect(()).host) == 1


def test_in_the_hosts_namespace_by_other_means(procfs):
    """A container whose namespace is that of process 1 reports the host's interfaces, whatever Docker calls its network."""
    own_namespaces(procfs, {1: 1, 553: 1, 805: 1, 876: 2})
    readings = NetworkCollector(procfs=procfs).collect(views_of(*ALL))
    assert readings.by_container[WEB] == readings.by_container[HOST] == readings.host


def test_without_a_network(procfs):
    """A container with nothing but loopback reports nothing."""
    lines = (procfs / "876/net/dev").read_text().splitlines(keepends=True)
    (procfs / "876/net/dev").write_text("".join(lines[:3]))
    readings = NetworkCollector(procfs=procfs).collect(views_of(*ALL))
    assert IDLE not in readings.by_container
    assert readings.fault == ""


def test_restarted_container_is_looked_at_again(procfs):
    """With a new process come its namespace and its counters."""
    own_namespaces(procfs, {553: 7, 876: 7})
    collector = NetworkCollector(procfs=procfs)
    idle = {**recorded(IDLE), "started_at": EPOCH + 9.0}
    assert set(collector.collect(views_of(recorded(WEB), idle)).by_container) == {WEB}
    (procfs / "876").rename(procfs / "900")
    (procfs / "900/ns/net").unlink()
    (procfs / "900/ns/net").symlink_to("net:[9]")
    readings = collector.collect(views_of(recorded(WEB), {**idle, "pid": 900}))
    assert set(readings.by_container) == {WEB, IDLE}


def test_counters_move(procfs):
    """Every look shows the counters as they are then."""
    collector = NetworkCollector(procfs=procfs)
    collector.collect(views_of(*ALL))
    path = procfs / "553/net/dev"
    path.write_text(path.read_text().replace("1252", "1253"))
    assert received(collector.collect(views_of(*ALL)))[WEB] == {"eth0": 1253}


def test_foreign_pid_namespace(tmp_path):
    """A /proc that shows none of the containers is not the host's: nothing of it is published, and the fault says what to do."""
    procfs = copy_of(DEBIAN, tmp_path) / "proc"
    for pid in PIDS.values():
        (procfs / str(pid) / "cgroup").write_text("0::/\n")
    readings = NetworkCollector(procfs=procfs).collect(views_of(*ALL))
    assert (readings.host, dict(readings.by_container)) == ((), {})
    assert readings.fault == (
        f"{procfs}: shows none of the 3 running containers; run the exporter in the host's pid namespace,"
        " or mount the host's /proc and say where with --path.procfs"
    )


def test_last_container_vanishes(procfs):
    """Once containers were seen there, a moment without any is no fault."""
    collector = NetworkCollector(procfs=procfs)
    collector.collect(views_of(recorded(WEB)))
    (procfs / "553/cgroup").unlink()
    readings = collector.collect(views_of(recorded(WEB, pid=554)))
    assert (readings.fault, [counters.interface for counters in readings.host]) == ("", ["ens3"])


@pytest.mark.parametrize(
    "name", [pytest.param("cgroup", id="its cgroup"), pytest.param("net/dev", id="its counters")]
)
def test_refused(procfs, name):
    """What must not be read costs that container, and the fault has place and remedy."""
    path = procfs / "553" / name
    path.unlink()
    # Nobody, root neither, reads a folder as a file.
    path.mkdir()
    readings = NetworkCollector(procfs=procfs).collect(views_of(*ALL))
    assert set(readings.by_container) == {HOST, IDLE}
    assert readings.fault.startswith("container web: ")
    assert "--path.procfs" in readings.fault


def test_garbage_costs_one_container(procfs):
    """A table that is none is a fault of its container; the others are read."""
    (procfs / "553/net/dev").write_bytes(b"\x00\xff garbage")
    readings = NetworkCollector(procfs=procfs).collect(views_of(*ALL))
    assert set(readings.by_container) == {HOST, IDLE}
    assert readings.fault == f"container web: {procfs}/553/net/dev: no table of network interfaces"


def test_host_unreadable(procfs):
    """Without process 1's counters there are none of the host, and of those containers that are known to share them."""
    (procfs / "1/net/dev").unlink()
    own_namespaces(procfs, {1: 1, 805: 1})
    readings = NetworkCollector(procfs=procfs).collect(views_of(*ALL))
    assert (readings.host, set(readings.by_container)) == ((), {WEB, IDLE})
    assert "1/net/dev" in readings.fault


def test_long_table(procfs):
    """A table longer than a page, as a host with hundreds of containers has it, is read to its end."""
    path = procfs / "1/net/dev"
    head = path.read_text()
    path.write_text(
        head + "".join(f"veth{n:07x}:" + " 1" * 16 + "\n" for n in range(2000)) + "br-9:" + " 5" * 16
    )
    readings = NetworkCollector(procfs=procfs).collect(())
    assert [counters.interface for counters in readings.host] == ["ens3", "br-9"]
