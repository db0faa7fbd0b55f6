"""Rule states in the state file: what makes `for`, keep_firing_for and "lost sight" survive a restart.

Only states are kept, not samples: an instance's value and annotations are those of its last evaluation.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from alerting.labels import Labels
from alerting.rules.group import GroupEvaluator
from alerting.rules.model import Rule
from alerting.rules.state import AlertState, Instance, RuleState


def rule_key(rule: Rule) -> str:
    """Return what identifies a rule in its group: name and labels."""
    return f"{rule.name}{Labels(rule.labels)}"


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

    def changed(self, evaluator: GroupEvaluator) -> list[tuple[str, str, str]]:
        """Return (group, rule, JSON) of every rule whose state is not what the file holds."""
        group = evaluator.group.key
        rows = []
        for rule, state in zip(evaluator.group.rules, evaluator.states, strict=True):
            row = (group, rule_key(rule), dumps(state))
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
        self._written.update({(group, rule): text for group, rule, text in rows})

    def read(self, connection: sqlite3.Connection) -> None:
        """Read every state of the file."""
        rows = connection.execute("SELECT rule_group, rule, state FROM rule_states")
        self._written = {(row[0], row[1]): row[2] for row in rows}

    def restore(self, evaluator: GroupEvaluator) -> None:
        """Give a group's rules the states the file holds for them."""
        for index, rule in enumerate(evaluator.group.rules):
            text = self._written.get((evaluator.group.key, rule_key(rule)))
            if text:
                evaluator.resume(index, loads(text))


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
