"""The state file: commits, batches, refusals."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alerting.state import MIGRATIONS, Database, Migration, StateError, set_aside

NOTES = (Migration(name="notes", script="CREATE TABLE note (text TEXT NOT NULL) STRICT;"),)
LIMIT = 10  # seconds nothing here comes near


def note(text):
    """A write that adds one row."""
    return lambda connection: connection.execute("INSERT INTO note VALUES (?)", (text,)).lastrowid


def notes(connection):
    """All rows, in order."""
    return [row["text"] for row in connection.execute("SELECT text FROM note ORDER BY rowid")]


@pytest.fixture(params=["file", "memory"])
async def database(request, tmp_path):
    """An open state file with one table, on disk and in memory."""
    path = tmp_path / "state.db" if request.param == "file" else ":memory:"
    opened = await Database.open(path, migrations=NOTES)
    yield opened
    await opened.close()


async def test_a_write_is_readable_once_it_returns(database):
    """A write returns after its commit, so the next read sees it."""
    assert await database.write(note("a")) == 1
    assert await database.read(notes) == ["a"]


async def test_a_failing_write_undoes_itself_only(database):
    """Writes that share a commit do not share their failures."""

    def half(connection):
        note("half")(connection)
        raise ValueError("no")

    results = await asyncio.gather(
        database.write(note("a")), database.write(half), database.write(note("b")), return_exceptions=True
    )
    assert isinstance(results[1], ValueError)
    assert await database.read(notes) == ["a", "b"]
    assert database.write_ok


async def test_a_bad_statement_is_the_callers_error(database):
    """A fault of the statement is not a fault of the file."""
    with pytest.raises(sqlite3.IntegrityError):
        await database.write(note(None))
    assert database.write_ok


async def test_queued_writes_share_one_commit(database):
    """A burst costs far fewer commits than writes."""
    commits = []
    database.on_commit(lambda: commits.append(1))
    await asyncio.gather(*(database.write(note(str(i))) for i in range(200)))
    await database.write(note("last"))
    assert len(await database.read(notes)) == 201
    assert 1 <= len(commits) < 100


async def test_a_cancelled_caller_leaves_its_write(database):
    """Cancelling the wait does not take back what was decided."""
    waiting = asyncio.ensure_future(database.write(note("kept")))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await database.write(note("next"))
    assert await database.read(notes) == ["kept", "next"]


async def test_reading_cannot_write(tmp_path):
    """The reading connection of a file refuses changes."""
    database = await Database.open(tmp_path / "state.db", migrations=NOTES)
    with pytest.raises(StateError, match="readonly"):
        await database.read(note("a"))
    await database.close()


async def test_a_full_disk_is_told_and_forgotten_when_it_ends(tmp_path):
    """``write_ok`` follows the disk: false while commits fail, true after one succeeds."""
    database = await Database.open(tmp_path / "state.db", migrations=NOTES)
    await database.write(lambda c: c.execute("PRAGMA max_page_count = 8").fetchall())
    with pytest.raises(StateError, match="free space") as caught:
        await database.write(note("x" * 200_000))
    assert caught.value.path == tmp_path / "state.db"
    assert not database.write_ok
    await database.write(note("small"))
    assert database.write_ok
    assert await database.read(notes) == ["small"]
    await database.close()


async def test_a_full_disk_fails_the_whole_batch(tmp_path):
    """Nobody in a transaction that could not be committed is told it was."""
    database = await Database.open(tmp_path / "state.db", migrations=NOTES)
    await database.write(lambda c: c.execute("PRAGMA max_page_count = 8").fetchall())
    block = asyncio.Event()
    loop = asyncio.get_running_loop()
    entered = asyncio.Event()

    def wait_for_the_rest(_):
        loop.call_soon_threadsafe(entered.set)
        asyncio.run_coroutine_threadsafe(block.wait(), loop).result(LIMIT)

    first = asyncio.ensure_future(database.write(wait_for_the_rest))
    await asyncio.wait_for(entered.wait(), LIMIT)
    both = [asyncio.ensure_future(database.write(note(text))) for text in ("small", "x" * 200_000)]
    await asyncio.sleep(0)
    block.set()
    await first
    results = await asyncio.gather(*both, return_exceptions=True)
    assert [type(result) for result in results] == [StateError, StateError]
    assert await database.read(notes) == []
    await database.close()


async def _text(path):
    path.write_bytes(b"not a database, but long enough " * 8)


async def _foreign(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()


async def _ours(path):
    database = await Database.open(path, migrations=NOTES)
    await database.write(lambda c: [note("x" * 900)(c) for _ in range(200)])
    await database.close()


async def _newer(path):
    await _ours(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA user_version = 99")
    connection.close()


async def _damage(path):
    await _ours(path)
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 5] = b"\xa5" * 8192
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("prepare", "fault", "corrupt"),
    [
        pytest.param(_text, "not a database", True, id="text"),
        pytest.param(_foreign, "another program", False, id="foreign-tables"),
        pytest.param(_newer, "newer version", False, id="newer"),
        pytest.param(_damage, "SQLITE_CORRUPT|damaged|malformed", True, id="damaged"),
    ],
)
async def test_a_wrong_file_is_refused_and_left_alone(tmp_path, prepare, fault, corrupt):
    """Whatever is not our healthy file is named with fault and remedy, and not one byte of it changes."""
    path = tmp_path / "state.db"
    await prepare(path)
    before = path.read_bytes()
    with pytest.raises(StateError, match=fault) as caught:
        await Database.open(path)
    assert caught.value.corrupt is corrupt
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


async def test_a_folder_that_is_missing_is_named(tmp_path):
    """A path nobody can create is a state error too."""
    with pytest.raises(StateError, match="make the folder exist"):
        await Database.open(tmp_path / "none" / "state.db")


async def test_set_aside_keeps_everything(tmp_path):
    """The damaged file and its log get a dated name; a fresh file can take their place."""
    path = tmp_path / "state.db"
    log = path.with_name("state.db-wal")
    path.write_bytes(b"damaged")
    log.write_bytes(b"log")
    kept = set_aside(path, datetime(2026, 9, 21, 14, 2, 31, tzinfo=UTC))
    assert kept.name == "state.db.corrupt-20260921T140231Z"
    assert kept.read_bytes() == b"damaged"
    assert kept.with_name(f"{kept.name}-wal").read_bytes() == b"log"
    assert not log.exists()
    await (await Database.open(path)).close()


async def test_set_aside_never_overwrites(tmp_path):
    """Two in one second: the second is refused."""
    now = datetime(2026, 9, 21, tzinfo=UTC)
    for text in (b"one", b"two"):
        (tmp_path / "state.db").write_bytes(text)
        if text == b"one":
            kept = set_aside(tmp_path / "state.db", now)
    with pytest.raises(StateError, match="exists already"):
        set_aside(tmp_path / "state.db", now)
    assert kept.read_bytes() == b"one"


async def test_migrations_run_once_and_in_order(tmp_path):
    """A newer list continues where the file stands, and keeps what is in it."""
    path = tmp_path / "state.db"
    first = await Database.open(path, migrations=NOTES)
    await first.write(note("old"))
    await first.close()
    more = (
        *NOTES,
        Migration(name="stars", script="ALTER TABLE note ADD COLUMN stars INTEGER NOT NULL DEFAULT 3;"),
    )
    for _ in range(2):
        second = await Database.open(path, migrations=more)
        assert await second.read(lambda c: [tuple(r) for r in c.execute("SELECT * FROM note")]) == [
            ("old", 3)
        ]
        await second.close()


async def test_a_failing_migration_changes_nothing(tmp_path):
    """A step is one transaction; the error names it."""
    path = tmp_path / "state.db"
    await (await Database.open(path, migrations=NOTES)).close()
    broken = (*NOTES, Migration(name="broken", script="CREATE TABLE half (x); SELECT nothing;"))
    with pytest.raises(StateError, match=r"schema step 2 \(broken\)"):
        await Database.open(path, migrations=broken)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 1
        assert not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'half'").fetchall()
    connection.close()


async def test_the_file_is_private(tmp_path):
    """Messages may quote logs: the file is readable by its owner only."""
    database = await Database.open(tmp_path / "state.db")
    assert (tmp_path / "state.db").stat().st_mode & 0o077 == 0
    await database.close()


async def test_closing_finishes_what_is_queued_and_refuses_the_rest(tmp_path):
    """Nothing accepted is lost by closing; nothing is accepted after it."""
    database = await Database.open(tmp_path / "state.db", migrations=NOTES)
    writes = [asyncio.ensure_future(database.write(note(str(i)))) for i in range(20)]
    await asyncio.sleep(0)
    await database.close()
    await database.close()
    assert len(await asyncio.gather(*writes)) == 20
    with pytest.raises(StateError, match="closed"):
        await database.write(note("late"))


def test_a_committed_write_survives_kill_9(tmp_path):
    """The process may die right after a write returned: the write is there."""
    program = """
import asyncio, os, sys
from alerting.state import Database, Migration
async def main():
    d = await Database.open(sys.argv[1], migrations=(Migration(name="n", script="CREATE TABLE note (text TEXT);"),))
    await d.write(lambda c: c.execute("INSERT INTO note VALUES ('kept')"))
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    path = tmp_path / "state.db"
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert ended.returncode == -signal.SIGKILL
    connection = sqlite3.connect(path)
    assert notes_of(connection) == ["kept"]
    connection.close()


def test_the_shipped_schema_has_a_name_per_step():
    """Names are what an error shows: none is empty, none twice."""
    names = [step.name for step in MIGRATIONS]
    assert all(names)
    assert len(set(names)) == len(names)


def notes_of(connection):
    """All rows of a plain connection."""
    return [text for (text,) in connection.execute("SELECT text FROM note")]
