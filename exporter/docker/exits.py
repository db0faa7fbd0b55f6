"""Why a container stopped: the one place where that is decided.

Docker gives a code and no reason, and the code lies: an application that ignores SIGTERM ends `docker stop` with 137, exactly like
one that the kernel or a person killed. What tells them apart is what the daemon was asked for around the death:

* `docker stop`, `restart`, `compose up` with a change and `down` send `kill` with the container's stop signal, at most the stop timeout
  before `die` (then SIGKILL follows), and `stop` a few milliseconds before or after it. `stop` also explains a death whose timeout was
  given on the command line, which no event tells.
* `docker rm -f` sends `kill` with SIGKILL, then `die`, then `destroy`: within milliseconds, or seconds later where deleting the files is
  slow, and in between an inspect says `removing`. A container started with `--rm` is destroyed like that whatever it died of, so
  there a removal explains nothing.
* An OOM kill sends `oom` before or just after `die`.

So the reason of a death by signal is **provisional** until `stop`, `destroy` or `oom` had their second to come, and a removal ten of
them after a SIGKILL that Docker sent. It is published at once (nearly always it is right) and counted when settled: a counter cannot
be taken back.

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
_REMOVAL_AFTER_DIE_SECONDS: Final = 1.0
_REMOVAL_AFTER_SIGKILL_SECONDS: Final = 10.0
_OOM_BEFORE_DIE_SECONDS: Final = 10.0
_OOM_AFTER_DIE_SECONDS: Final = 1.0
_STOP_SLACK_SECONDS: Final = 5.0
_SIGTERM: Final = 15
_SIGKILL: Final = 9
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
        removal_at: When it was first seen to be removed: found `removing`, found gone, or by its `destroy`.
    """

    kills: tuple[tuple[int, float], ...] = ()
    stop_at: float | None = None
    oom_at: float | None = None
    removal_at: float | None = None

    def with_kill(self, number: int, at: float) -> "Evidence":
        """Return this with one more kill."""
        return replace(self, kills=(*self.kills, (number, at))[-_KILLS_KEPT:])

    def with_removal(self, at: float) -> "Evidence":
        """Return this with a sign of a removal; the earliest counts."""
        return replace(self, removal_at=at if self.removal_at is None else min(at, self.removal_at))


def judge(*, code: int, died_at: float, evidence: Evidence, terms: StopTerms) -> tuple[ExitReason, float]:
    """Decide why a run ended, from what is known so far.

    Returns:
        The reason, and for how many seconds after the death an event may still change it; 0: it is settled.
    """
    if _asked_to_stop(died_at, evidence, terms):
        return ExitReason.REQUESTED, 0.0
    if code == 0:
        return ExitReason.COMPLETED, 0.0
    if _within(evidence.oom_at, died_at - _OOM_BEFORE_DIE_SECONDS, died_at + _OOM_AFTER_DIE_SECONDS):
        return ExitReason.OOM, 0.0
    if _by_signal(code):
        return _killed_or_removed(died_at, evidence, terms)
    # The stop signal was sent so long ago that only `docker stop -t` can explain it: its `stop` event follows.
    asked_long_ago = any(number == terms.signal for number, _ in evidence.kills)
    return ExitReason.ERROR, SETTLE_SECONDS if asked_long_ago else 0.0


def _killed_or_removed(died_at: float, evidence: Evidence, terms: StopTerms) -> tuple[ExitReason, float]:
    if terms.auto_remove:
        return ExitReason.KILLED, SETTLE_SECONDS
    by_docker = any(number == _SIGKILL and at <= died_at for number, at in evidence.kills)
    patience = _REMOVAL_AFTER_SIGKILL_SECONDS if by_docker else _REMOVAL_AFTER_DIE_SECONDS
    if _within(evidence.removal_at, died_at, died_at + patience):
        return ExitReason.REQUESTED, 0.0
    return ExitReason.KILLED, patience


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
