"""How many containers of a Compose service should run: the most that ran together for ten minutes, lowered by what somebody asked for.

Nobody tells us the number of replicas a service was given, so it is learnt, and what is learnt must survive the fault it is there to
reveal: a crash changes nothing. It is lowered, at once and to what then runs or is being started again by its policy, when

* a container of the service was stopped on request or ended by itself with code 0: exits that never count as a fault;
* a container of the service is gone: somebody removed it, scaled the service down or replaced the container. (Docker removes only `--rm`
  containers by itself, and Compose makes none but one-off ones.)

A deploy therefore lowers it and ten minutes later it is what the new containers say. Containers that are expected to be stopped (label
`vakhta.expect`) are left out, like one-off ones. Pure: time is an argument.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from exporter.docker.containers import Status
from exporter.docker.exits import ExitReason
from exporter.docker.snapshot import ContainerView, Snapshot

__all__ = ["TOGETHER_SECONDS", "ComposeExpectations", "ExpectationsFormatError", "Service"]

# Project and service.
Service = tuple[str, str]

TOGETHER_SECONDS: Final = 600.0
_NO_FAULT: Final = (ExitReason.REQUESTED, ExitReason.COMPLETED)
_ENDED: Final = (Status.EXITED, Status.REMOVING, Status.DEAD)


class ExpectationsFormatError(ValueError):
    """What was kept is not what this version writes; the text says what is wrong."""


@dataclass(slots=True, kw_only=True)
class _Replicas:
    """What is known of one service.

    Attributes:
        expected: How many containers should run.
        containers: By id when it ended, if that has lowered the expectation.
    """

    expected: int = 0
    containers: dict[str, float | None] = field(default_factory=dict)


class ComposeExpectations:
    """Learns how many containers each service should have.

    Attributes:
        revision: Rises when `dumps` would say something else.
    """

    def __init__(self) -> None:
        self._services: dict[Service, _Replicas] = {}
        self.revision = 0

    def observe(self, snapshot: Snapshot, now: float) -> None:
        """Take in what there is.

        Args:
            snapshot: Confirmed by the daemon since we started: what it lacks was removed.
            now: Unix seconds, as the start times in the snapshot.
        """
        found: defaultdict[Service, list[ContainerView]] = defaultdict(list)
        for view in snapshot.containers:
            if view.compose and not view.oneoff and view.expect == "running":
                found[view.project, view.service].append(view)
        for gone in self._services.keys() - found.keys():
            del self._services[gone]
            self.revision += 1
        for service, views in found.items():
            if service not in self._services:
                self._services[service] = _Replicas()
            self._observe(self._services[service], views, now)

    def expected(self) -> Mapping[Service, int]:
        """Return how many containers of each service should run, for those that have any; 0: nothing is learnt yet, or none should."""
        return {service: replicas.expected for service, replicas in self._services.items()}

    def dumps(self) -> dict[str, Any]:
        """Return what `loads` takes, as JSON can hold it."""
        projects: dict[str, dict[str, Any]] = {}
        for (project, service), replicas in sorted(self._services.items()):
            entry = {"expected": replicas.expected, "containers": dict(sorted(replicas.containers.items()))}
            projects.setdefault(project, {})[service] = entry
        return projects

    @classmethod
    def loads(cls, raw: Mapping[str, Any]) -> "ComposeExpectations":
        """Go on from what `dumps` returned.

        Raises:
            ExpectationsFormatError: It never did.
        """
        made = cls()
        try:
            for project, services in raw.items():
                for service, entry in services.items():
                    made._services[project, service] = _Replicas(
                        expected=max(0, int(entry["expected"])),
                        containers={
                            str(container): None if at is None else float(at)
                            for container, at in entry["containers"].items()
                        },
                    )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as exc:
            raise ExpectationsFormatError(
                f"the expectations are damaged ({type(exc).__name__}: {exc})"
            ) from exc
        return made

    def _observe(self, replicas: _Replicas, views: Iterable[ContainerView], now: float) -> None:
        before = (replicas.expected, replicas.containers)
        known, ends = replicas.containers, {view.id: _end(view) for view in views}
        told = any(at is not None and at != known.get(container) for container, at in ends.items())
        if told or known.keys() - ends.keys():
            held = sum(view.status.alive or view.status is Status.RESTARTING for view in views)
            replicas.expected = min(replicas.expected, held)
        replicas.expected = max(replicas.expected, _together(views, now))
        replicas.containers = ends
        self.revision += before != (replicas.expected, replicas.containers)


def _end(view: ContainerView) -> float | None:
    """Return when the container ended for a reason that is no fault; None if it did not."""
    last = view.last_exit
    if last is None or view.status not in _ENDED or view.started_at is None or last.reason not in _NO_FAULT:
        return None
    return last.at


def _together(views: Iterable[ContainerView], now: float) -> int:
    """Return how many have been running, all of them at once, for long enough."""
    return sum(
        view.status.alive and view.started_at is not None and now - view.started_at >= TOGETHER_SECONDS
        for view in views
    )
