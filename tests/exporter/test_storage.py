"""The state file on disk."""

import logging
from pathlib import Path

import pytest

from exporter.errors import StorageError
from exporter.memory import Book, Memory
from exporter.storage import StateFile, default_folder


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "/home/me/.local/state/vakhta"),
        ({"XDG_STATE_HOME": "/var/lib"}, "/var/lib/vakhta"),
        ({"XDG_STATE_HOME": ""}, "/home/me/.local/state/vakhta"),
        ({"XDG_STATE_HOME": "relative"}, "/home/me/.local/state/vakhta"),
    ],
)
def test_default_folder(environ, expected):
    """Where the XDG specification puts state; a relative XDG_STATE_HOME is to be ignored."""
    assert default_folder(environ, Path("/home/me")) == Path(expected)


def test_written_and_read(tmp_path):
    """What was saved is loaded; folders are made, no temporary file stays."""
    state = StateFile(tmp_path / "a" / "b")
    state.save(Memory({"web": Book(id="x", first_seen=1.0)}).to_text())
    assert set(state.load()) == {"web"}
    assert [path.name for path in state.path.parent.iterdir()] == ["exporter-state.json"]


@pytest.mark.parametrize(
    ("content", "level", "event"),
    [
        pytest.param(None, logging.INFO, "no state file yet: counters start at 0", id="missing"),
        pytest.param(
            b"{", logging.WARNING, "the state file cannot be used: counters start at 0", id="damaged"
        ),
        pytest.param(
            b"\xff", logging.WARNING, "the state file cannot be used: counters start at 0", id="not text"
        ),
        pytest.param(
            b'{"v": 9}',
            logging.WARNING,
            "the state file cannot be used: counters start at 0",
            id="another version",
        ),
    ],
)
def test_files_that_cannot_be_used(tmp_path, caplog, content, level, event):
    """Counters start at 0, and the log says so."""
    state = StateFile(tmp_path)
    if content is not None:
        state.path.write_bytes(content)
    with caplog.at_level(logging.INFO):
        assert not set(state.load())
    assert [(record.levelno, record.message) for record in caplog.records] == [(level, event)]


def test_a_folder_that_cannot_be_written(tmp_path):
    """The error names the file, the fault and the remedy; root may write anywhere, so the folder is a file here."""
    (tmp_path / "file").write_text("")
    state = StateFile(tmp_path / "file")
    with pytest.raises(StorageError) as caught:
        state.save("{}")
    assert str(caught.value) == (
        f"cannot write {state.path}: File exists; counters will start at 0 after a restart. Give this user write access, or "
        "name another directory with --storage.path"
    )


def test_a_failed_write_leaves_the_old_file(tmp_path):
    """Replacing is atomic: the old text or the new one."""
    state = StateFile(tmp_path)
    state.save("old")
    state.path.with_suffix(".tmp").mkdir()
    with pytest.raises(StorageError):
        state.save("new")
    assert state.path.read_text() == "old"
