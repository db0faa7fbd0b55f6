"""What is remembered of containers, and the object it becomes."""

from dataclasses import replace

import pytest

from exporter.cgroups.usage import Limits, MemoryUsage, Usage
from exporter.details.store import GONE_SECONDS, Details
from exporter.docker.containers import Health, HealthCheck, RestartPolicy, Status
from exporter.docker.exits import Exit, ExitReason
from exporter.docker.snapshot import GoneView, Snapshot, view_of
from exporter.memory import Book
from tests.exporter.stories import EPOCH, ID, Story, facts, policy

OTHER = "5a1d" * 16
AT = "2026-09-21T14:13:20.000000Z"
COMPOSE = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}


def reading(usage, limit=512):
    """Return a reading of memory; limit None: the reading does not tell."""
    return Usage(
        memory=MemoryUsage(usage_bytes=usage, working_set_bytes=usage),
        limits=None if limit is None else Limits(memory_bytes=limit),
    )


def at(seconds):
    """Return a time of the story as the answer has it."""
    return f"2026-09-21T14:{13 + int(20 + seconds) // 60:02}:{(20 + seconds) % 60:09.6f}Z"


def view(book=None, **changes):
    """Return a container's view."""
    told = facts(**changes)
    return view_of(told, book or Book(id=told.id, first_seen=float(EPOCH)))


def book(reason, code, seconds, container=ID):
    """Return a book with one exit."""
    return Book(
        id=container,
        first_seen=float(EPOCH),
        exits={reason: 1},
        last_exit=Exit(reason=reason, code=code, at=EPOCH + seconds),
    )


class Watched:
    """Details that see a story."""

    def __init__(self, told):
        self.story = Story(told)
        self.details = Details(host_name=lambda: "host-1")
        self.see()

    def see(self, usage=None):
        """Let the details look."""
        now = self.story.now
        self.details.observe(self.story.inventory.snapshot(now), {ID: usage} if usage else {}, now)
        return self

    def play(self, text, usage=None):
        """Play events, then look."""
        self.story.play(text)
        return self.see(usage)

    def of(self, name="web", **options):
        """Return the answer."""
        return self.details.of(name, self.story.now, **options)


def test_whole_answer():
    """Every key of the page, of a container that the kernel killed for its memory."""
    told = facts(
        image="shop-web:1.8.2",
        image_id="sha256:00aa",
        created_at=EPOCH - 1.0,
        labels={**COMPOSE, "com.docker.compose.container-number": "2"},
        policy=policy("on-failure:3"),
        health=Health.HEALTHY,
        check=HealthCheck(streak=0, test="CMD-SHELL curl -u app:pw localhost", exit_code=0, output="ok\n"),
        memory_limit=512,
    )
    watched = Watched(told)
    watched.play("10 start", usage=reading(500))
    watched.play("20 oom\n20.5 die 137")
    fresh = replace(
        told,
        status=Status.RESTARTING,
        finished_at=EPOCH + 20.4,
        exit_code=137,
        oom_killed=True,
        restart_count=1,
        error="cannot start: token=abcd1234efgh",
        check=replace(told.check, streak=2, exit_code=7, output="\x1b[31mpassword=x1\x1b[0m\r\nrefused\n"),
    )
    assert watched.of(fresh=fresh) == {
        "v": 1,
        "host": "host-1",
        "observed_at": at(20.5),
        "id": ID,
        "name": "web",
        "project": "shop",
        "service": "web",
        "replica": 2,
        "replicas": {"total": 1, "running": 0},
        "image": "shop-web:1.8.2",
        "image_id": "sha256:00aa",
        "image_changed_at": None,
        "previous_image": None,
        "state": "restarting",
        "exit_code": 137,
        "exit_reason": "oom",
        "signal": "SIGKILL",
        "oom_killed": True,
        "error": "cannot start: token=***",
        "started_at": AT,
        "finished_at": at(20.4),
        "last_uptime_seconds": 20.4,
        "restart_policy": "on-failure:3",
        "restart_count": 1,
        "health": {
            "status": "none",
            "streak": 2,
            "test": "CMD-SHELL curl -u app:*** localhost",
            "exit_code": 7,
            "output": "password=***\nrefused",
        },
        "memory": {"usage_bytes": 500, "limit_bytes": 512, "at": at(10)},
    }


def test_what_is_not_known_is_null():
    """Of a container that only the list has told of."""
    details = Details()
    listed = view(id=ID, complete=False, image="busybox", started_at=None)
    details.observe(Snapshot(at=float(EPOCH), containers=(listed,)), {}, float(EPOCH))
    found = details.of("web", EPOCH + 1.0)
    assert {key for key, value in found.items() if value is None} == {
        *("project", "replica", "image_id", "image_changed_at", "previous_image", "exit_code", "exit_reason", "signal", "oom_killed"),
        *("error", "started_at", "finished_at", "last_uptime_seconds", "restart_policy", "restart_count"),
    }  # fmt: skip
    assert found["health"] == {
        "status": "none",
        "streak": None,
        "test": None,
        "exit_code": None,
        "output": None,
    }
    assert found["memory"] == {"usage_bytes": None, "limit_bytes": None, "at": None}
    assert (found["service"], found["replicas"]) == ("web", {"total": 1, "running": 1})


@pytest.mark.parametrize(
    ("code", "reason", "signal", "oom"),
    [
        pytest.param(0, "completed", None, False, id="ended well"),
        pytest.param(1, "error", None, False, id="error"),
        pytest.param(137, "killed", "SIGKILL", False, id="killed"),
        pytest.param(143, "requested", "SIGTERM", False, id="stopped"),
        pytest.param(139, "killed", "SIGSEGV", False, id="crashed"),
        pytest.param(165, "killed", "SIGRTMIN+3", False, id="a real-time signal"),
        pytest.param(161, "killed", None, False, id="a signal without a name"),
        pytest.param(255, "error", None, False, id="no signal"),
        pytest.param(137, "oom", "SIGKILL", True, id="out of memory"),
    ],
)
def test_exits(code, reason, signal, oom):
    """The code, why, and what signal it stands for."""
    ended = view(
        book(ExitReason(reason), code, 5),
        status=Status.EXITED,
        finished_at=EPOCH + 5.0,
        exit_code=code,
    )
    details = Details()
    details.observe(Snapshot(at=EPOCH + 6.0, containers=(ended,)), {}, EPOCH + 6.0)
    found = details.of("web", EPOCH + 6.0)
    assert (found["exit_code"], found["exit_reason"], found["signal"], found["oom_killed"]) == (
        code,
        reason,
        signal,
        oom,
    )


@pytest.mark.parametrize(
    ("changes", "last", "expected"),
    [
        pytest.param({"status": Status.EXITED, "finished_at": EPOCH + 5.0, "exit_code": 3, "oom_killed": True}, None, (3, None, True, 5), id="an end nobody saw: as inspect says"),
        pytest.param({"status": Status.EXITED, "finished_at": EPOCH + 5.0, "exit_code": 3}, (ExitReason.UNKNOWN, 3, 5), (3, None, False, 5), id="reason unknown"),
        pytest.param({"status": Status.EXITED, "finished_at": EPOCH + 50.0, "exit_code": 3}, (ExitReason.OOM, 137, 5), (3, None, False, 50), id="an end newer than the one we know"),
        pytest.param({"status": Status.RUNNING, "started_at": EPOCH + 6.0, "finished_at": EPOCH + 5.0}, (ExitReason.OOM, 137, 5), (137, "oom", True, 5), id="running again: its last end"),
        pytest.param({"status": Status.RUNNING}, None, (None, None, None, None), id="never ended"),
        pytest.param({"status": Status.RUNNING, "created_at": EPOCH + 60.0}, (ExitReason.OOM, 137, 5), (None, None, None, None), id="the end was another container's of this name"),
        pytest.param({"status": Status.RESTARTING}, (ExitReason.ERROR, 1, 5), (1, "error", False, 5), id="only the event told the end"),
    ],
)  # fmt: skip
def test_whose_exit_it_is(changes, last, expected):
    """The last end of this container, and nobody else's."""
    shown = view(book(*last) if last else None, **changes)
    details = Details()
    details.observe(Snapshot(at=EPOCH + 60.0, containers=(shown,)), {}, EPOCH + 60.0)
    found = details.of("web", EPOCH + 60.0)
    *what, ended = expected
    assert [found["exit_code"], found["exit_reason"], found["oom_killed"]] == what
    assert found["finished_at"] == (ended and at(ended))


def test_a_fresh_inspect_holds_unless_events_know_better():
    """An inspect that was answered before the newest event is not newer than it."""
    watched = Watched(facts())
    fresh = facts(status=Status.PAUSED)
    assert watched.of(fresh=fresh)["state"] == "paused"
    watched.play("30 die 1")
    assert watched.of(fresh=fresh)["state"] == "exited"
    fresh = facts(status=Status.EXITED, finished_at=EPOCH + 29.9, exit_code=1, error="no such file")
    assert watched.of(fresh=fresh)["error"] == "no such file"
    assert watched.of(fresh=fresh)["exit_reason"] == "error"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(RestartPolicy(), "no", id="none"),
        pytest.param(RestartPolicy(name="unless-stopped"), "unless-stopped", id="unless-stopped"),
        pytest.param(RestartPolicy(name="on-failure", maximum_retries=3), "on-failure:3", id="with a limit"),
    ],
)
def test_policies(told, expected):
    """As Docker's command line writes them."""
    assert Watched(facts(policy=told)).of()["restart_policy"] == expected


# --- memory and uptime over a death ---


def test_memory_before_a_death():
    """The dead run's last reading stays the answer while its death is news, though the next run is read already."""
    watched = Watched(facts(policy=policy("always")))
    watched.see(reading(400)).play("10 oom\n10.1 die 137").play("10.3 start").play(
        "11 inspect running started=10.3 finished=10.1 pid=7"
    )
    assert watched.of()["memory"] == {"usage_bytes": 400, "limit_bytes": 512, "at": AT}
    watched.see(reading(20))
    assert watched.of()["memory"]["usage_bytes"] == 400
    watched.story.wait(GONE_SECONDS + 1)
    assert watched.of()["memory"]["usage_bytes"] == 20


def test_memory_of_a_run_that_nobody_read():
    """A run too short to be read does not take away what is known of the one before."""
    watched = Watched(facts(policy=policy("always")))
    watched.see(reading(400)).play("10 die 137").play("10.3 start").play("10.4 die 137").play("10.8 start")
    assert watched.of()["memory"]["usage_bytes"] == 400


def test_memory_limit_that_the_reading_does_not_tell():
    """Inspect says it then; 0 means none."""
    watched = Watched(facts(memory_limit=1024)).see(reading(5, limit=None))
    assert watched.of()["memory"]["limit_bytes"] == 1024
    assert watched.see(reading(5, limit=0)).of()["memory"]["limit_bytes"] == 0


def test_reading_without_memory():
    """A source that cannot say leaves what is known."""
    watched = Watched(facts()).see(reading(5)).see(Usage())
    assert watched.of()["memory"]["usage_bytes"] == 5


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        pytest.param(("5 pause",), None, id="no end"),
        pytest.param(("10 die 1",), 10, id="ended"),
        pytest.param(("10 die 1", "12 start"), 10, id="runs again, the end was seen"),
        pytest.param(("10 die 1\n12 start",), 10, id="ended and started between two looks"),
        pytest.param(("10 die 1\n12 start\n14 die 1\n16 start",), None, id="ended twice between two looks"),
        pytest.param(("10 die 1", "12 start", "15 die 1"), 3, id="the second run's"),
        pytest.param(("10 die 1", "12 start", "12.4 inspect running started=12.1 finished=9.9 pid=7"), 10, id="a start told by two clocks is one start"),
    ],
)  # fmt: skip
def test_last_uptime(story, expected):
    """Of the newest run that is over, if it was seen well enough."""
    watched = Watched(facts())
    for part in story:
        watched.play(part)
    found = watched.of()["last_uptime_seconds"]
    assert found == expected or found == pytest.approx(expected, abs=0.2)


# --- images ---


@pytest.mark.parametrize(
    ("second", "previous"),
    [
        pytest.param(("web:2", "sha256:bb"), "web:1", id="another tag"),
        pytest.param(("web:1", "sha256:bb"), "sha256:aa", id="a tag that was built anew"),
    ],
)
def test_image_change(second, previous):
    """Since when, and what was before; it stays when the container is made anew from the same image."""
    details = Details()
    details.observe(Snapshot(at=1.0, containers=(view(image="web:1", image_id="sha256:aa"),)), {}, 1.0)
    assert details.of("web", 1.0)["image_changed_at"] is None
    image, image_id = second
    made = {"image": image, "image_id": image_id, "id": OTHER, "created_at": EPOCH + 5.0}
    details.observe(
        Snapshot(at=2.0, containers=(view(**{**made, "complete": False, "image_id": ""}),)), {}, 2.0
    )
    assert details.of("web", 2.0)["image_changed_at"] is None, "an incomplete look tells of no change"
    for container in (OTHER, "77" * 32):
        details.observe(Snapshot(at=3.0, containers=(view(**{**made, "id": container}),)), {}, 3.0)
        assert list(details._names) == [container], "ids of containers that were replaced are not kept"
        found = details.of("web", 3.0)
        assert (found["image"], found["image_changed_at"], found["previous_image"]) == (
            image,
            at(5),
            previous,
        )


def test_nothing_else_is_carried_over_to_a_new_container():
    """Its memory and its uptime are its own."""
    details = Details()
    details.observe(Snapshot(at=1.0, containers=(view(),)), {ID: reading(5)}, 1.0)
    details.observe(Snapshot(at=2.0, containers=(view(id=OTHER),)), {}, 2.0)
    assert details.of("web", 2.0)["memory"]["usage_bytes"] is None


def test_rename():
    """A container takes what is known of it along, and its old name is free."""
    watched = Watched(facts(image_id="sha256:aa")).see(reading(5)).play("5 rename site")
    assert watched.of("web") is None
    assert watched.of("site")["memory"]["usage_bytes"] == 5


# --- replicas ---


def test_replicas():
    """Containers of the same service that are there; one-offs and other projects' do not count."""
    labels = [
        COMPOSE,
        COMPOSE,
        COMPOSE,
        {**COMPOSE, "com.docker.compose.oneoff": "True"},
        {**COMPOSE, "com.docker.compose.project": "blog"},
    ]
    views = [
        view(name=f"web-{number}", id=f"{number}" * 64, labels=one, status=status)
        for number, (one, status) in enumerate(
            zip(labels, (Status.RUNNING, Status.PAUSED, Status.EXITED, Status.RUNNING, Status.RUNNING), strict=True)
        )
    ]  # fmt: skip
    details = Details()
    details.observe(Snapshot(at=1.0, containers=tuple(views)), {}, 1.0)
    for name, expected in (("web-0", (3, 1)), ("web-3", (3, 1)), ("web-4", (1, 1))):
        assert tuple(details.of(name, 1.0)["replicas"].values()) == expected
    details.observe(Snapshot(at=2.0, containers=tuple(views[1:])), {}, 2.0)
    assert tuple(details.of("web-0", 2.0)["replicas"].values()) == (2, 0), "one that is gone counts no more"


# --- gone ---


def test_gone_for_a_quarter_of_an_hour():
    """Its end is told, and when it was last known to be there; then nobody remembers."""
    watched = (
        Watched(facts())
        .see(reading(7))
        .play("9 inspect running")
        .play("10 kill 9\n10.1 die 137\n10.2 destroy")
    )
    assert watched.details.is_gone("web")
    # Asked before it went, answered after.
    found = watched.of(fresh=facts(status=Status.REMOVING, started_at=EPOCH + 60.0))
    assert (found["state"], found["exit_reason"], found["exit_code"]) == ("exited", "requested", 137)
    assert (found["observed_at"], found["memory"]["usage_bytes"]) == (at(9), 7)
    watched.story.wait(GONE_SECONDS - 1)
    assert watched.see().of() is not None
    watched.story.wait(2)
    assert watched.see().of() is None
    assert len(watched.details) == 0


def test_gone_before_anybody_looked():
    """The snapshot itself remembers for a while whom it lost."""
    details = Details()
    ended = view(book(ExitReason.ERROR, 1, 5), status=Status.EXITED, finished_at=EPOCH + 5.0)
    gone = Snapshot(at=EPOCH + 9.0, containers=(), gone=(GoneView(view=ended, seen_at=EPOCH + 5.0),))
    details.observe(gone, {}, EPOCH + 9.0)
    assert details.is_gone("web")
    assert details.of("web", EPOCH + 9.0)["observed_at"] == at(5)
    details.observe(Snapshot(at=EPOCH + 10.0, containers=(view(id=OTHER),), gone=gone.gone), {}, EPOCH + 10.0)
    assert (details.is_gone("web"), details.of("web", EPOCH + 10.0)["id"]) == (False, OTHER)


def test_gone_ones_are_not_kept_without_number():
    """A host that runs a job a second forgets the oldest."""
    details = Details()
    for number in range(1000):
        here = view(name=f"job-{number}", id=f"{number:064}")
        details.observe(Snapshot(at=float(number), containers=(here,)), {here.id: reading(1)}, float(number))
    assert 200 < len(details) < 300
    assert len(details._names) == len(details)
    assert details.of("job-998", 1000.0) is not None
    assert details.of("job-1", 1000.0) is None


def test_gone_in_numbers_before_anybody_looked():
    """Nor are those the snapshot remembers."""
    details = Details()
    gone = tuple(
        GoneView(view=view(name=f"job-{number}", id=f"{number:064}"), seen_at=float(number))
        for number in range(1000)
    )
    for _ in range(2):
        details.observe(Snapshot(at=1000.0, containers=(), gone=gone), {}, 1000.0)
    assert len(details) == 256
    assert details.find("job-999").name == "job-999"


def test_clock_put_back():
    """What went in the future went now."""
    details = Details()
    details.observe(Snapshot(at=5000.0, containers=(view(),)), {}, 5000.0)
    for now, known in ((5001.0, True), (100.0, True), (100.0 + GONE_SECONDS + 1, False)):
        details.observe(Snapshot(at=now, containers=()), {}, now)
        assert (details.find("web") is not None) is known


def test_unconfirmed_facts_are_as_old_as_their_last_confirmation():
    """A daemon that hangs does not make old facts new."""
    watched = Watched(facts())
    assert watched.of(known_at=EPOCH - 30.0)["observed_at"] == "2026-09-21T14:12:50.000000Z"
    assert watched.of(known_at=EPOCH + 30.0)["observed_at"] == AT
    assert watched.of("other") is None
