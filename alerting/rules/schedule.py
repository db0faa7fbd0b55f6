"""When a group is evaluated: its regular slots, and at once when something it selects changed.

Source: rules/group.go of Prometheus (slots and jitter). A late slot is skipped and counted, never made up for; a tick does not
move the slots.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from alerting.rules.group import GroupEvaluator, Outcome

# Takes outcomes of one moment, the targets seen for the first time, and when the cause of a tick happened.
Sink = Callable[
    [Sequence[GroupEvaluator], Sequence[Outcome], frozenset[str], datetime | None], Awaitable[None]
]


AfterGap = Callable[[float], Awaitable[None]]
STEP: Final = 5.0
"""Seconds by which the wall clock must disagree with the steady one to count as set."""
AWAY: Final = 30.0
"""Seconds by which a wait must be too long to mean that this process was away: frozen, or its machine asleep."""


async def _nothing(_step: float) -> None:
    return


def next_slot(now: float, interval: timedelta, key: str) -> float:
    """Return the Unix time of a group's next regular evaluation; ``key`` spreads groups over the interval."""
    seconds = interval.total_seconds()
    offset = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64 * seconds
    return ((now - offset) // seconds + 1) * seconds + offset


class Scheduler:
    """Evaluates groups, one evaluation at a time, and hands each outcome to the sink.

    Args:
        evaluators: The groups.
        sink: Where outcomes go; the next evaluation waits for it.
        before: Called before each evaluation, to bring the process's own samples up to date.
        after_gap: Awaited when this process was away, or the wall clock was set, before anything is evaluated; gets the seconds
            the clock was set by.
        clock: Wall clock, Unix seconds.
    """

    def __init__(
        self,
        evaluators: Sequence[GroupEvaluator],
        sink: Sink,
        *,
        before: Callable[[float], None] = lambda _now: None,
        after_gap: AfterGap = _nothing,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.evaluators = tuple(evaluators)
        self.missed = 0
        self._sink = sink
        self._before = before
        self._after_gap = after_gap
        self._clock = clock
        self._monotonic = monotonic
        self._changed: set[str] = set()
        self._event_at: datetime | None = None
        self._everything = False
        self._new_targets: set[str] = set()
        self._wake = asyncio.Event()

    def tick(self, changed: frozenset[str], event_at: datetime | None) -> None:
        """Have the groups that select one of these metrics evaluated now."""
        self._changed |= changed
        if event_at is not None and (self._event_at is None or event_at < self._event_at):
            self._event_at = event_at
        self._wake.set()

    def first_look(self, instances: frozenset[str]) -> None:
        """Have every group evaluated now, because these targets were never seen before."""
        self._new_targets |= instances
        self._everything = True
        self._wake.set()

    async def run(self) -> None:
        """Evaluate until cancelled."""
        now = self._clock()
        slots = [next_slot(now, e.group.interval, e.group.key) for e in self.evaluators]
        seen = (now, self._monotonic())
        while True:
            due = min(slots, default=now + 3600)
            try:
                async with asyncio.timeout(max(0.0, due - self._clock())):
                    await self._wake.wait()
            except TimeoutError:
                pass
            seen = await self._notice_gap(*seen, due)
            now = self._clock()
            picked = self._ticked()
            for index, evaluator in enumerate(self.evaluators):
                if slots[index] <= now or slots[index] > now + 2 * evaluator.group.interval.total_seconds():
                    self.missed += max(
                        0, int((now - slots[index]) // evaluator.group.interval.total_seconds())
                    )
                    slots[index] = next_slot(now, evaluator.group.interval, evaluator.group.key)
                    picked.setdefault(index, evaluator)
            await self._evaluate([picked[index] for index in sorted(picked)], now)

    async def _notice_gap(self, wall: float, steady: float, due: float) -> tuple[float, float]:
        """Compare both clocks with what they showed before the wait; return what they show now."""
        now, steady_now = self._clock(), self._monotonic()
        step = (now - wall) - (steady_now - steady)
        if abs(step) > STEP or steady_now - steady > max(0.0, due - wall) + AWAY:
            await self._after_gap(step if abs(step) > STEP else 0.0)
        return self._clock(), self._monotonic()

    def _ticked(self) -> dict[int, GroupEvaluator]:
        """Return the groups that ticks ask for."""
        self._wake.clear()
        changed, self._changed = self._changed, set()
        everything, self._everything = self._everything, False
        return {
            index: evaluator
            for index, evaluator in enumerate(self.evaluators)
            if everything or "" in evaluator.group.metrics or evaluator.group.metrics & changed
        }

    async def _evaluate(self, evaluators: Sequence[GroupEvaluator], now: float) -> None:
        if not evaluators:
            return
        self._before(now)
        new, self._new_targets = frozenset(self._new_targets), set()
        event_at, self._event_at = self._event_at, None
        at = datetime.fromtimestamp(int(now * 1000) / 1000, UTC)
        outcomes = [await evaluator.evaluate(at) for evaluator in evaluators]
        await self._sink(evaluators, outcomes, new, event_at)
