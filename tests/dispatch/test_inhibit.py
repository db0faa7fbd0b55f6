"""Alerts that explain others hide them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.config import SHIPPED_INHIBIT_RULES
from alerting.dispatch.inhibit import Inhibitor, InhibitRule
from alerting.dispatch.matchers import parse_matchers
from alerting.labels import Labels


def rule(source, target, *equal):
    """Return a rule from matchers as text."""
    return InhibitRule(
        source=tuple(parse_matchers(source)), target=tuple(parse_matchers(target)), equal=equal
    )


LOUD_HIDES_QUIET = rule("severity=critical", "severity=~warning|info", "host", "zone")
SAME_NAME = rule("alertname=~A|B", "alertname=~A|B", "host")
A_HIDES_ALL = rule("alertname=A", "alertname!=Z")


def labels(**given_labels):
    """Return a labelset."""
    return Labels(given_labels)


CRITICAL = labels(alertname="Down", severity="critical", host="h")
WARNING = labels(alertname="Slow", severity="warning", host="h")


@pytest.mark.parametrize(
    ("rules", "active", "target", "source"),
    [
        pytest.param([LOUD_HIDES_QUIET], [CRITICAL], WARNING, CRITICAL, id="a source hides its target"),
        pytest.param([LOUD_HIDES_QUIET], [], WARNING, None, id="without a source nothing is hidden"),
        pytest.param([LOUD_HIDES_QUIET], [CRITICAL], labels(severity="warning", host="i"), None, id="another host"),
        pytest.param([LOUD_HIDES_QUIET], [CRITICAL], labels(severity="warning", host="h", zone="z"), None, id="a label missing on one side is not equal to one that is there"),
        pytest.param([LOUD_HIDES_QUIET], [labels(severity="critical")], labels(severity="info"), labels(severity="critical"), id="a label missing on both sides is equal"),
        pytest.param([LOUD_HIDES_QUIET], [WARNING], CRITICAL, None, id="a target hides no source"),
        pytest.param([LOUD_HIDES_QUIET], [CRITICAL], labels(severity="none", host="h"), None, id="what matches no target is never hidden"),
        pytest.param([A_HIDES_ALL], [labels(alertname="A")], labels(alertname="A"), None, id="an alert does not hide itself"),
        pytest.param([A_HIDES_ALL], [labels(alertname="A"), labels(alertname="A", x="1")], labels(alertname="A", x="1"), None, id="two-faced: sources that are targets do not hide each other"),
        pytest.param([SAME_NAME], [labels(alertname="A", host="h"), labels(alertname="B", host="h")], labels(alertname="A", host="h"), None, id="two-faced: a mutual rule hides neither"),
        pytest.param([A_HIDES_ALL, LOUD_HIDES_QUIET], [CRITICAL], WARNING, CRITICAL, id="any of the rules is enough"),
        pytest.param([rule("alertname=A,kind=x", "severity=info")], [labels(alertname="A", kind="y")], labels(severity="info"), None, id="all matchers of a source have to match"),
    ],
)  # fmt: skip
def test_who_hides_whom(rules, active, target, source):
    """The source that hides the target, or nobody."""
    assert Inhibitor(rules, active).inhibited_by(target) == source


def test_a_one_faced_source_hides_a_two_faced_target():
    """Only a source that is a target itself is kept from hiding another such alert."""
    rules = [rule("severity=~critical|warning", "severity=~warning|info")]
    assert Inhibitor(rules, [CRITICAL]).inhibited_by(WARNING) == CRITICAL


SHOP = {"host": "h", "name": "shop-web-1"}


@pytest.mark.parametrize(
    ("active", "target", "hidden"),
    [
        pytest.param({"alertname": "ExporterDown", "host": "h"}, {"alertname": "ContainerDown", **SHOP}, True, id="the exporter is down: everything of its host"),
        pytest.param({"alertname": "ExporterDown", "host": "h"}, {"alertname": "ContainerDown", "host": "other"}, False, id="not of other hosts"),
        pytest.param({"alertname": "ExporterDown", "host": "h"}, {"alertname": "Watchdog", "host": "h"}, False, id="never the Watchdog"),
        pytest.param({"alertname": "DockerDown", "host": "h"}, {"alertname": "ContainerUnhealthy", **SHOP}, True, id="Docker is down: its containers"),
        pytest.param({"alertname": "DockerDown", "host": "h"}, {"alertname": "HostDiskAlmostFull", "host": "h"}, False, id="not the host itself"),
        pytest.param({"alertname": "ContainerCrashLoop", **SHOP}, {"alertname": "ContainerDown", **SHOP}, True, id="the crash loop of the same container"),
        pytest.param({"alertname": "ContainerCrashLoop", **SHOP}, {"alertname": "ContainerDown", "host": "h", "name": "shop-web-2"}, False, id="not of its neighbour"),
        pytest.param({"alertname": "ContainerCrashLoop", **SHOP}, {"alertname": "ContainerOOMKilled", **SHOP}, False, id="a crash loop does not hide why"),
        pytest.param({"alertname": "ContainerDown", "reason": "oom", **SHOP}, {"alertname": "ContainerOOMKilled", **SHOP}, True, id="down says out of memory itself"),
        pytest.param({"alertname": "ContainerDown", "reason": "error", **SHOP}, {"alertname": "ContainerOOMKilled", **SHOP}, False, id="down for another reason does not"),
    ],
)  # fmt: skip
def test_the_shipped_rules(active, target, hidden):
    """What explains what, without any configuration."""
    found = Inhibitor(SHIPPED_INHIBIT_RULES, [Labels(active)]).inhibited_by(Labels(target))
    assert (found is not None) is hidden


some = st.dictionaries(
    st.sampled_from(["alertname", "severity", "host"]), st.sampled_from(["A", "critical", "info", "h"])
).map(Labels)


def plainly(rules, active, target):
    """Return whether a target is hidden, by the definition instead of by the index."""
    return any(
        each.is_source(source)
        and each.is_target(target)
        and all(source.get(name, "") == target.get(name, "") for name in each.equal)
        and source != target
        and not (each.is_source(target) and each.is_target(source))
        for each in rules
        for source in active
    )


@given(st.lists(some, max_size=5), some)
def test_the_index_answers_as_the_definition_does(active, target):
    """Looking sources up by their equal labels changes no answer."""
    rules = [LOUD_HIDES_QUIET, SAME_NAME, A_HIDES_ALL, rule("host=h", "severity=info")]
    assert (Inhibitor(rules, active).inhibited_by(target) is not None) == plainly(rules, active, target)
