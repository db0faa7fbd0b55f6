"""Network traffic by container: every network namespace is counted once, at the container that owns it.

A container in the host's namespace reports the host's interfaces, as cAdvisor does; one that joined another container's reports nothing
while that one does; while it does not, being none of our business or stopped, the one that runs longest of those that joined it owns the namespace.
So does the one that runs longest where two share it by other means; that takes a look at `/proc/PID/ns/net`, which needs the right to
trace the process, and without it such a pair is counted twice.

The host is published where process 1 is known to be its own: in a container's /proc it is that container's.
"""

import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exporter.docker.snapshot import ContainerView
from exporter.host.files import GONE, read, reason
from exporter.host.netdev import InterfaceCounters, interfaces

__all__ = ["NetworkCollector", "NetworkReadings"]

# What the kernel answers for a process that is gone, or has let go of its namespaces on its way out.
_ENDED: Final = frozenset({errno.ENOENT, errno.ESRCH, errno.ENOTDIR, errno.EINVAL, errno.ENXIO})
_REMEDY: Final = (
    "run the exporter in the host's pid namespace, or mount the host's /proc and say where with --path.procfs"
)
# The first pid namespace of a kernel: PROC_PID_INIT_INO, https://github.com/torvalds/linux/blob/master/include/linux/proc_ns.h.
_FIRST_PID_NAMESPACE: Final = "pid:[4026531836]"
_JOINED: Final = "container:"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkReadings:
    """What one collection found.

    Attributes:
        by_container: By container id; without those that have nothing to report.
        host: Of process 1; empty when that may be another's than the host's.
        fault: Why something that should be readable is not; empty when all is well.
    """

    by_container: Mapping[str, tuple[InterfaceCounters, ...]] = field(default_factory=dict)
    host: tuple[InterfaceCounters, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A container's process, looked at once: neither its namespace nor its being that container's changes.

    Attributes:
        namespace: As the kernel writes it (`net:[4026531840]`); empty when we may not know.
    """

    pid: int
    namespace: str


class NetworkCollector:
    """Collects readings; one collection at a time, in a thread.

    Args:
        procfs: Where the host's /proc is.
        own_procfs: Our own, which is the host's too unless we are in a pid namespace of our own.
    """

    def __init__(self, *, procfs: Path, own_procfs: Path = Path("/proc")) -> None:
        self._procfs = str(procfs)
        self._places: dict[str, _Place] = {}
        # The table last read and what it says: most containers are silent between two scrapes, and parsing costs as much as reading.
        self._tables: dict[str, tuple[bytes, tuple[InterfaceCounters, ...]]] = {}
        self._host_namespace: str | None = None
        # Whoever names another /proc than ours is believed, unless containers run and none is there.
        self._is_believed = procfs != own_procfs or _link(f"{procfs}/self/ns/pid") == _FIRST_PID_NAMESPACE
        self._is_confirmed = False

    def collect(self, views: Iterable[ContainerView]) -> NetworkReadings:
        """Read the counters of the running ones among these containers, and of the host."""
        alive = [view for view in views if view.status.alive and view.pid]
        faults: list[str] = []
        places = {view.id: place for view in alive if (place := self._place(view, faults)) is not None}
        self._places = places
        self._tables = {container: table for container, table in self._tables.items() if container in places}
        known = [view for view in alive if view.id in places]
        self._is_confirmed = self._is_confirmed or bool(known)
        if not self._is_confirmed and (alive or not self._is_believed):
            shows = (
                f"shows none of the {len(alive)} running containers"
                if alive
                else "may be that of a container of our own"
            )
            faults.append(f"{self._procfs}: {shows}; {_REMEDY}")
            return NetworkReadings(fault=faults[0])
        host = self._host(faults)
        found: dict[str, tuple[InterfaceCounters, ...]] = {}
        for view in self._owners(_heads(known), places):
            # Rootless Docker's "host" is a namespace too: the container's own table is right whenever ours is not known to be.
            counters = host if self._in_host(places[view.id]) else self._read(view, faults)
            if counters:
                found[view.id] = counters
        return NetworkReadings(by_container=found, host=host, fault=faults[0] if faults else "")

    def _owners(self, views: list[ContainerView], places: Mapping[str, _Place]) -> list[ContainerView]:
        """Return those that report: one for each namespace, and all that are in the host's."""
        owners: list[ContainerView] = []
        at: dict[str, int] = {}
        for view in views:
            place = places[view.id]
            if not place.namespace or view.facts.network_mode == "host" or self._in_host(place):
                owners.append(view)
            elif place.namespace not in at:
                at[place.namespace] = len(owners)
                owners.append(view)
            elif _seniority(view) < _seniority(owners[at[place.namespace]]):
                owners[at[place.namespace]] = view
        return owners

    def _in_host(self, place: _Place) -> bool:
        return bool(place.namespace) and place.namespace == self._host_namespace

    def _place(self, view: ContainerView, faults: list[str]) -> _Place | None:
        known = self._places.get(view.id)
        if known is not None and known.pid == view.pid:
            return known
        folder = f"{self._procfs}/{view.pid}"
        try:
            # In a pid namespace of our own, or a moment after its end, the number may be anybody's.
            if view.id.encode() in read(f"{folder}/cgroup"):
                return _Place(pid=view.pid, namespace=_link(f"{folder}/ns/net"))
        except GONE:
            pass
        except OSError as exc:
            faults.append(f"container {view.name}: {reason(exc)}; {_REMEDY}")
        return None

    def _read(self, view: ContainerView, faults: list[str]) -> tuple[InterfaceCounters, ...]:
        try:
            content = read(f"{self._procfs}/{view.pid}/net/dev")
            table = self._tables.get(view.id)
            if table is None or table[0] != content:
                table = self._tables[view.id] = (content, interfaces(content))
            return table[1]
        except OSError as exc:
            if exc.errno not in _ENDED:
                faults.append(f"container {view.name}: {reason(exc)}; {_REMEDY}")
        except ValueError as exc:
            faults.append(f"container {view.name}: {self._procfs}/{view.pid}/net/dev: {reason(exc)}")
        return ()

    def _host(self, faults: list[str]) -> tuple[InterfaceCounters, ...]:
        if self._host_namespace is None:
            self._host_namespace = _link(f"{self._procfs}/1/ns/net")
        try:
            return interfaces(read(f"{self._procfs}/1/net/dev"))
        except OSError as exc:
            faults.append(f"{reason(exc)}; {_REMEDY}")
        except ValueError as exc:
            faults.append(f"{self._procfs}/1/net/dev: {reason(exc)}; {_REMEDY}")
        return ()


def _heads(views: list[ContainerView]) -> list[ContainerView]:
    """Return those that joined no other container's network, and one of those that joined a container which is not among these."""
    if not any(view.facts.network_mode.startswith(_JOINED) for view in views):
        return views
    known = {reference: view for view in views for reference in (view.name, view.id)}
    heads: dict[str, ContainerView] = {}
    for view in sorted(views, key=_seniority):
        heads.setdefault(_joined(view, known), view)
    return [known.get(home, member) for home, member in heads.items()]


def _joined(view: ContainerView, known: Mapping[str, ContainerView]) -> str:
    """Return the id of the container whose network it is in, its own if it joined none; what Docker calls it when it is not known."""
    # One that joined may have been joined itself; nobody joins in a circle, and we would not hang if they did.
    for _ in known:
        mode = view.facts.network_mode
        if not mode.startswith(_JOINED):
            break
        home = known.get(mode.removeprefix(_JOINED))
        if home is None:
            return mode
        view = home
    return view.id


def _link(path: str) -> str:
    """Return what a link leads to, empty where we may not know."""
    try:
        return os.readlink(path)  # noqa: PTH115 # it leads to a name, not to a file
    except OSError:
        return ""


def _seniority(view: ContainerView) -> tuple[float, str]:
    return (view.started_at or 0.0, view.id)
