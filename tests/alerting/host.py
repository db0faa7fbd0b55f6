"""A host whose containers a test moves: what its exporter would say."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

STATUSES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
HEALTHS = ("none", "starting", "healthy", "unhealthy")
COUNTED = ("requested", "completed", "oom", "killed", "error")


@dataclass(kw_only=True)
class Container:
    """One container as the exporter sees it; ``reason`` is why it last exited."""

    service: str
    project: str = "shop"
    status: str = "running"
    health: str = "none"
    reason: str = ""
    code: int = 0
    exit_at: float = 0.0
    started_at: float = 0.0
    exits: dict[str, int] = field(default_factory=dict)


class Host:
    """Containers by name, and the text of a scrape."""

    def __init__(self, name="host-1"):
        self.name = name
        self.docker_up = 1
        self.containers = {}
        self.first_seen = time.time() - 86_400

    def run(self, name, service, **more):
        """Let a container run."""
        self.containers[name] = Container(service=service, started_at=time.time() - 3600, **more)

    def die(self, name, reason="error", code=1, *, at=None):
        """Let it exit."""
        container = self.containers[name]
        container.status, container.reason, container.code = "exited", reason, code
        container.exit_at = time.time() if at is None else at
        if reason in COUNTED:
            container.exits[reason] = container.exits.get(reason, 0) + 1

    def start(self, name):
        """Let it run again."""
        self.containers[name].status = "running"
        self.containers[name].started_at = time.time()

    def text(self):
        """Return the scrape."""
        lines = [
            f"docker_up {self.docker_up}",
            f'docker_info{{name="{self.name}",version="29.0"}} 1',
            "vakhta_docker_events_connected 1",
            'vakhta_collector_success{collector="docker"} 1',
        ]
        for name, one in sorted(self.containers.items()):
            lines += self._lines(name, one)
        return "\n".join(lines) + "\n"

    def _lines(self, name, one):
        own = f'name="{name}",project="{one.project}",service="{one.service}"'
        health = one.health if one.status == "running" else "none"
        yield f'container_watch_info{{{own},alerts="on",expect="running",oneoff="false"}} 1'
        yield f"container_first_seen_timestamp_seconds{{{own}}} {self.first_seen}"
        for status in STATUSES:
            yield f'container_state_status{{{own},status="{status}"}} {int(one.status == status)}'
        for status in HEALTHS:
            yield f'container_state_health_status{{{own},status="{status}"}} {int(health == status)}'
        for reason in COUNTED:
            yield f'container_exits_total{{{own},reason="{reason}"}} {one.exits.get(reason, 0)}'
        yield f"container_restarts_total{{{own}}} 0"
        if one.status == "running":
            yield f'container_start_time_seconds{{id="/docker/{name}",image="i",name="{name}"}} {one.started_at}'
        if one.reason:
            yield f'container_last_exit_reason{{{own},reason="{one.reason}"}} 1'
            yield f"container_last_exit_code{{{own}}} {one.code}"
            yield f"container_last_exit_timestamp_seconds{{{own}}} {one.exit_at:.3f}"
