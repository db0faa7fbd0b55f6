"""How full the host's filesystems are, asked in threads of our own, because a dead network mount never answers.

A thread asks one mount after the other and is waited for a moment only. If one mount holds it up, the thread is left behind and a new one
asks the rest; a mount that is still being asked is not asked again. So a hanging mount costs one thread until it answers, and the scrape in which
it began to hang a fraction of a second. The threads are daemons: one that never returns does not keep the exporter from ending.
"""

import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from exporter.host.mounts import Mount

__all__ = ["Filesystem", "FilesystemProber", "Space", "space"]

_PATIENCE: Final = 0.05
# So often one call of `probe` waits that long.
_ROUNDS: Final = 4
_HANGS_AFTER: Final = 5.0
# Threads left behind with a hanging mount each; beyond it no others are started until one answers.
_MOST_LEFT_BEHIND: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What a filesystem has, in bytes and in inodes.

    Attributes:
        avail_bytes: For everybody but root.
    """

    size_bytes: int
    free_bytes: int
    avail_bytes: int
    files: int
    files_free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Filesystem:
    """A mounted filesystem; `space` is None when it cannot be asked, or does not answer."""

    mount: Mount
    space: Space | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What a mount last answered; neither space nor failure: it is not to be shown."""

    space: Space | None
    failed: bool


@dataclass(slots=True)
class _Worker:
    """A thread, and the mount it is asking."""

    path: bytes = b""
    left_behind: bool = False


def space(path: bytes) -> Space | None:
    """Ask the kernel; None for a file that is mounted (Docker does so with /etc/hosts), which is no place of its own.

    Raises:
        OSError: It cannot be asked.
    """
    if not stat.S_ISDIR(os.stat(path).st_mode):  # noqa: PTH116 # a path of bytes
        return None
    found = os.statvfs(path)
    return Space(
        size_bytes=found.f_blocks * found.f_frsize,
        free_bytes=found.f_bfree * found.f_frsize,
        avail_bytes=found.f_bavail * found.f_frsize,
        files=found.f_files,
        files_free=found.f_ffree,
    )


class FilesystemProber:
    """Asks mounts for their space.

    Args:
        ask: Asks one, blocking; None means that it is not to be shown.
        patience: Seconds that one mount may hold up a call of `probe`.
        hangs_after: Seconds without an answer after which a mount has failed; until then it keeps the space it had.
        clock: A clock that only goes forward.
    """

    def __init__(
        self,
        *,
        ask: Callable[[bytes], Space | None] = space,
        patience: float = _PATIENCE,
        hangs_after: float = _HANGS_AFTER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._patience = patience
        self._hangs_after = hangs_after
        self._clock = clock
        self._changed = threading.Condition()
        self._queue: deque[bytes] = deque()
        self._asked_at: dict[bytes, float] = {}
        self._answers: dict[bytes, _Answer] = {}
        self._worker: _Worker | None = None
        self._left_behind = 0

    def probe(self, mounts: Sequence[Mount]) -> tuple[Filesystem, ...]:
        """Return these mounts with their space, as far as they answer in time."""
        paths = {mount.path for mount in mounts}
        with self._changed:
            now = self._clock()
            for path in paths:
                if path not in self._asked_at:
                    self._asked_at[path] = now
                    self._queue.append(path)
            self._wait()
            self._answers = {path: answer for path, answer in self._answers.items() if path in paths}
            now = self._clock()
            return tuple(found for mount in mounts if (found := self._result(mount, now)) is not None)

    @property
    def hanging(self) -> int:
        """How many threads wait for a mount that does not answer."""
        with self._changed:
            return self._left_behind

    def _wait(self) -> None:
        """Have the queue asked, for a few times our patience; what takes longer goes on without us."""
        for _ in range(_ROUNDS):
            if self._worker is None:
                if not self._queue or self._left_behind >= _MOST_LEFT_BEHIND:
                    return
                worker = _Worker()
                threading.Thread(target=self._work, args=(worker,), name="filesystem", daemon=True).start()
                self._worker = worker
            worker, path = self._worker, self._worker.path
            ended = self._changed.wait_for(partial(self._has_ended, worker), self._patience)
            if not ended and worker.path == path:
                worker.left_behind = True
                self._worker = None
                self._left_behind += 1

    def _has_ended(self, worker: _Worker) -> bool:
        return self._worker is not worker

    def _work(self, worker: _Worker) -> None:
        while True:
            with self._changed:
                if worker.left_behind or not self._queue:
                    self._end(worker)
                    return
                worker.path = path = self._queue.popleft()
                self._asked_at[path] = self._clock()
            answer: Space | None
            try:
                answer = self._ask(path)
                failed = False
            except (OSError, ValueError):
                answer, failed = None, True
            with self._changed:
                self._answers[path] = _Answer(space=answer, failed=failed)
                del self._asked_at[path]

    def _end(self, worker: _Worker) -> None:
        if worker.left_behind:
            self._left_behind -= 1
        else:
            self._worker = None
        self._changed.notify_all()

    def _result(self, mount: Mount, now: float) -> Filesystem | None:
        asked_at = self._asked_at.get(mount.path)
        if asked_at is not None and now - asked_at >= self._hangs_after:
            return Filesystem(mount=mount, space=None)
        answer = self._answers.get(mount.path)
        if answer is None or (answer.space is None and not answer.failed):
            return None
        return Filesystem(mount=mount, space=answer.space)
