"""Reading what Docker says: events, inspects, lists, signals."""

import json
from pathlib import Path

import pytest

from exporter.docker.containers import (
    Health,
    RestartPolicy,
    Status,
    facts_from_inspect,
    facts_from_summary,
    is_temporary,
    signal_number,
)
from exporter.docker.events import Action, parse
from tests.exporter.stories import EPOCH, ID, raw_event

FIXTURES = Path(__file__).parent / "fixtures"


def inspected(name, tree="cgroup2"):
    """Return a recorded inspect."""
    return json.loads((FIXTURES / tree / "inspect" / f"{name}.json").read_text())


def test_a_recorded_inspect():
    """A real daemon's answer is read whole."""
    facts = facts_from_inspect(inspected("web"))
    assert (facts.name, facts.status, facts.pid, facts.restart_count, facts.complete) == (
        "web",
        Status.RUNNING,
        553,
        0,
        True,
    )
    assert facts.labels["com.docker.compose.project"] == "shop"
    assert facts.started_at == pytest.approx(1795455573.82078706)
    assert (facts.finished_at, facts.health, facts.stop_signal, facts.stop_timeout) == (None, None, "", 10.0)
    assert facts.policy == RestartPolicy()


@pytest.mark.parametrize(
    ("changes", "attribute", "expected"),
    [
        pytest.param(
            {"Config": {"StopTimeout": 0}}, "stop_timeout", 0.0, id="a stop timeout of 0 is not the default"
        ),
        pytest.param({"Config": {"StopTimeout": -1}}, "stop_timeout", -1.0, id="a stop timeout without end"),
        pytest.param({"Config": {"Labels": None}}, "labels", {}, id="no labels"),
        pytest.param(
            {"State": {"Status": "exited", "Health": {"Status": "unhealthy"}}},
            "health",
            Health.UNHEALTHY,
            id="health",
        ),
        pytest.param(
            {"State": {"Health": {"Status": "none"}}}, "health", None, id="a disabled health check is none"
        ),
        pytest.param(
            {"State": {"Health": {"Status": "new-word"}}},
            "health",
            Health.STARTING,
            id="a verdict we do not know",
        ),
        pytest.param(
            {"State": {"Status": "new-word"}}, "status", Status.DEAD, id="a state we do not know does not run"
        ),
        pytest.param(
            {"State": {"StartedAt": "0001-01-01T00:00:00Z"}}, "started_at", None, id="Docker's zero time"
        ),
        pytest.param({"State": {"StartedAt": "soon"}}, "started_at", None, id="a time that is none"),
        pytest.param(
            {"State": {"StartedAt": "2026-09-21T14:13:20.5+02:00"}},
            "started_at",
            1789992800.5,
            id="a time with a zone",
        ),
        pytest.param(
            {"HostConfig": {"RestartPolicy": {"Name": ""}}},
            "policy",
            RestartPolicy(),
            id="an empty policy is no",
        ),
        pytest.param({"HostConfig": {"NanoCpus": 1_250_000_000}}, "cpu_quota", 125_000, id="--cpus 1.25"),
        pytest.param(
            {"HostConfig": {"CpuQuota": 20_000, "CpuPeriod": 50_000}}, "cpu_quota", 20_000, id="--cpu-quota"
        ),
        pytest.param({"HostConfig": {"CpuQuota": -1}}, "cpu_quota", 0, id="a quota without limit is none"),
        pytest.param({"HostConfig": {"CpuPeriod": 50_000}}, "cpu_period", 50_000, id="--cpu-period"),
        pytest.param({"HostConfig": {"MemorySwap": -1}}, "memory_swap", -1, id="--memory-swap -1"),
        pytest.param({"HostConfig": {"AutoRemove": True}}, "auto_remove", True, id="started with --rm"),
    ],
)
def test_inspects(changes, attribute, expected):
    """What is absent or odd has its default."""
    assert getattr(facts_from_inspect({"Id": ID, "Name": "/web", **changes}), attribute) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param({"Names": ["/web"], "State": "running", "Status": "Up 3 minutes (healthy)"}, ("web", Status.RUNNING, Health.HEALTHY), id="healthy"),
        pytest.param({"Names": ["/web"], "State": "running", "Status": "Up 1 second (health: starting)"}, ("web", Status.RUNNING, Health.STARTING), id="starting"),
        pytest.param({"Names": ["/web"], "State": "paused", "Status": "Up 2 hours (Paused)"}, ("web", Status.PAUSED, None), id="paused"),
        pytest.param({"Names": ["/db/alias", "/web"], "State": "exited", "Status": "Exited (137) 2 hours ago"}, ("web", Status.EXITED, None), id="linked names"),
        pytest.param({"Names": None, "State": "removing"}, ("", Status.REMOVING, None), id="no name any more"),
    ],
)  # fmt: skip
def test_lists(raw, expected):
    """A list tells name, state, and health in words."""
    facts = facts_from_summary({"Id": ID, **raw})
    assert (facts.name, facts.status, facts.health, facts.complete) == (*expected, False)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("15", 15),
        ("TERM", 15),
        ("SIGTERM", 15),
        ("sigquit", 3),
        ("SIGRTMIN+3", 37),
        ("RTMIN", 34),
        ("SIGNOTHING", None),
        ("", None),
        ("²", None),
    ],
)
def test_signals(text, number):
    """Docker takes signals by number and by name, with and without SIG."""
    assert signal_number(text) == number


@pytest.mark.parametrize(
    ("name", "temporary"),
    [
        ("78574a4590bc_shop-web-1", True),
        ("shop-web-1", False),
        ("78574A4590BC_web", False),
        ("78574a4590bc_", False),
    ],
)
def test_temporary_names(name, temporary):
    """Compose's temporary names have twelve hexadecimal digits in front."""
    assert is_temporary(name) is temporary


@pytest.mark.parametrize(
    ("policy", "code", "count", "applies"),
    [
        ("no", 1, 0, False),
        ("always", 0, 9, True),
        ("unless-stopped", 0, 9, True),
        ("on-failure", 0, 0, False),
        ("on-failure", 1, 99, True),
        ("on-failure:2", 1, 1, True),
        ("on-failure:2", 1, 2, False),
    ],
)
def test_restart_policies(policy, code, count, applies):
    """Docker's own rules for starting a container again."""
    name, _, retries = policy.partition(":")
    assert (
        RestartPolicy(name=name, maximum_retries=int(retries or 0)).applies(code=code, restart_count=count)
        is applies
    )


@pytest.mark.parametrize(
    ("line", "attribute", "expected"),
    [
        ("1.5 die 137", "exit_code", 137),
        ("1.5 die 137", "exec_duration", 1),
        ("1.5 kill 15", "signal", 15),
        ("1.5 kill SIGTERM", "signal", 15),
        ("1.5 health_status unhealthy", "health", Health.UNHEALTHY),
        ("1.5 health_status running", "health", None),
        ("1.5 rename api", "name", "api"),
        ("1.5 start", "exit_code", None),
        ("1.5 start", "labels", {"vakhta.alerts": "off"}),
        ("1.5 start", "time_nano", EPOCH * 1_000_000_000 + 1_500_000_000),
        ("1.5 start", "at", EPOCH + 1.5),
        ("1.5 start", "image", "busybox:1.35"),
    ],
)
def test_events(line, attribute, expected):
    """An event's own facts are typed, its labels kept apart from them."""
    assert getattr(parse(raw_event(line, labels={"vakhta.alerts": "off"})), attribute) == expected


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param({}, id="empty"),
        pytest.param({"Type": "network", "Action": "create", "Actor": {"ID": ID}}, id="of a network"),
        pytest.param(
            {"Type": "container", "Action": "exec_create: sh", "Actor": {"ID": ID}},
            id="an action not subscribed to",
        ),
        pytest.param({"Type": "container", "Action": "start"}, id="of nobody"),
    ],
)
def test_events_of_no_interest(raw):
    """What is not about a container, or not understood, is nothing."""
    assert parse(raw) is None


def test_an_old_daemons_event():
    """Before API 1.22 there was neither Actor nor timeNano."""
    event = parse({"status": "start", "id": ID, "from": "busybox", "time": EPOCH})
    assert (event.action, event.id, event.time_nano) == (Action.START, ID, EPOCH * 1_000_000_000)
