"""Rule states in the state file: what makes `for`, keep_firing_for and "lost sight" survive a restart.

Only states are kept, not samples: an instance's value and annotations are those of its last evaluation.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from alerting.labels import Labels
from alerting.rules.group import GroupEvaluator
from alerting.rules.model import Rule
from alerting.rules.state import AlertState, Instance, RuleState


def rule_keys(rules: Sequence[Rule]) -> list[str]:
    """Return what identifies each rule of a group: name and labels, and a number where these are another's too."""
    keys: list[str] = []
    seen: Counter[str] = Counter()
    for rule in rules:
        key = f"{rule.name}{Labels(rule.labels)}"
        keys.append(key if key not in seen else f"{key};{seen[key] + 1}")
        seen[key] += 1
    return keys


def dumps(state: RuleState) -> str:
    """Return a rule's state as JSON; a rule with nothing to remember gives the empty string."""
    if not state.instances and not state.lost:
        return ""
    data = {
        "instances": [_dump(i) for i in state.instances.values()],
        "lost": [_dump(i) for i in state.lost.values()],
    }
    return json.dumps(data)


def loads(text: str) -> RuleState:
    """Return the state that :func:`dumps` wrote."""
    data = json.loads(text)
    return RuleState(instances=_by_labels(data["instances"]), lost=_by_labels(data["lost"]))


class StateKeeper:
    """Writes what changed of a group's states, and brings them back at the start."""

    def __init__(self) -> None:
        self._written: dict[tuple[str, str], str] = {}
        self._unclaimed: dict[tuple[str, str], str] = {}

    def changed(self, evaluator: GroupEvaluator) -> list[tuple[str, str, str]]:
        """Return (group, rule, JSON) of every rule whose state is not what the file holds."""
        group = evaluator.group.key
        rows = []
        for rule, state in zip(rule_keys(evaluator.group.rules), evaluator.states, strict=True):
            row = (group, rule, dumps(state))
            if self._written.get(row[:2], "") != row[2]:
                rows.append(row)
        return rows

    def write(self, connection: sqlite3.Connection, rows: Iterable[tuple[str, str, str]]) -> None:
        """Write rows that :meth:`changed` returned; an empty state deletes its row."""
        for group, rule, text in rows:
            if text:
                connection.execute("INSERT OR REPLACE INTO rule_states VALUES (?, ?, ?)", (group, rule, text))
            else:
                connection.execute("DELETE FROM rule_states WHERE rule_group = ? AND rule = ?", (group, rule))

    def written(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Note that these rows are committed."""
        for group, rule, text in rows:
            self._written[group, rule] = text
            self._unclaimed.pop((group, rule), None)

    def read(self, connection: sqlite3.Connection) -> None:
        """Read every state of the file."""
        rows = connection.execute("SELECT rule_group, rule, state FROM rule_states")
        self._written = {(row[0], row[1]): row[2] for row in rows}

    def restore(self, evaluators: Sequence[GroupEvaluator]) -> None:
        """Give every rule the state the file holds for it, also if its file was moved meanwhile.

        States of rules that are not there any more are kept until :meth:`orphans` hands them over.
        """
        self._unclaimed = {key: text for key, text in self._written.items() if text}
        rules = [(e, index, rule) for e in evaluators for index, rule in enumerate(rule_keys(e.group.rules))]
        elsewhere = []
        for evaluator, index, rule in rules:
            text = self._unclaimed.pop((evaluator.group.key, rule), None)
            if text is not None:
                evaluator.resume(index, loads(text))
            else:
                elsewhere.append((evaluator, index, rule))
        for evaluator, index, rule in elsewhere:
            moved = [
                key for key in self._unclaimed if key[1] == rule and _group(key[0]) == evaluator.group.name
            ]
            if len(moved) == 1:
                evaluator.resume(index, loads(self._unclaimed[moved[0]]))

    def orphans(
        self, evaluators: Sequence[GroupEvaluator]
    ) -> tuple[list[Instance], list[tuple[str, str, str]]]:
        """Return the alerts that fired under rules that are gone, and the rows that forget them.

        Nothing before every rule had its say: a rule that was renamed or moved may produce the same alert.
        """
        if not self._unclaimed or any(evaluator.last_evaluation is None for evaluator in evaluators):
            return [], []
        held = {labels for e in evaluators for s in e.states for labels in (*s.instances, *s.lost)}
        states = [loads(text) for text in self._unclaimed.values()]
        left = [i for state in states for i in (*state.firing, *state.lost.values()) if i.labels not in held]
        return left, [(group, rule, "") for group, rule in self._unclaimed]


def _group(key: str) -> str:
    """Return the group's name in a group's key."""
    return key.rpartition(";")[2]


def _dump(instance: Instance) -> dict[str, Any]:
    return {
        "labels": dict(instance.labels),
        "annotations": dict(instance.annotations),
        "value": repr(instance.value),
        "state": instance.state,
        "active_at": instance.active_at.timestamp(),
        "fired_at": _seconds(instance.fired_at),
        "resolved_at": _seconds(instance.resolved_at),
        "keep_firing_since": _seconds(instance.keep_firing_since),
        "lost_told": instance.lost_told,
    }


def _by_labels(items: Iterable[Mapping[str, Any]]) -> dict[Labels, Instance]:
    return {instance.labels: instance for instance in map(_load, items)}


def _load(data: Mapping[str, Any]) -> Instance:
    return Instance(
        labels=Labels(data["labels"]),
        annotations=data["annotations"],
        value=float(data["value"]),
        state=AlertState(data["state"]),
        active_at=datetime.fromtimestamp(data["active_at"], UTC),
        fired_at=_maybe(data["fired_at"]),
        resolved_at=_maybe(data["resolved_at"]),
        keep_firing_since=_maybe(data["keep_firing_since"]),
        lost_told=data["lost_told"],
    )


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _maybe(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
