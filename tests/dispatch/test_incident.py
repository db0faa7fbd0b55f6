"""The life of an incident, as scripts of what happens and what people get of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alerting.dispatch.incident import Timing
from tests.dispatch.play import TIMING, Play

HOUR = 3600


def row(name, script, heard, *, until=None, timing=TIMING):
    """A row of the table."""
    return pytest.param(
        script, [line.strip() for line in heard.split(";") if line.strip()], until, timing, id=name
    )


SLOW = Timing(
    group_wait=timedelta(seconds=30), group_interval=timedelta(minutes=5), repeat_interval=timedelta(hours=4)
)

ROWS = [
    row("a critical alert is told loudly once it has lasted 200 ms, and the group wait",
        "0 down fires", "0.2 send loud down", until=60),
    row("a warning is told loudly", "0 replica fires", "0.2 send loud replica", until=60),
    row("info is told without a sound", "0 note fires", "0.2 send quietly note", until=60),
    row("severity none is never told", "0 watchdog fires", "", until=HOUR),
    row("a flash shorter than 200 ms says nothing", "0 down fires; 0.15 down removed", "", until=HOUR),
    row("a flash that recovered says nothing either", "0 down fires; 0.19 down recovered", "", until=HOUR),
    row("an end of something that never fired says nothing", "0 down recovered", "", until=HOUR),
    row("a configured group wait is obeyed", "0 down fires", "30 send loud down", until=60, timing=SLOW),
    row("what is over before the group wait is over says nothing", "0 down fires; 29 down recovered", "", until=HOUR, timing=SLOW),
    row("what joins within the group wait is told with it", "0 down fires; 20 slow fires", "30 send loud down slow", until=60, timing=SLOW),
    row("the group wait does not start again with each alert", "0 note fires; 29 replica fires", "30 send loud note replica", until=60, timing=SLOW),

    row("a critical incident ends with an edit and a reply",
        "0 down fires; 30 down recovered",
        "0.2 send loud down; 30 edit over recovered; 30 reply over loud", until=HOUR),
    row("a warning ends with an edit only", "0 replica fires; 30 replica recovered",
        "0.2 send loud replica; 30 edit over recovered", until=HOUR),
    row("removed is not good news: a quiet reply",
        "0 down fires; 30 down removed", "0.2 send loud down; 30 edit over removed; 30 reply over quietly", until=HOUR),
    row("one recovered, one removed: it recovered",
        "0 replica fires; 5 slow fires; 20 slow removed; 30 replica recovered",
        "0.2 send loud replica; 5.2 edit replica slow; 20 edit replica; 30 edit over recovered", until=HOUR),
    row("the end of what was told within the group interval is not heard",
        "0 down fires; 3 down recovered", "0.2 send loud down; 3 edit over recovered; 3 reply over quietly", until=HOUR),

    row("a second alert edits the message", "0 down fires; 20 slow fires",
        "0.2 send loud down; 20.2 edit down slow", until=60),
    row("a second alert that flashes is not even edited in", "0 down fires; 20 slow fires; 20.1 slow removed",
        "0.2 send loud down", until=60),
    row("one of two over: an edit, the incident goes on", "0 down fires; 20 slow fires; 40 slow recovered",
        "0.2 send loud down; 20.2 edit down slow; 40 edit down", until=60),
    row("warning becomes critical: one loud reply", "0 replica fires; 20 down fires",
        "0.2 send loud replica; 20.2 edit replica down; 20.2 reply worse loud", until=600),
    row("info becomes a warning: heard at once, nothing was heard before", "0 note fires; 1 replica fires",
        "0.2 send quietly note; 1.2 edit note replica; 1.2 reply worse loud", until=600),
    row("getting worse waits for the group interval, the edit does not", "0 replica fires; 1 down fires",
        "0.2 send loud replica; 1.2 edit replica down; 5.2 reply worse loud", until=600),
    row("worse for less than the group interval is not heard", "0 replica fires; 1 down fires; 4 down recovered",
        "0.2 send loud replica; 1.2 edit replica down; 4 edit replica", until=600),
    row("critical becomes warning: an edit", "0 down fires; 20 down recovered + replica fires",
        "0.2 send loud down; 20.2 edit replica", until=600),
    row("worse, better, worse again: heard once, people know it as critical",
        "0 replica fires; 20 down fires; 40 down recovered; 60 down fires",
        "0.2 send loud replica; 20.2 edit replica down; 20.2 reply worse loud; 40 edit replica; 60.2 edit replica down", until=600),
    row("two alerts of one evaluation are one message", "0 down fires + slow fires", "0.2 send loud down slow", until=60),

    row("an event alone is told, and over when it is",
        "0 oom fires; 600 oom recovered", "0.2 send loud oom; 600 edit over recovered", until=2 * HOUR),
    row("an event never holds an incident open",
        "0 down fires + oom fires; 30 down recovered; 600 oom recovered",
        "0.2 send loud down oom; 30 edit over recovered; 30 reply over loud", until=2 * HOUR),
    row("an event that outlives its incident is not told a second time",
        "0 down fires + oom fires; 30 down recovered; 3000 oom fires",
        "0.2 send loud down oom; 30 edit over recovered; 30 reply over loud", until=2 * HOUR),
    row("the restart that ends an incident does not open it again",
        "0 down fires; 30 down recovered + restart fires; 35 restart fires; 600 restart recovered",
        "0.2 send loud down; 30 edit over recovered; 30 reply over loud", until=2 * HOUR),
    row("a second event within 10 min of the end of the first re-opens",
        "0 oom fires; 600 oom recovered; 700 oom fires",
        "0.2 send loud oom; 600 edit over recovered; 700.2 edit oom; 700.2 reply again 2 loud", until=1000),

    row("again within 10 min: the same message, a loud reply, a count",
        "0 down fires; 30 down recovered; 90 down fires; 120 down recovered; 130 down fires",
        "0.2 send loud down; 30 edit over recovered; 30 reply over loud;"
        "90.2 edit down; 90.2 reply again 2 loud; 120 edit over recovered; 120 reply over loud;"
        "130.2 edit down; 250.2 reply again 3 loud", until=600),
    row("an app that crashes every four minutes is heard ever more rarely, and its message counts",
        "0 crash fires; 60 crash recovered; 240 crash fires; 300 crash recovered; 480 crash fires; 540 crash recovered;"
        "720 crash fires; 780 crash recovered; 960 crash fires; 1020 crash recovered; 1560 crash fires; 1620 crash recovered",
        "0.2 send loud crash; 60 edit over recovered; 60 reply over loud;"
        "240.2 edit crash; 240.2 reply again 2 loud; 300 edit over recovered; 300 reply over loud;"
        "480.2 edit crash; 540 edit over recovered;"
        "720.2 edit crash; 780 edit over recovered;"
        "960.2 edit crash; 1020 edit over recovered;"
        "1560.2 edit crash; 1620 edit over recovered", until=1700),
    row("unless one time lasts",
        "0 crash fires; 60 crash recovered; 240 crash fires; 300 crash recovered; 480 crash fires",
        "0.2 send loud crash; 60 edit over recovered; 60 reply over loud;"
        "240.2 edit crash; 240.2 reply again 2 loud; 300 edit over recovered; 300 reply over loud;"
        "480.2 edit crash; 600.2 reply again 3 loud", until=700),
    row("or is worse than any that was heard",
        "0 replica fires; 60 replica recovered; 240 replica fires; 300 replica recovered; 480 replica fires; 490 down fires",
        "0.2 send loud replica; 60 edit over recovered;"
        "240.2 edit replica; 240.2 reply again 2 loud; 300 edit over recovered;"
        "480.2 edit replica; 490.2 edit replica down; 490.2 reply again 3 loud", until=600),
    row("again and quiet: info", "0 note fires; 30 note recovered; 90 note fires",
        "0.2 send quietly note; 30 edit over recovered; 90.2 edit note", until=600),
    row("again within the group interval: edited at once, heard when that is over",
        "0 replica fires; 1 replica recovered; 2 replica fires",
        "0.2 send loud replica; 1 edit over recovered; 2.2 edit replica; 5.2 reply again 2 loud", until=600),
    row("again and over within the group interval is not heard",
        "0 replica fires; 1 replica recovered; 2 replica fires; 3 replica recovered",
        "0.2 send loud replica; 1 edit over recovered; 2.2 edit replica; 3 edit over recovered", until=HOUR),
    row("a flash after the end says nothing", "0 down fires; 30 down recovered; 90 down fires; 90.1 down removed",
        "0.2 send loud down; 30 edit over recovered; 30 reply over loud", until=HOUR),
    row("another fault of the same thing within 10 min re-opens too",
        "0 down fires; 30 down recovered; 90 slow fires",
        "0.2 send loud down; 30 edit over recovered; 30 reply over loud; 90.2 edit slow; 90.2 reply again 2 loud", until=600),
    row("later than 10 min it is a new incident",
        "0 down fires; 30 down recovered; 640 down fires",
        "0.2 send loud down; 30 edit over recovered; 30 reply over loud; 640.2 send loud down", until=HOUR),
    row("one is over in the evaluation that brings the next: the incident goes on",
        "0 replica fires; 30 replica recovered + slow fires",
        "0.2 send loud replica; 30.2 edit slow", until=600),
    row("the next is a flash: over when it is gone",
        "0 replica fires; 30 replica recovered + slow fires; 30.1 slow removed",
        "0.2 send loud replica; 30.1 edit over recovered", until=600),

    row("lost sight is not over", "0 down fires; 30 down lost", "0.2 send loud down; 30 edit lost down", until=2 * HOUR),
    row("back in sight, unchanged: an edit, no second page",
        "0 down fires; 30 down lost; 90 down fires", "0.2 send loud down; 30 edit lost down; 90 edit down", until=HOUR),
    row("lost, then known to be over",
        "0 down fires; 30 down lost; 90 down recovered",
        "0.2 send loud down; 30 edit lost down; 90 edit over recovered; 90 reply over loud", until=HOUR),
    row("lost, then removed", "0 replica fires; 30 replica lost; 90 replica removed",
        "0.2 send loud replica; 30 edit lost replica; 90 edit over removed", until=HOUR),
    row("one lost, one over: still open", "0 down fires + slow fires; 30 down lost; 40 slow recovered",
        "0.2 send loud down slow; 30 edit slow; 40 edit lost down", until=2 * HOUR),
    row("nobody is reminded of what cannot be seen", "0 down fires; 30 down lost",
        "0.2 send loud down; 30 edit lost down", until=24 * HOUR),
    row("lost before it was told: told when it is seen again",
        "0 down fires; 0.1 down lost; 60 down fires", "60 send loud down", until=120),

    row("what was broken when we came is silent", "0 down arrives", "", until=24 * HOUR),
    row("its recovery is silent too", "0 down arrives; 60 down recovered", "", until=24 * HOUR),
    row("it stays silent however often it is evaluated", "0 down arrives; 5 down fires; 10 down fires", "", until=24 * HOUR),
    row("it broke again after a recovery: that is news",
        "0 down arrives; 60 down recovered; 90 down fires", "90.2 send loud down", until=120),
    row("another alert of the same service is told without it",
        "0 down arrives; 60 slow fires; 90 slow recovered",
        "60.2 send loud slow; 90 edit over recovered", until=120),
    row("what arrived broken is silent after an incident of its service as well",
        "0 down arrives; 60 slow fires; 90 slow recovered; 5000 down fires",
        "60.2 send loud slow; 90 edit over recovered", until=2 * HOUR),

    row("hidden: not told", "0 slow hidden + slow fires", "", until=24 * HOUR),
    row("hidden, then over: never told", "0 slow hidden + slow fires; 60 slow recovered", "", until=HOUR),
    row("no longer hidden: told then", "0 slow hidden + slow fires; 60 slow shown", "60 send loud slow", until=120),
    row("hidden after it was told: the message stays, and ends",
        "0 slow fires; 60 slow hidden; 90 slow recovered", "0.2 send loud slow; 90 edit over recovered", until=HOUR),
    row("a hidden alert does not hold an incident open",
        "0 crash fires; 10 down hidden + down fires; 30 crash recovered; 31 down recovered",
        "0.2 send loud crash; 30 edit over recovered; 30 reply over loud", until=HOUR),
    row("no longer hidden within 10 min of the end: heard then",
        "0 crash fires; 10 down hidden + down fires; 30 crash recovered; 60 down shown",
        "0.2 send loud crash; 30 edit over recovered; 30 reply over loud; 60 edit down; 60 reply again 2 loud", until=120),
    row("no longer hidden after that: a new incident",
        "0 crash fires; 10 down hidden + down fires; 30 crash recovered; 700 down shown",
        "0.2 send loud crash; 30 edit over recovered; 30 reply over loud; 700 send loud down", until=760),

    row("a reminder after each repeat interval",
        "0 down fires", "0.2 send loud down; 14400.2 reply reminder loud; 28800.2 reply reminder loud", until=9 * HOUR),
    row("the repeat interval counts from the last sound",
        "0 replica fires; 3600 down fires",
        "0.2 send loud replica; 3600.2 edit replica down; 3600.2 reply worse loud; 18000.2 reply reminder loud", until=6 * HOUR),
    row("info is not repeated", "0 note fires", "0.2 send quietly note", until=24 * HOUR),
]  # fmt: skip


@pytest.mark.parametrize(("script", "heard", "until", "timing"), ROWS)
def test_what_people_get(script, heard, until, timing):
    """The transcript is the row's, to the word and the moment."""
    assert Play(timing).run(script, until=until) == heard


def test_a_new_incident_is_another_incident():
    """After the 10 minutes the old one is forgotten, and nothing of it is in the new one."""
    play = Play()
    play.run("0 down fires; 30 down recovered; 640 down fires", until=700)
    assert (play.born, play.incident.times, play.incident.calls) == (2, 1, 0)
    assert [entry.what for entry in play.incident.history] == ["told"]


def test_nothing_is_kept_of_an_incident_that_is_closed():
    """Ten minutes after its end there is nothing left to look at."""
    play = Play()
    play.run("0 down fires; 30 down recovered", until=700)
    assert play.incident is None


@pytest.mark.parametrize(
    ("acknowledged", "told_for", "loud"),
    [
        pytest.param(False, 30, True, id="nobody took it: people must hear that it is over"),
        pytest.param(True, 30, False, id="somebody works on it and it was short: quietly"),
        pytest.param(True, 301, True, id="somebody works on it for more than 5 min: heard"),
    ],
)
def test_how_loud_the_end_of_a_critical_incident_is(acknowledged, told_for, loud):
    """It depends on who knows of it, and for how long."""
    play = Play()
    play.run("0 down fires", until=1)
    play.incident = _acknowledge(play.incident, acknowledged)
    play.act(0.2 + told_for, "down recovered")
    assert play.heard[-1].endswith(f"reply over {'loud' if loud else 'quietly'}")


def _acknowledge(incident, acknowledged):
    from dataclasses import replace

    return replace(incident, acknowledged=acknowledged)
