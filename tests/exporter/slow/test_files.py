"""Log files, partitions, mount tables, and a thread that a file system holds."""

import asyncio
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.slow.files import device_of, log_sizes, partition_of
from exporter.slow.rotation import rotates
from exporter.worker import Worker

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:5 / /proc rw - proc proc rw
31 22 8:17 / /var/lib/docker rw,relatime shared:4 master:2 - xfs /dev/sdb1 rw
32 31 0:60 / /var/lib/docker/overlay2/f00/merged rw - overlay overlay rw,lowerdir=/l
33 22 8:33 / /mnt/my\\040disk rw - ext4 /dev/disk/by-label/my\\134disk rw
34 22 8:49 / /srv rw - ext4 /dev/sdd1 rw
35 34 8:50 / /srv rw - ext4 /dev/sdd2 rw
a line that is none
"""


@pytest.mark.parametrize(
    ("path", "device"),
    [
        pytest.param("/var/lib/docker/overlay2/f00/diff", "/dev/sdb1", id="the longest mount point above it"),
        pytest.param("/var/lib/docker", "/dev/sdb1", id="the mount point itself"),
        pytest.param(
            "/var/lib/docker-data/overlay2/f00/diff", "/dev/sda1", id="a name that only begins alike"
        ),
        pytest.param("/mnt/my disk/docker", "/dev/disk/by-label/my\\disk", id="escaped characters"),
        pytest.param("/srv/docker", "/dev/sdd2", id="mounted over: the last one is seen"),
    ],
)
def test_device(path, device):
    """The mount a layer lies on names its device."""
    assert device_of(path, MOUNTS) == device


def test_no_table_no_device():
    """It is unknown then."""
    assert device_of("/var/lib/docker", "") == ""


@given(st.text(), st.text())
def test_any_table_is_read(path, table):
    """Garbage gives some text, never an error."""
    assert isinstance(device_of(path, table), str)


def test_partition(tmp_path):
    """Capacity and inodes are the partition's own, real ones; the device comes from the host's table by the host's path."""
    (tmp_path / "var/lib/docker/overlay2/f00/diff").mkdir(parents=True)
    found, kernel = (
        partition_of("/var/lib/docker/overlay2/f00/diff", tmp_path, MOUNTS),
        os.statvfs(tmp_path),
    )
    assert (found.device, found.size_bytes) == ("/dev/sdb1", kernel.f_frsize * kernel.f_blocks)
    assert found.inodes == (kernel.f_files or None)
    assert (found.inodes_free is None) == (found.inodes is None)


def test_partition_that_cannot_be_seen(tmp_path):
    """Without the host's files there is none, rather than that of our own root."""
    assert partition_of("/var/lib/docker/overlay2/f00/diff", tmp_path, MOUNTS) is None


def log(root, container, **files):
    """Write a container's folder and return what its inspect says of its log."""
    folder = root / "docker" / "containers" / container
    folder.mkdir(parents=True)
    for suffix, size in files.items():
        (folder / f"{container}-json.log{suffix.replace('_', '.').rstrip('.')}").write_bytes(b"x" * size)
    (folder / "config.v2.json").write_bytes(b"x" * 7)
    return container, f"/docker/containers/{container}/{container}-json.log"


def test_a_log_and_its_rotated_siblings(tmp_path):
    """Compressed ones too; nothing else in the folder."""
    logs = [log(tmp_path, "a", _=100, _1=20, _2_gz=3), log(tmp_path, "b", _=5)]
    found = log_sizes(logs, tmp_path)
    assert (found.sizes, found.hidden, found.fault) == ({"a": 123, "b": 5}, "", "")


def test_a_container_that_went_meanwhile(tmp_path):
    """It costs its own size."""
    logs = [("gone", "/docker/containers/gone/gone-json.log"), log(tmp_path, "a", _=1)]
    found = log_sizes(logs, tmp_path)
    assert (found.sizes, found.hidden, found.fault) == ({"a": 1}, "", "")


def test_the_only_container_went_meanwhile(tmp_path):
    """Docker's folder is there: nothing is hidden from us."""
    (tmp_path / "docker/containers").mkdir(parents=True)
    found = log_sizes([("gone", "/docker/containers/gone/gone-json.log")], tmp_path)
    assert (found.sizes, found.hidden, found.fault) == ({}, "", "")


def test_dockers_folder_is_not_mounted(tmp_path):
    """The text names the place and the remedy."""
    found = log_sizes([("a", "/docker/containers/a/a-json.log")], tmp_path)
    assert (
        found.hidden
        == f"{tmp_path}/docker/containers is not there; mount the host's folder of that name read-only"
    )


def test_a_folder_in_the_way(tmp_path):
    """A file where the folder should be is a fault of one container."""
    (tmp_path / "docker/containers").mkdir(parents=True)
    (tmp_path / "docker/containers/a").write_text("")
    logs = [("a", "/docker/containers/a/a-json.log"), log(tmp_path, "b", _=1)]
    found = log_sizes(logs, tmp_path)
    assert (found.sizes, found.fault) == ({"b": 1}, f"{tmp_path}/docker/containers/a: Not a directory")


def test_nothing_leads_out_of_the_root(tmp_path):
    """Dots do not climb above it, and a symbolic link is counted as itself."""
    (tmp_path / "root").mkdir()
    (tmp_path / "secret.log").write_bytes(b"x" * 1000)
    (tmp_path / "root" / "link.log").symlink_to(tmp_path / "secret.log")
    found = log_sizes([("a", "/../secret.log"), ("b", "/link.log")], tmp_path / "root")
    assert found.sizes == {"a": 0, "b": len(str(tmp_path / "secret.log"))}


@pytest.mark.parametrize(
    ("driver", "options", "answer"),
    [
        pytest.param("json-file", {}, False, id="json-file grows for ever by default"),
        pytest.param("json-file", {"max-file": "3"}, False, id="max-file alone does nothing"),
        pytest.param("json-file", {"max-size": "10m"}, True, id="max-size alone begins the file anew"),
        pytest.param("json-file", {"max-size": "10m", "max-file": "3"}, True, id="both"),
        pytest.param("json-file", {"max-size": "-1"}, False, id="-1 is no limit"),
        pytest.param("json-file", {"max-size": "0"}, False, id="0 is none"),
        pytest.param("json-file", {"max-size": ""}, False, id="nor is nothing"),
        pytest.param("local", {}, True, id="local rotates by itself"),
        pytest.param("journald", {}, True, id="journald has limits of its own"),
        pytest.param("syslog", {}, True, id="syslog is somebody else's file"),
        pytest.param("none", {}, True, id="none writes nothing"),
        pytest.param("vendor/plugin:latest", {}, True, id="a plugin's log is no file of Docker's"),
        pytest.param("", {}, None, id="not inspected yet"),
    ],
)
def test_rotation(driver, options, answer):
    """Judged without any access."""
    assert rotates(driver, options) is answer


async def test_a_worker_returns_and_raises():
    """What the call does, its caller gets: an error that is a timeout itself too."""
    worker = Worker("disk")

    def fail():
        raise TimeoutError(110, "Connection timed out")

    assert await worker.do(lambda: 7, seconds=5) == 7
    with pytest.raises(TimeoutError, match="Connection timed out"):
        await worker.do(fail, seconds=5)
    assert await worker.do(lambda: None, seconds=5) is None


async def test_a_stuck_call_costs_one_thread():
    """It is given up, the next fail at once without a thread of their own, and when it returns all is well again."""
    worker, let_go, calls = Worker("disk"), threading.Event(), []

    def hang():
        calls.append("hang")
        assert let_go.wait(10)

    with pytest.raises(TimeoutError, match=r"disk: not read within 0\.05 s"):
        await worker.do(hang, seconds=0.05)
    stuck = worker._stuck
    for _ in range(3):
        with pytest.raises(TimeoutError, match="has not answered an earlier question"):
            await worker.do(lambda: calls.append("next"), seconds=5)
    assert calls == ["hang"]
    let_go.set()
    async with asyncio.timeout(5):
        await stuck
    assert await worker.do(lambda: 7, seconds=5) == 7


async def test_one_call_at_a_time():
    """Questions asked together are asked one after another."""
    worker, inside, most = Worker("disk"), [], []

    def call():
        inside.append(1)
        most.append(len(inside))
        inside.pop()

    await asyncio.gather(*(worker.do(call, seconds=5) for _ in range(20)))
    assert most == [1] * 20
