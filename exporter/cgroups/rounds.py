"""One collection under way: what it has read, and how others may go on without it.

A file that does not answer holds its reader for ever, in the kernel. The collection it belongs to is let go: what it has read is used, its
thread ends whenever the file answers, and the collections after it leave out what it is stuck in.
"""

import threading

from exporter.cgroups.readers import Faults
from exporter.cgroups.usage import Usage
from exporter.docker.snapshot import Snapshot

__all__ = ["HOST", "Round"]

# What a round calls the host; no container has such an id.
HOST = "/"


class Round:
    """Filled in one thread, let go in another.

    Args:
        snapshot: The containers.
        driver: Docker's cgroup driver.

    Attributes:
        at: What is being read: a container's id, `HOST`, or empty for neither.
        over: Whether its thread has done with it.
    """

    def __init__(self, snapshot: Snapshot, *, driver: str) -> None:
        self.snapshot = snapshot
        self.driver = driver
        self.usage: dict[str, Usage] = {}
        self.host: Usage | None = None
        self.faults: Faults = {}
        self.at = ""
        self.over = False
        self._let_go = False
        self._lock = threading.Lock()

    def begin(self, at: str) -> bool:
        """Note what is read next; False when it must not be read, because the round was let go."""
        with self._lock:
            if not self._let_go:
                self.at = at
            return not self._let_go

    def let_go(self) -> bool:
        """Have it begin nothing more; False when it was let go before."""
        with self._lock:
            before, self._let_go = self._let_go, True
            return not before
