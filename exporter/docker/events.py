"""A Docker event, read once and typed.

An event carries facts of its own: the exit code of a `die`, the signal of a `kill`, the verdict of a `health_status`. They are applied
before any inspect answers. Source: https://docs.docker.com/reference/cli/docker/system/events/ and the daemon's `daemon/events.go`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from exporter.docker.containers import Health, signal_number

__all__ = ["ACTIONS", "Action", "Event", "parse"]


class Action(StrEnum):
    """The actions subscribed to."""

    CREATE = "create"
    START = "start"
    DIE = "die"
    KILL = "kill"
    STOP = "stop"
    OOM = "oom"
    HEALTH_STATUS = "health_status"
    RESTART = "restart"
    RENAME = "rename"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    DESTROY = "destroy"
    UPDATE = "update"


# A subscription names them: health checks alone cause three exec_* events each.
ACTIONS: Final = tuple(action.value for action in Action)

# Attributes hold the container's labels beside facts of the event under plain names.
_OWN_ATTRIBUTES: Final = frozenset({"name", "image", "exitCode", "execDuration", "signal", "oldName"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a container.

    Attributes:
        time_nano: The daemon's clock, nanoseconds since 1970.
        exit_code: Of a `die`.
        signal: Number of the signal of a `kill`.
        health: Of a `health_status`.
    """

    action: Action
    id: str
    name: str
    time_nano: int
    image: str = ""
    labels: Mapping[str, str]
    exit_code: int | None = None
    signal: int | None = None
    health: Health | None = None
    exec_duration: float | None = None

    @property
    def at(self) -> float:
        """The event's time in Unix seconds."""
        return self.time_nano / 1e9

    @property
    def key(self) -> tuple[int, str, str]:
        """What makes two deliveries of one event equal."""
        return self.time_nano, self.id, self.action


def parse(raw: Mapping[str, Any]) -> Event | None:
    """Read one event as the daemon sends it; None for one that is not about a container or not of an action we know."""
    word, _, verdict = str(raw.get("Action") or raw.get("status") or "").partition(":")
    actor = raw.get("Actor") or {}
    container = actor.get("ID") or raw.get("id")
    if raw.get("Type", "container") != "container" or word not in ACTIONS or not container:
        return None
    attributes = actor.get("Attributes") or {}
    return Event(
        action=Action(word),
        id=container,
        name=str(attributes.get("name", "")).removeprefix("/"),
        time_nano=int(raw.get("timeNano") or int(raw.get("time") or 0) * 1_000_000_000),
        image=attributes.get("image", ""),
        labels={key: value for key, value in attributes.items() if key not in _OWN_ATTRIBUTES},
        exit_code=_integer(attributes.get("exitCode")) if word == Action.DIE else None,
        signal=signal_number(str(attributes.get("signal", ""))) if word == Action.KILL else None,
        health=_verdict(verdict.strip()) if word == Action.HEALTH_STATUS else None,
        exec_duration=_integer(attributes.get("execDuration")) if word == Action.DIE else None,
    )


def _integer(text: object) -> int | None:
    try:
        return int(str(text))
    except ValueError:
        return None


def _verdict(text: str) -> Health | None:
    # "running" is sent while a check runs in some versions; it is no verdict.
    return Health(text) if text in Health.__members__.values() else None
