"""One collection: the usage of all running containers and of the host.

A container that vanishes while it is read costs its own series, nothing else. What is found out about paths is kept: a running
process does not change its cgroup, and a stopped container keeps the path it had.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.cgroups.paths import CgroupNamespaceError, Membership, derived_path, membership
from exporter.cgroups.readers import CgroupReader
from exporter.cgroups.usage import Usage
from exporter.docker.snapshot import ContainerView, Snapshot

__all__ = ["CgroupCollector", "Readings"]

# Removed, or not yet there, or between the two.
_GONE: Final = (FileNotFoundError, ProcessLookupError, NotADirectoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What one collection found.

    Attributes:
        usage: By container id; running containers only.
        paths: Cgroup path by container id; all containers, gone ones too.
        host: Of the whole host; None when it cannot be read.
        fault: Why something that should be readable is not; empty when all is well.
    """

    usage: Mapping[str, Usage]
    paths: Mapping[str, str]
    host: Usage | None
    fault: str = ""

    def ooms(self, snapshot: Snapshot) -> tuple[tuple[str, int, int], ...]:
        """Return (id, pid, OOM kills) of the containers whose cgroup counts them."""
        found = ((view, self.usage.get(view.id)) for view in snapshot.containers)
        return tuple(
            (view.id, view.pid, usage.memory.oom_kills)
            for view, usage in found
            if usage is not None and usage.memory is not None and usage.memory.oom_kills is not None
        )


class CgroupCollector:
    """Collects readings; one collection at a time, in a thread.

    Args:
        procfs: Where the host's /proc is.
        cgroupfs: Where its /sys/fs/cgroup is.
    """

    def __init__(self, *, procfs: Path, cgroupfs: Path) -> None:
        self._procfs = procfs
        self._cgroupfs = cgroupfs
        self._reader = CgroupReader(cgroupfs)
        self._places: dict[str, tuple[int, Membership]] = {}

    def collect(self, snapshot: Snapshot, *, driver: str) -> Readings:
        """Read everything there is to read for this snapshot.

        Args:
            snapshot: The containers.
            driver: Docker's cgroup driver, `systemd` or `cgroupfs`.
        """
        faults: list[str] = []
        host: Usage | None = None
        try:
            host = self._reader.read_host()
        except (OSError, ValueError, KeyError) as exc:
            faults.append(
                f"{self._cgroupfs}: {_short(exc)}; mount the host's cgroupfs there or say where it is with --path.cgroupfs"
            )
        usage: dict[str, Usage] = {}
        for view in snapshot.containers:
            if not (view.status.alive and view.pid):
                continue
            try:
                found = self._read(view)
            except _GONE:
                self._places.pop(view.id, None)
            except CgroupNamespaceError as exc:
                faults.append(str(exc))
            except (OSError, ValueError, KeyError) as exc:
                faults.append(f"container {view.name}: {_short(exc)}")
            else:
                if found is not None:
                    usage[view.id] = found
        known = (*snapshot.containers, *(gone.view for gone in snapshot.gone))
        paths = {view.id: self._path(view, driver) for view in known}
        self._places = {container: place for container, place in self._places.items() if container in paths}
        return Readings(usage=usage, paths=paths, host=host, fault=faults[0] if faults else "")

    def _read(self, view: ContainerView) -> Usage | None:
        place = self._place(view)
        return None if place is None else self._reader.read(place)

    def _place(self, view: ContainerView) -> Membership | None:
        known = self._places.get(view.id)
        if known is not None and known[0] == view.pid:
            return known[1]
        found = membership((self._procfs / str(view.pid) / "cgroup").read_text(), view.id)
        if found is not None:
            self._places[view.id] = (view.pid, found)
        return found

    def _path(self, view: ContainerView, driver: str) -> str:
        known = self._places.get(view.id)
        return known[1].path if known else derived_path(view.id, parent=view.cgroup_parent, driver=driver)


def _short(exc: Exception) -> str:
    if isinstance(exc, OSError):
        return f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc.strerror)
    return f"{type(exc).__name__}: {exc}"
