"""Why a container stopped: the one place where that is decided.

Docker gives a code and no reason, and the code lies: an application that ignores SIGTERM ends `docker stop` with 137, exactly like
one that the kernel or a person killed. What tells them apart is what the daemon was asked for around the death:

* `docker stop`, `restart`, `compose up` with a change and `down` send `kill` with the container's stop signal, at most the stop timeout
  before `die` (then SIGKILL follows), and `stop` a few milliseconds before or after it. `stop` also explains a death whose timeout was
  given on the command line, which no event tells.
* `docker rm -f` sends `kill` with SIGKILL, then `die`, then `destroy` within milliseconds. A container started with `--rm` is destroyed
  like that whatever it died of, so there `destroy` explains nothing.
* An OOM kill sends `oom` before or just after `die`.

So the reason of a death by signal is **provisional** until `stop`, `destroy` or `oom` had their second to come. It is published at
once (nearly always it is right) and counted when settled: a counter cannot be taken back.

The kill event always comes before its `die`: the daemon logs it while it holds the container's lock. What was recorded on real daemons
is in docs/docker-semantics.md.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from exporter.docker.containers import signal_number

__all__ = ["SETTLE_SECONDS", "Evidence", "Exit", "ExitReason", "StopTerms", "judge"]

SETTLE_SECONDS: Final = 1.0
_STOP_AFTER_DIE_SECONDS: Final = 5.0
_DESTROY_AFTER_DIE_SECONDS: Final = 1.0
_OOM_BEFORE_DIE_SECONDS: Final = 10.0
_OOM_AFTER_DIE_SECONDS: Final = 1.0
_STOP_SLACK_SECONDS: Final = 5.0
_SIGTERM: Final = 15
_KILLS_KEPT: Final = 8


class ExitReason(StrEnum):
    """Why a container stopped, in the words of `container_last_exit_reason`."""

    REQUESTED = "requested"
    COMPLETED = "completed"
    OOM = "oom"
    KILLED = "killed"
    ERROR = "error"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """One end of a container; `at` in Unix seconds."""

    reason: ExitReason
    code: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StopTerms:
    """How this container is asked to stop."""

    signal: int = _SIGTERM
    timeout: float = 10.0
    auto_remove: bool = False

    @classmethod
    def of(cls, *, stop_signal: str, stop_timeout: float, auto_remove: bool) -> "StopTerms":
        """Read them off the container's configuration, as written there."""
        return cls(
            signal=signal_number(stop_signal) or _SIGTERM, timeout=stop_timeout, auto_remove=auto_remove
        )

    @property
    def patience(self) -> float:
        """The longest time between the stop signal and the death it causes."""
        return float("inf") if self.timeout < 0 else self.timeout + _STOP_SLACK_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was seen around the end of one run; times in Unix seconds.

    Attributes:
        kills: Signal number and time of the newest kill events of this run, oldest first.
    """

    kills: tuple[tuple[int, float], ...] = ()
    stop_at: float | None = None
    oom_at: float | None = None
    destroy_at: float | None = None

    def with_kill(self, number: int, at: float) -> "Evidence":
        """Return this with one more kill."""
        return replace(self, kills=(*self.kills, (number, at))[-_KILLS_KEPT:])


def judge(*, code: int, died_at: float, evidence: Evidence, terms: StopTerms) -> tuple[ExitReason, bool]:
    """Decide why a run ended, from what is known so far.

    Returns:
        The reason, and whether it is settled: no event still to come can change it.
    """
    if _asked_to_stop(died_at, evidence, terms):
        return ExitReason.REQUESTED, True
    if code == 0:
        return ExitReason.COMPLETED, True
    if _within(evidence.oom_at, died_at - _OOM_BEFORE_DIE_SECONDS, died_at + _OOM_AFTER_DIE_SECONDS):
        return ExitReason.OOM, True
    if _by_signal(code):
        removed = not terms.auto_remove and _within(
            evidence.destroy_at, died_at, died_at + _DESTROY_AFTER_DIE_SECONDS
        )
        return (ExitReason.REQUESTED, True) if removed else (ExitReason.KILLED, False)
    # The stop signal was sent so long ago that only `docker stop -t` can explain it: its `stop` event follows.
    asked_long_ago = any(number == terms.signal for number, _ in evidence.kills)
    return ExitReason.ERROR, not asked_long_ago


def _asked_to_stop(died_at: float, evidence: Evidence, terms: StopTerms) -> bool:
    earliest = died_at - terms.patience
    if any(
        number == terms.signal and earliest <= at <= died_at + SETTLE_SECONDS for number, at in evidence.kills
    ):
        return True
    return _within(evidence.stop_at, earliest, died_at + _STOP_AFTER_DIE_SECONDS)


def _within(at: float | None, earliest: float, latest: float) -> bool:
    return at is not None and earliest <= at <= latest


def _by_signal(code: int) -> bool:
    """Whether a shell would say "ended by signal": 128 + number, of which Linux has 64."""
    return 128 < code <= 192
