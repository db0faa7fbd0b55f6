"""Which mounts of a table are filesystems to watch."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.host.mounts import mounts
from tests.size import examples

# A Debian host with Docker; the last lines are what it gains with each running container.
HOST = rb"""22 28 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
23 28 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:13 - proc proc rw
24 28 0:5 / /dev rw,nosuid,relatime shared:2 - devtmpfs udev rw,size=986100k,nr_inodes=246525,mode=755,inode64
26 28 0:23 / /run rw,nosuid,nodev,noexec,relatime shared:5 - tmpfs tmpfs rw,size=202604k,mode=755,inode64
28 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,discard,errors=remount-ro
30 24 0:25 / /dev/shm rw,nosuid,nodev shared:3 - tmpfs tmpfs rw,inode64
31 26 0:26 / /run/lock rw,nosuid,nodev,noexec,relatime shared:6 - tmpfs tmpfs rw,size=5120k,inode64
32 22 0:27 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:8 - cgroup2 cgroup2 rw,nsdelegate
39 28 254:15 / /boot/efi rw,relatime shared:33 - vfat /dev/vda15 rw,fmask=0022,dmask=0022,codepage=437
40 28 8:1 / /srv/my\040data ro,relatime shared:34 - xfs /dev/sda1 rw,attr2,inode64
41 28 0:50 / /mnt/nas rw,relatime shared:35 - nfs4 nas:/export rw,vers=4.2,hard,timeo=600
42 28 7:0 / /snap/core/1 ro,nodev,relatime shared:36 - squashfs /dev/loop0 ro
90 28 0:42 / /var/lib/docker/overlay2/9f/merged rw,relatime shared:50 - overlay overlay rw,lowerdir=/a,upperdir=/b,workdir=/c
91 26 0:4 net:[4026532273] /run/docker/netns/2f rw shared:51 - nsfs nsfs rw
92 28 0:60 / /var/lib/docker/containers/9f/mounts/shm rw,nosuid shared:52 - tmpfs shm rw,size=65536k
"""
# What a container sees that has the host's root mounted at /host, read-only.
CONTAINER = rb"""600 500 0:70 / / rw,relatime - overlay overlay rw,lowerdir=/a,upperdir=/b,workdir=/c
601 600 0:73 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
602 600 254:1 / /host ro,relatime - ext4 /dev/vda1 rw,discard
603 602 254:15 / /host/boot/efi ro,relatime - vfat /dev/vda15 rw
604 602 8:1 / /host/srv/broken ro,relatime - ext4 /dev/sda1 ro
605 602 0:23 / /host/run/user/1000 ro,relatime - tmpfs tmpfs rw
606 600 254:1 /var/lib/docker/containers/9f/hosts /etc/hosts rw,relatime - ext4 /dev/vda1 rw
607 600 254:1 / /hostile rw,relatime - ext4 /dev/vda1 rw
"""


def described(found):
    """Return mounts as short rows."""
    return {(mount.mountpoint, mount.device, mount.fstype, mount.path, mount.readonly) for mount in found}


def test_a_hosts_own_table():
    """Disks, network shares and /run stay; pseudo filesystems, snaps, what lies below /run, and Docker's own mounts go."""
    assert described(mounts(HOST, rootfs=b"/")) == {
        ("/", "/dev/vda1", "ext4", b"/", False),
        ("/run", "tmpfs", "tmpfs", b"/run", False),
        ("/boot/efi", "/dev/vda15", "vfat", b"/boot/efi", False),
        ("/srv/my data", "/dev/sda1", "xfs", b"/srv/my data", True),
        ("/mnt/nas", "nas:/export", "nfs4", b"/mnt/nas", False),
    }


def test_the_hosts_table_seen_from_a_container():
    """With the host's /proc and root mounted, mount points are the host's and are looked for below its root."""
    found = {mount.mountpoint: mount.path for mount in mounts(HOST, rootfs=b"/rootfs")}
    assert found["/"] == b"/rootfs"
    assert found["/boot/efi"] == b"/rootfs/boot/efi"


@pytest.mark.parametrize(
    "rootfs", [pytest.param(b"/host", id="plain"), pytest.param(b"/host/", id="with a slash")]
)
def test_a_containers_own_table(rootfs):
    """Only what lies below the host's root counts, and our own read-only mount does not make a filesystem read-only."""
    assert described(mounts(CONTAINER, rootfs=rootfs)) == {
        ("/", "/dev/vda1", "ext4", b"/host", False),
        ("/boot/efi", "/dev/vda15", "vfat", b"/host/boot/efi", False),
        ("/srv/broken", "/dev/sda1", "ext4", b"/host/srv/broken", True),
    }


CONTAINERS = f"/containers/{'9f' * 32}"


@pytest.mark.parametrize(
    ("fstype", "point", "counts"),
    [
        pytest.param("tmpfs", f"/data/docker{CONTAINERS}/mounts/shm", False, id="a container's shm"),
        pytest.param("tmpfs", f"{CONTAINERS}/mounts/secrets/a", False, id="a container's secret"),
        pytest.param(
            "tmpfs", f"/home/u/.local/share/docker{CONTAINERS}/mounts/shm", False, id="a rootless container's"
        ),
        pytest.param("overlay", "/data/docker/overlay2/9f/merged", False, id="a layer"),
        pytest.param(
            "fuse.fuse-overlayfs", "/data/docker/fuse-overlayfs/9f/merged", False, id="a layer of FUSE's"
        ),
        pytest.param("zfs", f"/data/docker/zfs/graph/{'9f' * 32}", False, id="a layer of ZFS's"),
        pytest.param("nsfs", "/data/docker/netns/2f", False, id="a network namespace"),
        pytest.param("ext4", "/data/docker", True, id="Docker's own disk"),
        pytest.param("nfs4", "/data/docker/volumes/a/_data", True, id="a volume on a network share"),
        pytest.param("ext4", "/srv/containers/mounts/shm", True, id="a name that is only alike"),
        pytest.param("ext4", "/srv/containers/9f/mounts/shm", True, id="no container's id"),
        pytest.param(
            "ext4", "/srv/overlay2/9f/merged/data", True, id="somebody's disk in a folder of such a name"
        ),
    ],
)
@pytest.mark.parametrize(
    "rootfs", [pytest.param("", id="on the host"), pytest.param("/host", id="in a container")]
)
def test_dockers_folder_elsewhere(fstype, point, counts, rootfs):
    """What Docker mounts for each container is none of the host's filesystems, wherever its folder is."""
    table = (
        f"1 0 8:1 / {rootfs or '/'} rw - ext4 /dev/sda1 rw\n2 1 0:9 / {rootfs}{point} rw - {fstype} x rw\n"
    )
    found = {mount.mountpoint for mount in mounts(table.encode(), rootfs=rootfs.encode() or b"/")}
    assert found == ({"/", point} if counts else {"/"})


def test_mounted_over():
    """Of two mounts on one place only the upper is seen, and none if that one does not count."""
    lower = b"50 28 8:1 / /data rw,relatime - ext4 /dev/sda1 rw\n"
    upper = b"51 50 8:17 / /data rw,relatime - xfs /dev/sdb1 rw\n"
    overlay = b"52 51 0:9 / /data rw,relatime - overlay overlay rw\n"
    assert [mount.device for mount in mounts(lower + upper, rootfs=b"/")] == ["/dev/sdb1"]
    assert mounts(lower + upper + overlay, rootfs=b"/") == ()


@pytest.mark.parametrize(
    ("options", "super_options", "readonly"),
    [
        pytest.param(b"rw,relatime", b"rw", False, id="writable"),
        pytest.param(b"ro,relatime", b"rw", True, id="mounted read-only"),
        pytest.param(b"rw,relatime", b"ro,errors=remount-ro", True, id="remounted after errors"),
        pytest.param(b"rw,relatime", b"rw,emergency_ro", True, id="given up after errors, kernel 6.15"),
        pytest.param(b"rw,relatime", b"rw,errors=remount-ro", False, id="would be remounted"),
    ],
)
def test_readonly(options, super_options, readonly):
    """A filesystem that has gone read-only says so in its own options, whatever it was mounted with."""
    (found,) = mounts(
        b"28 1 8:1 / / " + options + b" shared:1 - ext4 /dev/sda1 " + super_options + b"\n", rootfs=b"/"
    )
    assert found.readonly is readonly


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param(rb"/a\040b", "/a b", id="blank"),
        pytest.param(rb"/a\011b\012c", "/a\tb\nc", id="tab and line feed"),
        pytest.param(rb"/a\134040b", r"/a\040b", id="a backslash is not an escape's"),
        pytest.param(b"/\xff", r"/\xff", id="no text"),
    ],
)
def test_escapes(written, read):
    """Places are read as they are, and can be written as a label."""
    (found,) = mounts(b"28 1 8:1 / " + written + b" rw - ext4 /dev/sda1 rw\n", rootfs=b"/")
    assert found.mountpoint == read


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\x00\xff\n", id="garbage"),
        pytest.param(b"28 1 8:1 / / rw ext4 /dev/sda1 rw\n", id="no separator"),
        pytest.param(b"28 1 8:1 / / rw - ext4\n", id="cut off"),
        pytest.param(b"28 1 8:1 / nowhere rw - ext4 /dev/sda1 rw\n", id="no place"),
    ],
)
def test_no_table(content):
    """What is no such table is refused."""
    with pytest.raises(ValueError, match="no table of mounts"):
        mounts(content, rootfs=b"/")


@settings(max_examples=examples(100))
@given(
    st.binary() | st.lists(st.binary(max_size=9) | st.sampled_from(HOST.split()), max_size=40).map(b" ".join)
)
def test_any_bytes(content):
    """Any bytes are read or refused with a ValueError, nothing else."""
    try:
        found = mounts(content, rootfs=b"/")
    except ValueError:
        return
    for mount in found:
        assert (mount.device + mount.fstype + mount.mountpoint).encode()
