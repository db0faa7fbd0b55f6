"""An alert keeps the host it began with, and only what fires or is out of sight explains others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from alerting.alerts import Alert, Ending
from alerting.config import SHIPPED_INHIBIT_RULES, default_route
from alerting.dispatch.dispatcher import Announcement, Arrival, Dispatcher, Policy
from alerting.dispatch.incident import Phase
from alerting.labels import Labels
from alerting.state import Database

NOW = datetime(2026, 11, 23, 14, 2, 31, tzinfo=UTC)


class Said:
    """Collects announcements."""

    def __init__(self) -> None:
        self.announcements: list[Announcement] = []

    def announce(self, _connection, announcement: Announcement) -> None:
        """Take one."""
        self.announcements.append(announcement)

    def arrive(self, _connection, arrival: Arrival) -> None:
        """Nothing arrives here."""
        raise AssertionError(arrival)


class Desk:
    """A dispatcher with a clock and a host name that a test sets."""

    def __init__(self, database: Database) -> None:
        self.now = NOW
        self.host = "127.0.0.1"
        self.said = Said()
        policy = Policy(route=default_route("oncall"), inhibit_rules=SHIPPED_INHIBIT_RULES)
        self.dispatcher = Dispatcher(
            database, self.said, policy, host_of=lambda _instance: self.host, clock=lambda: self.now
        )

    async def hear(self, *alerts: Alert, after: float = 0.0) -> None:
        """Accept alerts, and look again once they have settled."""
        self.now += timedelta(seconds=after)
        await self.dispatcher.accept(alerts, self.now)
        self.now += timedelta(seconds=1)
        await self.dispatcher.accept(alerts, self.now)


def alert(name: str, /, **labels: str) -> Alert:
    """A firing critical alert of target h1:1."""
    full = Labels({"alertname": name, "instance": "h1:1", "severity": "critical", **labels})
    return Alert(labels=full, active_at=NOW)


async def test_a_host_that_gets_its_name_later_ends_what_began_before():
    """DockerDown is told before Docker ever said the host's name; its end still reaches its incident."""
    database = await Database.open(":memory:")
    desk = Desk(database)
    down = alert("DockerDown")
    await desk.hear(down)
    desk.host = "host-1"
    await desk.hear(replace(down, ended_at=desk.now, ending=Ending.RECOVERED), after=60)
    assert [i.phase for i in desk.dispatcher.incidents.values()] == [Phase.OVER]
    await desk.hear(down, after=3600)
    assert {i.group_labels["host"] for i in desk.dispatcher.incidents.values() if i.phase is Phase.OPEN} == {
        "host-1"
    }
    await database.close()


async def test_the_host_is_remembered_over_a_restart():
    """Another process ends, under the new name, what this one began under the old."""
    database = await Database.open(":memory:")
    desk = Desk(database)
    down = alert("DockerDown")
    await desk.hear(down)
    later = Desk(database)
    later.host, later.now = "host-1", desk.now
    await later.dispatcher.restore()
    await later.hear(replace(down, ended_at=later.now, ending=Ending.RECOVERED))
    assert [i.phase for i in later.dispatcher.incidents.values()] == [Phase.OVER]
    await database.close()


async def test_a_crash_loop_that_gave_up_does_not_hide_that_it_is_down():
    """What is merely undecided explains nothing; what cannot be seen still does."""
    database = await Database.open(":memory:")
    desk = Desk(database)
    loop, down = alert("ContainerCrashLoop", name="web"), alert("ContainerDown", name="web", reason="error")
    await desk.hear(loop)
    undecided = replace(loop, ended_at=desk.now, ending=Ending.LOST_SIGHT, detail="not running")
    await desk.hear(undecided, down, after=5)
    hidden = desk.said.announcements[-1].hidden
    assert hidden == frozenset()
    silent = replace(loop, ended_at=desk.now, ending=Ending.LOST_SIGHT, detail="silent")
    await desk.hear(silent, down, after=5)
    assert len(desk.said.announcements[-1].hidden) == 1
    await database.close()
