"""Names, replacements, restarts of the exporter, and what is not published."""

from dataclasses import replace

import pytest

from exporter.docker.containers import Health, Status
from exporter.docker.events import parse
from exporter.docker.exits import Exit, ExitReason
from exporter.docker.inventory import LINGER_SECONDS
from exporter.memory import Memory
from tests.exporter.stories import EPOCH, ID, Story, facts, policy, raw_event

OLD, NEW = "0d" * 32, "ef" * 32
LABELS = {
    "com.docker.compose.project": "shop",
    "com.docker.compose.service": "web",
    "com.docker.compose.oneoff": "False",
}


def restarted(story, told):
    """Return a story that goes on after the exporter was restarted, having looked at the container again."""
    text = story.inventory.to_text()
    after = Story(memory=Memory.from_text(text))
    after.told, after.now = told, story.now
    after.inventory.inspected(told, after.now)
    return after


# --- what is published, and as what ---


@pytest.mark.parametrize(
    ("changes", "published"),
    [
        pytest.param({}, True, id="a running container"),
        pytest.param({"status": Status.CREATED, "started_at": None}, False, id="created and never started"),
        pytest.param({"status": Status.EXITED, "started_at": 1.0}, True, id="stopped"),
        pytest.param({"name": "78574a4590bc_web"}, False, id="a temporary name of Compose"),
        pytest.param({"name": "78574a4590b_web"}, True, id="eleven digits are a name like any other"),
        pytest.param({"labels": {"vakhta.ignore": "true"}}, False, id="labelled to be ignored"),
        pytest.param({"labels": {"vakhta.ignore": "false"}}, True, id="labelled not to be ignored"),
    ],
)
def test_what_is_published(changes, published):
    """Some containers are nobody's business."""
    story = Story(facts(**changes))
    assert (story.view(changes.get("name", "web")) is not None) is published


def test_ignored_by_configuration():
    """The configuration excludes by name, events included."""
    story = Story()
    story.inventory._ignored = lambda name: name.startswith("ci-")
    story.names[ID] = "ci-17"
    story.play("1 create\n1.1 start\n2 die 1")
    assert story.inventory.snapshot(story.now).containers == ()
    assert not story.inventory.is_published(ID)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({}, ("", "web", False, False, "on", "running"), id="without Compose the service is the name"),
        pytest.param(LABELS, ("shop", "web", True, False, "on", "running"), id="Compose"),
        pytest.param(LABELS | {"com.docker.compose.oneoff": "True"}, ("shop", "web", True, True, "off", "running"), id="a one-off container's alerts are off"),
        pytest.param({"vakhta.alerts": "warning"}, ("", "web", False, False, "warning", "running"), id="never above warning"),
        pytest.param({"vakhta.alerts": "OFF "}, ("", "web", False, False, "off", "running"), id="case and space do not matter"),
        pytest.param({"vakhta.alerts": "none"}, ("", "web", False, False, "on", "running"), id="a word we do not know changes nothing"),
        pytest.param({"vakhta.expect": "stopped"}, ("", "web", False, False, "on", "stopped"), id="expected to be stopped"),
    ],
)  # fmt: skip
def test_labels(labels, expected):
    """Labels say how a container is to be watched."""
    view = Story(facts(labels=labels)).view()
    assert (view.project, view.service, view.compose, view.oneoff, view.alerts, view.expect) == expected


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param("1 health_status healthy", Health.HEALTHY, id="the event's verdict at once"),
        pytest.param("1 health_status unhealthy\n2 health_status healthy", Health.HEALTHY, id="the newest verdict"),
        pytest.param("1 health_status unhealthy\n2 die 1", Health.NONE, id="none while it is not running, though inspect goes on saying unhealthy"),
        pytest.param("1 health_status unhealthy\n2 die 1\n2.1 inspect exited code=1 finished=2 health=unhealthy", Health.NONE, id="whatever inspect says"),
        pytest.param("1 health_status healthy\n2 pause", Health.NONE, id="none while paused"),
        pytest.param("1 health_status healthy\n2 die 1\n3 start", Health.STARTING, id="starting after a start"),
        pytest.param("1 health_status running", Health.UNHEALTHY, id="a word that is no verdict changes nothing"),
    ],
)  # fmt: skip
def test_health(events, expected):
    """The verdict of a health check."""
    assert Story(facts(health=Health.UNHEALTHY)).play(events).view().health is expected


def test_a_start_without_health_check():
    """A container without a check has none after a start."""
    assert Story(facts()).play("1 die 1\n2 start").view().health is Health.NONE


# --- names ---


def test_a_rename_takes_the_counters_along():
    """The name changes, the container's counters and last exit follow it."""
    story = Story(facts(policy=policy("always"))).play("1 die 7\n2 start\n3 rename api")
    assert story.view("web") is None
    assert story.summary("api") == ("running", "error", 7, {"error": 1}, 1)
    assert story.view("api").first_seen == EPOCH
    story.play("4 die 8")
    assert story.summary("api") == ("restarting", "error", 8, {"error": 2}, 1)


def test_a_rename_seen_by_inspect_only():
    """The slow comparison notices a rename whose event was lost."""
    story = Story(facts()).play("1 die 7")
    story.inventory.inspected(
        facts(name="api", status=Status.EXITED, exit_code=7, finished_at=EPOCH + 1.0), story.now
    )
    assert story.summary("api") == ("exited", "error", 7, {"error": 1}, 0)
    assert story.view("web") is None


def test_compose_replaces_a_container():
    """The new container waits under a temporary name; the name's counters go on as if nothing had happened."""
    story = Story(facts(id=OLD)).play("1 die 7\n2 start", container=OLD)
    story.names[NEW] = "78574a4590bc_web"
    story.play("5 create", container=NEW)
    story.play("5.1 kill 15\n6.1 kill 9\n6.2 stop\n6.25 die 137\n6.26 destroy", container=OLD)
    assert story.view("web") is None
    story.play("6.3 rename web\n6.7 start", container=NEW)
    assert story.summary() == ("running", "requested", 137, {"error": 1, "requested": 1}, 1)
    assert story.view().id == NEW


def test_older_compose_renames_the_old_one_first():
    """The counters stay with the real name when the old container gets the temporary one."""
    story = Story(facts(id=OLD)).play("1 die 7\n2 start\n5 rename 78574a4590bc_web", container=OLD)
    story.names[NEW] = "web"
    story.play("5.1 create\n5.5 start", container=NEW)
    story.play("5.6 kill 15\n5.7 die 0\n5.8 destroy", container=OLD)
    assert story.summary() == ("running", "error", 7, {"error": 1}, 1)


def test_a_rename_onto_a_name_with_a_past():
    """The name's counters must not jump by what another container did under another name."""
    story = Story(facts(id=OLD)).play("1 die 7\n9 destroy", container=OLD)
    story.names[NEW] = "web-new"
    story.play("10 create\n10.1 start\n11 die 1\n12 start\n13 die 1\n14 start\n15 rename web", container=NEW)
    assert story.view().exits == {"error": 1}


def test_a_container_created_again_goes_on_counting():
    """Counters belong to the name."""
    story = Story(facts(id=OLD)).play("1 die 7\n2 destroy", container=OLD)
    story.play("3 create\n3.2 start\n4 die 8", container=NEW)
    assert story.summary() == ("exited", "error", 8, {"error": 2}, 0)
    assert story.view().first_seen == EPOCH


def test_a_name_is_published_once():
    """While the daemon forgets one container and makes another of the same name, the series are the new one's."""
    story = Story(facts(id=OLD)).play("1 gone", container=OLD)
    story.play("1.1 create\n1.2 start", container=NEW)
    assert story.view().id == NEW
    story.wait(10)
    assert story.view().id == NEW


# --- gone ---


def test_gone_containers_linger_for_last_seen():
    """A container that was removed is still told of for five minutes, with the time it was last seen."""
    story = Story(facts()).play("1 kill 9\n1.1 die 137\n1.2 destroy").wait(60)
    (gone,) = story.inventory.snapshot(story.now).gone
    assert (gone.view.name, gone.seen_at) == ("web", EPOCH + 1.1)
    assert story.inventory.snapshot(EPOCH + 1.1 + LINGER_SECONDS + 1).gone == ()


def test_one_removed_long_after_it_stopped_does_not_linger():
    """It was last seen when it stopped."""
    story = Story(facts()).play("1 die 1\n900 destroy")
    assert story.inventory.snapshot(story.now).gone == ()


def test_the_daemon_knows_it_no_more():
    """An inspect can be ahead of the destroy, which still explains the death."""
    story = Story(facts()).play("1 kill 9\n1.1 die 137\n1.11 gone\n1.12 destroy\n2 create\n2.1 start")
    assert story.view().exits == {"requested": 1}


def test_a_destroy_that_was_lost():
    """After a few seconds the container is gone without it."""
    story = Story(facts()).play("1 die 1\n2 gone")
    assert story.view() is not None
    assert story.wait(6).view() is None


# --- the list ---


@pytest.mark.parametrize(
    ("changes", "doubtful"),
    [
        pytest.param({}, (), id="nothing new"),
        pytest.param({"status": Status.EXITED}, (ID,), id="another state"),
        pytest.param({"name": "api"}, (ID,), id="another name"),
        pytest.param({"health": Health.UNHEALTHY}, (ID,), id="another health"),
        pytest.param({"id": NEW, "name": "new"}, (NEW, ID), id="one is new and one is missing"),
    ],
)
def test_comparing_with_the_list(changes, doubtful):
    """The list only says whom to ask about."""
    story = Story(facts())
    summary = replace(facts(complete=False, pid=0, started_at=None), **changes)
    assert story.inventory.listed([summary], story.now) == doubtful
    assert story.view() is not None


def test_a_container_known_from_the_list_only():
    """One whose inspect hangs is published as the list has it."""
    story = Story()
    story.inventory.listed([facts(complete=False, status=Status.EXITED, started_at=None)], story.now)
    assert story.summary() == ("exited", None, None, {}, 0)
    assert story.inventory.listed([facts(complete=False, status=Status.EXITED)], story.now) == (ID,)


def test_an_inspect_older_than_an_event_is_dropped():
    """Asked before the die, answered after it: it must not bring the container back to life."""
    story = Story(facts())
    asked_at = story.inventory.version(ID)
    story.play("1 die 7")
    assert not story.inventory.inspected(facts(pid=4711), story.now, asked_at=asked_at)
    assert story.view().status is Status.EXITED


# --- the exporter is restarted ---


def test_reasons_and_counters_survive_a_restart():
    """The same end, seen again by inspect, keeps its reason."""
    story = Story(facts()).play("1 kill 15\n1.2 stop\n1.21 die 137").wait(3)
    told = facts(status=Status.EXITED, pid=0, exit_code=137, finished_at=EPOCH + 1.05)
    assert restarted(story, told).summary() == ("exited", "requested", 137, {"requested": 1}, 0)


def test_an_end_while_away_without_events_is_unknown():
    """Nobody saw it: code and time from inspect, not counted."""
    story = Story(facts()).play("1 die 7\n2 start").wait(3)
    after = restarted(
        story,
        facts(status=Status.EXITED, pid=0, exit_code=9, started_at=EPOCH + 2.0, finished_at=EPOCH + 30.0),
    )
    after.inventory.replayed({ID}, before=EPOCH + 60.0, now=EPOCH + 60.0)
    assert after.summary() == ("exited", "unknown", 9, {"error": 1}, 1)


@pytest.mark.parametrize(
    ("before", "replay", "told", "expected"),
    [
        pytest.param(
            "1 die 7\n2 start",
            "1 die 7\n2 start\n30 die 9",
            {
                "status": Status.EXITED,
                "pid": 0,
                "exit_code": 9,
                "started_at": EPOCH + 2.0,
                "finished_at": EPOCH + 29.9,
            },
            ("exited", "error", 9, {"error": 2}, 1),
            id="a die while away is replayed, and counted once",
        ),
        pytest.param(
            "1 kill 15",
            "1 kill 15\n11 kill 9\n11.1 die 137\n11.11 stop",
            {"status": Status.EXITED, "pid": 0, "exit_code": 137, "finished_at": EPOCH + 11.0},
            ("exited", "requested", 137, {"requested": 1}, 0),
            id="a kill from before explains a die from after",
        ),
        pytest.param(
            "1 die 7",
            "1 die 7\n1.5 start",
            {"started_at": EPOCH + 1.49, "finished_at": EPOCH + 1.0},
            ("running", "error", 7, {"error": 1}, 1),
            id="a start after a die from before is a restart",
        ),
        pytest.param(
            "1 die 7\n2 start",
            "1 die 7\n2 start\n9 die 1\n10 start\n11 die 2\n12 start",
            {"started_at": EPOCH + 11.99, "finished_at": EPOCH + 11.0},
            ("running", "error", 2, {"error": 3}, 3),
            id="several lives while away",
        ),
        pytest.param(
            "1 die 137",
            "1 die 137",
            {"status": Status.EXITED, "pid": 0, "exit_code": 137, "finished_at": EPOCH + 1.0},
            ("exited", "killed", 137, {"killed": 1}, 0),
            id="a provisional exit is written down as counted",
        ),
    ],
)
def test_replay_after_a_restart(before, replay, told, expected):
    """The daemon's memory of events tells what happened while the exporter was away."""
    story = Story(facts()).play(before)
    after = restarted(story, facts(**told))
    after.now = EPOCH + 60.0
    after.play(replay)
    after.inventory.replayed({ID}, before=EPOCH + 60.0, now=EPOCH + 60.0)
    assert after.summary() == expected


def test_replay_begins_before_the_newest_event():
    """By a minute after a restart, for evidence; by a second after a lost connection; not at all without a past."""
    story = Story(facts())
    assert story.inventory.replay_from is None
    story.play("100 die 1")
    last = (EPOCH + 100) * 1_000_000_000
    assert story.inventory.replay_from == last - 1_000_000_000
    assert restarted(story, facts()).inventory.replay_from == last - 60_000_000_000


def test_containers_that_only_the_replay_knows_are_gone():
    """One that lived and died while the exporter was away is not published, but counted in its name's book."""
    story = Story(facts(id=OLD)).play("1 kill 15", container=OLD)
    after = restarted(story, facts(id=OLD))
    after.now = EPOCH + 60.0
    after.play("5 create\n6 start\n7 die 3", container=NEW)
    after.inventory.replayed({OLD}, before=EPOCH + 60.0, now=after.now)
    after.wait(10)
    assert NEW not in after.inventory


# --- the clock is put back ---


def play_by_clock(story, text):
    """Play lines at the times they say, which may go back."""
    for line in text.strip().splitlines():
        at, word, *rest = line.split()
        story.now = EPOCH + float(at)
        match word:
            case "inspect":
                story.inventory.inspected(story._inspect(rest, ID), story.now)
            case "advance":
                story.inventory.advance(story.now)
            case _:
                story.inventory.apply(parse(raw_event(line)), story.now)
    return story


AHEAD = "10810 kill 15\n10810.1 stop\n10810.2 die 143\n10811 start\n10811.1 inspect running started=10811 finished=10810\n"


@pytest.mark.parametrize(
    ("started", "restart_policy", "events", "expected"),
    [
        pytest.param(0, "no", AHEAD + "60 die 1", ("exited", "error", 1, {"requested": 1, "error": 1}, 0), id="a crash is no stop, whatever the last one was"),
        pytest.param(0, "always", AHEAD + "60 die 1", ("restarting", "error", 1, {"requested": 1, "error": 1}, 0), id="its policy applies at once"),
        pytest.param(
            0,
            "always",
            AHEAD + "60 die 1\n61 start\n61.1 inspect running started=61 finished=60 pid=7",
            ("running", "error", 1, {"requested": 1, "error": 1}, 1),
            id="and is counted",
        ),
        pytest.param(10800, "no", "60 die 1", ("exited", "error", 1, {"error": 1}, 0), id="a start that only an inspect told"),
        pytest.param(10800, "no", "10810 die 3\n60 start", ("running", "error", 3, {"error": 1}, 1), id="a start is newer than the death before it"),
        pytest.param(10800, "no", "60 pause", ("paused", None, None, {}, 0), id="a pause"),
        pytest.param(
            0,
            "no",
            AHEAD + "60 inspect exited code=9 started=10811 finished=59\n66 advance",
            ("exited", "unknown", 9, {"requested": 1}, 0),
            id="a death that no event tells",
        ),
        pytest.param(0, "no", "10810 die 137\n60 advance", ("exited", "killed", 137, {"killed": 1}, 0), id="a provisional exit does not wait for three hours"),
        pytest.param(0, "no", "10810 inspect exited code=9 finished=10809\n60 advance", ("exited", "unknown", 9, {}, 0), id="nor does an inspect"),
        pytest.param(0, "no", "10 die 1\n12 start\n12.1 inspect running started=12 finished=10 pid=7\n9.5 die 2", ("exited", "error", 2, {"error": 2}, 1), id="by three seconds only"),
        pytest.param(0, "no", "12 die 1\n9 start", ("running", "error", 1, {"error": 1}, 1), id="by three seconds between death and start"),
    ],
)  # fmt: skip
def test_a_clock_put_back(started, restart_policy, events, expected):
    """Events are newer in the order in which they come."""
    story = Story(facts(started_at=float(EPOCH + started), policy=policy(restart_policy)))
    assert play_by_clock(story, events).summary() == expected


def test_a_restart_after_the_clock_was_put_back():
    """The newest event of the state file is still to come: not everything until then is old news."""
    story = play_by_clock(Story(facts()), AHEAD)
    story.now = EPOCH + 50.0
    after = restarted(story, facts(started_at=EPOCH + 10811.0))
    assert after.inventory.discard_future(after.now)
    assert after.inventory.replay_from is None
    after.inventory.replayed({ID}, before=after.now, now=after.now)
    assert after.play("60 die 137").wait(2).summary() == (
        "exited",
        "killed",
        137,
        {"requested": 1, "killed": 1},
        0,
    )
    assert after.inventory.replay_from == (EPOCH + 59) * 1_000_000_000
    assert not after.inventory.discard_future(after.now)


def test_a_clock_put_back_after_a_restart():
    """Once the replay is over, every event is news."""
    after = restarted(Story(facts()).play("100 oom"), facts())
    after.inventory.replayed({ID}, before=after.now, now=after.now)
    assert play_by_clock(after, "97 die 1").summary() == ("exited", "error", 1, {"error": 1}, 0)


def test_a_container_removed_in_the_future_lingers_no_longer():
    """Its last sighting is now at the latest."""
    story = play_by_clock(Story(facts()), "10810 die 1\n60 destroy")
    assert [gone.seen_at for gone in story.inventory.snapshot(story.now).gone] == [EPOCH + 60.0]


# --- OOM kills ---


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param(["1 oom"], 1, id="an event"),
        pytest.param(["1 oom", 1], 1, id="an event and the cgroup's count of it"),
        pytest.param(["1 oom", 3], 3, id="the cgroup saw more"),
        pytest.param([3, "2 oom"], 3, id="an event already counted by the cgroup"),
        pytest.param([3, "2 oom", 4], 4, id="and the next reading"),
        pytest.param(["1 oom", 1, "2 die 137", "3 start", "4 oom", 1], 2, id="a new run has a new cgroup"),
        pytest.param(["1 oom", 2, "2 die 137", "3 start", 0], 2, id="it never falls"),
    ],
)
def test_oom_kills(steps, expected):
    """Events seen, raised to the cgroup's own count where that is higher."""
    story = Story().play("0 create\n0.1 start\n0.2 inspect running started=0.1 pid=100")
    pid = 100
    for step in steps:
        if isinstance(step, str):
            story.play(step)
            if "start" in step:
                pid = 200
                story.play(f"{float(step.split()[0]) + 0.1} inspect running started=3 pid=200")
        else:
            story.inventory.count_ooms([(ID, pid, step)], story.now)
    assert story.view().oom_events == expected


def test_an_oom_kill_is_dated():
    """By its event, or by the reading that found the count risen."""
    assert Story(facts()).play("5 oom").view().last_oom == EPOCH + 5
    story = Story(facts())
    story.inventory.count_ooms([(ID, 100, 3)], EPOCH + 7.0)
    assert (story.view().oom_events, story.view().last_oom) == (3, None), (
        "from before we looked: nobody knows when"
    )
    story.inventory.count_ooms([(ID, 100, 4)], EPOCH + 8.0)
    assert (story.view().oom_events, story.view().last_oom) == (4, EPOCH + 8)


def test_a_risen_count_explains_a_death_without_event():
    """The cgroup's count is evidence like the event."""
    story = Story(facts())
    story.inventory.count_ooms([(ID, 100, 0)], EPOCH + 1.0)
    story.inventory.count_ooms([(ID, 100, 1)], EPOCH + 2.0)
    assert story.play("3 die 137").view().last_exit.reason is ExitReason.OOM


def test_a_reading_of_another_process_is_not_taken():
    """The reading began before the container was started anew."""
    story = Story(facts())
    story.inventory.count_ooms([(ID, 99, 5), (NEW, 1, 5)], EPOCH + 1.0)
    assert story.view().oom_events == 0


def test_oom_counts_survive_a_restart_of_the_exporter():
    """What the cgroup counted before is not counted again; what it counted since is."""
    story = Story(facts())
    story.inventory.count_ooms([(ID, 100, 0)], EPOCH + 1.0)
    story.inventory.count_ooms([(ID, 100, 2)], EPOCH + 2.0)
    after = restarted(story, facts())
    after.inventory.count_ooms([(ID, 100, 2)], EPOCH + 3.0)
    assert (after.view().oom_events, after.view().last_oom) == (2, EPOCH + 2)
    again = restarted(story, facts())
    again.inventory.count_ooms([(ID, 100, 3)], EPOCH + 3.0)
    assert (again.view().oom_events, again.view().last_oom) == (3, EPOCH + 3)


# --- what waits ---


def test_nothing_waits_in_peace():
    """A quiet inventory asks for no timer."""
    story = Story(facts())
    assert story.inventory.due_at() is None
    story.play("1 die 137")
    assert story.inventory.due_at() == EPOCH + 2
    assert story.inventory.advance(EPOCH + 2.0) == ("web",)
    assert story.inventory.due_at() is None


def test_the_first_look_knows_an_exit_by_container_and_time():
    """A persisted exit of another container of that name explains nothing."""
    story = Story(facts(id=OLD)).play("1 die 7", container=OLD).wait(3)
    told = facts(
        id=NEW, status=Status.EXITED, pid=0, exit_code=3, started_at=EPOCH + 20.0, finished_at=EPOCH + 30.0
    )
    after = restarted(story, told)
    after.inventory.replayed({NEW}, before=EPOCH + 60.0, now=EPOCH + 60.0)
    assert after.view().last_exit == Exit(reason=ExitReason.UNKNOWN, code=3, at=EPOCH + 30.0)


def test_a_container_replaced_while_nobody_watched_is_published():
    """The replayed end of the old container must not keep the name from the new one."""
    old, new = "a" * 64, "b" * 64
    before = Story(facts(id=old))
    before.play("1 oom", container=old)
    story = Story(memory=Memory.from_text(before.inventory.to_text()))
    story.now = EPOCH + 60.0
    story.inventory.inspected(facts(id=new, started_at=EPOCH + 10.0), story.now)
    story.names = {old: "web", new: "web"}
    story.play("5 kill 15\n5.1 stop\n5.2 die 0\n5.3 destroy", container=old)
    story.play("6 create\n10 start", container=new)
    story.inventory.replayed({new}, before=EPOCH + 60.0, now=story.now)
    story.wait(8)
    assert story.view().id == new
