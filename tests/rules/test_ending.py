"""Why an alert is no longer produced: a table over the samples there are at that time."""

from __future__ import annotations

import re
from functools import partial

import pytest

from alerting.alerts import Ending
from alerting.labels import METRIC_NAME, Labels
from alerting.promql.parse import parse
from alerting.rules.ending import why_ended
from alerting.window import Window

NOW = 1_790_000_000_000
CONTAINER = Labels({"alertname": "Down", "job": "e", "instance": "h1", "name": "web", "severity": "critical"})
DOWN = 'container_state_status{status="exited"} == 1'
RECOVERED = (Ending.RECOVERED, "")
GONE = (Ending.REMOVED, "gone")
_PAIR = re.compile(r'(\w+)="([^"]*)"')


def window(*lines: str, age: int = 0) -> Window:
    """Return a window with these samples, written as in an exposition: ``name{a="b"} value``."""
    filled = Window(keep=None)
    for line in lines:
        series, _, value = line.rpartition(" ")
        name, _, rest = series.partition("{")
        labels = Labels({METRIC_NAME: name, **dict(_PAIR.findall(rest))})
        if value == "stale":
            filled.append(labels, NOW - 5000, 1.0)
            filled.stale(labels, NOW - age)
        else:
            filled.append(labels, NOW - age, float(value))
    return filled


def verdict(
    samples: Window, *, labels: Labels = CONTAINER, kind: str = "container", expr: str = DOWN, until: str = ""
) -> tuple[Ending, str]:
    """Ask why the alert with these labels ended."""
    rule_labels = {"severity": "critical"}
    annotations = {"vakhta_kind": kind, "vakhta_until": until}
    return why_ended(labels, annotations, parse(expr), rule_labels, partial(samples.latest, at_ms=NOW))


UP = 'up{job="e",instance="h1"} 1'
DOCKER = 'docker_up{job="e",instance="h1"} 1'


def status(value: str, *, instance: str = "h1") -> list[str]:
    """Return the lines of a container's status: the one that holds, and one that does not."""
    other = "exited" if value != "exited" else "running"
    head = f'container_state_status{{job="e",instance="{instance}",name="web"'
    return [f'{head},status="{value}"}} 1', f'{head},status="{other}"}} 0']


def reason(value: str) -> list[str]:
    """Return the lines of a container's last exit."""
    head = 'container_last_exit_reason{job="e",instance="h1",name="web"'
    return [f'{head},reason="{value}"}} 1']


def health(value: str) -> list[str]:
    """Return the lines of a container's health."""
    head = 'container_state_health_status{job="e",instance="h1",name="web"'
    return [f'{head},status="{value}"}} 1', f'{head},status="none"}} 0']


CONTAINERS = [
    pytest.param([UP, DOCKER, *status("running")], RECOVERED, id="it runs"),
    pytest.param([UP, *status("running")], RECOVERED, id="it runs, and nobody says anything of Docker"),
    pytest.param([UP, DOCKER], GONE, id="there is no such container"),
    pytest.param(
        [UP, DOCKER, *status("running", instance="h2")], GONE, id="its namesake on another host runs"
    ),
    pytest.param([UP, DOCKER, *status("removing")], GONE, id="it is being removed"),
    pytest.param([UP, DOCKER, *status("paused")], (Ending.REMOVED, "paused"), id="paused on purpose"),
    pytest.param(
        [UP, DOCKER, *status("exited"), *reason("requested")],
        (Ending.REMOVED, "stopped"),
        id="stopped on request",
    ),
    pytest.param(
        [UP, DOCKER, *status("exited"), *reason("completed")],
        (Ending.REMOVED, "completed"),
        id="it did its work",
    ),
    pytest.param(
        [UP, DOCKER, *status("dead"), *reason("requested")], (Ending.REMOVED, "stopped"), id="dead on request"
    ),
    pytest.param(
        [UP, DOCKER, *status("exited"), *reason("error")],
        (Ending.LOST_SIGHT, "not running"),
        id="stopped with an error: not over, whatever this rule says",
    ),
    pytest.param(
        [UP, DOCKER, *status("restarting"), *reason("requested")],
        (Ending.LOST_SIGHT, "not running"),
        id="restarting",
    ),
    pytest.param(
        [UP, DOCKER.replace(" 1", " 0"), *status("running")],
        (Ending.LOST_SIGHT, "frozen"),
        id="the daemon does not answer: what is known may be old",
    ),
    pytest.param(
        [UP, DOCKER.replace(" 1", " 0")], (Ending.LOST_SIGHT, "frozen"), id="frozen, without any facts"
    ),
    pytest.param(
        [UP.replace(" 1", " 0"), DOCKER, *status("running")],
        (Ending.LOST_SIGHT, "silent"),
        id="the exporter is silent",
    ),
    pytest.param([DOCKER, *status("running")], GONE, id="the target was taken out of the configuration"),
    pytest.param(
        [UP.replace(" 1", " stale"), *status("running")], GONE, id="the target's own series has ended"
    ),
    pytest.param(
        [UP, DOCKER, *(line.rpartition(" ")[0] + " stale" for line in status("running"))],
        GONE,
        id="the container's series have ended",
    ),
]


@pytest.mark.parametrize(("lines", "expected"), CONTAINERS)
def test_containers(lines, expected):
    """What the container's own facts say, whatever the rule selects."""
    assert verdict(window(*lines)) == expected


HEALTH = [
    pytest.param(
        "starting", "healthy", (Ending.LOST_SIGHT, "starting"), id="a check that starts afresh is undecided"
    ),
    pytest.param("healthy", "healthy", RECOVERED, id="the check passes"),
    pytest.param("none", "healthy", RECOVERED, id="there is no check any more"),
    pytest.param("starting", "", RECOVERED, id="a rule that does not ask for it is content that it runs"),
]


@pytest.mark.parametrize(("state", "until", "expected"), HEALTH)
def test_health(state, until, expected):
    """A rule with the annotation vakhta_until: healthy waits for the check."""
    assert verdict(window(UP, DOCKER, *status("running"), *health(state)), until=until) == expected


DISK = Labels(
    {"alertname": "DiskFull", "job": "e", "instance": "h1", "mountpoint": "/", "severity": "critical"}
)
OTHERS = [
    pytest.param(
        [UP, 'disk_free{job="e",instance="h1",mountpoint="/"} 50'], RECOVERED, id="its source is there"
    ),
    pytest.param(
        [UP, 'disk_free{job="e",instance="h1",mountpoint="/srv"} 50'], GONE, id="only another source is"
    ),
    pytest.param(
        [UP, 'disk_free{job="e",instance="h2",mountpoint="/"} 50'], GONE, id="only another host's is"
    ),
    pytest.param(
        [UP, 'disk_size{job="e",instance="h1",mountpoint="/"} 90'],
        RECOVERED,
        id="any of the rule's sources serves",
    ),
    pytest.param(
        [UP, 'disk_info{job="e",instance="h1"} 1'], RECOVERED, id="a source without the label agrees with it"
    ),
    pytest.param(
        [UP, 'disk_free{job="e",instance="h1",mountpoint="/",severity="low"} 50'],
        RECOVERED,
        id="a label that the rule sets identifies no source",
    ),
    pytest.param([UP], GONE, id="no source is there"),
    pytest.param(
        [UP.replace(" 1", " 0"), 'disk_free{job="e",instance="h1",mountpoint="/"} 50'],
        (Ending.LOST_SIGHT, "silent"),
        id="the target is silent",
    ),
]


@pytest.mark.parametrize(("lines", "expected"), OTHERS)
def test_other_alerts(lines, expected):
    """Recovered means that a series the rule selects still is there and agrees with the alert on every shared label."""
    expr = "disk_free / disk_size * on (instance) group_left disk_info < 0.1"
    assert verdict(window(*lines), labels=DISK, kind="host", expr=expr) == expected


def test_a_container_rule_without_a_name_is_judged_by_its_sources():
    """An alert over a whole service has no container of its own."""
    labels = Labels(
        {"alertname": "Missing", "job": "e", "instance": "h1", "service": "web", "severity": "critical"}
    )
    line = 'compose_service_containers{job="e",instance="h1",service="web",state="running"} 3'
    assert verdict(window(UP, line), labels=labels, expr="compose_service_containers < 3") == RECOVERED


def test_a_rule_of_somebody_else_about_containers_is_judged_by_its_sources():
    """Without vakhta_kind nothing is assumed of the label "name"."""
    assert verdict(window(UP, *status("exited"), *reason("error")), kind="") == RECOVERED


def test_an_alert_over_many_targets_does_not_ask_whether_one_of_them_answers():
    """Without a label "instance" only its sources speak."""
    labels = Labels({"alertname": "Few", "severity": "critical"})
    lines = (UP.replace(" 1", " 0"), 'up{job="e",instance="h2"} 1')
    assert verdict(window(*lines), labels=labels, kind="", expr="sum(up) < 2") == RECOVERED


def test_an_alert_over_many_targets_whose_sources_are_gone_while_one_is_silent():
    """The silent target may have had them: that is no removal."""
    labels = Labels({"alertname": "Few", "severity": "critical", "project": "shop"})
    lines = (UP.replace(" 1", " 0"), 'up{job="e",instance="h2"} 1')
    expr = "sum by (project) (container_state_status) > 1"
    assert verdict(window(*lines), labels=labels, kind="", expr=expr) == (Ending.LOST_SIGHT, "silent")


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        pytest.param(299_999, RECOVERED, id="just inside the lookback"),
        pytest.param(300_000, GONE, id="5 min old is gone"),
    ],
)
def test_old_samples_do_not_speak(age, expected):
    """What is older than the lookback is no sign of life."""
    assert verdict(window(UP, *status("running"), age=age)) == expected
