"""What is remembered of containers for their details beyond what Docker still says: pure, fed at each scrape and before each answer.

The last memory reading before a death, how long the last run was, since when a name has its image, and for a quarter of an hour the containers that are
gone. One record per name: a container that was made anew goes on with the name's record, as a person would say.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from exporter.cgroups.usage import Usage
from exporter.details.answer import Memory, Subject, answer
from exporter.docker.containers import Facts, Status
from exporter.docker.snapshot import ContainerView, Snapshot

__all__ = ["GONE_SECONDS", "Details"]

GONE_SECONDS: Final = 900.0

# Hosts that run jobs remove containers by the hundred; nobody asks about all of them.
_GONE_KEPT: Final = 256
# A difference beyond this means that the clock was put back.
_AHEAD_SECONDS: Final = 5.0


@dataclass(slots=True, kw_only=True)
class _Record:
    """One name; times in Unix seconds.

    Attributes:
        observed_at: When the container was last known to be there.
        round: The observation that saw it last.
        last_uptime: Seconds that its last run took.
        memory: The newest reading.
        memory_before: The last one of the run before this.
        image_id: Of the newest container of this name; empty until an inspect told it.
    """

    view: ContainerView
    observed_at: float
    round: int
    gone_at: float | None = None
    last_uptime: float | None = None
    memory: Memory | None = None
    memory_before: Memory | None = None
    image: str = ""
    image_id: str = ""
    image_changed_at: float | None = None
    previous_image: str = ""


class Details:
    """All records.

    Args:
        host_name: What this host is called, asked at each answer.
    """

    def __init__(self, *, host_name: Callable[[], str] = lambda: "") -> None:
        self._host_name = host_name
        self._records: dict[str, _Record] = {}
        self._names: dict[str, str] = {}
        self._round = 0

    def __len__(self) -> int:
        return len(self._records)

    def observe(self, snapshot: Snapshot, usage: Mapping[str, Usage], now: float) -> None:
        """Take in what is known now.

        Args:
            snapshot: All containers.
            usage: By container id, as far as there is a fresh reading; may be empty.
            now: Our clock.
        """
        self._round += 1
        for view in snapshot.containers:
            record = self._see(view, now)
            record.observed_at = snapshot.at
            if (reading := usage.get(view.id)) is not None and reading.memory is not None:
                limit = reading.limits.memory_bytes if reading.limits is not None else None
                record.memory = (reading.memory.usage_bytes, limit, now)
        for gone in snapshot.gone[-_GONE_KEPT:]:
            self._see_gone(gone.view, gone.seen_at)
        self._forget(now)

    def find(self, name: str) -> ContainerView | None:
        """Return the container of this name as it was last seen, gone or not."""
        record = self._records.get(name)
        return record.view if record else None

    def is_gone(self, name: str) -> bool:
        """Whether there is no container of this name (any more)."""
        record = self._records.get(name)
        return record is None or record.gone_at is not None

    def of(
        self, name: str, now: float, *, fresh: Facts | None = None, known_at: float | None = None
    ) -> dict[str, Any] | None:
        """Return the details of docs/interfaces.md about one container; None: no such name.

        Args:
            name: The container's.
            now: Our clock.
            fresh: What an inspect has just said; what is known stands in for it.
            known_at: Until when the daemon confirmed what is known; None: until now.
        """
        record = self._records.get(name)
        if record is None:
            return None
        is_gone = record.gone_at is not None
        observed_at = record.observed_at if known_at is None else min(record.observed_at, known_at)
        return answer(
            Subject(
                view=record.view,
                host=self._host_name(),
                fresh=None if is_gone else fresh,
                observed_at=now if fresh is not None and not is_gone else observed_at,
                last_uptime=record.last_uptime,
                memory=record.memory,
                memory_before=record.memory_before,
                image_changed_at=record.image_changed_at,
                previous_image=record.previous_image,
                replicas=self._replicas(record.view),
            ),
            now,
        )

    def _see(self, view: ContainerView, now: float) -> _Record:
        record = self._records.get(view.name)
        if record is None or record.view.id != view.id:
            record = self._begin(view, record, now)
        elif record.view is not view:
            _follow(record, view)
        if view.facts.complete and view.facts.image_id != record.image_id:
            _change_image(record, view, now)
        record.view, record.round, record.gone_at = view, self._round, None
        return record

    def _see_gone(self, view: ContainerView, seen_at: float) -> None:
        """Take in how a container ended that is not there any more, and perhaps never was when we looked."""
        record = self._records.get(view.name)
        if record is None:
            record = self._begin(view, None, seen_at)
            record.observed_at = record.gone_at = seen_at
        elif record.view.id != view.id or record.round == self._round:
            return  # somebody else has the name by now
        elif record.view is not view:
            _follow(record, view)
        record.view = view

    def _begin(self, view: ContainerView, before: _Record | None, now: float) -> _Record:
        old_name = self._names.get(view.id, view.name)
        if before is None and old_name != view.name:
            # It was renamed.
            before = self._records.get(old_name)
        record = _Record(view=view, observed_at=now, round=self._round, last_uptime=_run_seconds(view))
        if before is not None:
            record.image, record.image_id = before.image, before.image_id
            record.image_changed_at, record.previous_image = before.image_changed_at, before.previous_image
            if before.view.id == view.id:
                record.last_uptime = before.last_uptime
                record.memory, record.memory_before = before.memory, before.memory_before
                self._records.pop(old_name, None)
            else:
                self._names.pop(before.view.id, None)
        self._records[view.name] = record
        self._names[view.id] = view.name
        return record

    def _forget(self, now: float) -> None:
        """Note who is not there any more, and drop those that went long ago or are too many."""
        gone: list[tuple[float, str]] = []
        for name, record in self._records.items():
            if record.round == self._round and record.gone_at is None:
                continue
            if record.gone_at is None or record.gone_at > now + _AHEAD_SECONDS:
                record.gone_at = now
            gone.append((record.gone_at, name))
        gone.sort(reverse=True)
        for place, (gone_at, name) in enumerate(gone):
            if place >= _GONE_KEPT or now - gone_at > GONE_SECONDS:
                record = self._records.pop(name)
                if self._names.get(record.view.id) == name:
                    del self._names[record.view.id]

    def _replicas(self, view: ContainerView) -> tuple[int, int]:
        """Count the containers of the same service that are there, and those of them that run."""
        there = [
            record.view
            for record in self._records.values()
            if record.gone_at is None
            and record.view.service == view.service
            and record.view.project == view.project
            and not record.view.oneoff
        ]
        return len(there), sum(other.status is Status.RUNNING for other in there)


def _follow(record: _Record, view: ContainerView) -> None:
    """Take in the next sight of the same container."""
    before = record.view
    ended = _run_seconds(view)
    if ended is not None:
        record.last_uptime = ended
    if not _is_new_run(before, view):
        return
    record.memory_before, record.memory = record.memory or record.memory_before, None
    if not before.status.alive:
        return  # its length was seen at its end
    # Of several runs since, the last one's length is not known.
    one = sum(view.exits.values()) - sum(before.exits.values()) == 1
    known = one and before.started_at is not None and view.finished_at is not None
    record.last_uptime = view.finished_at - before.started_at if known else None  # type: ignore[operator] # `known` says that neither is None


def _is_new_run(before: ContainerView, view: ContainerView) -> bool:
    """Whether the container was started again meanwhile; the start's time alone is told by two clocks."""
    if view.started_at is None or before.started_at is None or view.started_at == before.started_at:
        return False
    return view.status.alive and view.finished_at is not None and view.finished_at > before.started_at


def _run_seconds(view: ContainerView) -> float | None:
    """Return how long the run took that is over; None while one goes on, or if there was none."""
    if view.status.alive or view.started_at is None or view.finished_at is None:
        return None
    return view.finished_at - view.started_at if view.finished_at >= view.started_at else None


def _change_image(record: _Record, view: ContainerView, now: float) -> None:
    if record.image_id:
        # A tag that was built anew: only the id tells the two apart.
        record.previous_image = record.image if record.image != view.image else record.image_id
        record.image_changed_at = view.facts.created_at or now
    record.image, record.image_id = view.image, view.facts.image_id
