"""Event sequences as text, played to an inventory the way the watch does it.

A line is a time in seconds, what happened, and its facts: `1.2 kill 15`, `2.0 die 137`, `2.1 inspect exited code=137 finished=1.9`.
Time 0 is an arbitrary instant; our clock and the daemon's are the same.
"""

from dataclasses import replace

from exporter.cgroups.collector import Readings
from exporter.docker.containers import Facts, Health, RestartPolicy, Status
from exporter.docker.events import Action, parse
from exporter.docker.inventory import Inventory
from exporter.docker.status import DaemonInfo, DaemonStatus
from exporter.families import CollectorStatus, LabelSets, world

EPOCH = 1_790_000_000
ID = "4f0c" * 16


def facts(**changes):
    """Return a container's facts as a complete inspect gives them: `web`, running since time 0, restart policy no."""
    plain = {
        "id": ID,
        "name": "web",
        "image": "busybox:1.35",
        "labels": {},
        "status": Status.RUNNING,
        "pid": 100,
        "started_at": float(EPOCH),
        "complete": True,
    }
    return Facts(**{**plain, **changes})


def policy(text):
    """Read a restart policy as Docker's command line takes it: `on-failure:2`."""
    name, _, retries = text.partition(":")
    return RestartPolicy(name=name, maximum_retries=int(retries or 0))


def raw_event(line, *, container=ID, name="web", labels=None):
    """Return the event of a line as the daemon sends it."""
    at, word, *rest = line.split()
    attributes = {"name": name, "image": "busybox:1.35", **(labels or {})}
    action = word
    match word:
        case "die":
            attributes |= {"exitCode": rest[0], "execDuration": "1"}
        case "kill":
            attributes["signal"] = rest[0]
        case "rename":
            attributes |= {"name": rest[0], "oldName": f"/{name}"}
        case "health_status":
            action = f"health_status: {rest[0]}"
    nano = EPOCH * 1_000_000_000 + round(float(at) * 1e9)
    return {
        "status": action,
        "id": container,
        "from": "busybox:1.35",
        "Type": "container",
        "Action": action,
        "Actor": {"ID": container, "Attributes": attributes},
        "scope": "local",
        "time": nano // 1_000_000_000,
        "timeNano": nano,
    }


def world_of(snapshot, *, readings=None, **changes):
    """Return a world with these containers, a daemon that is up, and no cgroup readings."""
    info = DaemonInfo(
        name="host-1",
        version="26.1.5",
        api_version="1.45",
        storage_driver="overlay2",
        cgroup_driver="systemd",
        cgroup_version="2",
        os="Debian GNU/Linux 12 (bookworm)",
        kernel="6.1.0",
    )
    daemon = DaemonStatus(
        looked=True, up=True, events_connected=True, confirmed_at=snapshot.at - 1.5, info=info, look_ok=True
    )
    collector = CollectorStatus(
        name="docker", success=True, duration_seconds=0.25, last_success_at=snapshot.at - 1.5
    )
    plain = {"labels": LabelSets(), "collectors": (collector,), "storage_ok": True, "version": "0.1.0"}
    return world(
        snapshot, readings or Readings(usage={}, paths={}, host=None), daemon, **{**plain, **changes}
    )


class Story:
    """One inventory with containers in it.

    Args:
        told: What an inspect of the container `web` says at the start; None: it is not there yet.
        memory: What was remembered before.
    """

    def __init__(self, told=None, *, memory=None):
        self.inventory = Inventory(memory)
        self.told = told or facts()
        self.names = {ID: "web"}
        self.now = float(EPOCH)
        if told is not None:
            self.inventory.inspected(told, self.now, may_wait=False)

    def play(self, text, *, container=ID):
        """Play lines to one container, advancing what waits as time passes."""
        for line in filter(None, (part.strip() for part in text.strip().splitlines())):
            self._play_line(line, container)
        return self

    def wait(self, seconds):
        """Let time pass."""
        return self._until(self.now + seconds)

    def view(self, name="web"):
        """Return what is published of a name; None: nothing."""
        views = [
            view
            for view in self.inventory.snapshot(self.now).containers
            if view.name == name and view.published
        ]
        assert len(views) <= 1, "a name was published twice"
        return views[0] if views else None

    def summary(self, name="web"):
        """Return (status, reason of the last exit, its code, exits counted, restarts) of a name."""
        view = self.view(name)
        last = view.last_exit
        exits = {reason.value: count for reason, count in view.exits.items()}
        return view.status.value, last and last.reason.value, last and last.code, exits, view.restarts

    def _play_line(self, line, container):
        at, word, *rest = line.split()
        self._until(EPOCH + float(at))
        match word:
            case "inspect":
                self.inventory.inspected(self._inspect(rest, container), self.now)
            case "gone":
                self.inventory.missing(container, self.now)
            case _:
                event = parse(
                    raw_event(
                        line,
                        container=container,
                        name=self.names.get(container, "web"),
                        labels=dict(self.told.labels),
                    )
                )
                assert event is not None, line
                self.inventory.apply(event, self.now)
                if event.action is Action.RENAME:
                    self.names[container] = event.name

    def _inspect(self, words, container):
        status, *rest = words
        given = dict(word.split("=") for word in rest)
        changes = {"status": Status(status), "id": container, "name": self.names.get(container, "web")}
        if Status(status) is not Status.RUNNING:
            changes["pid"] = 0
        for key, value in given.items():
            match key:
                case "started" | "finished":
                    changes[f"{key}_at"] = EPOCH + float(value)
                case "code":
                    changes["exit_code"] = int(value)
                case "pid":
                    changes["pid"] = int(value)
                case "restarts":
                    changes["restart_count"] = int(value)
                case "health":
                    changes["health"] = Health(value)
        return replace(self.told, **changes)

    def _until(self, then):
        while (due := self.inventory.due_at()) is not None and due <= then:
            self.now = max(self.now, due)
            self.inventory.advance(self.now)
        self.now = max(self.now, then)
        self.inventory.advance(self.now)
        return self
