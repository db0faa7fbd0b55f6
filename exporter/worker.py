"""Blocking calls on files that may never return: a dead network mount or disk holds whoever asks it for ever.

asyncio's own threads would be one lost per attempt, and keep the process from ending. Here one daemon thread per worker is the most that
can be lost: while a call is stuck, the next ones fail at once.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["Worker"]

_T = TypeVar("_T")


class Worker:
    """Makes one blocking call at a time.

    Args:
        name: What it is busy with, for the error.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._turn = asyncio.Lock()
        self._stuck: asyncio.Future[None] | None = None

    async def do(self, call: Callable[[], _T], *, seconds: float) -> _T:
        """Return what the call returns, or raise what it raises.

        Raises:
            TimeoutError: It takes longer than so many seconds, or an earlier one has not returned yet.
        """
        async with self._turn:
            if self._stuck is not None and not self._stuck.done():
                raise TimeoutError(
                    f"{self._name}: the file system has not answered an earlier question; see `dmesg` for a disk or network mount that hangs"
                )
            result, self._stuck = _begin(call)
            try:
                async with asyncio.timeout(seconds):
                    return await result
            except TimeoutError as exc:
                if result.done() and not result.cancelled():
                    return result.result()  # there at the last moment; or the call's own error
                raise TimeoutError(
                    f"{self._name}: not read within {seconds:.3g} s; if the host is not just busy, see `dmesg` for a disk or network mount that hangs"
                ) from exc


def _begin(call: Callable[[], _T]) -> tuple[asyncio.Future[_T], asyncio.Future[None]]:
    """Start the call in a thread; return its result to be, which may be given up, and its end to be, which nobody waits for."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[_T] = loop.create_future()
    end: asyncio.Future[None] = loop.create_future()

    def tell(value: _T | None, error: BaseException | None) -> None:
        end.set_result(None)
        if result.done():
            return
        if error is None:
            result.set_result(value)  # type: ignore[arg-type] # None only where the call itself returned it
        else:
            result.set_exception(error)

    def run() -> None:
        value: _T | None = None
        error: BaseException | None = None
        try:
            value = call()
        except Exception as exc:  # noqa: BLE001 - carried over to the awaiting side
            error = exc
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, value, error)

    threading.Thread(target=run, name="blocking-call", daemon=True).start()
    return result, end
