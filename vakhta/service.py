"""Running a process: signals in, exit code out.

The first SIGTERM or SIGINT asks the program to end, the second ends it at once. A program that was asked to end and does not
manage within its grace period is ended too: a thread stuck in a foreign library must not outlast the service manager's patience.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Final

from vakhta import logs

__all__ = ["ExitCode", "run"]

_log: Final = logs.get(__name__)
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class ExitCode(IntEnum):
    """What a process tells its starter (docs/interfaces.md, section 5)."""

    OK = 0
    CONFIGURATION = 1
    CANNOT_START = 2


def run(
    main: Callable[[asyncio.Event], Awaitable[int]], *, grace_seconds: float = 8.0, hangup_ends: bool = False
) -> int:
    """Run a program's coroutine until it returns, and return its exit code.

    Args:
        main: Called with an event that is set once the program should end.
        grace_seconds: How long the program may take to end after a signal, its threads included. Shorter than the 10 s after
            which Docker and Compose send SIGKILL.
        hangup_ends: Whether SIGHUP (the terminal was closed) asks the program to end; otherwise it is noted and nothing happens.
    """
    return asyncio.run(_with_signals(main, grace_seconds, hangup_ends=hangup_ends))


async def _with_signals(
    main: Callable[[asyncio.Event], Awaitable[int]], grace_seconds: float, *, hangup_ends: bool
) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def received(number: signal.Signals) -> None:
        if stop.is_set():
            _leave(128 + number)
        _log.info("asked to end", signal=number.name)
        stop.set()
        timer = threading.Timer(grace_seconds, _leave, args=(ExitCode.OK,))
        timer.daemon = True
        timer.start()

    for number in _SIGNALS:
        loop.add_signal_handler(number, received, number)
    if hangup_ends:
        loop.add_signal_handler(signal.SIGHUP, received, signal.SIGHUP)
    else:
        event = "SIGHUP is ignored: restart to read a changed configuration"
        loop.add_signal_handler(signal.SIGHUP, _log.warning, event)
    return await main(stop)


def _leave(code: int) -> None:
    """End the process without waiting for threads."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
