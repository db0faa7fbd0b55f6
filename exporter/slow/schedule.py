"""When to ask what: the schedule of one slow fact, for any number of keys (containers, images). Pure: time is an argument.

Each key is asked at once when it is new and then once per interval. Three things hold that back:

- **At most so many calls at a time.** A key that failed last time shares that number but for one place with its like: however many keys
  hang, one place is for those that answer.
- **Duty.** After a call that succeeded and took d seconds, nothing begins for d / duty seconds since it began. So a disk that is slow to walk
  is walked less often, and all keys wait their turn in the order they fell due. A call that failed costs the others nothing.
- **Back-off.** A key that failed is asked again after a time that doubles, and never before its own failure had paid for its duty. Where
  nobody is there to answer, that is no key's fault: one after another is tried at the shortest of these times until somebody is.

There is no randomness: the spread comes from the duty, and the same calls with the same times give the same schedule.
"""

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Pace", "Schedule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often a fact is asked for; times in seconds.

    Attributes:
        interval: Between two answers of one key, when nothing holds it back.
        at_once: The most calls at a time.
        duty: The share of the time, over all keys, that calls may take.
        retry: After a key's first failure; doubles with each further one.
        longest: The most that doubling leads to.
    """

    interval: float
    at_once: int = 1
    duty: float = 0.1
    retry: float = 60.0
    longest: float = 3600.0

    def __post_init__(self) -> None:
        if self.interval <= 0 or self.at_once < 1 or not 0 < self.duty <= 1 or self.retry <= 0:
            raise ValueError(f"{self} is no pace: times and numbers must be above 0, duty at most 1")

    def after_failures(self, count: int) -> float:
        """Return how long a key rests that failed so many times in a row."""
        # The exponent is bounded because a float is.
        return min(self.longest, self.retry * 2.0 ** min(count - 1, 30))


@dataclass(slots=True)
class _Turn:
    due: float
    failures: int = 0


class Schedule:
    """Says which keys to ask now, and when to look again."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._turns: dict[str, _Turn] = {}
        self._running: dict[str, float] = {}
        self._rest_until = float("-inf")

    @property
    def failing(self) -> frozenset[str]:
        """The keys whose last call failed."""
        return frozenset(key for key, turn in self._turns.items() if turn.failures)

    def keep(self, keys: Iterable[str], now: float) -> None:
        """Know exactly these keys: new ones are due now, others are forgotten; a call under way keeps its place until it ends."""
        self._turns = {key: self._turns.get(key) or _Turn(now) for key in keys}

    def take(self, now: float) -> list[str]:
        """Return the keys to ask now; each counts as under way until `ended` is told."""
        if now < self._rest_until:
            return []
        ready = sorted((turn.due, key) for key, turn in self._turns.items() if turn.due <= now)
        taken = [key for _, key in ready if self._begin(key, now)]
        return taken  # noqa: RET504 - named for what it is: the loop begins them

    def ended(self, key: str, now: float, *, ok: bool) -> None:
        """Take in that a call ended."""
        began = self._running.pop(key)
        price = max(0.0, now - began) / self._pace.duty
        if ok:
            self._rest_until = max(self._rest_until, began) + price
        turn = self._turns.get(key)
        if turn is None:
            return
        turn.failures = 0 if ok else turn.failures + 1
        turn.due = (
            began + self._pace.interval if ok else now + max(price, self._pace.after_failures(turn.failures))
        )

    def unanswered(self, key: str, now: float) -> None:
        """Take in that a call ended because nobody is there to answer any: the key stays due, and all rest a while."""
        del self._running[key]
        self._rest_until = max(self._rest_until, now + self._pace.retry)

    def wakes_at(self) -> float | None:
        """Return when there is something to take if no call ends before; None: only the end of a call, or a new key, changes that."""
        due = min((turn.due for key, turn in self._turns.items() if self._may_begin(key)), default=None)
        return None if due is None else max(due, self._rest_until)

    def _begin(self, key: str, now: float) -> bool:
        if not self._may_begin(key):
            return False
        self._running[key] = now
        return True

    def _may_begin(self, key: str) -> bool:
        if key in self._running or len(self._running) >= self._pace.at_once:
            return False
        if not self._turns[key].failures:
            return True
        return self._doubtful() < max(1, self._pace.at_once - 1)

    def _doubtful(self) -> int:
        """Return how many calls are under way for keys that failed last time."""
        return sum(key in self._turns and self._turns[key].failures > 0 for key in self._running)
