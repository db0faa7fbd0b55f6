"""One slow fact: asks for its keys by its schedule, keeps the answers, and knows how it is doing."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from exporter.errors import DockerAbsentError, ExporterError
from exporter.families.model import CollectorStatus
from exporter.slow.schedule import Pace, Schedule
from vakhta import logs

__all__ = ["Clocks", "Fact"]

_log: Final = logs.get(__name__)
_T = TypeVar("_T")

# Whoever is asked has a limit of its own, and its error says more than ours.
_GRACE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The two clocks: `monotonic` is what calls are scheduled by, `wall` (Unix seconds) what ages are told by."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


class Fact(Generic[_T]):
    """One fact of many keys.

    Args:
        name: The collector's.
        ask: Answers for one key; None: there is no answer, and nothing wrong with that.
        pace: How often.
        seconds: How long an answer may take.
        clocks: See there.

    Attributes:
        values: The newest answer by key; kept when a later call fails, because its age is told.
        taken_at: When each was given, Unix seconds.
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[str], Awaitable[_T | None]],
        *,
        pace: Pace,
        seconds: float,
        clocks: Clocks,
    ) -> None:
        self.name = name
        self.values: dict[str, _T] = {}
        self.taken_at: dict[str, float] = {}
        self._ask = ask
        self._schedule = Schedule(pace)
        self._seconds = seconds
        self._clocks = clocks
        self._keys: frozenset[str] = frozenset()
        self._fault_told = False
        self._nobody_there = False
        self._duration: float | None = None
        self._last_success_at: float | None = None

    @property
    def status(self) -> CollectorStatus:
        """How it is doing; before the first answer nothing is wrong yet."""
        return CollectorStatus(
            name=self.name,
            success=not self._failing,
            duration_seconds=self._duration,
            last_success_at=self._last_success_at,
        )

    @property
    def _failing(self) -> bool:
        return self._nobody_there or bool(self._schedule.failing)

    def keep(self, keys: Collection[str], now: float) -> None:
        """Know exactly these keys."""
        self._keys = frozenset(keys)
        self._schedule.keep(self._keys, now)
        for key in self.values.keys() - self._keys:
            self._drop(key)
        self._tell_recovery()

    def take(self, now: float) -> Sequence[str]:
        """Return the keys to `ask` now."""
        return self._schedule.take(now)

    def wakes_at(self) -> float | None:
        """Return when to take again; None: not before a call ends."""
        return self._schedule.wakes_at()

    async def ask(self, key: str) -> None:
        """Ask for a key that was taken, and keep the answer."""
        began = self._clocks.monotonic()
        fault, nobody_there = "given up", False
        try:
            fault, nobody_there = await self._try(key)
        finally:
            # Even when cancelled: a place that is not given back is lost for good.
            ended = self._clocks.monotonic()
            self._duration, self._nobody_there = ended - began, nobody_there
            if nobody_there:
                self._schedule.unanswered(key, ended)
            else:
                self._schedule.ended(key, ended, ok=not fault)
        if not fault:
            self._tell_recovery()
        elif key in self._keys and not self._fault_told:
            # Of many keys that fail for one reason the first is told.
            self._fault_told = True
            _log.warning("a slow fact cannot be collected", fact=self.name, of=key, error=fault)

    async def _try(self, key: str) -> tuple[str, bool]:
        """Return why there is no answer (empty when there is, or nobody could have one), and whether nobody is there to ask."""
        try:
            async with asyncio.timeout(self._seconds + _GRACE_SECONDS):
                value = await self._ask(key)
        except TimeoutError as exc:
            return str(exc) or f"no answer within {self._seconds:g} s", False
        except (ExporterError, OSError) as exc:
            return str(exc) or type(exc).__name__, isinstance(exc, DockerAbsentError)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it costs this key only
            _log.exception("a slow fact failed unexpectedly", fact=self.name, of=key)
            return f"{type(exc).__name__}: {exc}", False
        self._take_in(key, value)
        return "", False

    def _take_in(self, key: str, value: _T | None) -> None:
        self._last_success_at = self._clocks.wall()
        if value is None or key not in self._keys:
            self._drop(key)
        else:
            self.values[key], self.taken_at[key] = value, self._last_success_at

    def _drop(self, key: str) -> None:
        self.values.pop(key, None)
        self.taken_at.pop(key, None)

    def _tell_recovery(self) -> None:
        if self._fault_told and not self._failing:
            self._fault_told = False
            _log.info("the slow fact can be collected again", fact=self.name)
