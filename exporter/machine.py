"""Keeps what the machine is made of: read at the start and now and then, never by a scrape."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from exporter.families import CollectorStatus
from exporter.host.machine import MachineFacts
from exporter.worker import Worker
from vakhta import logs

__all__ = ["MachineWatch"]

_log: Final = logs.get(__name__)
_INTERVAL_SECONDS: Final = 300.0
_PATIENCE_SECONDS: Final = 10.0


class MachineWatch:
    """Reads the machine in the background.

    Args:
        read: Reads it; may block.

    Attributes:
        facts: None before they were read.
    """

    def __init__(self, read: Callable[[], MachineFacts]) -> None:
        self._read = read
        self._worker = Worker("machine")
        self._fault = ""
        self._seconds: float | None = None
        self._succeeded_at: float | None = None
        self.facts: MachineFacts | None = None

    async def run(self) -> None:
        """Read for ever."""
        while True:
            await self.look()
            await asyncio.sleep(_INTERVAL_SECONDS)

    def status(self) -> CollectorStatus:
        """How it does; it fails until it was read once."""
        return CollectorStatus(
            name="machine",
            success=self.facts is not None and not self._fault,
            duration_seconds=self._seconds,
            last_success_at=self._succeeded_at,
        )

    async def look(self) -> None:
        """Read once, in bounded time."""
        began = time.perf_counter()
        try:
            self.facts = await self._worker.do(self._read, seconds=_PATIENCE_SECONDS)
            fault = self.facts.fault
        except TimeoutError as exc:
            fault = str(exc)
        self._seconds = time.perf_counter() - began
        if not fault:
            self._succeeded_at = time.time()
        elif fault != self._fault:
            _log.warning("the machine cannot be read completely", error=fault)
        self._fault = fault
