"""Rule states in the state file: what comes back is what was there."""

from __future__ import annotations

import json
import math
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.labels import Labels
from alerting.promql.backend import Embedded
from alerting.promql.engine import Engine
from alerting.rules.group import GroupEvaluator, World
from alerting.rules.load import read_document
from alerting.rules.persist import StateKeeper, dumps, loads, rule_keys
from alerting.rules.state import AlertState, Instance, RuleState
from alerting.state.schema import MIGRATIONS
from alerting.window import Window
from vakhta.yamlnodes import parse

START = datetime(2026, 9, 21, 12, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
# Evaluations happen at whole milliseconds.
TIMES = st.integers(0, 4_000_000_000_000).map(
    lambda ms: datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
)
MAYBE = st.none() | TIMES
INSTANCES = st.builds(
    Instance,
    labels=st.dictionaries(TEXT.filter(bool), TEXT, max_size=4).map(Labels),
    annotations=st.dictionaries(TEXT, TEXT, max_size=4),
    value=st.floats(allow_nan=False),
    state=st.sampled_from(AlertState),
    active_at=TIMES,
    fired_at=MAYBE,
    resolved_at=MAYBE,
    keep_firing_since=MAYBE,
    lost_told=TEXT,
)
BY_LABELS = st.lists(INSTANCES, max_size=3).map(lambda found: {one.labels: one for one in found})
STATES = st.builds(RuleState, instances=BY_LABELS, lost=BY_LABELS)


@given(STATES)
def test_law_a_state_comes_back_as_it_was(state):
    """Every instance, every time to the millisecond, every text; nothing to remember is the empty string."""
    text = dumps(state)
    if text:
        assert loads(text) == state
    else:
        assert state == RuleState()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.1, 1e308, -0.0])
def test_odd_values_come_back(value):
    """JSON has no NaN and no infinity; the state file keeps them, and stays JSON."""
    one = instance("web", value=value)
    text = dumps(RuleState(instances={one.labels: one}))
    json.loads(text, parse_constant=pytest.fail)
    (back,) = loads(text).instances.values()
    assert repr(back.value) == repr(value)


def instance(name: str, *, state: AlertState = AlertState.FIRING, value: float = 1.0) -> Instance:
    """Return an alert of a container."""
    labels = Labels({"alertname": "Down", "name": name})
    return Instance(labels=labels, annotations={"summary": name}, value=value, state=state, active_at=START)


RULES = """
groups:
  - name: g
    rules:
      - {alert: Down, expr: up == 0, labels: {severity: critical}}
      - {alert: Down, expr: up == 0, labels: {severity: warning}}
      - {record: a, expr: up}
"""


def evaluator(text: str = RULES, *, file: str = "r.yml") -> GroupEvaluator:
    """Return a group's evaluator that has not evaluated anything."""
    window = Window(keep=None)
    world = World(
        backend=Embedded(Engine(), window),
        window=window,
        latest_at=lambda _at_ms: lambda _matchers: [],
        query_at=lambda _at_ms: lambda _text: [],
    )
    (group,) = read_document(parse(text, file=file), interval=timedelta(seconds=5))
    return GroupEvaluator(group, world)


def firing(name: str) -> RuleState:
    """Return the state of a rule with one firing alert."""
    one = instance(name)
    return RuleState(instances={one.labels: one})


@pytest.fixture
def connection():
    """A state file with the current schema."""
    opened = sqlite3.connect(":memory:")
    yield opened
    opened.close()


def test_rules_of_one_name_are_told_apart_by_their_labels():
    """As Prometheus does when it reloads."""
    keys = rule_keys(evaluator().group.rules)
    assert keys == ['Down{severity="critical"}', 'Down{severity="warning"}', "a{}"]


def test_twins_are_told_apart_by_their_order():
    """Two rules may share name and labels; each has a state of its own."""
    rules = evaluator().group.rules
    assert rule_keys([rules[2], rules[0], rules[2], rules[2]]) == [
        "a{}", 'Down{severity="critical"}', "a{};2", "a{};3",
    ]  # fmt: skip


class TestKeeper:
    """What is written, deleted, and given back."""

    @pytest.fixture(autouse=True)
    def _schema(self, connection):
        for step in MIGRATIONS:
            connection.executescript(step.script)

    def _commit(self, keeper: StateKeeper, connection: sqlite3.Connection, group: GroupEvaluator) -> int:
        rows = keeper.changed(group)
        keeper.write(connection, rows)
        keeper.written(rows)
        return len(rows)

    def _restarted(
        self, connection: sqlite3.Connection, text: str = RULES, *, file: str = "r.yml"
    ) -> GroupEvaluator:
        """Return the group as a new process finds it."""
        keeper = StateKeeper()
        keeper.read(connection)
        group = evaluator(text, file=file)
        keeper.restore([group])
        return group

    def test_states_survive_a_restart(self, connection):
        """Each rule gets its own state; a rule without one starts empty."""
        group = evaluator()
        group.states[1] = firing("web")
        self._commit(StateKeeper(), connection, group)
        assert self._restarted(connection).states == [RuleState(), firing("web"), RuleState()]

    def test_only_changes_are_written(self, connection):
        """Nothing at first, one row for one change, none for none; an uncommitted row is offered again."""
        keeper, group = StateKeeper(), evaluator()
        assert keeper.changed(group) == []
        group.states[0] = firing("web")
        assert len(keeper.changed(group)) == 1
        assert self._commit(keeper, connection, group) == 1
        assert self._commit(keeper, connection, group) == 0
        group.states[0] = firing("db")
        assert self._commit(keeper, connection, group) == 1
        assert self._restarted(connection).states[0] == firing("db")

    def test_an_emptied_state_is_deleted(self, connection):
        """The table does not grow with what is over."""
        keeper, group = StateKeeper(), evaluator()
        group.states[0] = firing("web")
        self._commit(keeper, connection, group)
        group.states[0] = RuleState()
        assert self._commit(keeper, connection, group) == 1
        assert connection.execute("SELECT count(*) FROM rule_states").fetchone()[0] == 0
        assert self._commit(keeper, connection, group) == 0

    def test_a_keeper_that_has_read_the_file_knows_what_it_holds(self, connection):
        """After a restart the same state is no change."""
        group = evaluator()
        group.states[0] = firing("web")
        self._commit(StateKeeper(), connection, group)
        keeper = StateKeeper()
        keeper.read(connection)
        restored = evaluator()
        keeper.restore([restored])
        assert keeper.changed(restored) == []

    @pytest.mark.parametrize(
        ("text", "file"),
        [
            pytest.param(RULES.replace("name: g", "name: other"), "r.yml", id="another group"),
            pytest.param(RULES.replace("alert: Down", "alert: Gone"), "r.yml", id="another name"),
            pytest.param(RULES.replace("critical", "page"), "r.yml", id="other labels"),
        ],
    )
    def test_states_of_other_rules_stay_where_they_are(self, connection, text, file):
        """A rule is known by file, group, name and labels."""
        group = evaluator()
        group.states[0] = firing("web")
        self._commit(StateKeeper(), connection, group)
        assert self._restarted(connection, text, file=file).states == [RuleState()] * 3

    def test_a_rule_whose_file_was_moved_keeps_its_state(self, connection):
        """Same group, same name, same labels; the old row goes, and nothing is said to be over."""
        group = evaluator()
        group.states[0] = firing("web")
        self._commit(StateKeeper(), connection, group)
        keeper, moved = StateKeeper(), evaluator(file="new/r.yml")
        keeper.read(connection)
        keeper.restore([moved])
        assert moved.states[0] == firing("web")
        moved.last_evaluation = START
        orphans, rows = keeper.orphans([moved])
        assert (orphans, rows) == ([], [("r.yml;g", 'Down{severity="critical"}', "")])

    def test_alerts_of_a_rule_that_is_gone_are_handed_over_once(self, connection):
        """Not before every rule had its say, and again until it is committed."""
        group = evaluator()
        group.states[0] = firing("web")
        self._commit(StateKeeper(), connection, group)
        keeper, left = StateKeeper(), evaluator(RULES.replace("alert: Down", "alert: Gone"))
        keeper.read(connection)
        keeper.restore([left])
        assert keeper.orphans([left]) == ([], [])
        left.last_evaluation = START
        orphans, rows = keeper.orphans([left])
        assert [orphan.labels["name"] for orphan in orphans] == ["web"]
        assert keeper.orphans([left]) == (orphans, rows)
        keeper.write(connection, rows)
        keeper.written(rows)
        assert keeper.orphans([left]) == ([], [])
        assert connection.execute("SELECT count(*) FROM rule_states").fetchone()[0] == 0

    def test_an_alert_that_another_rule_produces_goes_on(self, connection):
        """Who renames a group ends nothing."""
        group = evaluator()
        group.states[0] = firing("web")
        self._commit(StateKeeper(), connection, group)
        keeper, other = StateKeeper(), evaluator(RULES.replace("name: g", "name: other"))
        keeper.read(connection)
        keeper.restore([other])
        other.states[0], other.last_evaluation = firing("web"), START
        assert keeper.orphans([other])[0] == []

    def test_a_changed_expression_keeps_its_state(self, connection):
        """Who mends a threshold does not page anybody twice."""
        group = evaluator()
        group.states[0] = firing("web")
        self._commit(StateKeeper(), connection, group)
        restarted = self._restarted(connection, RULES.replace("up == 0", "up < 1"))
        assert restarted.states[0] == firing("web")

    async def test_what_was_over_during_the_absence_ends_its_series(self, connection):
        """A restored alert that is not produced any more leaves no ALERTS behind."""
        group = evaluator()
        group.states[0] = firing("web")
        self._commit(StateKeeper(), connection, group)
        restarted = self._restarted(connection)
        window = restarted._world.window
        at_ms = int(START.timestamp() * 1000)
        series = Labels({"__name__": "ALERTS", "alertname": "Down", "name": "web", "alertstate": "firing"})
        window.append(series, at_ms, 1.0)  # from the window's own file
        outcome = await restarted.evaluate(START + timedelta(seconds=5))
        assert [alert.labels["name"] for alert in outcome.ended] == ["web"]
        assert window.latest([], at_ms + 5000) == []
