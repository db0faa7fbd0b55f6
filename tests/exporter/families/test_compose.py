"""How many containers a Compose service should have: what is learnt, what lowers it, and what does not."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.docker.compose import TOGETHER_SECONDS, ComposeExpectations, ExpectationsFormatError
from exporter.docker.containers import Status
from exporter.docker.exits import Exit, ExitReason
from exporter.docker.snapshot import Snapshot, view_of
from exporter.families import containers
from exporter.memory import Book
from tests.exporter.stories import EPOCH, facts, world_of
from tests.size import examples

WEB = ("shop", "web")
LABELS = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}


class Service:
    """A service `web` of the project `shop`, whose containers are told what happens to them, and what is expected of it."""

    def __init__(self, replicas=0, *, age=TOGETHER_SECONDS, labels=None):
        self.now = float(EPOCH)
        self.labels = LABELS | (labels or {})
        self.views = {}
        self.learnt = ComposeExpectations()
        for _ in range(replicas):
            self.start()
        self.pass_time(age)

    def start(self):
        """Start one more container."""
        number = len(self.views) + 1
        while f"{number:064x}" in self.views:
            number += 1
        told = facts(id=f"{number:064x}", name=f"shop-web-{number}", labels=self.labels, started_at=self.now)
        self.views[told.id] = view_of(told, Book(id=told.id, first_seen=self.now))
        return told.id

    def end(self, container, reason, status=Status.EXITED):
        """Let a container end."""
        self.views[container] = replace(
            self.views[container],
            status=status,
            finished_at=self.now,
            last_exit=Exit(reason=reason, code=1, at=self.now),
        )

    def run_again(self, container):
        """Start a container that ended."""
        self.views[container] = replace(self.views[container], status=Status.RUNNING, started_at=self.now)

    def pass_time(self, seconds):
        """Let time pass, and look."""
        self.now += seconds
        return self.look()

    def look(self):
        """Observe; what is expected of the service now, None: nobody knows it."""
        self.learnt.observe(Snapshot(at=self.now, containers=tuple(self.views.values())), self.now)
        return self.learnt.expected().get(WEB)

    def restart_exporter(self):
        """Forget all but what is written down."""
        self.learnt = ComposeExpectations.loads(json.loads(json.dumps(self.learnt.dumps())))

    @property
    def alive(self):
        """How many run."""
        return sum(view.status.alive for view in self.views.values())


def ids(service):
    """Return the containers' ids."""
    return list(service.views)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        pytest.param(TOGETHER_SECONDS - 1, 0, id="not yet together for ten minutes"),
        pytest.param(TOGETHER_SECONDS, 3, id="together for ten minutes"),
        pytest.param(7 * 86_400, 3, id="known at once of containers that run for long"),
        pytest.param(-3600, 0, id="a clock that was put back teaches nothing"),
    ],
)
def test_what_is_learnt(age, expected):
    """The most that ran together for ten minutes."""
    assert Service(3, age=age).look() == expected


def test_together_means_all_at_once():
    """Two that run for long and one that just joined them are two."""
    service = Service(2)
    service.start()
    assert service.pass_time(TOGETHER_SECONDS - 1) == 2
    assert service.pass_time(1) == 3


@pytest.mark.parametrize(
    ("reason", "status", "expected"),
    [
        (ExitReason.REQUESTED, Status.EXITED, 2),
        (ExitReason.REQUESTED, Status.REMOVING, 2),
        (ExitReason.COMPLETED, Status.EXITED, 2),
        (ExitReason.COMPLETED, Status.RESTARTING, 3),
        (ExitReason.ERROR, Status.EXITED, 3),
        (ExitReason.ERROR, Status.RESTARTING, 3),
        (ExitReason.OOM, Status.EXITED, 3),
        (ExitReason.KILLED, Status.EXITED, 3),
        (ExitReason.KILLED, Status.DEAD, 3),
        (ExitReason.UNKNOWN, Status.EXITED, 3),
    ],
)
def test_what_lowers_it(reason, status, expected):
    """An end that is no fault; a crash changes nothing, now or later."""
    service = Service(3)
    service.end(ids(service)[0], reason, status)
    assert service.look() == expected
    assert service.pass_time(10 * TOGETHER_SECONDS) == expected


def test_a_stop_teaches_nothing():
    """What is left after a stop is no expectation before it has run for ten minutes."""
    service = Service(3, age=60)
    service.look()
    service.end(ids(service)[0], ExitReason.REQUESTED)
    assert service.look() == 0


def test_a_reason_that_is_known_later():
    """What looked like a kill was a removal: it is lowered when that is found out."""
    service = Service(3)
    service.end(ids(service)[0], ExitReason.KILLED)
    assert service.look() == 3
    service.end(ids(service)[0], ExitReason.REQUESTED)
    assert service.look() == 2


def test_scaled_down():
    """A container that is gone was removed by somebody."""
    service = Service(3)
    del service.views[ids(service)[0]]
    assert service.look() == 2


def test_a_crashed_container_that_is_removed():
    """What still runs is expected, and what its policy starts again."""
    service = Service(4)
    first, second, third, _ = ids(service)
    service.end(first, ExitReason.ERROR)
    service.end(second, ExitReason.ERROR, Status.RESTARTING)
    assert service.look() == 4
    del service.views[first]
    assert service.look() == 3
    service.end(third, ExitReason.REQUESTED)
    assert service.look() == 2


def test_an_end_is_taken_into_account_once():
    """A container that stays stopped does not explain the crash of another, nor after a restart of the exporter."""
    service = Service(3)
    first, second, _ = ids(service)
    service.end(first, ExitReason.REQUESTED)
    assert service.look() == 2
    service.pass_time(60)
    service.end(second, ExitReason.ERROR)
    assert service.look() == 2
    service.restart_exporter()
    assert service.look() == 2


def test_stopped_and_started_again():
    """It is expected again when it has run with the others for ten minutes, and a second stop counts like the first."""
    service = Service(2)
    first = ids(service)[0]
    for _ in range(2):
        service.end(first, ExitReason.REQUESTED)
        assert service.look() == 1
        service.run_again(first)
        assert service.pass_time(TOGETHER_SECONDS - 1) == 1
        assert service.pass_time(1) == 2


def test_a_restart_between_two_looks():
    """What nobody saw down was never less."""
    service = Service(2)
    first = ids(service)[0]
    service.end(first, ExitReason.REQUESTED)
    service.run_again(first)
    assert service.look() == 2


def test_a_deploy():
    """New containers take the old ones' places, one by one: two ran all the time, and the old number holds again after ten minutes."""
    service = Service(3)
    for old in ids(service):
        service.end(old, ExitReason.REQUESTED)
        service.look()
        del service.views[old]
        service.start()
        service.pass_time(5)
    assert service.look() == 2
    assert service.pass_time(TOGETHER_SECONDS) == 3


def test_down():
    """Nothing is expected of a service that is no more, and nothing is remembered when it comes back."""
    service = Service(3)
    service.views.clear()
    assert service.look() is None
    assert service.learnt.dumps() == {}
    service.start()
    assert service.look() == 0


def test_removed_while_the_exporter_was_away():
    """The first look after a restart sees who is missing."""
    service = Service(3)
    service.restart_exporter()
    del service.views[ids(service)[0]]
    assert service.look() == 2
    service.restart_exporter()
    service.views.clear()
    assert service.look() is None


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"com.docker.compose.oneoff": "True"}, id="one-off"),
        pytest.param({"vakhta.expect": "stopped"}, id="expected to be stopped"),
        pytest.param({"com.docker.compose.project": ""}, id="not of Compose"),
    ],
)
def test_who_does_not_count(labels):
    """They are not replicas of the service."""
    assert Service(2, labels=labels).learnt.expected() == {}


def test_revision_rises_when_there_is_something_to_write_down():
    """And only then."""
    service = Service(2)
    before = service.learnt.revision
    service.pass_time(60)
    assert service.learnt.revision == before
    service.end(ids(service)[0], ExitReason.REQUESTED)
    service.look()
    assert service.learnt.revision == before + 1
    service.views.clear()
    service.look()
    assert service.learnt.revision == before + 2


@pytest.mark.parametrize(
    "raw",
    [
        {"shop": 1},
        {"shop": {"web": {"containers": {}}}},
        {"shop": {"web": {"expected": "many", "containers": {}}}},
        {"shop": {"web": {"expected": 1, "containers": [1]}}},
        {"shop": {"web": {"expected": 1, "containers": {"a": "yesterday"}}}},
        {"shop": {"web": {"expected": float("inf"), "containers": {}}}},
        ["shop"],
        None,
    ],
    ids=repr,
)
def test_what_was_never_written(raw):
    """It is refused as a whole, with one kind of error."""
    with pytest.raises(ExpectationsFormatError, match="damaged"):
        ComposeExpectations.loads(raw)


def test_the_family():
    """One series per service that has containers, with the labels of compose_service_containers."""
    service = Service(2)
    snapshot = Snapshot(at=service.now, containers=tuple(service.views.values()))
    seen = world_of(snapshot, expected={**service.learnt.expected(), ("gone", "db"): 1})
    (family,) = [row for row in containers.FAMILIES if row.name == "compose_service_expected_containers"]
    assert [(base.text(own), value) for base, own, value in family.samples(seen)] == [
        ('{project="shop",service="web"}', 2)
    ]
    assert list(family.samples(world_of(snapshot))) == []


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "run again", "request", "complete", "crash", "policy", "remove", "restart exporter", "wait"]),
        st.integers(0, 5),
        st.sampled_from([1.0, TOGETHER_SECONDS / 2, TOGETHER_SECONDS]),
    ),
    max_size=25,
)  # fmt: skip
_CRASHES = {"crash": Status.EXITED, "policy": Status.RESTARTING}
_HARMLESS = {"request": ExitReason.REQUESTED, "complete": ExitReason.COMPLETED}


def _step(service, what, container):
    """Do one thing to a container, where it makes sense; whether it did."""
    alive = container is not None and service.views[container].status.alive
    if what == "start":
        service.start()
    elif what == "restart exporter":
        service.restart_exporter()
    elif what in _CRASHES and alive:
        service.end(container, ExitReason.ERROR, _CRASHES[what])
    elif what in _HARMLESS and alive:
        service.end(container, _HARMLESS[what])
    elif what == "run again" and container is not None and not alive:
        service.run_again(container)
    elif what == "remove" and container is not None:
        del service.views[container]
    else:
        return False
    return True


@settings(max_examples=examples(200), deadline=None)
@given(steps=_STEPS)
def test_laws(steps):
    """Never above the most that ran at once; only a requested end or a removal lowers it, to what runs or is restarting.

    A crash, a start, time and a restart of the exporter lower nothing, and `down` leaves nothing.
    """
    service, most = Service(), 0
    for what, which, seconds in steps:
        service.now += seconds
        most = max(most, service.alive)
        before = service.look() or 0
        own = ids(service)
        done = _step(service, what, own[which % len(own)] if own else None)
        most = max(most, service.alive)
        after = service.look() or 0
        held = sum(view.status.alive or view.status is Status.RESTARTING for view in service.views.values())
        assert after <= most
        if done and what in {"request", "complete", "remove"}:
            assert after == min(before, held)
        else:
            assert after == before
    service.views.clear()
    assert service.look() is None
