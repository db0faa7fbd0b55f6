"""What is known of the daemon itself, immutable."""

from dataclasses import dataclass

__all__ = ["DaemonInfo", "DaemonStatus"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonInfo:
    """What the daemon says of itself and its host."""

    name: str
    version: str
    api_version: str
    storage_driver: str
    cgroup_driver: str
    cgroup_version: str
    os: str
    kernel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStatus:
    """How the daemon is doing; times in Unix seconds.

    Attributes:
        looked: The first look has been finished or given up: what is published is an answer, not a lack of one.
        up: It answers, and what is published of its containers was asked since it does.
        events_connected: Its event stream is open.
        confirmed_at: When it last confirmed what is published; None before the first look.
        info: What it is; None until it has answered once.
        fault: Why it is not up, with the remedy; empty while it is.
        look_seconds: How long the last list with its inspects took; None before.
        looked_at: When the last complete list with its inspects ended.
        look_ok: Whether the newest list and all its inspects were answered.
    """

    looked: bool = False
    up: bool = False
    events_connected: bool = False
    confirmed_at: float | None = None
    info: DaemonInfo | None = None
    fault: str = ""
    look_seconds: float | None = None
    looked_at: float | None = None
    look_ok: bool = False
