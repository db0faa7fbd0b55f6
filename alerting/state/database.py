"""One SQLite file, one thread that writes it.

Writes queue up while a transaction runs; everything that is waiting when the thread comes back goes into
the next one, so a burst of a hundred writes costs one commit. Each write runs under its own savepoint: one
that raises undoes itself and nothing else. A write returns when its transaction is committed, so what it
wrote survives a ``kill -9`` from then on (``synchronous=NORMAL``: only a power cut can lose the last commits).

It knows nothing of what the tables mean.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from alerting.state.errors import StateError
from alerting.state.migration import Migration
from alerting.state.schema import MIGRATIONS

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

MEMORY: Final = ":memory:"
_APPLICATION_ID: Final = 0x56_4B_48_54  # "VKHT": tells our file from any other SQLite file
_BATCH: Final = 256
_BUSY_SECONDS: Final = 5.0
# SQLite's primary result codes that are the file's fault, not the statement's.
_REMEDIES: Final = {
    sqlite3.SQLITE_FULL: "free space on that filesystem",
    sqlite3.SQLITE_IOERR: "check the disk and the kernel log",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable for this user",
    sqlite3.SQLITE_PERM: "make the file and its folder writable for this user",
    sqlite3.SQLITE_CANTOPEN: "make the folder exist and be writable for this user",
    sqlite3.SQLITE_BUSY: "stop the other process that holds the file",
    sqlite3.SQLITE_LOCKED: "stop the other process that holds the file",
    sqlite3.SQLITE_CORRUPT: "move the file aside: alerting starts with an empty one",
    sqlite3.SQLITE_NOTADB: "name another file, or move this one aside",
}
_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


@dataclass(frozen=True, slots=True)
class _Job:
    """One queued write and the future that tells its caller how it ended."""

    work: Work[Any]
    done: Future[Any]


class Database:
    """A handle on the state file. Its methods are for one event loop.

    Attributes:
        path: The file, or ``:memory:``.
        write_ok: The last transaction could be committed.
    """

    def __init__(self, path: Path | str) -> None:
        """Prepare a handle; :meth:`open` is the way to get one that works."""
        self.path = path
        self.write_ok = True
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._listeners: list[Callable[[], None]] = []
        self._closed = False

    @classmethod
    async def open(cls, path: Path | str, *, migrations: Sequence[Migration] = MIGRATIONS) -> Self:
        """Open or create the file, check it and bring its schema up to date.

        Raises:
            StateError: The file is not ours, damaged, written by a newer version, or cannot be used.
        """
        database = cls(path)
        await asyncio.wrap_future(database._start(database._write_loop, tuple(migrations)))
        if path != MEMORY:  # a memory database exists in its one connection only
            await asyncio.wrap_future(database._start(database._read_loop))
        return database

    def _start(self, target: Callable[..., None], *args: Any) -> Future[None]:
        ready: Future[None] = Future()
        thread = threading.Thread(target=target, args=(ready, *args), name="state", daemon=True)
        self._threads.append(thread)
        thread.start()
        return ready

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` in the writer thread, inside a transaction, and return after its commit.

        Args:
            work: Gets the connection. Must not commit, must not wait for anything, and may run again
                never: if it raises, its own changes are undone.

        Returns:
            What ``work`` returned.

        Raises:
            StateError: The transaction could not be committed; nothing of it is in the file.
            Exception: Whatever ``work`` raised.
        """
        return await self._put(self._jobs, work)

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` outside the writer, on a read-only connection that sees all committed writes.

        Raises:
            StateError: The file cannot be read.
        """
        return await self._put(self._jobs if self.path == MEMORY else self._reads, work)

    async def _put(self, jobs: queue.SimpleQueue[_Job | None], work: Work[T]) -> T:
        if self._closed:
            raise StateError(
                path=self.path, fault="the state file is closed", remedy="this is a bug: report it"
            )
        done: Future[T] = Future()
        jobs.put(_Job(work, done))
        # A caller that is cancelled leaves its work in the queue: what was decided is written.
        return await asyncio.wrap_future(done)

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every commit, in the writer thread, before the writers hear of it.

        It sees what the transaction's own writes left in memory, and nothing of the next one's. It must return at once.
        """
        self._listeners.append(listener)

    async def close(self) -> None:
        """Finish the queued work and close the file. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        self._reads.put(None)
        self._jobs.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    # ---- in the threads ----

    def _write_loop(self, ready: Future[None], migrations: tuple[Migration, ...]) -> None:
        try:
            connection = _open(self.path, migrations)
        except BaseException as exc:  # noqa: BLE001  the opener waits for it in another thread
            ready.set_exception(exc)
            return
        ready.set_result(None)
        with closing(connection):
            while (job := self._jobs.get()) is not None:
                jobs = [job]
                stop = False
                while len(jobs) < _BATCH and not self._jobs.empty():
                    more = self._jobs.get()
                    if more is None:
                        stop = True
                        break
                    jobs.append(more)
                self._commit(connection, jobs)
                if stop:
                    break

    def _commit(self, connection: sqlite3.Connection, jobs: list[_Job]) -> None:
        answers: list[tuple[_Job, Any, BaseException | None]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            answers = [(job, *_guarded(connection, job.work)) for job in jobs]
            connection.execute("COMMIT")
        except sqlite3.Error as exc:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            self.write_ok = False
            fault = translate(exc, self.path)
            answers = [(job, None, fault) for job in jobs]
        else:
            self.write_ok = True
            for listener in self._listeners:
                listener()
        for job, result, error in answers:
            _settle(job.done, result, error)

    def _read_loop(self, ready: Future[None]) -> None:
        try:
            connection = _connect(self.path)
            connection.execute("PRAGMA query_only = ON")
        except BaseException as exc:  # noqa: BLE001  the opener waits for it in another thread
            ready.set_exception(exc)
            return
        ready.set_result(None)
        with closing(connection):
            while (job := self._reads.get()) is not None:
                result, error = _plainly(connection, job.work)
                if isinstance(error, sqlite3.Error) and is_file_fault(error):
                    error = translate(error, self.path)
                _settle(job.done, result, error)


def _settle(done: Future[Any], result: Any, error: BaseException | None) -> None:
    if not done.set_running_or_notify_cancel():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)


def _plainly(connection: sqlite3.Connection, work: Work[Any]) -> tuple[Any, BaseException | None]:
    try:
        return work(connection), None
    except BaseException as exc:  # noqa: BLE001  the caller waits for it in another thread
        return None, exc


def _guarded(connection: sqlite3.Connection, work: Work[Any]) -> tuple[Any, BaseException | None]:
    """Run one write under a savepoint; a fault of the file itself ends the whole transaction."""
    connection.execute("SAVEPOINT work")
    try:
        result = work(connection)
    except sqlite3.Error as exc:
        if is_file_fault(exc) or not connection.in_transaction:
            raise
        error: BaseException = exc
    except BaseException as exc:  # noqa: BLE001  the caller waits for it in another thread
        error = exc
    else:
        connection.execute("RELEASE work")
        return result, None
    connection.execute("ROLLBACK TO work")
    connection.execute("RELEASE work")
    return None, error


def is_file_fault(error: sqlite3.Error) -> bool:
    """Tell a fault of the file or disk from a fault of the statement."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in _REMEDIES


def translate(error: sqlite3.Error, path: Path | str) -> StateError:
    """Say what SQLite found as place, fault and remedy."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else -1
    name = getattr(error, "sqlite_errorname", None)
    fault = f"{error} ({name})" if name else str(error)
    remedy = _REMEDIES.get(primary, "this is a bug: report it")
    return StateError(path=path, fault=fault, remedy=remedy, corrupt=primary in _CORRUPT)


def _connect(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, timeout=_BUSY_SECONDS, check_same_thread=True, cached_statements=256
    )
    connection.row_factory = sqlite3.Row
    return connection


def _open(path: Path | str, migrations: tuple[Migration, ...]) -> sqlite3.Connection:
    """Open the file in the calling thread, check it and migrate it."""
    try:
        if path != MEMORY:  # messages may quote logs: nobody else has to read them
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = _connect(path)
    except OSError as exc:
        remedy = "make the folder exist and be writable for this user"
        raise StateError(path=path, fault=exc.strerror or str(exc), remedy=remedy) from exc
    except sqlite3.Error as exc:
        raise translate(exc, path) from exc
    try:
        _prepare(connection, path, migrations)
    except sqlite3.Error as exc:
        connection.close()
        raise translate(exc, path) from exc
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path | str, migrations: tuple[Migration, ...]) -> None:
    """Recognise the file before changing anything in it."""
    version = _number(connection, "PRAGMA user_version")
    application = _number(connection, "PRAGMA application_id")
    tables = _number(connection, "SELECT count(*) FROM sqlite_schema")
    if application != _APPLICATION_ID and (application or version or tables):
        raise StateError(
            path=path,
            fault="this is an SQLite file of another program",
            remedy="name another file with --storage.path",
        )
    if version > len(migrations):
        raise StateError(
            path=path,
            fault=f"written by a newer version (schema {version}, this version knows {len(migrations)})",
            remedy="start the newer version, or name another file with --storage.path",
        )
    damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if damage != "ok":
        raise StateError(
            path=path, fault=f"damaged: {damage}", remedy=_REMEDIES[sqlite3.SQLITE_CORRUPT], corrupt=True
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    for number, migration in enumerate(migrations[version:], start=version + 1):
        _migrate(connection, path, number, migration)


def _migrate(connection: sqlite3.Connection, path: Path | str, number: int, migration: Migration) -> None:
    script = f"BEGIN IMMEDIATE;\n{migration.script}\n;PRAGMA user_version = {number};\nCOMMIT;"
    try:
        connection.executescript(script)
    except sqlite3.Error as exc:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if is_file_fault(exc):
            raise
        raise StateError(
            path=path,
            fault=f"schema step {number} ({migration.name}) failed: {exc}",
            remedy="the file is unchanged; start the version that wrote it, and report this",
        ) from exc


def _number(connection: sqlite3.Connection, statement: str) -> int:
    return int(connection.execute(statement).fetchone()[0])


def set_aside(path: Path, now: datetime) -> Path:
    """Move a damaged state file out of the way, with its log, and return its new name. Nothing is deleted.

    The file must not be open. ``now`` names the copy, so two of them never collide within a second.
    """
    kept = path.with_name(f"{path.name}.corrupt-{now:%Y%m%dT%H%M%SZ}")
    if kept.exists():
        raise StateError(path=kept, fault="exists already", remedy="try again in a second")
    for suffix in ("", "-wal", "-shm"):
        piece = Path(f"{path}{suffix}")
        if piece.exists():
            piece.rename(f"{kept}{suffix}")
    return kept
