"""Which partition a writable layer lies on, as a user who may not look into Docker's folder finds out."""

import contextlib
import os
import tempfile
from pathlib import Path

import pytest

from exporter.slow.files import partition_of

LAYER = "/var/lib/docker/overlay2/f00/diff"
ONE_DISK = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
DOCKERS_DISK = f"{ONE_DISK}31 22 8:17 / /var/lib/docker rw - xfs /dev/sdb1 rw\n"
# Its mount point cannot be reached.
LAYERS_DISK = f"{DOCKERS_DISK}32 31 8:33 / /var/lib/docker/overlay2 rw - xfs /dev/sdc1 rw\n"


@pytest.fixture
def root():
    """A host's root directory, where Docker's folder is closed as Docker closes it: to be asked, not to be entered."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / LAYER.lstrip("/")).mkdir(parents=True)
        docker = folder / "var/lib/docker"
        docker.chmod(0o600)
        yield folder
        docker.chmod(0o700)


@contextlib.contextmanager
def somebody():
    """Be a user to whom modes apply; root is asked to be another one."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(10001)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(
    ("mounts", "device"),
    [
        pytest.param(ONE_DISK, "/dev/sda1", id="the host's only disk"),
        pytest.param(DOCKERS_DISK, "/dev/sdb1", id="a disk for Docker"),
        pytest.param("", "", id="no table: the device is unknown"),
    ],
)
def test_a_closed_folder_answers_for_what_is_in_it(root, mounts, device):
    """Capacity, inodes and device are those of the folder that is closed."""
    with somebody():
        with pytest.raises(PermissionError):
            os.statvfs(root / LAYER.lstrip("/"))
        found = partition_of(LAYER, root, mounts)
    kernel = os.statvfs(root)
    assert (found.device, found.size_bytes) == (device, kernel.f_frsize * kernel.f_blocks)
    assert found.inodes == (kernel.f_files or None)


def test_another_disk_behind_the_closed_folder(root):
    """What answers is another partition than the layer's: unknown rather than wrong."""
    with somebody():
        assert partition_of(LAYER, root, LAYERS_DISK) is None


def test_nothing_may_be_seen(root):
    """When not even the host's root directory may be asked there is no answer, and no end of climbing either."""
    with somebody():
        assert partition_of(LAYER, root / "var/lib/docker/overlay2", ONE_DISK) is None


def test_a_folder_that_is_not_there(tmp_path):
    """A host whose files are elsewhere, or are not mounted: our own root does not answer for it."""
    (tmp_path / "var/lib").mkdir(parents=True)
    assert partition_of(LAYER, tmp_path, ONE_DISK) is None
