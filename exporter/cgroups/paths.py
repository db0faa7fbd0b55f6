"""Where a container's cgroup is: found from its pid while it runs, derived from Docker's rules while it does not.

Pure: the file's content comes in as text. A path is relative to the hierarchy's root and begins with a slash; it is the
`id` label of cAdvisor's families.
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["V1_CONTROLLERS", "CgroupNamespaceError", "Membership", "derived_path", "membership"]

# The controllers whose files are read; each may be a hierarchy of its own.
V1_CONTROLLERS: Final = ("memory", "cpu", "cpuacct", "blkio", "pids")


class CgroupNamespaceError(Exception):
    """We sit in a cgroup namespace of our own and cannot see the host's paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """The cgroup of a container: one path in the unified hierarchy, or one per controller in version 1."""

    unified: str | None = None
    memory: str | None = None
    cpu: str | None = None
    cpuacct: str | None = None
    blkio: str | None = None
    pids: str | None = None

    @property
    def path(self) -> str:
        """The path that names the container."""
        return self.memory or self.unified or self.cpuacct or ""

    def of(self, controller: str) -> str | None:
        """Return the path in the hierarchy of one of `V1_CONTROLLERS`; None where the kernel lacks the controller."""
        found: str | None = getattr(self, controller)
        return found


def membership(text: str, container: str) -> Membership | None:
    """Read a `/proc/PID/cgroup`; None when that process does not belong to this container (its pid went to another).

    A container may have cgroups of its own (systemd inside makes `/init.scope`): the container's is the part up to its id.

    Raises:
        CgroupNamespaceError: The paths lead out of our own namespace.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if path.startswith("/.."):
            raise CgroupNamespaceError(
                "cgroup paths lead out of our cgroup namespace; run the exporter with `cgroup: host`"
            )
        own = _up_to(path, container)
        if own is None:
            continue
        if number == "0" and not controllers:
            found["unified"] = own
        found.update((name, own) for name in controllers.split(",") if name in V1_CONTROLLERS)
    return Membership(**found) if found else None


def derived_path(container: str, *, parent: str, driver: str) -> str:
    """Return the path Docker would give a container.

    Args:
        container: Its id.
        parent: HostConfig.CgroupParent; empty for the driver's default.
        driver: `systemd` or `cgroupfs`.
    """
    if driver == "systemd":
        return f"{_slice_path(parent or 'system.slice')}/docker-{container}.scope"
    return f"/{parent.strip('/') or 'docker'}/{container}"


def _up_to(path: str, container: str) -> str | None:
    parts = path.split("/")
    for index, part in enumerate(parts):
        if container in part:
            return "/".join(parts[: index + 1])
    return None


def _slice_path(name: str) -> str:
    """Expand a slice to its path: systemd nests `a-b.slice` in `a.slice`."""
    base = name.strip("/").rpartition("/")[2]
    if not base.endswith(".slice"):
        return f"/{name.strip('/')}"
    parts = base.removesuffix(".slice").split("-")
    return "".join(f"/{'-'.join(parts[: end + 1])}.slice" for end in range(len(parts)))
