"""What the exporter knows at one instant, immutable: the families read nothing else of Docker."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from exporter.docker.containers import Facts, Health, Status
from exporter.docker.exits import Exit, ExitReason
from exporter.memory import Book

__all__ = ["ContainerView", "GoneView", "Snapshot", "is_ignored", "view_of"]

_PROJECT: Final = "com.docker.compose.project"
_SERVICE: Final = "com.docker.compose.service"
_ONEOFF: Final = "com.docker.compose.oneoff"
_IGNORE: Final = "vakhta.ignore"
_ALERTS: Final = "vakhta.alerts"
_EXPECT: Final = "vakhta.expect"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerView:
    """One container as it is published; times in Unix seconds.

    Attributes:
        project: Its Compose project; empty without Compose.
        service: Its Compose service; without Compose its name.
        compose: Whether Compose made it.
        health: `none` while it is not running.
        alerts: `on`, `warning` (never above) or `off`, from the label vakhta.alerts; a one-off container's are off.
        expect: `running` or `stopped`, from the label vakhta.expect.
        facts: What inspect says beside that.
        published: False for one that never ran: it counts as a replica of its service and has no series of its own.
    """

    id: str
    name: str
    image: str
    labels: Mapping[str, str]
    project: str
    service: str
    compose: bool
    oneoff: bool
    alerts: str
    expect: str
    published: bool
    status: Status
    health: Health
    pid: int
    cgroup_parent: str
    started_at: float | None
    finished_at: float | None
    first_seen: float
    restarts: int
    exits: Mapping[ExitReason, int]
    last_exit: Exit | None
    last_oom: float | None
    oom_events: int
    facts: Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneView:
    """A container that was removed a short while ago, and when it was last seen running."""

    view: ContainerView
    seen_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All containers at one instant (`at`, Unix seconds)."""

    at: float
    containers: tuple[ContainerView, ...]
    gone: tuple[GoneView, ...] = ()


def is_ignored(labels: Mapping[str, str]) -> bool:
    """Whether the container's labels say that it is none of our business."""
    return labels.get(_IGNORE, "").strip().lower() == "true"


def view_of(facts: Facts, book: Book) -> ContainerView:
    """Return what is published of a container with these facts and this book."""
    labels = facts.labels
    project = labels.get(_PROJECT, "")
    oneoff = labels.get(_ONEOFF, "").lower() == "true"
    running = facts.status is Status.RUNNING
    return ContainerView(
        id=facts.id,
        name=facts.name,
        image=facts.image,
        labels=labels,
        project=project,
        service=labels.get(_SERVICE, "") or facts.name,
        compose=bool(project and labels.get(_SERVICE)),
        oneoff=oneoff,
        alerts="off" if oneoff else _one_of(labels.get(_ALERTS, ""), ("on", "warning", "off")),
        expect=_one_of(labels.get(_EXPECT, ""), ("running", "stopped")),
        published=facts.status is not Status.CREATED or facts.started_at is not None,
        status=facts.status,
        # Docker goes on showing the verdict of a check that has stopped.
        health=(facts.health or Health.NONE) if running else Health.NONE,
        pid=facts.pid,
        cgroup_parent=facts.cgroup_parent,
        started_at=facts.started_at,
        finished_at=facts.finished_at,
        first_seen=book.first_seen,
        restarts=book.restarts,
        exits=dict(book.exits),
        last_exit=book.last_exit,
        last_oom=book.last_oom,
        oom_events=book.oom_events,
        facts=facts,
    )


def _one_of(value: str, allowed: tuple[str, ...]) -> str:
    """Return the value if it is allowed, else the first that is."""
    word = value.strip().lower()
    return word if word in allowed else allowed[0]
