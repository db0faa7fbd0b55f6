"""One collection: the usage of all running containers and of the host.

A container that vanishes while it is read costs its own series, nothing else. What is found out about paths is kept: a running
process does not change its cgroup, and a stopped container keeps the path it had.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from exporter.cgroups.files import CgroupFiles, CgroupGoneError
from exporter.cgroups.paths import CgroupNamespaceError, Membership, derived_path, membership
from exporter.cgroups.readers import DEFAULT_PARTS, CgroupReader, Faults
from exporter.cgroups.rounds import HOST, Round
from exporter.cgroups.usage import Limits, Usage
from exporter.docker.snapshot import ContainerView, Snapshot

__all__ = ["CgroupCollector", "Readings"]

# Docker tells when it changes limits; others who do are rare, and noticed after this.
_LIMITS_SECONDS: Final = 60.0
# Each is a thread that is lost until the file answers; when so many are, it is not a file but the file system.
_MOST_STUCK: Final = 8
_MOUNT_CGROUPFS: Final = "mount the host's cgroupfs there or say where it is with --path.cgroupfs"
_SEE_WHAT_HANGS: Final = "see `dmesg` for tasks that hang"
# The process ended, or its pid is not there yet.
_NO_PROCESS: Final = (FileNotFoundError, ProcessLookupError, NotADirectoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What one collection found.

    Attributes:
        usage: By container id; running containers only.
        paths: Cgroup path by container id; all containers, gone ones too.
        host: Of the whole host; None when it cannot be read.
        faults: Why something that should be readable is not: by part (`cpu`, `memory`, `disk_io`, `pressure`, `limits`, `pids`,
            `processes`, `host` for all of the host, or `cgroups` for all of it), the first sentence about it.
    """

    usage: Mapping[str, Usage]
    paths: Mapping[str, str]
    host: Usage | None
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def fault(self) -> str:
        """One of the faults; empty when all is well."""
        return next(iter(self.faults.values()), "")

    def ooms(self, snapshot: Snapshot) -> tuple[tuple[str, int, int], ...]:
        """Return (id, pid, OOM kills) of the containers whose cgroup counts them."""
        found = ((view, self.usage.get(view.id)) for view in snapshot.containers)
        return tuple(
            (view.id, view.pid, usage.memory.oom_kills)
            for view, usage in found
            if usage is not None and usage.memory is not None and usage.memory.oom_kills is not None
        )


@dataclass(slots=True, kw_only=True)
class _Place:
    """Where a container's cgroup is while this process is its first, its files, and the limits read last: when, and of which view."""

    pid: int
    path: str
    files: CgroupFiles
    limits: Limits | None = None
    limits_at: float = 0.0
    limits_of: ContainerView | None = None

    def limits_known(self, view: ContainerView, at: float) -> Limits | None:
        """Return the limits read last, unless something has happened to a container since, or long ago."""
        if self.limits_of is view and 0 <= at - self.limits_at < _LIMITS_SECONDS:
            return self.limits
        return None


class CgroupCollector:
    """Collects readings, in a thread.

    Args:
        procfs: Where the host's /proc is.
        cgroupfs: Where its /sys/fs/cgroup is.
        sysfs: Where its /sys is, for the names of disks.
        parts: What to read, of `readers.ALL_PARTS`.
        keep: How many files may be kept open; None: what the limit of open files allows.
    """

    def __init__(
        self,
        *,
        procfs: Path,
        cgroupfs: Path,
        sysfs: Path = Path("/sys"),
        parts: frozenset[str] = DEFAULT_PARTS,
        keep: int | None = None,
    ) -> None:
        self._procfs = procfs
        self._cgroupfs = cgroupfs
        self._make_reader = partial(
            CgroupReader, cgroupfs=cgroupfs, procfs=procfs, sysfs=sysfs, parts=parts, keep=keep
        )
        self._reader = self._make_reader()
        self._places: dict[str, _Place] = {}
        self._paths: dict[str, str] = {}
        self._unseen: frozenset[tuple[str, int]] = frozenset()
        self._gone = False  # whether this round found a process without its cgroup
        # Whether a container was ever found below what is not the root: then it is as much of a host as there is.
        self._host_to_somebody = False
        self._round: Round | None = None
        self._stuck: list[Round] = []
        self._suspects: set[str] = set()

    def collect(self, snapshot: Snapshot, *, driver: str) -> Readings:
        """Read everything there is to read for this snapshot.

        Another collection may begin while one is stuck in a file, once `so_far` was called.

        Args:
            snapshot: The containers.
            driver: Docker's cgroup driver, `systemd` or `cgroupfs`.
        """
        self._stuck = [each for each in self._stuck if not each.over]
        round_ = Round(snapshot, driver=driver)
        self._round = round_
        try:
            if len(self._stuck) < _MOST_STUCK:
                self._go_round(round_)
            else:
                round_.faults["cgroups"] = (
                    f"{_MOST_STUCK} reads of cgroups have not returned; {_SEE_WHAT_HANGS}"
                )
        finally:
            round_.over = True
        return self._readings(round_)

    def so_far(self) -> Readings:
        """Return what the collection under way has read, and let it go: it is over when the file it is stuck in answers.

        May be called in any thread. A second call for the same collection returns nothing more: it would be old.
        """
        round_ = self._round
        if round_ is None:
            return Readings(usage={}, paths={}, host=None)
        if not round_.let_go():
            return replace(self._readings(round_), usage={}, host=None)
        if not round_.over:
            self._stuck.append(round_)
            self._suspects.add(round_.at)
            self._tell(round_, round_.faults)
        return self._readings(round_)

    def _readings(self, round_: Round) -> Readings:
        # Copies, which are made in one step: the round's thread may be about to write.
        return Readings(
            usage=round_.usage.copy(),
            paths=self._paths_of(round_),
            host=round_.host,
            faults=round_.faults.copy(),
        )

    def _go_round(self, round_: Round) -> None:
        faults, at = round_.faults, round_.snapshot.at
        self._prepare(faults)
        left_out = frozenset(each.at for each in self._stuck)
        alive = [view for view in round_.snapshot.containers if view.status.alive and view.pid]
        for view in self._order(alive):
            key = HOST if view is None else view.id
            if key in left_out:
                continue
            if not round_.begin(key):
                return
            if view is None:
                round_.host = self._read_host(round_)
            elif (found := self._read(view, at, faults)) is not None:
                round_.usage[key] = found
        if not round_.begin(""):
            return
        self._suspects &= left_out
        # The files of what does not run any more are closed by being forgotten.
        self._places = {view.id: place for view in alive if (place := self._places.get(view.id)) is not None}
        if not left_out:
            self._look_for_processes(alive, faults)
        known = (*round_.snapshot.containers, *(gone.view for gone in round_.snapshot.gone))
        self._paths = {view.id: self._path(view) for view in known}

    def _prepare(self, faults: Faults) -> None:
        for each in self._stuck:
            self._tell(each, faults)
        if not self._reader.mounted:
            self._reader = self._make_reader()  # it may have been mounted since
        if not self._reader.mounted:
            faults["cgroups"] = f"{self._cgroupfs}: there are no cgroups; {_MOUNT_CGROUPFS}"
        self._reader.refresh()
        self._gone = False

    def _order(self, alive: list[ContainerView]) -> list[ContainerView | None]:
        """Return whom to read; None is the host. What had a collection stuck comes last, lest the others wait for it again."""
        host_first = self._reader.at_root or self._host_to_somebody
        order: list[ContainerView | None] = [None, *alive] if host_first else [*alive, None]
        if self._suspects:
            order.sort(key=lambda view: (HOST if view is None else view.id) in self._suspects)
        return order

    def _read_host(self, round_: Round) -> Usage | None:
        """Read the host, unless what is mounted is only our own cgroup."""
        self._host_to_somebody = self._host_to_somebody or bool(round_.usage)
        if self._reader.at_root or self._host_to_somebody:
            return self._reader.read_host(round_.faults)
        why = (
            "it is a container's own cgroup, not the host's"
            if self._reader.mounted
            else "there are no cgroups"
        )
        round_.faults["host"] = f"host: {self._cgroupfs}: {why}; {_MOUNT_CGROUPFS}"
        return None

    def _tell(self, stuck: Round, faults: Faults) -> None:
        """Say what a round is stuck in."""
        if stuck.at == HOST:
            faults.setdefault(
                "host", f"host: {self._reader.host_place}: it does not answer; {_SEE_WHAT_HANGS}"
            )
            return
        view = next((view for view in stuck.snapshot.containers if view.id == stuck.at), None)
        if view is None:
            faults.setdefault("cgroups", f"{self._cgroupfs}: it does not answer; {_SEE_WHAT_HANGS}")
            return
        place = self._places.get(view.id)
        path = place.files.place if place is not None else f"{self._procfs}/{view.pid}/cgroup"
        faults.setdefault("cgroups", f"container {view.name}: {path}: it does not answer; {_SEE_WHAT_HANGS}")

    def _paths_of(self, round_: Round) -> dict[str, str]:
        known = (*round_.snapshot.containers, *(gone.view for gone in round_.snapshot.gone))
        return {
            view.id: self._path(view)
            or derived_path(view.id, parent=view.cgroup_parent, driver=round_.driver)
            for view in known
        }

    def _read(self, view: ContainerView, at: float, faults: Faults) -> Usage | None:
        try:
            place = self._place(view)
            if place is not None:
                known = place.limits_known(view, at)
                usage = self._reader.read(place.files, faults, whose=f"container {view.name}", limits=known)
                if known is None:
                    place.limits, place.limits_at, place.limits_of = usage.limits, at, view
                return usage
        except CgroupGoneError:
            self._places.pop(view.id, None)
            self._gone = True
        except _NO_PROCESS:
            self._places.pop(view.id, None)
        except CgroupNamespaceError as exc:
            faults.setdefault("cgroups", str(exc))
        except OSError as exc:
            faults.setdefault(
                "cgroups",
                f"container {view.name}: {exc.filename}: {exc.strerror}; let the exporter's user read the host's /proc",
            )
        return None

    def _place(self, view: ContainerView) -> _Place | None:
        known = self._places.get(view.id)
        if known is not None and known.pid == view.pid:
            return known
        found = self._membership(view)
        if found is None:
            self._places.pop(view.id, None)
            return None
        place = _Place(pid=view.pid, path=found.path, files=self._reader.files(found))
        self._places[view.id] = place
        return place

    def _membership(self, view: ContainerView) -> Membership | None:
        text = (self._procfs / str(view.pid) / "cgroup").read_text(errors="replace")
        return membership(text, view.id)

    def _path(self, view: ContainerView) -> str:
        """Return the path found while it ran; empty when it never was."""
        place = self._places.get(view.id)
        return place.path if place else self._paths.get(view.id, "")

    def _look_for_processes(self, alive: list[ContainerView], faults: Faults) -> None:
        """Notice a wrong mount: not one process, or cgroup, of all running containers is there, and was not last time."""
        unseen = frozenset((view.id, view.pid) for view in alive if view.id not in self._places)
        if unseen and len(unseen) == len(alive) and unseen & self._unseen:
            if self._gone:
                sentence = f"{self._cgroupfs}: no cgroup of any running container is there; {_MOUNT_CGROUPFS}"
            else:
                sentence = f"{self._procfs}: no process of any running container is there; mount the host's /proc there or say where it is with --path.procfs"
            faults.setdefault("cgroups", sentence)
        self._unseen = unseen
