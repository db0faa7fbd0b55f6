"""Rule files: what is read, and the exact message of every mistake."""

from __future__ import annotations

from datetime import timedelta
from textwrap import dedent

import pytest

from alerting.rules.load import expand, load_files, read_document
from alerting.rules.model import AlertingRule, RecordingRule
from vakhta.yamlnodes import ConfigError, parse

INTERVAL = timedelta(seconds=5)


def read(text: str):
    """Read a rule file given as indented text."""
    return read_document(parse(dedent(text), file="r.yml"), interval=INTERVAL)


def problems(text: str) -> list[str]:
    """Return the messages of a file that cannot be used."""
    with pytest.raises(ConfigError) as caught:
        read(text)
    return [str(problem) for problem in caught.value.problems]


def rule(text: str) -> str:
    """Return a file with one rule; its first line stands at line 4, column 5."""
    lines = text.strip().split("\n")
    body = "\n".join(("  - " if n == 0 else "    ") + line for n, line in enumerate(lines))
    return f"groups:\n- name: g\n  rules:\n{body}\n"


def test_a_whole_file():
    """Everything a group and its rules can say is read; what is absent has its default."""
    (full, bare) = read(
        """
        groups:
          - name: full
            interval: 30s
            query_offset: 1m
            limit: 7
            labels: {team: ops, tier: web}
            rules:
              - record: job:up:sum
                expr: sum by (job) (up)
                labels: {tier: all}
              - alert: Down
                expr: up == 0
                for: 5m
                keep_firing_for: 1h30m
                labels: {severity: critical}
                annotations: {summary: "{{ $labels.instance }} is down"}
          - name: bare
        """
    )
    assert (full.name, full.interval, full.query_offset, full.limit) == (
        "full",
        timedelta(seconds=30),
        timedelta(minutes=1),
        7,
    )
    assert (bare.interval, bare.query_offset, bare.limit, bare.rules) == (INTERVAL, timedelta(), 0, ())
    assert (full.key, bare.key) == ("r.yml;full", "r.yml;bare")
    recording, alerting = full.rules
    assert isinstance(recording, RecordingRule)
    assert (recording.name, recording.labels, recording.line) == (
        "job:up:sum",
        {"team": "ops", "tier": "all"},
        9,
    )
    assert isinstance(alerting, AlertingRule)
    assert (alerting.name, alerting.hold, alerting.keep_firing_for) == (
        "Down",
        timedelta(minutes=5),
        timedelta(minutes=90),
    )
    assert alerting.labels == {"team": "ops", "tier": "web", "severity": "critical"}
    assert alerting.query.text == "up == 0"
    assert set(alerting.annotation_templates) == {"summary"}
    assert set(alerting.label_templates) == {"team", "tier", "severity"}
    assert full.metrics == {"up"}


EMPTY = [
    pytest.param("", id="an empty file"),
    pytest.param("# nothing yet\n", id="only a comment"),
    pytest.param("groups:\n", id="no groups"),
    pytest.param("{}", id="an empty mapping"),
]


@pytest.mark.parametrize("text", EMPTY)
def test_a_file_without_groups_is_sound(text):
    """It has nothing to evaluate."""
    assert read(text) == ()


def test_values_are_text_whatever_yaml_makes_of_them():
    """A label's value is the text in the file: Prometheus' labels are strings."""
    ((loaded,),) = (
        group.rules for group in read(rule("alert: A\nexpr: up\nlabels: {a: 1, b: on, c: 1:30, d: 0644}"))
    )
    assert loaded.labels == {"a": "1", "b": "on", "c": "1:30", "d": "0644"}


def test_merge_keys_and_aliases_are_carried_out():
    """Two rules may share texts, and the second may replace some."""
    (group,) = read(
        """
        groups:
          - name: g
            rules:
              - alert: A
                expr: up
                annotations: &a {summary: one, description: two}
              - alert: A
                expr: down
                annotations: {<<: *a, summary: three}
        """
    )
    assert group.rules[1].annotations == {"summary": "three", "description": "two"}


MISTAKES = [
    pytest.param(
        "group: []",
        ["r.yml:1:1: group: unknown key, did you mean groups?"],
        id="unknown key at the top",
    ),
    pytest.param(
        "groups: [{name: g, intervall: 5s}]",
        ["r.yml:1:20: groups[0].intervall: unknown key, did you mean interval?"],
        id="unknown key of a group",
    ),
    pytest.param(
        rule("alert: A\nexpr: up\nlables: {a: b}"),
        ["r.yml:6:5: groups[0].rules[0].lables: unknown key, did you mean labels?"],
        id="unknown key of a rule",
    ),
    pytest.param(
        rule("alert: A\nexpr: up\nwhatever: 1"),
        [
            (
                "r.yml:6:5: groups[0].rules[0].whatever: unknown key; known here: "
                "alert, annotations, expr, for, keep_firing_for, labels, record"
            )
        ],
        id="unknown key like no other",
    ),
    pytest.param(
        "groups: 5",
        ['r.yml:1:9: groups: a list (lines that start with "- ") is expected here'],
        id="groups is no list",
    ),
    pytest.param(
        "- a", ["r.yml:1:1: a mapping (key: value lines) is expected here"], id="the file is a list"
    ),
    pytest.param(
        "groups: [{rules: []}]",
        ["r.yml:1:10: groups[0]: key name is missing or empty; every group needs one"],
        id="group without a name",
    ),
    pytest.param(
        "groups: [{name: ''}]",
        ["r.yml:1:10: groups[0]: key name is missing or empty; every group needs one"],
        id="group with an empty name",
    ),
    pytest.param(
        "groups:\n- name: g\n- name: g\n",
        ["r.yml:3:3: groups[1]: a group named 'g' stands above in this file; rename one"],
        id="two groups of one name",
    ),
    pytest.param(
        "groups: [{name: g, interval: 5 s}]",
        ["r.yml:1:30: groups[0].interval: not a duration: '5 s'; write it like 30s, 5m or 1h30m"],
        id="bad interval",
    ),
    pytest.param(
        "groups: [{name: g, limit: many}]",
        ["r.yml:1:27: groups[0].limit: a whole number is expected, not 'many'"],
        id="bad limit",
    ),
    pytest.param(
        rule("alert: A\nrecord: b\nexpr: up"),
        ["r.yml:4:5: groups[0].rules[0]: a rule has either alert or record, not both and not neither"],
        id="both alert and record",
    ),
    pytest.param(
        rule("expr: up"),
        ["r.yml:4:5: groups[0].rules[0]: a rule has either alert or record, not both and not neither"],
        id="neither alert nor record",
    ),
    pytest.param(
        rule("alert: A"), ["r.yml:4:5: groups[0].rules[0]: key expr is missing or empty"], id="no expr"
    ),
    pytest.param(
        rule("alert: A\nexpr: ' '"),
        ["r.yml:4:5: groups[0].rules[0]: key expr is missing or empty"],
        id="empty expr",
    ),
    pytest.param(
        rule("alert: A\nexpr: holt_winters(up[5m], 0.5, 0.5)"),
        [
            (
                "r.yml:5:11: groups[0].rules[0].expr: cannot parse expression: "
                "unknown function with name 'holt_winters'"
            )
        ],
        id="expr with an unknown function",
    ),
    pytest.param(
        rule("alert: A\nexpr: sum(up"),
        ["r.yml:5:11: groups[0].rules[0].expr: cannot parse expression: unclosed left parenthesis"],
        id="expr that is cut off",
    ),
    pytest.param(
        rule("alert: A\nexpr: up\nfor: 5 minutes"),
        ["r.yml:6:10: groups[0].rules[0].for: not a duration: '5 minutes'; write it like 30s, 5m or 1h30m"],
        id="bad for",
    ),
    pytest.param(
        rule("alert: A\nexpr: up\nkeep_firing_for: 1m1h"),
        [
            (
                "r.yml:6:22: groups[0].rules[0].keep_firing_for: "
                "not a duration: '1m1h'; write it like 30s, 5m or 1h30m"
            )
        ],
        id="bad keep_firing_for",
    ),
    pytest.param(
        rule("record: a:b\nexpr: up\nfor: 5m\nannotations: {a: b}"),
        [
            "r.yml:6:10: groups[0].rules[0].for: for belongs to alerting rules only; remove it",
            "r.yml:7:18: groups[0].rules[0].annotations: annotations belongs to alerting rules only; remove it",
        ],
        id="for and annotations on a recording rule",
    ),
    pytest.param(
        rule("record: a-b\nexpr: up"),
        ["r.yml:4:13: groups[0].rules[0].record: 'a-b' is not a metric name (letters, digits, _ and :)"],
        id="bad metric name",
    ),
    pytest.param(
        rule("alert: A\nexpr: up\nlabels: {0a: b}"),
        [
            (
                "r.yml:6:18: groups[0].rules[0].labels.0a: "
                "'0a' is not a valid label name (letters, digits and _, not starting with a digit)"
            )
        ],
        id="bad label name",
    ),
    pytest.param(
        rule("alert: A\nexpr: up\nlabels: {__name__: b}"),
        [
            "r.yml:6:24: groups[0].rules[0].labels.__name__: __name__ is the metric's own name and cannot be set as label"
        ],
        id="the label __name__",
    ),
    pytest.param(
        rule("alert: A\nexpr: up\nannotations: {run-book: b}"),
        [
            (
                "r.yml:6:29: groups[0].rules[0].annotations.run-book: "
                "'run-book' is not a valid annotation name (letters, digits and _, not starting with a digit)"
            )
        ],
        id="bad annotation name",
    ),
    pytest.param(
        rule("alert: A\nexpr: up\nlabels: {a: [b]}"),
        ["r.yml:6:17: groups[0].rules[0].labels.a: a single value is expected here, not a list or mapping"],
        id="a list for a label",
    ),
    pytest.param(
        rule("alert: A\nexpr: up\nannotations: {summary: '{{ $labels.a'}"),
        [
            (
                "r.yml:6:28: groups[0].rules[0].annotations.summary: "
                "cannot parse template: __alert_A:1:1: unclosed action"
            )
        ],
        id="template that is cut off",
    ),
    pytest.param(
        rule("alert: A\nexpr: up\nlabels: {a: '{{ nosuch }}'}"),
        [
            (
                "r.yml:6:17: groups[0].rules[0].labels.a: "
                'cannot parse template: __alert_A:1:4: function "nosuch" not defined'
            )
        ],
        id="template with an unknown function",
    ),
    pytest.param(
        rule("alert: A\nexpr: up\nalert: B"),
        ["r.yml:6:5: groups[0].rules[0].alert: this key stands twice in the same mapping; remove one"],
        id="a key twice",
    ),
    pytest.param(
        "groups: [{name: g, labels: {a: '{{ nosuch }}'}, rules: [{alert: A, expr: up}, {alert: B, expr: up}]}]",
        [
            (
                "r.yml:1:32: groups[0].labels.a: "
                'cannot parse template: __alert_A:1:4: function "nosuch" not defined'
            )
        ],
        id="bad template in a group's label",
    ),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES)
def test_mistakes(text, expected):
    """Each names file, line, column, key path, what is wrong, and what to write instead."""
    assert problems(text) == expected


def test_an_interval_of_0_is_the_default():
    """As in Prometheus, and no group is ever evaluated without a pause."""
    (group,) = read("groups: [{name: g, interval: 0s}]")
    assert group.interval == INTERVAL


def test_labels_of_recording_rules_are_no_templates():
    """Braces in them are just text, whether the group's or the rule's own."""
    (group,) = read(
        "groups: [{name: g, labels: {a: '{{ x'}, rules: [{record: b, expr: up, labels: {c: '{{'}}]}]"
    )
    assert group.rules[0].labels == {"a": "{{ x", "c": "{{"}


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path):
    """A sound file beside them does not help: nothing is used."""
    (tmp_path / "good.yml").write_text(rule("alert: A\nexpr: up"), encoding="utf-8")
    (tmp_path / "bad.yml").write_text(rule("alert: A\nexpr: up)\nfor: x"), encoding="utf-8")
    missing = tmp_path / "missing.yml"
    with pytest.raises(ConfigError) as caught:
        load_files([tmp_path / "good.yml", tmp_path / "bad.yml", missing], interval=INTERVAL)
    places = [(problem.file, problem.line, problem.key) for problem in caught.value.problems]
    assert places == [
        (str(tmp_path / "bad.yml"), 5, "groups[0].rules[0].expr"),
        (str(tmp_path / "bad.yml"), 6, "groups[0].rules[0].for"),
        (str(missing), 1, ""),
    ]


def test_files_are_loaded_in_the_order_given(tmp_path):
    """Each group knows its file; equal names in two files are two groups."""
    for name in ("b", "a"):
        (tmp_path / f"{name}.yml").write_text("groups: [{name: g}]", encoding="utf-8")
    groups = load_files([tmp_path / "b.yml", tmp_path / "a.yml"], interval=INTERVAL)
    assert [group.key for group in groups] == [f"{tmp_path / 'b.yml'};g", f"{tmp_path / 'a.yml'};g"]


def test_patterns(tmp_path):
    """Sorted within a pattern, each file once, relative to the folder; a plain name stays, a pattern may match nothing."""
    for name in ("b.yml", "a.yml", "c.yaml"):
        (tmp_path / name).touch()
    patterns = ["c.yaml", "*.yml", "a.*", "none-*.yml", "missing.yml", str(tmp_path / "b.yml")]
    found = [path.name for path in expand(patterns, tmp_path)]
    assert found == ["c.yaml", "a.yml", "b.yml", "missing.yml"]
