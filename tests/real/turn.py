"""Decides whose turn it is: one engine at a time on a machine.

The lock is the name of an abstract socket. The kernel frees it with its holder, however that one ends, and it exists
once per network namespace, just as the bridge and the addresses that it guards, whatever folder a run sees as /tmp.
"""

from __future__ import annotations

import socket
import struct
import time

_NAME = "\0vakhta-engine"


def take(wait_seconds: float) -> socket.socket:
    """Take the turn; closing the socket gives it back.

    Raises:
        TimeoutError: another process had it all the time; the text names that process.
    """
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            lock.bind(_NAME)
            lock.listen()
        except OSError:
            if time.monotonic() > deadline:
                lock.close()
                raise TimeoutError(
                    f"another test run or demo uses the engine since over {wait_seconds:g} s ({_holder()}): end it first"
                ) from None
            time.sleep(0.2)
        else:
            return lock


def _holder() -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            asking.settimeout(1)
            asking.connect(_NAME)
        except OSError:
            return "it has just ended"
        pid, _, _ = struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return f"process {pid}"
