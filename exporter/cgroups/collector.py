"""One collection: the usage of all running containers and of the host.

A container that vanishes while it is read costs its own series, nothing else. What is found out about paths is kept: a running
process does not change its cgroup, and a stopped container keeps the path it had.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from exporter.cgroups.files import CgroupFiles, CgroupGoneError
from exporter.cgroups.paths import CgroupNamespaceError, Membership, derived_path, membership
from exporter.cgroups.readers import DEFAULT_PARTS, CgroupReader, Faults
from exporter.cgroups.usage import Limits, Usage
from exporter.docker.snapshot import ContainerView, Snapshot

__all__ = ["CgroupCollector", "Readings"]

# Docker tells when it changes limits; others who do are rare, and noticed after this.
_LIMITS_SECONDS: Final = 60.0
# The process ended, or its pid is not there yet.
_NO_PROCESS: Final = (FileNotFoundError, ProcessLookupError, NotADirectoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What one collection found.

    Attributes:
        usage: By container id; running containers only.
        paths: Cgroup path by container id; all containers, gone ones too.
        host: Of the whole host; None when it cannot be read.
        faults: Why something that should be readable is not: by part (`cpu`, `memory`, `disk_io`, `pressure`, `limits`, `pids`, or `cgroups`
            for all of it), the first sentence about it.
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
    """Collects readings; one collection at a time, in a thread.

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

    def collect(self, snapshot: Snapshot, *, driver: str) -> Readings:
        """Read everything there is to read for this snapshot.

        Args:
            snapshot: The containers.
            driver: Docker's cgroup driver, `systemd` or `cgroupfs`.
        """
        faults: Faults = {}
        if not self._reader.mounted:
            self._reader = self._make_reader()  # it may have been mounted since
        if not self._reader.mounted:
            faults["cgroups"] = (
                f"{self._cgroupfs}: there are no cgroups; mount the host's cgroupfs there or say where it is with --path.cgroupfs"
            )
        self._reader.refresh()
        host = self._reader.read_host(faults)
        alive = [view for view in snapshot.containers if view.status.alive and view.pid]
        usage = {
            view.id: found for view in alive if (found := self._read(view, snapshot.at, faults)) is not None
        }
        # The files of what does not run any more are closed by being forgotten.
        self._places = {view.id: self._places[view.id] for view in alive if view.id in self._places}
        self._look_for_processes(alive, faults)
        known = (*snapshot.containers, *(gone.view for gone in snapshot.gone))
        self._paths = {view.id: self._path(view) for view in known}
        paths = {
            view.id: self._paths[view.id] or derived_path(view.id, parent=view.cgroup_parent, driver=driver)
            for view in known
        }
        return Readings(usage=usage, paths=paths, host=host, faults=faults)

    def _read(self, view: ContainerView, at: float, faults: Faults) -> Usage | None:
        try:
            place = self._place(view)
            if place is not None:
                known = place.limits_known(view, at)
                usage = self._reader.read(place.files, faults, whose=f"container {view.name}", limits=known)
                if known is None:
                    place.limits, place.limits_at, place.limits_of = usage.limits, at, view
                return usage
        except (CgroupGoneError, *_NO_PROCESS):
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
        """Notice a wrong /proc: not one process of all running containers is there, and was not last time."""
        unseen = frozenset((view.id, view.pid) for view in alive if view.id not in self._places)
        if unseen and len(unseen) == len(alive) and unseen & self._unseen and not faults:
            faults["cgroups"] = (
                f"{self._procfs}: no process of any running container is there; mount the host's /proc there or say where it is with --path.procfs"
            )
        self._unseen = unseen
