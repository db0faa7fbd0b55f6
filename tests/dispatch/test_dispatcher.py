"""The dispatcher: alerts in, announcements and rows of the state file out, all or nothing."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from alerting.alerts import Ending
from alerting.dispatch.dispatcher import Dispatcher, Policy
from alerting.dispatch.incident import Call, Phase
from alerting.dispatch.inhibit import InhibitRule
from alerting.dispatch.matchers import parse_matchers
from alerting.dispatch.route import Route
from alerting.labels import Labels
from alerting.state import Database
from tests.dispatch.play import START, an_alert, at

ROUTE = Route(
    receiver="phone",
    group_by=("host", "service"),
    routes=(
        Route(receiver="mail", matchers=tuple(parse_matchers("team=mail")), group_by=("host",), path="{}/mail", continue_=True),
        Route(receiver="phone", matchers=tuple(parse_matchers("team=mail")), group_by=("host", "service"), path="{}/both"),
    ),
)  # fmt: skip
INHIBIT = InhibitRule(source=tuple(parse_matchers("alertname=crash")), target=tuple(parse_matchers("alertname=down")), equal=("host",))  # fmt: skip


class Audience:
    """Takes announcements, or lets the disk be full."""

    def __init__(self):
        self.said = []
        self.arrivals = []
        self.full = False
        self._heard = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def hears(self):
        """Wait until something is said."""
        async with asyncio.timeout(5):
            await self._heard.wait()

    def announce(self, connection, announcement):
        """Take an incident's step."""
        if announcement.incident.group_labels.get("service") == "poison":
            raise ValueError("cannot be put into words")
        if self.full:
            connection.execute("PRAGMA max_page_count = 1")
            connection.execute("INSERT INTO targets VALUES ('big', zeroblob(10000000), 0)")
        connection.execute("PRAGMA max_page_count = 1000000")
        self.said.append(announcement)
        self._loop.call_soon_threadsafe(self._heard.set)

    def arrive(self, _, arrival):
        """Take the message about what was broken before."""
        self.arrivals.append(arrival)


class World:
    """A dispatcher, its audience and a clock that is set by hand."""

    def __init__(self, database, policy):
        self.audience = Audience()
        self.seconds = 0.0
        self.database = database
        self.dispatcher = Dispatcher(
            database,
            self.audience,
            policy,
            host_of=lambda instance: f"host-of-{instance}",
            clock=lambda: at(self.seconds),
        )

    async def accept(self, seconds, *alerts, **more):
        """Let an evaluation end at a moment."""
        self.seconds = seconds
        return await self.dispatcher.accept(alerts, at(seconds), **more)

    def spoken(self):
        """Return what was said: (receiver, phase, calls), nothing twice in a row per incident."""
        return [
            (a.incident.receiver, a.incident.phase, tuple(call for call, _ in a.step.calls))
            for a in self.audience.said
        ]

    async def rows(self):
        """Return the identities of the incidents in the state file."""
        found = await self.database.read(lambda c: c.execute("SELECT id FROM incidents").fetchall())
        return sorted(row[0] for row in found)


@asynccontextmanager
async def world(path=":memory:", route=ROUTE, rules=(INHIBIT,)):
    """A world on a state file."""
    database = await Database.open(path)
    try:
        yield World(database, Policy(route=route, inhibit_rules=rules))
    finally:
        await database.close()


def down(seconds=0.0, **more):
    """Return a critical alert of a target."""
    return an_alert("down", seconds, instance="i", **more)


async def test_an_alert_becomes_an_incident_of_its_group():
    """Group labels, receiver and route; told once it has lasted."""
    async with world() as w:
        await w.accept(0, down())
        assert w.spoken() == []
        await w.accept(0.2, down())
        (said,) = w.audience.said
        assert said.incident.group_labels == Labels({"host": "h", "service": "web"})
        assert (said.incident.receiver, said.step.loud, w.dispatcher.open_count()) == ("phone", True, 1)
        assert await w.rows() == [said.incident.id]


async def test_time_alone_tells_it():
    """Nothing more has to happen: the loop looks when the group wait is over."""
    async with world() as w:
        looping = asyncio.create_task(w.dispatcher.run())
        await w.accept(0, down())
        w.seconds = 0.2
        await w.audience.hears()
        looping.cancel()
        await asyncio.gather(looping, return_exceptions=True)
        assert w.spoken() == [("phone", Phase.OPEN, ())]


async def test_a_label_of_the_target_is_completed():
    """An alert without a host gets its target's."""
    async with world() as w:
        labels = down().labels.drop(["host"])
        await w.accept(0, replace(down(), labels=labels))
        assert [a.labels["host"] for a in w.dispatcher.active()] == ["host-of-i"]


async def test_an_alert_of_no_target_has_no_host():
    """vector(1) runs nowhere."""
    async with world() as w:
        await w.accept(0, replace(down(), labels=down().labels.drop(["host", "instance"])))
        assert ["host" in a.labels for a in w.dispatcher.active()] == [False]


async def test_two_routes_two_incidents():
    """A route with continue: each receiver has an incident of its own, grouped its own way."""
    async with world() as w:
        mail = down(team="mail")
        await w.accept(0, mail)
        await w.accept(0.2, mail)
        assert {(a.incident.receiver, a.incident.group_labels) for a in w.audience.said} == {
            ("mail", mail.labels.keep(["host"])),
            ("phone", mail.labels.keep(["host", "service"])),
        }


async def test_an_end_nobody_knows_the_beginning_of_is_nothing():
    """A resolved alert opens no incident."""
    async with world() as w:
        await w.accept(0, down(ending=Ending.RECOVERED))
        assert not w.dispatcher.incidents


async def test_a_hidden_alert_waits_for_its_source_to_end():
    """Inhibition reaches over incidents; the audience hears which members are hidden."""
    async with world() as w:
        crash = an_alert("crash", service="other", instance="i")
        await w.accept(0, down(), crash)
        await w.accept(1, down(), crash)
        assert [a.incident.group_labels["service"] for a in w.audience.said] == ["other"]
        await w.accept(60, down(), replace(crash, ending=Ending.RECOVERED))
        assert {a.incident.group_labels["service"] for a in w.audience.said} == {"web", "other"}


async def test_members_hidden_by_another_are_named():
    """In one incident the message leaves them out."""
    async with world() as w:
        await w.accept(0, down())
        await w.accept(1, down())
        await w.accept(2, down(), an_alert("crash", 2, instance="i"))
        await w.accept(3, down(), an_alert("crash", 2, instance="i"))
        (hidden,) = w.audience.said[-1].hidden
        assert w.audience.said[-1].incident.members[hidden].alert.name == "down"


async def test_the_time_of_the_event_travels_with_the_announcement():
    """For the latency people see."""
    async with world() as w:
        await w.accept(0, down())
        await w.accept(0.3, down(), event_at=START)
        assert [a.event_at for a in w.audience.said] == [START]


async def test_what_was_broken_when_a_target_was_first_seen_is_one_arrival():
    """All of a target in one message; severity none is left out; nothing else is said."""
    async with world() as w:
        old = [down(service=str(n)) for n in range(20)]
        await w.accept(0, *old, an_alert("watchdog", instance="i"), new_targets=frozenset({"i"}))
        await w.accept(60, *old)
        (arrival,) = w.audience.arrivals
        assert (arrival.receiver, arrival.instance, len(arrival.alerts)) == ("phone", "i", 20)
        assert w.audience.said == []


async def test_two_new_targets_are_two_arrivals():
    """Each host has its own."""
    async with world() as w:
        await w.accept(0, down(), an_alert("down", instance="j"), new_targets=frozenset({"i", "j"}))
        assert sorted(arrival.instance for arrival in w.audience.arrivals) == ["i", "j"]


async def test_a_restart_goes_on_where_it_was(tmp_path):
    """Incidents come back from the file; what was told is not told again, what ends is edited."""
    path = tmp_path / "state.db"
    async with world(path) as w:
        await w.accept(0, down())
        await w.accept(1, down())
        first = w.audience.said[0].incident.id
    async with world(path) as w:
        w.seconds = 60
        await w.dispatcher.restore()
        await w.accept(61, down())
        assert [(a.incident.id, a.step.loud, a.step.calls) for a in w.audience.said] == [(first, False, ())]
        await w.accept(62, replace(down(), ending=Ending.RECOVERED))
        assert w.audience.said[-1].incident.id == first
        assert w.audience.said[-1].incident.phase is Phase.OVER


async def test_a_restart_finishes_what_it_had_not_told(tmp_path):
    """Killed within the group wait: told after the start, without a new evaluation."""
    path = tmp_path / "state.db"
    async with world(path) as w:
        await w.accept(0, down())
    async with world(path) as w:
        w.seconds = 5
        await w.dispatcher.restore()
        looping = asyncio.create_task(w.dispatcher.run())
        await w.audience.hears()
        looping.cancel()
        await asyncio.gather(looping, return_exceptions=True)
        assert [a.step.loud for a in w.audience.said] == [True]


async def test_an_incident_of_a_route_that_is_gone_is_dropped(tmp_path):
    """Nobody would know whom to tell."""
    path = tmp_path / "state.db"
    async with world(path) as w:
        await w.accept(0, down(team="mail"))
    async with world(path, route=replace(ROUTE, routes=())) as w:
        await w.dispatcher.restore()
        assert w.dispatcher.incidents == {}


async def test_a_closed_incident_leaves_the_file():
    """Ten minutes after its end; the next one has another number."""
    async with world() as w:
        await w.accept(0, down())
        await w.accept(1, down())
        (first,) = await w.rows()
        await w.accept(60, replace(down(), ending=Ending.RECOVERED))
        await w.accept(700)
        assert (await w.rows(), w.dispatcher.incidents) == ([], {})
        await w.accept(800, down(800))
        assert await w.rows() != [first]


async def test_what_is_left_of_a_closed_incident_is_told_by_a_message_of_its_own():
    """A hidden alert that outlives it: another number, so that the announcer sends instead of editing the old message."""
    async with world() as w:
        crash = an_alert("crash", instance="i")
        await w.accept(0, crash)
        await w.accept(1, crash)
        (first,) = await w.rows()
        hiding = an_alert("crash", 20, service="other", instance="i")
        await w.accept(20, crash, hiding, down(20))
        await w.accept(30, replace(crash, ending=Ending.RECOVERED), hiding, down(20))
        await w.accept(700, hiding, down(20))
        assert first not in await w.rows()
        await w.accept(760, replace(hiding, ending=Ending.RECOVERED), down(20))
        told = [a for a in w.audience.said if a.at == at(760) and a.incident.group_labels["service"] == "web"]
        assert [(a.incident.id != first, a.step.loud) for a in told] == [(True, True)]


async def test_what_cannot_be_written_is_not_said_and_is_said_when_it_can():
    """A full disk: the sound of a first telling is not lost with the write, and neither is the arrival."""
    async with world() as w:
        w.audience.full = True
        await w.accept(0, down())
        assert (
            await w.accept(
                1, down(), an_alert("down", instance="j", service="old"), new_targets=frozenset({"j"})
            )
            is False
        )
        assert (w.audience.said, w.audience.arrivals) == ([], [])
        w.audience.full = False
        assert await w.accept(6, down()) is True
        assert [a.step.loud for a in w.audience.said] == [True]
        assert [a.instance for a in w.audience.arrivals] == ["j"]


async def test_what_cannot_be_written_is_tried_again_by_itself():
    """No evaluation has to come."""
    async with world() as w:
        await w.accept(0, down())
        w.audience.full = True
        await w.accept(1, down())
        w.audience.full = False
        looping = asyncio.create_task(w.dispatcher.run())
        w.seconds = 3
        await w.audience.hears()
        looping.cancel()
        await asyncio.gather(looping, return_exceptions=True)
        assert [a.step.loud for a in w.audience.said] == [True]


async def test_other_rows_of_the_evaluation_share_its_fate():
    """Rule states are written in the same transaction, or not at all."""
    async with world() as w:
        written = []

        def also(connection):
            connection.execute("INSERT OR REPLACE INTO targets VALUES ('t', 'h', 0)")
            written.append(1)

        await w.accept(0, down())
        w.audience.full = True
        await w.accept(1, down(), also=also)
        count = "SELECT count(*) FROM targets"
        assert written
        assert (await w.database.read(lambda c: c.execute(count).fetchone()))[0] == 0


async def test_one_message_that_cannot_be_made_holds_back_no_other(caplog):
    """It is logged with its incident; everything else is told."""
    async with world() as w:
        both = down(service="poison"), down()
        await w.accept(0, *both)
        assert await w.accept(1, *both) is True
        assert [a.incident.group_labels["service"] for a in w.audience.said] == ["web"]
        (record,) = caplog.records
        assert (record.getMessage(), record.facts["incident"] in await w.rows()) == ("message not made", True)


@pytest.mark.parametrize("interval", [timedelta(hours=1), timedelta(hours=4)])
async def test_reminders_follow_the_route(interval):
    """Each route has its own repeat interval."""
    async with world(route=replace(ROUTE, repeat_interval=interval)) as w:
        await w.accept(0, down())
        await w.accept(1, down())
        await w.accept(1 + interval.total_seconds(), down())
        assert w.spoken()[-1] == ("phone", Phase.OPEN, (Call.REMINDER,))
        assert isinstance(w.audience.said[-1].at, datetime)
