"""The families of network, machine and host, as they are scraped."""

import re
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.exposition import Renderer
from exporter.families import machine, network, node
from exporter.families.model import CollectorStatus, MetricType
from exporter.host.filesystems import FilesystemProber
from exporter.host.machine import MachineFacts
from exporter.host.network import NetworkCollector, NetworkReadings
from tests.exporter.host.hosts import DEBIAN, HOST, VM, WEB, copy_of, recorded, snapshot_of
from tests.exporter.host.test_mounts import HOST as MOUNTS
from tests.exporter.host.test_node import SPACE, collector_of
from tests.exporter.stories import world_of

FAMILIES = (*network.FAMILIES, *machine.FAMILIES, *node.FAMILIES)
MACHINE = MachineFacts(cpu_cores=8, cpu_physical_cores=4, cpu_sockets=2, memory_bytes=1024, swap_bytes=0, machine_id="m", boot_id="b",
                       kernel="6.1.0", os="Debian")  # fmt: skip
# Keys of meminfo that this kernel does not have, and the recorded host neither.
NOT_THERE = {"node_memory_HardwareCorrupted_bytes", "node_memory_CmaTotal_bytes", "node_memory_CmaFree_bytes"}


def fail_nas(path):
    """Answer for every filesystem but the network share."""
    if path == b"/mnt/nas":
        raise OSError(116, "Stale file handle")
    return SPACE


@pytest.fixture
def world(tmp_path):
    """A world with everything this room publishes."""
    host = copy_of(VM, tmp_path)
    (host / "proc/1").mkdir()
    (host / "proc/1/mountinfo").write_bytes(MOUNTS)
    snapshot = snapshot_of(recorded(WEB, image="nginx:1"), recorded(HOST))
    readings = NetworkCollector(procfs=DEBIAN / "proc").collect(snapshot.containers)
    seen = collector_of(host, prober=FilesystemProber(ask=fail_nas, patience=10.0)).collect()
    return replace(world_of(snapshot), network=readings, machine=MACHINE, node=seen)


def lines(world, *, as_openmetrics=False):
    """Return the samples of a world as lines."""
    text = Renderer(FAMILIES, CollectorRegistry(auto_describe=False)).render(
        world, as_openmetrics=as_openmetrics
    )
    return text.decode().splitlines()


@pytest.mark.parametrize(
    "line",
    [
        'container_network_receive_bytes_total{id="/",interface="ens3"} 1290',
        'machine_cpu_cores{boot_id="b",machine_id="m"} 8',
        'machine_cpu_physical_cores{boot_id="b",machine_id="m"} 4',
        'machine_cpu_sockets{boot_id="b",machine_id="m"} 2',
        'machine_memory_bytes{boot_id="b",machine_id="m"} 1024',
        'machine_swap_bytes{boot_id="b",machine_id="m"} 0',
        "machine_scrape_error 0",
        "container_scrape_error 0",
        "node_vmstat_oom_kill 46",
        "node_boot_time_seconds 1795458609",
        "node_time_seconds 1795478511.5",
        "node_timex_offset_seconds 0.001",
        "node_timex_maxerror_seconds 0.5",
        "node_timex_sync_status 1",
        "node_memory_HugePages_Total 0",
        'node_filesystem_size_bytes{device="/dev/vda1",fstype="ext4",mountpoint="/"} 100',
        'node_filesystem_free_bytes{device="/dev/vda1",fstype="ext4",mountpoint="/"} 60',
        'node_filesystem_avail_bytes{device="/dev/vda1",fstype="ext4",mountpoint="/"} 50',
        'node_filesystem_files{device="/dev/vda1",fstype="ext4",mountpoint="/"} 10',
        'node_filesystem_files_free{device="/dev/vda1",fstype="ext4",mountpoint="/"} 5',
        'node_filesystem_readonly{device="/dev/sda1",fstype="xfs",mountpoint="/srv/my data"} 1',
        'node_filesystem_readonly{device="/dev/vda1",fstype="ext4",mountpoint="/"} 0',
        'node_filesystem_device_error{device="nas:/export",fstype="nfs4",mountpoint="/mnt/nas"} 1',
        'node_filesystem_device_error{device="/dev/vda1",fstype="ext4",mountpoint="/"} 0',
    ],
)
def test_line(world, line):
    """Names, labels and units are those that dashboards and rules ask for."""
    assert line in lines(world)


def test_container_series(world):
    """A container's series have cAdvisor's labels and its interface; one in the host's network has the host's."""
    found = [line for line in lines(world) if line.startswith("container_network_receive_bytes_total{")]
    assert {re.sub('id="[^"]+",', "", line) for line in found[1:]} == {
        'container_network_receive_bytes_total{image="nginx:1",interface="eth0",name="web"} 1252',
        'container_network_receive_bytes_total{image="busybox:1.35",interface="ens3",name="host"} 1290',
    }


def test_columns_are_not_mixed_up():
    """Each family reads the counter it is named for."""
    by_name = {family.name: family for family in network.FAMILIES}
    assert len(by_name) == 8
    numbers = {"receive_bytes": 1, "receive_packets": 2, "receive_errors": 3, "receive_packets_dropped": 4,
               "transmit_bytes": 5, "transmit_packets": 6, "transmit_errors": 7, "transmit_packets_dropped": 8}  # fmt: skip
    counters = network.InterfaceCounters(
        interface="eth0", receive_bytes=1, receive_packets=2, receive_errors=3, receive_dropped=4,
        transmit_bytes=5, transmit_packets=6, transmit_errors=7, transmit_dropped=8,
    )  # fmt: skip
    world = replace(world_of(snapshot_of()), network=NetworkReadings(host=(counters,)))
    for name, number in numbers.items():
        ((_, own, value),) = by_name[f"container_network_{name}_total"].samples(world)
        assert (own, value) == ((("interface", "eth0"),), number)


def test_versions(world):
    """Who asks for cAdvisor's version is told that this is Vakhta."""
    (found,) = [line for line in lines(world) if line.startswith("cadvisor_version_info{")]
    assert 'cadvisorVersion="vakhta-' in found
    assert 'dockerVersion="26.1.5",kernelVersion="6.1.0",osVersion="Debian"' in found
    assert "cadvisorRevision" not in found


def test_cpu_series(world):
    """A series for each CPU and each of the eight modes."""
    found = [line for line in lines(world) if line.startswith("node_cpu_seconds_total{")]
    assert len(found) == 2 * 8
    assert found[0] == 'node_cpu_seconds_total{cpu="0",mode="user"} 3925.92'


def test_failed_filesystem_has_no_space(world):
    """A share that does not answer has no size, rather than an old one or 0."""
    found = [line for line in lines(world) if "/mnt/nas" in line]
    assert {line.partition("{")[0] for line in found} == {
        "node_filesystem_readonly",
        "node_filesystem_device_error",
    }


def test_every_family_has_samples(world):
    """Each row of the tables is found in a scrape, except what this kernel does not count."""
    found = {line.split()[2] for line in lines(world) if line.startswith("# TYPE")}
    assert {family.name for family in FAMILIES} - found == NOT_THERE


@pytest.mark.parametrize(
    "as_openmetrics", [pytest.param(False, id="text"), pytest.param(True, id="OpenMetrics")]
)
def test_parses(world, as_openmetrics):
    """The parsers of others read it, and no series is there twice."""
    text = "\n".join(lines(world, as_openmetrics=as_openmetrics)) + "\n"
    parse = parse_openmetrics if as_openmetrics else parse_text
    samples = [sample for family in parse(text) for sample in family.samples]
    assert len({(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples}) == len(samples)
    assert all(family.type in MetricType and family.help for family in FAMILIES)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"network": None, "machine": None, "node": None}, id="all switched off"),
        pytest.param(
            {"network": NetworkReadings(), "machine": MachineFacts(), "node": node.NodeReadings()},
            id="nothing readable",
        ),
    ],
)
def test_nothing_to_say(world, changes):
    """What is not known is left out, never 0."""
    found = {line.split()[2] for line in lines(replace(world, **changes)) if line.startswith("# TYPE")}
    assert found <= {"container_scrape_error", "machine_scrape_error", "cadvisor_version_info"}


def test_a_fault_of_the_machine_shows(world):
    """It sets cAdvisor's gauge."""
    assert "machine_scrape_error 1" in lines(replace(world, machine=replace(MACHINE, fault="y")))


@pytest.mark.parametrize(
    ("collectors", "expected"),
    [
        pytest.param({"cgroups": True, "network": True, "node": False}, 0, id="neither usage nor traffic"),
        pytest.param({"cgroups": False}, 1, id="late, or not to be read"),
        pytest.param({"cgroups": True, "cgroups:memory": False}, 1, id="a part of usage"),
        pytest.param({"network": False}, 1, id="traffic"),
        pytest.param({"cgroups": False, "stats": True}, 0, id="the stats API stands in"),
        pytest.param({"cgroups": False, "stats": False}, 1, id="and fails too"),
    ],
)
def test_container_scrape_error(world, collectors, expected):
    """Whether the usage of some container is not there, whoever should have told it."""
    statuses = tuple(
        CollectorStatus(name=name, success=success, duration_seconds=None, last_success_at=None)
        for name, success in collectors.items()
    )
    assert f"container_scrape_error {expected}" in lines(replace(world, collectors=statuses))


def test_label_texts_are_kept(world):
    """Two scrapes of the same host share the label sets of its interfaces and filesystems; another mount makes new ones."""
    family = next(family for family in node.FAMILIES if family.name == "node_filesystem_readonly")
    first = [labels for labels, _, _ in family.samples(world)]
    assert all(one is other for one, (other, _, _) in zip(first, family.samples(world), strict=True))
    fewer = replace(world, node=replace(world.node, filesystems=world.node.filesystems[1:]))
    assert [labels.labels for labels, _, _ in family.samples(fewer)] == [
        labels.labels for labels in first[1:]
    ]
