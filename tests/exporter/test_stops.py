"""Why a container stopped, and what the counters make of it.

The sequences without a remark were recorded on Docker 26.1 (docs/docker-semantics.md); times are seconds.
"""

import pytest

from exporter.docker.containers import Status
from tests.exporter.stories import EPOCH, ID, Story, facts, policy

REQUESTED = {"requested": 1}


# id, the container, the events, what is published afterwards
STOPS = [
    ("docker stop, SIGTERM ignored", {}, "1.0 kill 15\n2.05 kill 9\n2.196 stop\n2.204 die 137", ("exited", "requested", 137, REQUESTED, 0)),
    ("docker stop, exits 3 on SIGTERM", {}, "1.0 kill 15\n1.176 stop\n1.181 die 3", ("exited", "requested", 3, REQUESTED, 0)),
    ("docker stop, exits 0 on SIGTERM", {}, "1.0 kill 15\n1.176 stop\n1.181 die 0", ("exited", "requested", 0, REQUESTED, 0)),
    ("docker stop, restart always", {"policy": policy("always")}, "1 kill 15\n1.2 stop\n1.21 die 3", ("exited", "requested", 3, REQUESTED, 0)),
    ("die before stop, as older daemons tell it", {}, "1.0 kill 15\n2.0 kill 9\n2.1 die 137\n2.103 stop", ("exited", "requested", 137, REQUESTED, 0)),
    ("docker restart is no restart of ours", {}, "1 kill 15\n1.15 stop\n1.152 die 3\n1.45 start\n1.46 restart", ("running", "requested", 3, REQUESTED, 0)),
    ("docker stop -t 60, die before stop", {}, "1 kill 15\n61 kill 9\n61.1 die 137\n61.15 stop", ("exited", "requested", 137, REQUESTED, 0)),
    ("docker stop -t 60, exits 1 after 50 s, die before stop", {}, "1 kill 15\n51 die 1\n51.05 stop", ("exited", "requested", 1, REQUESTED, 0)),
    ("docker stop -t 60, stop before die", {}, "1 kill 15\n61 kill 9\n61.1 stop\n61.15 die 137", ("exited", "requested", 137, REQUESTED, 0)),
    ("stop signal SIGQUIT by name", {"stop_signal": "SIGQUIT"}, "1 kill 3\n1.2 die 131", ("exited", "requested", 131, REQUESTED, 0)),
    ("stop signal by number", {"stop_signal": "3"}, "1 kill 3\n1.2 die 131", ("exited", "requested", 131, REQUESTED, 0)),
    ("stop signal SIGKILL", {"stop_signal": "KILL"}, "1 kill 9\n1.2 die 137", ("exited", "requested", 137, REQUESTED, 0)),
    ("stop signal SIGQUIT, killed by SIGTERM", {"stop_signal": "SIGQUIT"}, "1 kill 15\n1.2 die 143", ("exited", "killed", 143, {"killed": 1}, 0)),
    ("stop timeout 30 reaches further back", {"stop_timeout": 30.0}, "1 kill 15\n35 die 137", ("exited", "requested", 137, REQUESTED, 0)),
    ("stop timeout 30, but later than that", {"stop_timeout": 30.0}, "1 kill 15\n37 die 137", ("exited", "killed", 137, {"killed": 1}, 0)),
    ("stop timeout without end", {"stop_timeout": -1.0}, "1 kill 15\n900 die 1", ("exited", "requested", 1, REQUESTED, 0)),
    ("a stop signal from before the last start says nothing", {}, "1 kill 15\n1.2 die 0\n2 start\n3 die 1", ("exited", "error", 1, {"requested": 1, "error": 1}, 0)),
    ("a crash long after an ignored SIGTERM", {}, "1 kill 15\n100 die 1", ("exited", "error", 1, {"error": 1}, 0)),
    ("docker kill", {}, "1 kill 9\n1.09 die 137", ("exited", "killed", 137, {"killed": 1}, 0)),
    ("docker kill, restart always: stays down", {"policy": policy("always")}, "1 kill 9\n1.09 die 137", ("exited", "killed", 137, {"killed": 1}, 0)),
    ("docker kill -s TERM is a request", {"policy": policy("always")}, "1 kill 15\n1.17 die 3", ("exited", "requested", 3, REQUESTED, 0)),
    ("killed from the host", {}, "1 die 137", ("exited", "killed", 137, {"killed": 1}, 0)),
    ("SIGTERM from the host", {}, "1 die 143", ("exited", "killed", 143, {"killed": 1}, 0)),
    ("segmentation fault", {}, "1 die 139", ("exited", "killed", 139, {"killed": 1}, 0)),
    ("killed from the host, restart always", {"policy": policy("always")}, "1 die 137\n1.3 start", ("running", "killed", 137, {"killed": 1}, 1)),
    ("exit 255 is no signal", {}, "1 die 255", ("exited", "error", 255, {"error": 1}, 0)),
    ("exit 0", {}, "1 die 0", ("exited", "completed", 0, {"completed": 1}, 0)),
    ("exit 0, restart always", {"policy": policy("always")}, "1 die 0\n1.4 start", ("running", "completed", 0, {"completed": 1}, 1)),
    ("exit 7", {}, "1 die 7", ("exited", "error", 7, {"error": 1}, 0)),
    ("exit 7, restart always: restarting at once", {"policy": policy("always")}, "1 die 7", ("restarting", "error", 7, {"error": 1}, 0)),
    ("exit 7, restart unless-stopped", {"policy": policy("unless-stopped")}, "1 die 7", ("restarting", "error", 7, {"error": 1}, 0)),
    ("exit 0, restart on-failure: stays down", {"policy": policy("on-failure")}, "1 die 0", ("exited", "completed", 0, {"completed": 1}, 0)),
    ("exit 7, started by hand: still a restart", {}, "1 die 7\n60 start", ("running", "error", 7, {"error": 1}, 1)),
    ("oom", {}, "1 oom\n1.16 die 137", ("exited", "oom", 137, {"oom": 1}, 0)),
    ("oom, restart always", {"policy": policy("always")}, "1 oom\n1.1 die 137\n1.4 start", ("running", "oom", 137, {"oom": 1}, 1)),
    ("oom told just after die", {}, "1 die 137\n1.05 oom", ("exited", "oom", 137, {"oom": 1}, 0)),
    ("a child's oom, the main process gives up later", {}, "1 oom\n9 die 1", ("exited", "oom", 1, {"oom": 1}, 0)),
    ("a child's oom long ago", {}, "1 oom\n30 die 1", ("exited", "error", 1, {"error": 1}, 0)),
    ("a child's oom, the main process completes", {}, "1 oom\n5 die 0", ("exited", "completed", 0, {"completed": 1}, 0)),
    ("oom while being stopped was requested", {}, "1 kill 15\n1.5 oom\n1.6 stop\n1.7 die 137", ("exited", "requested", 137, REQUESTED, 0)),
    ("crash loop, stopped between two attempts", {"policy": policy("always")}, "1 die 7\n2 start\n2.2 die 7\n3.1 stop", ("exited", "requested", 7, {"error": 2}, 1)),
    ("on-failure:2 tries twice", {"policy": policy("on-failure:2")}, "1 die 7\n2 start\n3 die 7", ("restarting", "error", 7, {"error": 2}, 1)),
    ("on-failure:2 gives up", {"policy": policy("on-failure:2")}, "1 die 7\n2 start\n3 die 7\n4 start\n5 die 7", ("exited", "error", 7, {"error": 3}, 2)),
    (
        "on-failure:1, started by hand after it gave up, has its attempt again",
        {"policy": policy("on-failure:1")},
        "1 die 7\n1.3 start\n1.7 die 7\n3 start\n3.4 die 7",
        ("restarting", "error", 7, {"error": 3}, 2),
    ),
    ("SIGHUP without a configured stop signal cancels the policy", {"policy": policy("always")}, "1 kill 1\n1.16 die 4", ("exited", "error", 4, {"error": 1}, 0)),
    ("the same, crashing much later", {"policy": policy("always")}, "1 kill 1\n900 die 5", ("exited", "error", 5, {"error": 1}, 0)),
    (
        "SIGHUP with a configured stop signal does not",
        {"policy": policy("always"), "stop_signal": "SIGTERM"},
        "1 kill 1\n1.17 die 4",
        ("restarting", "error", 4, {"error": 1}, 0),
    ),
    (
        "SIGHUP with a configured stop signal, on-failure",
        {"policy": policy("on-failure"), "stop_signal": "SIGTERM"},
        "1 kill 1\n1.17 die 4",
        ("restarting", "error", 4, {"error": 1}, 0),
    ),
    (
        "but unless-stopped takes any docker kill for a stop",
        {"policy": policy("unless-stopped"), "stop_signal": "SIGTERM"},
        "1 kill 1\n1.16 die 4",
        ("exited", "error", 4, {"error": 1}, 0),
    ),
    ("a start forgets the cancelling", {"policy": policy("always")}, "1 kill 1\n2 die 4\n3 start\n4 die 4", ("restarting", "error", 4, {"error": 2}, 1)),
    ("stopped while paused", {}, "1 pause\n1.05 kill 15\n1.06 unpause\n1.2 stop\n1.21 die 3", ("exited", "requested", 3, REQUESTED, 0)),
    ("killed while paused", {}, "1 pause\n1.05 kill 9\n1.16 die 137", ("exited", "killed", 137, {"killed": 1}, 0)),
    ("paused", {}, "1 pause", ("paused", None, None, {}, 0)),
    ("paused and resumed", {}, "1 pause\n2 unpause", ("running", None, None, {}, 0)),
    ("two crashes are two", {"policy": policy("always")}, "1 die 1\n2 start\n3 die 2\n4 start", ("running", "error", 2, {"error": 2}, 2)),
    (
        "an inspect ahead of its die waits for it",
        {"policy": policy("always")},
        "1 kill 15\n1.05 inspect exited code=137 finished=1.04\n1.2 stop\n1.21 die 137",
        ("exited", "requested", 137, REQUESTED, 0),
    ),
    (
        "an inspect ahead of die and start",
        {"policy": policy("always")},
        "1 die 137\n1.01 inspect running started=1.3 finished=1.0 pid=200 restarts=1\n1.3 start",
        ("running", "killed", 137, {"killed": 1}, 1),
    ),
    (
        "an inspect at the start event shows the next crash already",
        {"policy": policy("always")},
        "1 die 7\n1.3 start\n1.31 inspect restarting code=7 started=1.3 finished=1.42 restarts=2\n1.43 die 7",
        ("restarting", "error", 7, {"error": 2}, 1),
    ),
    (
        "an inspect corrects what was expected of the policy",
        {"policy": policy("always")},
        "1 die 7\n1.1 inspect exited code=7 finished=0.99",
        ("exited", "error", 7, {"error": 1}, 0),
    ),
    ("the inspect's FinishedAt is a little off the die", {}, "1 die 7\n1.1 inspect exited code=7 finished=2.1", ("exited", "error", 7, {"error": 1}, 0)),
    ("the die comes long after FinishedAt", {}, "1 inspect exited code=7 finished=0.9\n4.5 die 7\n4.6 inspect exited code=7 finished=0.9", ("exited", "error", 7, {"error": 1}, 0)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "events", "expected"), [pytest.param(*row[1:], id=row[0]) for row in STOPS]
)
def test_stops(config, events, expected):
    """The reason, the state and the counters, when all that waits has been settled."""
    story = Story(facts(**config)).play(events).wait(12)
    assert story.summary() == expected


@pytest.mark.parametrize(
    ("config", "events", "expected"), [pytest.param(*row[1:], id=row[0]) for row in STOPS]
)
def test_told_twice(config, events, expected):
    """A reconnect replays events; that changes nothing."""
    only_events = "\n".join(line for line in events.splitlines() if " inspect " not in line)
    story = Story(facts(**config)).play(events).play(only_events).wait(12)
    assert story.summary() == expected


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param(
            "1 die 137",
            ("exited", "killed", 137, {}, 0),
            id="a death by signal is shown at once and not counted",
        ),
        pytest.param("1 die 7", ("exited", "error", 7, {"error": 1}, 0), id="an error is counted at once"),
        pytest.param(
            "1 kill 15\n1.1 die 137",
            ("exited", "requested", 137, REQUESTED, 0),
            id="a requested stop is counted at once",
        ),
        pytest.param(
            "1 die 137\n1.1 stop",
            ("exited", "requested", 137, REQUESTED, 0),
            id="the stop that explains it counts it",
        ),
        pytest.param("1 die 137\n1.1 oom", ("exited", "oom", 137, {"oom": 1}, 0), id="so does the oom"),
        pytest.param(
            "1 die 137\n1.2 start", ("running", "killed", 137, {"killed": 1}, 1), id="so does the next start"
        ),
        pytest.param(
            "1 kill 15\n60 die 1",
            ("exited", "error", 1, {}, 0),
            id="an error after an unanswered stop signal waits",
        ),
        pytest.param(
            "1 kill 9\n1.1 die 137\n9 inspect exited code=137 finished=1.05",
            ("exited", "killed", 137, {}, 0),
            id="a docker kill is shown at once, and counted when it can be no removal any more",
        ),
        pytest.param(
            "1 kill 9\n1.1 die 137\n11.2 inspect exited code=137 finished=1.05",
            ("exited", "killed", 137, {"killed": 1}, 0),
            id="which is ten seconds later",
        ),
        pytest.param(
            "1 kill 9\n1.1 die 137\n3 start",
            ("running", "killed", 137, {"killed": 1}, 1),
            id="or at the next start",
        ),
        pytest.param(
            "1 die 137\n2.5 kill 9",
            ("exited", "killed", 137, {"killed": 1}, 0),
            id="a second later it is settled",
        ),
        pytest.param(
            "1 die 137\n4 stop",
            ("exited", "requested", 137, {"killed": 1}, 0),
            id="a late stop corrects the gauge only",
        ),
        pytest.param(
            "1 die 137\n7 stop",
            ("exited", "killed", 137, {"killed": 1}, 0),
            id="a stop much later explains nothing",
        ),
    ],
)
def test_settling(events, expected):
    """What can still be explained is published at once and counted when it is settled."""
    assert Story(facts()).play(events).summary() == expected


def test_rm_f_is_a_request():
    """Docker rm -f sends SIGKILL, die, destroy: the destroy says that somebody wanted it gone."""
    story = Story(facts()).play("1 kill 9\n1.13 die 137\n1.144 destroy").wait(2)
    assert story.view() is None
    again = story.play("10 create\n10.3 start", container="aa" * 32)
    assert again.summary() == ("running", "requested", 137, REQUESTED, 0)


@pytest.mark.parametrize(
    ("config", "events", "expected"),
    [
        pytest.param({}, "1 kill 9\n1.1 die 137\n2.7 destroy", REQUESTED, id="a slow rm -f"),
        pytest.param({}, "1 kill 9\n1.1 die 137\n11 destroy", REQUESTED, id="a very slow rm -f"),
        pytest.param(
            {}, "1 kill 9\n1.1 die 137\n11.3 destroy", {"killed": 1}, id="a docker kill, removed later"
        ),
        pytest.param({}, "1 kill 9\n1.1 die 137\n3 gone", REQUESTED, id="a slow rm -f whose destroy is lost"),
        pytest.param(
            {}, "1 die 137\n2.7 destroy", {"killed": 1}, id="a kill from the host, removed afterwards"
        ),
        pytest.param(
            {},
            "1 die 137\n1.1 inspect removing code=137 finished=1\n2.7 destroy",
            REQUESTED,
            id="found removing right after its death",
        ),
        pytest.param(
            {},
            "1.05 inspect removing code=137 finished=1\n1.1 die 137\n3 destroy",
            REQUESTED,
            id="found removing before its die",
        ),
        pytest.param(
            {},
            "1 die 137\n5 inspect removing code=137 finished=1\n5.1 destroy",
            {"killed": 1},
            id="found removing long after a kill from the host",
        ),
        pytest.param(
            {},
            "1 kill 9\n1.05 gone\n5.9 die 137",
            {"killed": 1},
            id="gone before its die is told, without a destroy",
        ),
        pytest.param(
            {"auto_remove": True},
            "1 kill 9\n1.1 die 137\n1.2 inspect removing code=137 finished=1\n2.7 destroy",
            {"killed": 1},
            id="started with --rm",
        ),
    ],
)
def test_slow_removal(config, events, expected):
    """Deleting the files can take seconds: what becomes of a name whose container was removed, when another has it."""
    story = Story(facts(**config)).play(events).play("20 create\n20.3 start", container="aa" * 32)
    assert story.summary() == ("running", next(iter(expected)), 137, expected, 0)


def test_an_inspect_settles_a_slow_removal():
    """Nobody needs to wait for the files: `removing` says what the death was."""
    story = Story(facts()).play("1 kill 9\n1.1 die 137\n1.15 inspect removing code=137 finished=1")
    assert story.summary() == ("removing", "requested", 137, REQUESTED, 0)


def test_removal_of_a_container_started_with_rm_is_none():
    """With --rm the destroy follows every death and explains none."""
    story = Story(facts(auto_remove=True)).play("1 die 137\n1.01 destroy\n2 create\n2.1 start")
    assert story.view().exits == {"killed": 1}


def test_a_destroy_long_after_the_death_explains_nothing():
    """Removing a dead container does not make its death requested."""
    story = Story(facts()).play("1 die 137\n10 destroy\n11 create\n11.1 start", container=ID)
    assert story.summary() == ("running", "killed", 137, {"killed": 1}, 0)


def test_an_oom_before_rm_stays_an_oom():
    """An OOM kill followed by the removal was still an OOM kill."""
    story = Story(facts()).play("1 oom\n1.1 die 137\n1.2 destroy\n2 create\n2.1 start")
    assert story.view().last_exit.reason == "oom"


def test_die_before_the_first_inspect_answers():
    """Without an inspect neither policy nor stop signal are known: exited, judged by SIGTERM."""
    story = Story().play("0.1 create\n0.2 start\n0.21 die 7")
    assert story.summary() == ("exited", "error", 7, {"error": 1}, 0)
    story.told = facts(policy=policy("always"))
    story.play("0.25 inspect restarting code=7 started=0.2 finished=0.21 restarts=1\n0.4 start")
    assert story.summary() == ("running", "error", 7, {"error": 1}, 1)


def test_an_inspect_ahead_of_its_die_shows_nothing_of_it():
    """Exited beside the reason of some earlier exit would be a false alarm: until the die comes it runs."""
    story = Story(facts()).play(
        "1 die 7\n2 start\n2.1 inspect running started=2.0 finished=1.0 pid=7\n50 kill 15"
    )
    story.play("50.05 inspect exited code=0 started=2.0 finished=50.04")
    assert story.view().status is Status.RUNNING
    story.play("50.2 die 0")
    assert (story.view().status, story.view().last_exit.reason) == (Status.EXITED, "requested")


def test_a_death_without_event_is_unknown_after_a_while():
    """An event that was lost leaves what inspect says, and is not counted."""
    story = Story(facts()).play("1 inspect exited code=7 finished=0.9").wait(6)
    assert story.summary() == ("exited", "unknown", 7, {}, 0)
    story.play("20 start")
    assert story.summary() == ("running", "unknown", 7, {}, 0)


def test_a_missed_start_and_death_is_unknown():
    """A crash loop with lost events shows the newest end."""
    story = Story(facts()).play("1 die 7\n30 inspect exited code=8 started=20 finished=29").wait(6)
    assert story.summary() == ("exited", "unknown", 8, {"error": 1}, 0)


def test_a_death_event_that_comes_late_replaces_unknown():
    """Late is better than never, for the reason and the counter."""
    story = Story(facts()).play("1 inspect exited code=7 finished=0.9").wait(6).play("8 die 7")
    assert story.summary() == ("exited", "error", 7, {"error": 1}, 0)


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (Status.EXITED, "exited"),
        (Status.DEAD, "dead"),
        (Status.REMOVING, "removing"),
        (Status.RESTARTING, "restarting"),
    ],
)
def test_found_stopped_at_the_first_look(status, word):
    """What ended before we watched has its code and time from inspect, and no reason."""
    story = Story(
        facts(status=status, pid=0, exit_code=9, finished_at=EPOCH - 100.0, started_at=EPOCH - 200.0)
    )
    assert story.summary() == (word, "unknown", 9, {}, 0)
    assert story.view().last_exit.at == EPOCH - 100


def test_found_running_with_a_past():
    """A running container's past exit is not published: inspect has forgotten its code."""
    story = Story(facts(finished_at=EPOCH - 100.0, restart_count=4))
    assert story.summary() == ("running", None, None, {}, 0)
