"""Read Prometheus rule files: strict keys, every problem with its place, all problems at once.

Source: model/rulefmt of Prometheus; the schema is in https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from alerting.promql.errors import QueryError
from alerting.promql.parse import Query, parse
from alerting.rules.model import AlertingRule, RecordingRule, Rule, RuleGroup
from alerting.templates import Template, TemplateSyntaxError, parse_alert_template
from vakhta.yamlnodes import ConfigError, Document, Node, Problem, load

_GROUP_KEYS: Final = ("name", "interval", "query_offset", "limit", "labels", "rules")
_RULE_KEYS: Final = ("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")
_ALERT_ONLY: Final = ("for", "keep_firing_for", "annotations")
_LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def expand(patterns: Sequence[str], folder: Path) -> tuple[Path, ...]:
    """Return the rule files that the glob patterns name, sorted within each pattern; relative ones start at ``folder``.

    A pattern without wildcard that matches nothing is returned as it stands, so that reading it fails by name.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        absolute = str(folder / pattern)
        matches = sorted(glob.glob(absolute))  # noqa: PTH207 - pathlib globs do not take absolute patterns
        if not matches and not glob.has_magic(pattern):
            matches = [absolute]
        found.update((Path(match), None) for match in matches)
    return tuple(found)


def load_files(paths: Iterable[Path], *, interval: timedelta) -> tuple[RuleGroup, ...]:
    """Read rule files, all or nothing; ``interval`` serves groups without one of their own.

    Raises:
        ConfigError: With every problem of every file.
    """
    groups: list[RuleGroup] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            groups.extend(read_document(load(path), interval=interval))
        except ConfigError as exc:
            problems.extend(exc.problems)
    if problems:
        raise ConfigError(problems)
    return tuple(groups)


def read_document(document: Document, *, interval: timedelta) -> tuple[RuleGroup, ...]:
    """Turn one parsed rule file into groups.

    Raises:
        ConfigError: With every problem of the file.
    """
    if document.root is None:
        return ()
    groups: list[RuleGroup] = []
    names: set[str] = set()
    top = document.root.mapping(("groups",))
    for node in top["groups"].sequence() if "groups" in top else []:
        group = _group(node, document.file, interval)
        if group.name in names:
            node.fail(f"a group named {group.name!r} stands above in this file; rename one")
        names.add(group.name)
        groups.append(group)
    document.finish()
    return tuple(groups)


def _group(node: Node, file: str, interval: timedelta) -> RuleGroup:
    keys = node.mapping(_GROUP_KEYS)
    name = keys["name"].text() if "name" in keys else ""
    if not name:
        node.fail("key name is missing or empty; every group needs one")
    labels = _labels(keys.get("labels"))
    rules = [_rule(rule, labels) for rule in (keys["rules"].sequence() if "rules" in keys else [])]
    alerts = [rule.alert for rule in rules if isinstance(rule, AlertingRule)]
    if alerts:  # only there are a group's labels templates; a mistake in one is told once, at its place
        _templates(keys.get("labels"), labels, alerts[0])
    return RuleGroup(
        file=file,
        name=name,
        # 0 means the default, as in Prometheus.
        interval=(keys["interval"].duration() if "interval" in keys else timedelta()) or interval,
        query_offset=keys["query_offset"].duration() if "query_offset" in keys else timedelta(),
        limit=keys["limit"].integer() if "limit" in keys else 0,
        rules=tuple(rule for rule in rules if rule is not None),
    )


def _rule(node: Node, group_labels: Mapping[str, str]) -> Rule | None:
    keys = node.mapping(_RULE_KEYS)
    record = keys["record"].text() if "record" in keys else ""
    alert = keys["alert"].text() if "alert" in keys else ""
    if bool(record) == bool(alert):
        node.fail("a rule has either alert or record, not both and not neither")
        return None
    query = _expr(node, keys)
    labels = {**group_labels, **_labels(keys.get("labels"))}
    if record:
        return _recording(node, keys, record, query, labels)
    return _alerting(keys, alert, query, labels, node.line)


def _expr(node: Node, keys: Mapping[str, Node]) -> Query | None:
    if "expr" not in keys or not keys["expr"].text().strip():
        node.fail("key expr is missing or empty")
        return None
    try:
        return parse(keys["expr"].text())
    except QueryError as exc:
        keys["expr"].fail(f"cannot parse expression: {exc}")
        return None


def _recording(
    node: Node, keys: Mapping[str, Node], record: str, query: Query | None, labels: Mapping[str, str]
) -> RecordingRule | None:
    for name in _ALERT_ONLY:
        if name in keys:
            keys[name].fail(f"{name} belongs to alerting rules only; remove it")
    if _METRIC_NAME.fullmatch(record) is None:
        keys["record"].fail(f"{record!r} is not a metric name (letters, digits, _ and :)")
    return RecordingRule(record=record, query=query, labels=labels, line=node.line) if query else None


def _alerting(
    keys: Mapping[str, Node], alert: str, query: Query | None, labels: Mapping[str, str], line: int
) -> AlertingRule | None:
    annotations = _labels(keys.get("annotations"), what="annotation")
    label_templates = _templates(keys.get("labels"), labels, alert)
    annotation_templates = _templates(keys.get("annotations"), annotations, alert)
    hold = keys["for"].duration() if "for" in keys else timedelta()
    keep_firing_for = keys["keep_firing_for"].duration() if "keep_firing_for" in keys else timedelta()
    if query is None:
        return None
    return AlertingRule(
        alert=alert,
        query=query,
        hold=hold,
        keep_firing_for=keep_firing_for,
        labels=labels,
        annotations=annotations,
        label_templates=label_templates,
        annotation_templates=annotation_templates,
        line=line,
    )


def _labels(node: Node | None, what: str = "label") -> dict[str, str]:
    if node is None:
        return {}
    found: dict[str, str] = {}
    for name, value in node.mapping().items():
        if name == "__name__":
            value.fail(f"__name__ is the metric's own name and cannot be set as {what}")
        elif _LABEL_NAME.fullmatch(name) is None:
            value.fail(
                f"{name!r} is not a valid {what} name (letters, digits and _, not starting with a digit)"
            )
        found[name] = value.text()
    return found


def _templates(node: Node | None, texts: Mapping[str, str], alert: str) -> dict[str, Template]:
    places = node.mapping() if node is not None else {}
    parsed: dict[str, Template] = {}
    for name, text in texts.items():
        try:
            parsed[name] = parse_alert_template(text, name=f"__alert_{alert}")
        except TemplateSyntaxError as exc:
            if name in places:
                places[name].fail(f"cannot parse template: {exc}")
    return parsed
