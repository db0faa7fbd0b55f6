"""What an inspect says about one container, as far as the exporter wants to know.

Times are Unix seconds, as Docker's events and the exposition have them on either side of us; Docker's zero time (year 1) is None.
"""

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

__all__ = [
    "DEFAULT_CPU_PERIOD",
    "Facts",
    "Health",
    "HealthCheck",
    "RestartPolicy",
    "Status",
    "facts_from_inspect",
    "facts_from_summary",
    "is_temporary",
    "signal_number",
]

# Microseconds.
DEFAULT_CPU_PERIOD: Final = 100_000
# Compose creates the replacement of a container under such a name and renames it once the old one is gone.
_TEMPORARY: Final = re.compile(r"[0-9a-f]{12}_.+")
_REAL_TIME: Final = re.compile(r"RTMIN(?:\+(\d{1,2}))?")
_DEFAULT_STOP_TIMEOUT: Final = 10.0
_HEALTH_IN_TEXT: Final = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")


class Status(StrEnum):
    """The states Docker knows."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"

    @property
    def alive(self) -> bool:
        """Whether there are processes."""
        return self in (Status.RUNNING, Status.PAUSED)


class Health(StrEnum):
    """The verdict of a container's health check."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """When Docker starts a container again by itself."""

    name: str = "no"
    maximum_retries: int = 0

    def applies(self, *, code: int, restart_count: int) -> bool:
        """Whether a container that ended with this code, after so many restarts by policy, is started again.

        Source: the daemon's restart manager, https://github.com/moby/moby/blob/master/daemon/internal/restartmanager.
        """
        match self.name:
            case "always" | "unless-stopped":
                return True
            case "on-failure":
                return code != 0 and (self.maximum_retries == 0 or restart_count < self.maximum_retries)
            case _:
                return False


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """A container's health check and how it last went.

    Attributes:
        streak: Failures in a row.
        test: The command, as the container has it (`CMD-SHELL curl -f localhost`).
        exit_code: Of the last run; None before the first.
        output: What the last run printed, as Docker keeps it (4 KiB).
    """

    streak: int = 0
    test: str = ""
    exit_code: int | None = None
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One container as the daemon describes it.

    Attributes:
        health: None when the container has no health check.
        stop_signal: As configured; empty when neither image nor container say one, which means SIGTERM.
        stop_timeout: Seconds between the stop signal and SIGKILL; negative for never.
        complete: False when only the list said so: then policy, stop signal, times and health check are not known.
        image_id: The image it was made from (`sha256:…`).
        network_mode: `bridge`, `host`, `none`, a network's name, or `container:<id>`.
        log_options: Of its log driver (`max-size`, `max-file`).
        oom_killed: Docker's own flag of the last run; not to be relied on, see docs/docker-semantics.md.
        error: Why it could not be started, in Docker's words.
        memory_limit, memory_reservation: Bytes; 0: none.
        memory_swap: Bytes of memory and swap together; 0: not limited, -1: without limit.
        cpu_shares: 0: the default, 1024.
        cpu_period: Of a CPU quota, in microseconds; 0: the default, 100000.
        cpu_quota: Microseconds per period, as `--cpus` or `--cpu-quota` say; 0: none.
    """

    id: str
    name: str
    image: str
    labels: Mapping[str, str]
    status: Status
    health: Health | None = None
    pid: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    exit_code: int = 0
    restart_count: int = 0
    policy: RestartPolicy = field(default_factory=RestartPolicy)
    stop_signal: str = ""
    stop_timeout: float = _DEFAULT_STOP_TIMEOUT
    auto_remove: bool = False
    cgroup_parent: str = ""
    complete: bool = False
    created_at: float | None = None
    image_id: str = ""
    check: HealthCheck = field(default_factory=HealthCheck)
    network_mode: str = ""
    log_driver: str = ""
    log_options: Mapping[str, str] = field(default_factory=dict)
    log_path: str = ""
    oom_killed: bool = False
    error: str = ""
    memory_limit: int = 0
    memory_reservation: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0


def facts_from_inspect(raw: Mapping[str, Any]) -> Facts:
    """Read the answer of `GET /containers/{id}/json`; what is absent has its default."""
    state, config, host = (raw.get(key) or {} for key in ("State", "Config", "HostConfig"))
    policy = host.get("RestartPolicy") or {}
    timeout = config.get("StopTimeout")
    return Facts(
        id=raw["Id"],
        name=str(raw.get("Name", "")).removeprefix("/"),
        image=config.get("Image", ""),
        labels=dict(config.get("Labels") or {}),
        status=_status(state.get("Status", "")),
        health=_health((state.get("Health") or {}).get("Status", "")),
        pid=int(state.get("Pid") or 0),
        started_at=_seconds(state.get("StartedAt", "")),
        finished_at=_seconds(state.get("FinishedAt", "")),
        exit_code=int(state.get("ExitCode") or 0),
        restart_count=int(raw.get("RestartCount") or 0),
        policy=RestartPolicy(
            name=policy.get("Name") or "no", maximum_retries=int(policy.get("MaximumRetryCount") or 0)
        ),
        stop_signal=config.get("StopSignal") or "",
        stop_timeout=_DEFAULT_STOP_TIMEOUT if timeout is None else float(timeout),
        auto_remove=bool(host.get("AutoRemove")),
        cgroup_parent=host.get("CgroupParent") or "",
        complete=True,
        created_at=_seconds(raw.get("Created", "")),
        image_id=raw.get("Image", ""),
        check=_check(state.get("Health") or {}, config.get("Healthcheck") or {}),
        network_mode=host.get("NetworkMode") or "",
        log_driver=(host.get("LogConfig") or {}).get("Type") or "",
        log_options=dict((host.get("LogConfig") or {}).get("Config") or {}),
        log_path=raw.get("LogPath") or "",
        oom_killed=bool(state.get("OOMKilled")),
        error=state.get("Error") or "",
        memory_limit=int(host.get("Memory") or 0),
        memory_reservation=int(host.get("MemoryReservation") or 0),
        memory_swap=int(host.get("MemorySwap") or 0),
        cpu_shares=int(host.get("CpuShares") or 0),
        cpu_period=int(host.get("CpuPeriod") or 0),
        cpu_quota=_quota(host),
    )


def facts_from_summary(raw: Mapping[str, Any]) -> Facts:
    """Read one entry of `GET /containers/json`, which knows less: see `Facts.complete`."""
    names = [str(name).removeprefix("/") for name in raw.get("Names") or ()]
    # Links add names such as /other/alias; the container's own has no second slash.
    own = next((name for name in names if "/" not in name), "")
    found = _HEALTH_IN_TEXT.search(str(raw.get("Status", "")))
    return Facts(
        id=raw["Id"],
        name=own,
        image=raw.get("Image", ""),
        labels=dict(raw.get("Labels") or {}),
        status=_status(raw.get("State", "")),
        health=Health(found[1]) if found else None,
    )


def is_temporary(name: str) -> bool:
    """Whether Compose gave this name for the time of a replacement (`<12 hex>_name`)."""
    return _TEMPORARY.fullmatch(name) is not None


def signal_number(text: str) -> int | None:
    """Return the number of a signal written as Docker takes it (`15`, `TERM`, `SIGTERM`, `SIGRTMIN+3`), or None."""
    if text.isascii() and text.isdigit():
        return int(text)
    bare = text.upper().removeprefix("SIG")
    if real_time := _REAL_TIME.fullmatch(bare):
        return int(signal.SIGRTMIN) + int(real_time[1] or 0)
    named = signal.Signals.__members__.get(f"SIG{bare}")
    return int(named) if named else None


def _status(text: str) -> Status:
    # A word of a Docker yet to come must not cost the container: whatever it is, it does not run.
    return Status(text) if text in Status.__members__.values() else Status.DEAD


def _health(text: str) -> Health | None:
    if not text or text == Health.NONE:
        return None
    return Health(text) if text in Health.__members__.values() else Health.STARTING


def _check(state: Mapping[str, Any], config: Mapping[str, Any]) -> HealthCheck:
    last = (state.get("Log") or [{}])[-1]
    return HealthCheck(
        streak=int(state.get("FailingStreak") or 0),
        test=" ".join(str(part) for part in config.get("Test") or ()),
        exit_code=last.get("ExitCode"),
        output=last.get("Output") or "",
    )


def _quota(host: Mapping[str, Any]) -> int:
    # Docker takes either --cpus, and then the default period, or a quota.
    if nano := int(host.get("NanoCpus") or 0):
        return nano * DEFAULT_CPU_PERIOD // 1_000_000_000
    return max(0, int(host.get("CpuQuota") or 0))


def _seconds(text: str) -> float | None:
    if not text or text.startswith("0001-"):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
