"""Filesystems that answer, fail, and hang."""

import os
import threading
from collections import Counter

import pytest

from exporter.host.filesystems import FilesystemProber, Space, space
from exporter.host.mounts import Mount

SPACE = Space(size_bytes=100, free_bytes=60, avail_bytes=50, files=10, files_free=5)
# A few milliseconds a round; what is waited for comes at once, or never.
PATIENCE = 0.02
MOST_CALLS = 500


def mount(path):
    """Return a mount at this place."""
    return Mount(device="d", fstype="ext4", mountpoint=path.decode(), path=path, readonly=False)


class Host:
    """A host whose filesystems do as they are told.

    Attributes:
        stuck: The places that do not answer before `release`.
        asked: How often each place was asked.
        now: The clock.
    """

    def __init__(self):
        self.stuck = set()
        self.failing = {}
        self.asked = Counter()
        self.now = 0.0
        self.released = threading.Event()
        self.prober = FilesystemProber(
            ask=self.ask, patience=PATIENCE, hangs_after=5.0, clock=lambda: self.now
        )

    def ask(self, path):
        """Answer, fail, or hang."""
        self.asked[path] += 1
        if path in self.stuck:
            self.released.wait(30)
        if path in self.failing:
            raise self.failing[path]
        return None if path == b"/etc/hosts" else SPACE

    def release(self):
        """Let everything answer."""
        self.stuck.clear()
        self.released.set()

    def probe(self, *paths):
        """Return what one look finds: space by place."""
        found = self.prober.probe([mount(path) for path in paths])
        return {filesystem.mount.path: filesystem.space for filesystem in found}

    def until(self, expected, *paths):
        """Look until this is found; a busy machine may take a few looks."""
        for _ in range(MOST_CALLS):
            found = self.probe(*paths)
            if found == expected:
                break
        assert found == expected


@pytest.fixture
def host():
    """A host whose threads end with the test."""
    made = Host()
    yield made
    made.release()
    for _ in range(MOST_CALLS):
        if not made.prober.hanging:
            break
        made.prober.probe([mount(b"/")])


def test_all_answer(host):
    """Every filesystem is asked once and has its space, but a file that is mounted is none."""
    host.until({b"/": SPACE, b"/data": SPACE}, b"/", b"/data", b"/etc/hosts")
    assert host.prober.hanging == 0


def test_one_hangs(host):
    """A dead share is asked once and holds up nobody; it has failed when it was silent for five seconds, and is there again when it answers."""
    host.stuck.add(b"/nfs")
    host.until({b"/": SPACE, b"/data": SPACE}, b"/", b"/nfs", b"/data")
    assert (host.prober.hanging, host.asked[b"/nfs"]) == (1, 1)
    host.now = 4.9
    host.until({b"/": SPACE, b"/data": SPACE}, b"/", b"/nfs", b"/data")
    host.now = 5.0
    host.until({b"/": SPACE, b"/nfs": None, b"/data": SPACE}, b"/", b"/nfs", b"/data")
    assert (host.prober.hanging, host.asked[b"/nfs"]) == (1, 1)
    host.release()
    host.until({b"/": SPACE, b"/nfs": SPACE, b"/data": SPACE}, b"/", b"/nfs", b"/data")
    assert host.prober.hanging == 0


def test_hangs_later(host):
    """A share that has answered before keeps its space until it has failed."""
    host.until({b"/nfs": SPACE}, b"/nfs")
    host.stuck.add(b"/nfs")
    host.until({b"/nfs": SPACE, b"/": SPACE}, b"/nfs", b"/")
    host.now = 5.0
    host.until({b"/nfs": None, b"/": SPACE}, b"/nfs", b"/")


def test_many_hang(host):
    """However many hang, only so many threads wait for them; and when they answer, all are asked."""
    dead = [b"/dead%d" % number for number in range(40)]
    host.stuck.update(dead)
    for _ in range(MOST_CALLS):
        host.probe(*dead)
        if host.prober.hanging == 16:
            break
    host.probe(*dead)
    assert (host.prober.hanging, sum(host.asked.values())) == (16, 16)
    host.now = 5.0
    assert host.probe(*dead) == dict.fromkeys(dead)
    host.release()
    host.until(dict.fromkeys(dead, SPACE), *dead)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(OSError(5, "Input/output error"), id="the kernel fails"),
        pytest.param(PermissionError(13, "Permission denied"), id="not ours to see"),
        pytest.param(ValueError("embedded null byte"), id="no such name can be"),
    ],
)
def test_fails(host, error):
    """A filesystem that cannot be asked is shown as failed, and is asked again."""
    host.failing[b"/bad"] = error
    host.until({b"/": SPACE, b"/bad": None}, b"/", b"/bad")
    del host.failing[b"/bad"]
    host.until({b"/": SPACE, b"/bad": SPACE}, b"/", b"/bad")


def test_unmounted(host):
    """What is not mounted any more is forgotten, even when it answers late."""
    host.stuck.add(b"/nfs")
    host.until({b"/": SPACE}, b"/", b"/nfs")
    host.until({b"/": SPACE}, b"/")
    host.release()
    host.until({b"/": SPACE}, b"/")
    assert host.probe(b"/").keys() == {b"/"}


def test_mounted_again(host):
    """What is mounted at the same place later does not inherit the space of what was there before."""
    host.until({b"/usb": SPACE}, b"/usb")
    host.until({b"/": SPACE}, b"/")
    host.stuck.add(b"/usb")
    assert b"/usb" not in host.probe(b"/", b"/usb")


def test_ask_the_kernel(tmp_path):
    """The numbers are df's; a mounted file is no filesystem to watch; what is not there fails."""
    found = space(os.fsencode(tmp_path))
    plain = os.statvfs(tmp_path)
    assert (found.size_bytes, found.files) == (plain.f_blocks * plain.f_frsize, plain.f_files)
    assert found.size_bytes >= found.free_bytes >= found.avail_bytes >= 0
    assert found.files_free <= found.files
    file = tmp_path / "hosts"
    file.touch()
    assert space(os.fsencode(file)) is None
    with pytest.raises(FileNotFoundError):
        space(os.fsencode(tmp_path / "gone"))
