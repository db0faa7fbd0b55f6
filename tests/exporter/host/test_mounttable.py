"""When a table of mounts is read."""

import os

import pytest

from exporter.host.mounttable import REREAD_SECONDS, MountTable, has_changed

NOW = 1795478511.5


@pytest.mark.parametrize(
    ("changed", "later", "newest"),
    [
        pytest.param(False, 15.0, False, id="the kernel tells of nothing: not read"),
        pytest.param(True, 0.0, True, id="the kernel tells of a change: read at once"),
        pytest.param(
            False, REREAD_SECONDS, True, id="a while has passed: read, a disk may have gone read-only"
        ),
        pytest.param(False, -1.0, True, id="the clock was set back: read"),
    ],
)
def test_when_it_is_read(tmp_path, changed, later, newest):
    """The content is that of the last reading, from its beginning."""
    path = tmp_path / "mountinfo"
    path.write_bytes(b"old table\n")
    table = MountTable(str(path), changed=lambda _: changed)
    assert table.read(NOW) == b"old table\n"
    path.write_bytes(b"new\n")
    assert table.read(NOW + later) == (b"new\n" if newest else b"old table\n")


def test_a_file_that_comes_and_goes(tmp_path):
    """What cannot be read says which file it is, every time, and is opened anew."""
    path = tmp_path / "mountinfo"
    table = MountTable(str(path), changed=lambda _: True)
    with pytest.raises(FileNotFoundError, match="mountinfo"):
        table.read(NOW)
    # It can be opened, but not read.
    path.mkdir()
    for _ in range(2):
        with pytest.raises(IsADirectoryError, match="mountinfo"):
            table.read(NOW)
    path.rmdir()
    path.write_bytes(b"table\n")
    assert table.read(NOW) == b"table\n"


def test_nothing_stays_open(tmp_path):
    """With the table goes its file."""
    path = tmp_path / "mountinfo"
    path.write_bytes(b"table\n")
    seen = []
    table = MountTable(str(path), changed=lambda descriptor: bool(seen.append(descriptor)))
    table.read(NOW)
    table.read(NOW)
    os.fstat(seen[0])
    del table
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(seen[0])


def test_this_machine():
    """The kernel tells of no change where nothing is mounted, and what is kept is what the file says."""
    table = MountTable("/proc/self/mountinfo")
    first = table.read(NOW)
    assert table.read(NOW + 1) == first
    with open("/proc/self/mountinfo", "rb") as file:  # noqa: PTH123 # read as a program without us would
        assert not has_changed(file.fileno())
        assert file.read() == first
