"""All containers: the store that events, inspects and lists change and snapshots are taken of.

Pure: it reads no clock, asks no daemon and writes no log. `watch` carries out what it says is missing. Events may come twice (a reconnect
replays a little, a restart of the exporter replays a minute): an event seen in this run is recognised by its key, one from before
the restart by its time, and then it is only evidence for what follows. Times decide only until the replay is over, and not
if the clock was put back.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from exporter.docker.containers import Facts, Status, is_temporary
from exporter.docker.events import Action, Event
from exporter.docker.life import Life
from exporter.docker.snapshot import ContainerView, GoneView, Snapshot, is_ignored, view_of
from exporter.memory import Memory

__all__ = ["LINGER_SECONDS", "Inventory"]

# How long `container_last_seen` of a stopped or removed container stays: the public alert `time() - container_last_seen > 60` needs
# a sample to fire on, and Prometheus looks back five minutes.
LINGER_SECONDS: Final = 300.0

# Far more than arrive during the second that a reconnect replays; the daemon itself keeps 256.
_KEYS_KEPT: Final = 8192

# A replay starts this much before the newest event of the state file: a `kill` explains a death later than it.
_EVIDENCE_NANO: Final = 60_000_000_000
_OVERLAP_NANO: Final = 1_000_000_000

# No event comes from further ahead of our clock; a known one that does was told before the clock was put back.
_AHEAD_NANO: Final = 5_000_000_000

# What a container must have been before an event that is the first we hear of it; exited where the event does not tell.
_STATUS_BEFORE: Final = {
    Action.CREATE: Status.CREATED,
    Action.START: Status.CREATED,
    Action.DIE: Status.RUNNING,
    Action.KILL: Status.RUNNING,
    Action.OOM: Status.RUNNING,
    Action.PAUSE: Status.RUNNING,
    Action.UNPAUSE: Status.RUNNING,
    Action.HEALTH_STATUS: Status.RUNNING,
}


class Inventory:
    """Every container the daemon has told of.

    Args:
        memory: What is remembered of their names; changed in place.
        ignored: Whether a container's name is excluded by the configuration.

    Attributes:
        revision: Rises with everything that changes what a snapshot shows.
    """

    def __init__(
        self, memory: Memory | None = None, *, ignored: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._memory = memory or Memory()
        self._ignored = ignored
        self._lives: dict[str, Life] = {}
        self._gone: list[GoneView] = []
        self._keys: OrderedDict[tuple[int, str, str], None] = OrderedDict()
        self._booked_until = self._memory.last_event_time_nano
        self.revision = 0
        self._views: tuple[int, tuple[ContainerView, ...]] = (-1, ())

    def __contains__(self, container: object) -> bool:
        return container in self._lives

    def __iter__(self) -> Iterator[str]:
        return iter(self._lives)

    def __len__(self) -> int:
        return len(self._lives)

    @property
    def replay_from(self) -> int | None:
        """Where a replay should begin (nanoseconds), or None when there is nothing to go on from."""
        last = self._memory.last_event_time_nano
        if not last:
            return None
        return last - (_OVERLAP_NANO if self._keys else _EVIDENCE_NANO)

    def version(self, container: str) -> int:
        """Return a number that rises with every event of this container; 0 for one unknown."""
        life = self._lives.get(container)
        return life.version if life else 0

    def name(self, container: str) -> str:
        """Return a container's name; empty for one unknown."""
        life = self._lives.get(container)
        return life.facts.name if life else ""

    def is_published(self, container: str) -> bool:
        """Whether anything of this container is anybody's business."""
        life = self._lives.get(container)
        return life is not None and self._is_ours(life.facts)

    def is_complete(self, container: str) -> bool:
        """Whether an inspect of a container has ever answered, so that its restart policy is known."""
        life = self._lives.get(container)
        return life is not None and life.facts.complete

    def apply(self, event: Event, now: float) -> bool:
        """Take in one event; False if it was known already.

        Args:
            event: In the order the daemon tells them.
            now: Our clock.
        """
        if event.key in self._keys:
            return False
        self._keys[event.key] = None
        if len(self._keys) > _KEYS_KEPT:
            self._keys.popitem(last=False)
        self.discard_future(now)
        booked = event.time_nano <= self._booked_until
        life = self._lives.get(event.id)
        if life is None:
            if booked:
                return False
            life = self._begin(_facts_from_event(event), now)
        if not booked:
            self._memory.last_event_time_nano = max(self._memory.last_event_time_nano, event.time_nano)
        if event.action is Action.RENAME and not booked and event.name:
            self._rename(life, event.name, now)
        life.apply(event, now, booked=booked)
        if event.action is Action.DESTROY and not booked:
            self._remove(event.id, now)
        self.revision += 1
        return not booked

    def inspected(
        self, facts: Facts, now: float, *, asked_at: int | None = None, may_wait: bool = True
    ) -> bool:
        """Take in an inspect, unless it is older than an event of its container; whether that changed any fact.

        Args:
            facts: The answer.
            now: Our clock.
            asked_at: `version` when the question was asked; None: do not check.
            may_wait: Events arrive, so that a death without one waits for it.
        """
        life = self._lives.get(facts.id)
        is_new = life is None
        if life is None:
            life = self._begin(facts, now)
        elif asked_at is not None and life.version != asked_at:
            return False
        before = life.facts
        if facts.name and facts.name != life.facts.name:
            self._rename(life, facts.name, now)
        life.inspected(facts, now, may_wait=may_wait)
        if not is_new and life.facts == before:
            return False
        self.revision += 1
        return True

    def listed(self, summaries: Sequence[Facts], now: float) -> tuple[str, ...]:
        """Take in the daemon's list, and return the ids of which it tells something we do not know.

        The list is no proof of anything: its containers are to be inspected, and those it lacks too. One never heard of is known by
        what the list says until its inspect has answered.
        """
        doubtful = []
        for facts in summaries:
            life = self._lives.get(facts.id)
            if life is None:
                self._begin(facts, now)
                self.revision += 1
            if life is None or not life.facts.complete or _differ(life.facts, facts):
                doubtful.append(facts.id)
        there = {facts.id for facts in summaries}
        return (*doubtful, *(container for container in self._lives if container not in there))

    def missing(self, container: str, now: float, *, may_wait: bool = True) -> None:
        """Note that the daemon does not know a container any more."""
        life = self._lives.get(container)
        if life is None:
            return
        if may_wait:
            life.missing(now)
        else:
            self._remove(container, now)
        self.revision += 1

    def count_ooms(self, counts: Iterable[tuple[str, int, int]], now: float) -> None:
        """Take in (id, pid, OOM kills of the cgroup) readings."""
        for container, pid, kills in counts:
            life = self._lives.get(container)
            if life is not None and life.facts.pid == pid and life.count_ooms(kills, now):
                self.revision += 1

    def replayed(self, there: Collection[str], before: float, now: float) -> None:
        """Take note that everything the daemon can tell of the past has been applied.

        Args:
            there: The ids it knows; others are gone, events of theirs or not.
            before: Deaths from before this time will not be explained any more.
            now: Our clock.
        """
        self._booked_until = 0
        for life in self._lives.values():
            life.stop_waiting(before)
        for container in self._lives.keys() - set(there):
            self.missing(container, now)
        # Replayed events of a container that was replaced meanwhile took over the name's book; it belongs to who is there.
        for life in self._lives.values():
            life.book = self._memory.open(life.facts.name, life.facts.id, now)
        self.revision += 1

    def discard_future(self, now: float) -> bool:
        """Forget the newest event's time if it is still to come, which would make everything until then old news; whether it was."""
        if self._memory.last_event_time_nano <= now * 1e9 + _AHEAD_NANO:
            return False
        self._memory.last_event_time_nano = self._booked_until = 0
        return True

    def begin_at(self, time_nano: int) -> None:
        """Note from when on events are watched, so that a first gap can be replayed too."""
        if not self._memory.last_event_time_nano:
            self._memory.last_event_time_nano = time_nano

    def due_at(self) -> float | None:
        """When `advance` has something to do, if ever."""
        return min((due for life in self._lives.values() if (due := life.due_at) is not None), default=None)

    def advance(self, now: float) -> tuple[str, ...]:
        """Settle what has waited long enough, and return the names whose published facts changed."""
        changed = []
        for container, life in list(self._lives.items()):
            if not life.advance(now):
                continue
            changed.append(life.facts.name)
            if life.is_lost:
                self._remove(container, now)
        if changed:
            self.revision += 1
        return tuple(changed)

    def forget(self, now: float) -> None:
        """Drop what nobody wants to know any more."""
        self._gone = [gone for gone in self._gone if now - gone.seen_at <= LINGER_SECONDS]
        self._memory.forget((life.facts.name for life in self._lives.values()), now)

    def snapshot(self, now: float) -> Snapshot:
        """Return what is known, for the families to read; in the order of names.

        As long as nothing changes the views are the same objects.
        """
        if self._views[0] != self.revision:
            self._views = (self.revision, self._look())
        gone = tuple(gone for gone in self._gone if now - gone.seen_at <= LINGER_SECONDS)
        return Snapshot(at=now, containers=self._views[1], gone=gone)

    def to_text(self) -> str:
        """Return the state file's text."""
        unsettled = {
            life.facts.name: reason for life in self._lives.values() if (reason := life.unsettled) is not None
        }
        return self._memory.to_text(unsettled)

    def _look(self) -> tuple[ContainerView, ...]:
        # While one container of a name goes and another comes, the name's series are the newer one's.
        ours = (
            life
            for life in self._lives.values()
            if self._is_ours(life.facts) and life.book.id == life.facts.id
        )
        return tuple(sorted((view_of(life.facts, life.book) for life in ours), key=lambda view: view.name))

    def _is_ours(self, facts: Facts) -> bool:
        return not (is_temporary(facts.name) or is_ignored(facts.labels) or self._ignored(facts.name))

    def _begin(self, facts: Facts, now: float) -> Life:
        life = Life(facts=facts, book=self._memory.open(facts.name, facts.id, now))
        if not facts.status.alive:
            # Its next run begins under our eyes.
            life.oom_booked = 0
        self._lives[facts.id] = life
        return life

    def _rename(self, life: Life, new: str, now: float) -> None:
        life.book = self._memory.rename(life.facts.name, new, life.facts.id, now)
        life.facts = replace(life.facts, name=new)

    def _remove(self, container: str, now: float) -> None:
        life = self._lives.pop(container)
        life.end()
        facts = life.facts
        self._memory.gone(facts.name, container, now)
        seen_at = now if facts.status.alive else facts.finished_at
        if seen_at is not None and now - seen_at <= LINGER_SECONDS and self._is_ours(facts):
            self._gone.append(GoneView(view=view_of(facts, life.book), seen_at=min(seen_at, now)))


def _facts_from_event(event: Event) -> Facts:
    status = _STATUS_BEFORE.get(event.action, Status.EXITED)
    return Facts(id=event.id, name=event.name, image=event.image, labels=event.labels, status=status)


def _differ(ours: Facts, listed: Facts) -> bool:
    """Whether the list contradicts us; of health it tells only the verdicts of running containers."""
    if (ours.name, ours.status) != (listed.name, listed.status):
        return True
    return listed.health is not None and ours.health is not listed.health
