"""The JSON of one container: facts only, null for what is not known, times in RFC 3339 (UTC). Pure.

Where a fresh inspect and what events told differ, the newer of the two holds; why a container ended only we know, and only if it is that end
the inspect shows. What a program printed (the output of a health check, the daemon's error) is cleaned, masked and clipped like a log line.
"""

import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from exporter.details.mask import mask
from exporter.details.text import clean_block, clip
from exporter.docker.containers import Facts, Health
from exporter.docker.exits import Exit, ExitReason
from exporter.docker.snapshot import ContainerView

__all__ = ["Memory", "Subject", "answer", "readable", "rfc3339"]

# Bytes used, bytes allowed (0: no limit; None: not known), Unix seconds.
Memory = tuple[int, int | None, float]

_NUMBER: Final = "com.docker.compose.container-number"

# A memory reading from before a death is what a message about that death wants, not what one days later does.
_DEATH_SECONDS: Final = 900.0
# FinishedAt is containerd's time, an exit of ours has the daemon's.
_SAME_SECONDS: Final = 2.0
_SHOWN: Final = 4096
# What is masked is looked at further than it is shown.
_LOOKED_AT: Final = 2 * _SHOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Everything an answer is made of.

    Attributes:
        fresh: A new inspect, if there is one.
        observed_at: When the facts were last known to be true.
        memory: The newest reading.
        memory_before: The last one of the run before this one.
        previous_image: Empty when no change was seen.
        replicas: Containers of the same service, and how many of them run.
    """

    view: ContainerView
    host: str
    observed_at: float
    replicas: tuple[int, int]
    fresh: Facts | None = None
    last_uptime: float | None = None
    memory: Memory | None = None
    memory_before: Memory | None = None
    image_changed_at: float | None = None
    previous_image: str = ""


def answer(subject: Subject, now: float) -> dict[str, Any]:
    """Return the object of docs/interfaces.md."""
    view = subject.view
    facts = _newest(view.facts, subject.fresh)
    ended = _own_exit(view, facts)
    reason, code = _reason(ended), _code(ended, facts)
    number = view.labels.get(_NUMBER, "")
    total, running = subject.replicas
    return {
        "v": 1,
        "host": subject.host,
        "observed_at": rfc3339(subject.observed_at),
        "id": view.id,
        "name": view.name,
        "project": view.project or None,
        "service": view.service,
        "replica": int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None,
        "replicas": {"total": total, "running": running},
        "image": facts.image or None,
        "image_id": facts.image_id or None,
        "image_changed_at": rfc3339(subject.image_changed_at),
        "previous_image": subject.previous_image or None,
        "state": facts.status.value,
        "exit_code": code,
        "exit_reason": reason,
        "signal": _signal(code),
        "oom_killed": _oom_killed(reason, facts),
        "error": readable(facts.error) or None,
        "started_at": rfc3339(facts.started_at),
        "finished_at": rfc3339(_finished_at(ended, facts)),
        "last_uptime_seconds": _uptime(subject, facts),
        "restart_policy": _policy(facts),
        "restart_count": facts.restart_count if facts.complete else None,
        "health": _health(facts),
        "memory": _memory(subject, facts, _finished_at(ended, facts), now),
    }


def rfc3339(seconds: float | None) -> str | None:
    """Write Unix seconds as text in UTC; None stays None."""
    if seconds is None:
        return None
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def readable(text: str) -> str:
    """Return what a program wrote: cleaned, masked, clipped."""
    return clip(mask(clean_block(text[:_LOOKED_AT])).text, _SHOWN)


def _newest(known: Facts, fresh: Facts | None) -> Facts:
    """Choose between an inspect and what events have told, maybe while it was asked."""
    if fresh is None or (known.complete and _last_change(known) > _last_change(fresh) + _SAME_SECONDS):
        return known
    return fresh


def _last_change(facts: Facts) -> float:
    return max(facts.started_at or 0.0, facts.finished_at or 0.0)


def _own_exit(view: ContainerView, facts: Facts) -> Exit | None:
    """Return the last exit we know if it is this container's last: the name may have had another before."""
    last = view.last_exit
    if last is None or (facts.created_at is not None and last.at < facts.created_at - _SAME_SECONDS):
        return None
    if facts.finished_at is not None and last.at < facts.finished_at - _SAME_SECONDS:
        return None
    return last


def _reason(ended: Exit | None) -> str | None:
    if ended is not None and ended.reason is not ExitReason.UNKNOWN:
        return ended.reason.value
    return None


def _code(ended: Exit | None, facts: Facts) -> int | None:
    if ended is not None:
        return ended.code
    # Docker shows 0 for one that runs (again).
    over = facts.complete and not facts.status.alive and facts.finished_at is not None
    return facts.exit_code if over else None


def _signal(code: int | None) -> str | None:
    """Name the signal that a code above 128 stands for, as a shell would."""
    number = (code or 0) - 128
    if not 0 < number <= 64:
        return None
    if number in signal.valid_signals() and number < signal.SIGRTMIN:
        return signal.Signals(number).name
    return f"SIGRTMIN+{number - signal.SIGRTMIN}" if number >= signal.SIGRTMIN else None


def _oom_killed(reason: str | None, facts: Facts) -> bool | None:
    if reason is not None:
        return reason == ExitReason.OOM
    # Of a run that goes on Docker's flag says nothing yet.
    return facts.oom_killed if facts.complete and not facts.status.alive else None


def _finished_at(ended: Exit | None, facts: Facts) -> float | None:
    return facts.finished_at if facts.finished_at is not None or ended is None else ended.at


def _uptime(subject: Subject, facts: Facts) -> float | None:
    over = not facts.status.alive and facts.started_at is not None and facts.finished_at is not None
    seconds = subject.last_uptime
    if over and facts.finished_at >= facts.started_at:  # type: ignore[operator] # `over` says that neither is None
        seconds = facts.finished_at - facts.started_at  # type: ignore[operator] # same
    return None if seconds is None else round(seconds, 3)


def _policy(facts: Facts) -> str | None:
    if not facts.complete:
        return None
    policy = facts.policy
    return f"{policy.name}:{policy.maximum_retries}" if policy.maximum_retries else policy.name


def _health(facts: Facts) -> dict[str, Any]:
    check = facts.check
    has_check = facts.complete and facts.health is not None
    # Docker goes on showing the verdict of a check that has stopped.
    verdict = (facts.health or Health.NONE) if facts.status.alive else Health.NONE
    return {
        "status": verdict.value,
        "streak": check.streak if has_check else None,
        "test": (readable(check.test) or None) if has_check else None,
        "exit_code": check.exit_code if has_check else None,
        "output": (readable(check.output) or None) if has_check else None,
    }


def _memory(subject: Subject, facts: Facts, ended_at: float | None, now: float) -> dict[str, Any]:
    is_recent = ended_at is not None and now - ended_at <= _DEATH_SECONDS
    before, newest = subject.memory_before, subject.memory
    chosen = (
        before if before is not None and (newest is None or (facts.status.alive and is_recent)) else newest
    )
    limit = facts.memory_limit if facts.complete else None
    if chosen is None:
        return {"usage_bytes": None, "limit_bytes": limit, "at": None}
    usage, at_the_time, at = chosen
    return {
        "usage_bytes": usage,
        "limit_bytes": limit if at_the_time is None else at_the_time,
        "at": rfc3339(at),
    }
