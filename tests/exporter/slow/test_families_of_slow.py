"""What a scrape shows of the slow facts."""

from dataclasses import replace

import pytest

from exporter.docker.containers import Status
from exporter.docker.disk import Volume
from exporter.docker.snapshot import Snapshot
from exporter.exposition import Renderer, own_registry
from exporter.families.slow import FAMILIES
from exporter.host.filesystems import Filesystem, Space
from exporter.host.mounts import Mount
from exporter.host.node import NodeReadings
from exporter.slow.readings import LayerSize, Partition, SlowReadings
from tests.exporter.slow.virtual import container
from tests.exporter.stories import EPOCH, world_of

NAMES = [
    "container_size_rw_bytes",
    "container_log_size_bytes",
    "container_log_rotation_enabled",
    "container_image_created_timestamp_seconds",
    "container_volume_size_bytes",
    "vakhta_slow_fact_age_seconds",
    "container_fs_usage_bytes",
    "container_fs_limit_bytes",
    "container_fs_inodes_total",
    "container_fs_inodes_free",
]
SDA = Partition(device="/dev/sda1", size_bytes=1000, inodes=50, inodes_free=20)


def shown(*views, **changes):
    """Return the lines of every sample of a world with these containers, by family."""
    world = replace(world_of(Snapshot(at=EPOCH + 100.0, containers=views)), **changes)
    registry = own_registry()
    text = Renderer(FAMILIES, registry).render(world, as_openmetrics=False).decode()
    lines = [line for line in text.splitlines() if line.startswith(tuple(NAMES))]
    return {
        name: [line for line in lines if line.startswith((f"{name}{{", f"{name} "))]
        for name in NAMES
        if any(line.startswith((f"{name}{{", f"{name} ")) for line in lines)
    }


def mounted(device, point, *, fstype="ext4", files=50):
    """Return a filesystem of the host."""
    mount = Mount(device=device, fstype=fstype, mountpoint=point, path=point.encode(), readonly=False)
    space = Space(size_bytes=1000, free_bytes=300, avail_bytes=200, files=files, files_free=min(files, 20))
    return Filesystem(mount=mount, space=space)


def test_the_table():
    """Every family of the room, once."""
    assert [family.name for family in FAMILIES] == NAMES


def test_a_container_with_everything():
    """Ours carry name and service, cAdvisor's its labels and the device."""
    slow = SlowReadings(
        sizes={"web": LayerSize(rw_bytes=70, partition=SDA)},
        logs={"web": 5},
        images={"sha256:web": 1.7e9},
        volumes=(
            Volume(name="data", project="shop", size_bytes=9),
            Volume(name="other", project="", size_bytes=0),
        ),
        taken_at={"size": EPOCH + 40.0, "logs": EPOCH + 101.0},
    )
    ours = '{name="web",service="web"}'
    fs = '{device="/dev/sda1",id="/system.slice/docker-web.scope",image="busybox:1.35",name="web"}'
    assert shown(container("web", log_options={"max-size": "10m"}), slow=slow) == {
        "container_size_rw_bytes": [f"container_size_rw_bytes{ours} 70"],
        "container_log_size_bytes": [f"container_log_size_bytes{ours} 5"],
        "container_log_rotation_enabled": [
            'container_log_rotation_enabled{driver="json-file",name="web",service="web"} 1'
        ],
        "container_image_created_timestamp_seconds": [
            f"container_image_created_timestamp_seconds{ours} 1700000000.0"
        ],
        "container_volume_size_bytes": [
            'container_volume_size_bytes{project="shop",volume="data"} 9',
            'container_volume_size_bytes{volume="other"} 0',
        ],
        "vakhta_slow_fact_age_seconds": [
            'vakhta_slow_fact_age_seconds{fact="size"} 60.0',
            'vakhta_slow_fact_age_seconds{fact="logs"} 0.0',
        ],
        "container_fs_usage_bytes": [f"container_fs_usage_bytes{fs} 75"],
        "container_fs_limit_bytes": [f"container_fs_limit_bytes{fs} 1000"],
        "container_fs_inodes_total": [f"container_fs_inodes_total{fs} 50"],
        "container_fs_inodes_free": [f"container_fs_inodes_free{fs} 20"],
    }


@pytest.mark.parametrize(
    ("changes", "slow", "families"),
    [
        pytest.param(
            {},
            None,
            {"container_log_rotation_enabled"},
            id="nothing collected: rotation is judged all the same",
        ),
        pytest.param({"log_driver": ""}, None, set(), id="not inspected yet"),
        pytest.param(
            {},
            SlowReadings(sizes={"web": LayerSize(rw_bytes=7)}),
            {"container_log_rotation_enabled", "container_size_rw_bytes", "container_fs_usage_bytes"},
            id="Docker's folder cannot be seen: no limit",
        ),
        pytest.param(
            {},
            SlowReadings(sizes={"web": LayerSize(rw_bytes=None)}),
            {"container_log_rotation_enabled"},
            id="the daemon cannot say",
        ),
        pytest.param(
            {},
            SlowReadings(
                sizes={"web": LayerSize(rw_bytes=7, partition=Partition(device="/dev/sda1", size_bytes=1000))}
            ),
            {
                "container_log_rotation_enabled",
                "container_size_rw_bytes",
                "container_fs_usage_bytes",
                "container_fs_limit_bytes",
            },
            id="a filesystem without a number of inodes",
        ),
        pytest.param(
            {"status": Status.EXITED},
            SlowReadings(sizes={"web": LayerSize(rw_bytes=7, partition=SDA)}),
            {"container_log_rotation_enabled", "container_size_rw_bytes"},
            id="stopped: as in cAdvisor without its families, but its layer takes space",
        ),
        pytest.param(
            {"status": Status.CREATED, "started_at": None},
            SlowReadings(sizes={"web": LayerSize(rw_bytes=7, partition=SDA)}, logs={"web": 1}),
            set(),
            id="never started",
        ),
    ],
)
def test_what_is_unknown_is_left_out(changes, slow, families):
    """Never a zero for it."""
    assert set(shown(container("web", **changes), slow=slow)) == families


def test_a_log_that_can_fill_the_disk():
    """It is 0."""
    assert shown(container("web"))["container_log_rotation_enabled"][0].endswith(" 0")


def test_the_hosts_partitions():
    """One entry each, however often it is mounted; in memory by mount point; without inodes or an answer nothing made up."""
    node = NodeReadings(
        filesystems=(
            mounted("/dev/sda1", "/"),
            mounted("/dev/sda1", "/srv/bind"),
            mounted("tmpfs", "/tmp", fstype="tmpfs"),
            mounted("tmpfs", "/var/tmp", fstype="tmpfs"),
            mounted("/dev/sdb1", "/data", fstype="btrfs", files=0),
            replace(mounted("nas:/x", "/nas", fstype="nfs4"), space=None),
        )
    )
    found = shown(node=node)
    assert found["container_fs_usage_bytes"] == [
        f'container_fs_usage_bytes{{device="{device}",id="/"}} 700'
        for device in ("/dev/sda1", "/tmp", "/var/tmp", "/dev/sdb1")
    ]
    assert found["container_fs_inodes_free"] == [
        f'container_fs_inodes_free{{device="{device}",id="/"}} 20'
        for device in ("/dev/sda1", "/tmp", "/var/tmp")
    ]
    assert (
        len(found["container_fs_limit_bytes"]),
        len(found["container_fs_inodes_total"]),
    ) == (4, 3)
