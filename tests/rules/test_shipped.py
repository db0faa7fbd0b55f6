"""What every shipped alert owes the person it wakes: a first line, a runbook, a known loudness, and honest counting."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alerting.labels import METRIC_NAME
from alerting.promql import ast
from alerting.rules.load import load_files
from alerting.rules.model import AlertingRule, RuleGroup
from alerting.templates import Context, QuerySample, render_alert_template

ROOT = Path(__file__).parents[2]
GROUPS = load_files(sorted((ROOT / "rules").glob("*.yml")), interval=timedelta(seconds=5))
ALERTS = [(group, rule) for group in GROUPS for rule in group.rules if isinstance(rule, AlertingRule)]
RULES = [(group, rule) for group in GROUPS for rule in group.rules]
EVENT_COUNTERS = {"container_restarts_total", "container_exits_total", "container_oom_events_total"}
RUNBOOK_URL = "https://github.com/vakhta/vakhta/blob/main/docs/runbooks/{}.md"
PARTS = ["What it means.", "What users feel.", "Look first.", "Mend.", "Quieter.", "Over."]
# Short names, as on a small host.
SAMPLE = {
    "instance": "h1:9817",
    "name": "shop-web-1",
    "project": "shop",
    "service": "web",
    "reason": "oom",
    "collector": "cgroups",
    "group": "host",
    "rule": "HostDown",
    "target": "h1:9817",
}


def _id(group: RuleGroup, rule) -> str:
    return f"{Path(group.file).stem}:{rule.line} {rule.name}"


every_alert = pytest.mark.parametrize(
    "rule", [pytest.param(rule, id=_id(group, rule)) for group, rule in ALERTS]
)
every_rule = pytest.mark.parametrize(
    "rule", [pytest.param(rule, id=_id(group, rule)) for group, rule in RULES]
)
every_container_alert = pytest.mark.parametrize(
    "rule",
    [
        pytest.param(rule, id=_id(group, rule))
        for group, rule in ALERTS
        if rule.annotations["vakhta_kind"] == "container"
    ],
)


def _rendered(rule: AlertingRule, labels) -> dict[str, str]:
    context = Context(
        labels=labels,
        value=137.0,
        external_labels={},
        external_url="",
        now=datetime(2026, 9, 21, tzinfo=UTC),
        query=lambda _text: [QuerySample(labels={}, value=3.0)],
    )
    return {name: render_alert_template(t, context) for name, t in rule.annotation_templates.items()}


def _nodes(expr):
    yield expr
    for child in ast.children(expr):
        yield from _nodes(child)


def test_the_table_is_not_empty():
    """Both files were found and read."""
    assert {Path(group.file).name for group in GROUPS} >= {"containers.yml", "vakhta.yml"}
    assert len(ALERTS) >= 20


@every_alert
def test_it_says_what_a_message_needs(rule):
    """A first line, a kind, a severity we know, and a word for the trouble unless it is never told."""
    assert rule.annotations["summary"]
    assert rule.annotations["vakhta_kind"] in {"container", "certificate", "site", "host", "watch"}
    assert rule.labels["severity"] in {"critical", "warning", "info", "none"}
    assert rule.annotations.get("vakhta_rank", "50").isdecimal()
    if rule.labels["severity"] != "none":
        assert rule.annotations["vakhta_state"]
        assert rule.annotations["vakhta_resolved"]


@every_alert
def test_its_first_line_fits_a_locked_phone(rule):
    """With short names the summary takes 60 characters at most, on one line, with and without Compose."""
    plain = {name: value for name, value in SAMPLE.items() if name != "project"}
    for labels in (SAMPLE, plain):
        summary = _rendered(rule, labels)["summary"]
        assert len(summary) <= 60, summary
        assert summary == " ".join(summary.split()), "line breaks or doubled spaces"


@every_alert
def test_its_texts_are_whole(rule):
    """No text has blanks at its ends or a label that was not filled in."""
    for name, text in _rendered(rule, SAMPLE).items():
        assert text == text.strip(), name
        assert text, name
        assert "<no value>" not in text, name
        assert "%!" not in text, name


@every_alert
def test_it_has_a_runbook(rule):
    """The link leads to a page of this repository whose title is the alert's name and whose parts are always the same."""
    assert rule.annotations["runbook_url"] == RUNBOOK_URL.format(rule.alert)
    lines = (ROOT / "docs" / "runbooks" / f"{rule.alert}.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"# {rule.alert}"
    assert re.findall(r"^\*\*(.*?)\*\*", "\n".join(lines), re.MULTILINE) == PARTS
    assert re.findall(r"^(\d+)\. ", "\n".join(lines), re.MULTILINE) == ["1", "2", "3"]
    assert 10 <= len(lines) <= 25


def test_no_runbook_is_without_its_alert():
    """A page whose alert was renamed or dropped would mislead."""
    pages = {page.stem for page in (ROOT / "docs" / "runbooks").glob("*.md")}
    assert pages == {rule.alert for _, rule in ALERTS}


@every_rule
def test_events_are_counted_as_whole_numbers(rule):
    """increase() and rate() miss a series born at 1 and give fractions, so no rule uses them on counters of events."""
    for node in _nodes(rule.query.expr):
        if isinstance(node, ast.Call) and node.func in {"increase", "rate", "irate", "delta", "idelta"}:
            metrics = {
                matcher.value
                for inner in _nodes(node)
                if isinstance(inner, ast.VectorSelector)
                for matcher in inner.matchers
                if matcher.name == METRIC_NAME
            }
            assert not metrics & EVENT_COUNTERS


@every_container_alert
def test_a_containers_labels_steer_it(rule):
    """It joins container_watch_info on host and name, and leaves out one-off containers and those labelled off."""
    joins = [
        (node.matching, {m.name: str(m) for m in node.rhs.matchers})
        for node in _nodes(rule.query.expr)
        if isinstance(node, ast.Binary) and node.op == "and" and isinstance(node.rhs, ast.VectorSelector)
    ]
    watch = [
        matchers
        for matching, matchers in joins
        if matching.on
        and set(matching.labels) == {"instance", "name"}
        and matchers[METRIC_NAME] == '__name__="container_watch_info"'
    ]
    assert watch
    assert all(found["oneoff"] == 'oneoff="false"' for found in watch)
    assert {found["alerts"] for found in watch} <= {'alerts="on"', 'alerts=~"on|warning"'}


@every_rule
def test_nothing_meets_across_hosts(rule):
    """Everything that is matched, in recorded series too, is matched within one scraped target."""
    for node in _nodes(rule.query.expr):
        if isinstance(node, ast.Binary) and node.matching is not None:
            assert ("instance" in node.matching.labels) is node.matching.on


def test_a_critical_alert_has_a_quieter_twin():
    """Where the label vakhta.alerts=warning or another replica speaks against a page, a warning of the same name is said."""
    severities: dict[str, set[str]] = {}
    for _, rule in ALERTS:
        if rule.annotations["vakhta_kind"] == "container":
            severities.setdefault(rule.alert, set()).add(rule.labels["severity"])
    critical = {name: found for name, found in severities.items() if "critical" in found}
    assert critical == {
        name: {"critical", "warning"}
        for name in ("ContainerDown", "ContainerCrashLoop", "ContainerUnhealthy")
    }


def test_each_alert_is_held_by_a_unit_test():
    """Every alert's name stands in a promtool test of its file, with exact annotations."""
    texts = "".join(
        page.read_text(encoding="utf-8") for page in (ROOT / "rules" / "tests").glob("*_test.yml")
    )
    tested = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts:", texts))
    assert tested == {rule.alert for _, rule in ALERTS}
