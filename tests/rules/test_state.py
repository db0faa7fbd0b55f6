"""The alert state machine: what one evaluation does to the alerts of one rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.alerts import Ending
from alerting.labels import Labels
from alerting.rules.state import (
    RESOLVED_RETENTION,
    STOP_GRACE,
    AlertState,
    Ended,
    EvaluationFailed,
    Produced,
    RuleState,
    advance,
    over_limit,
    without_instances,
)

START = datetime(2026, 9, 21, 12, tzinfo=UTC)
WEB = Labels({"alertname": "Down", "name": "web"})
DB = Labels({"alertname": "Down", "name": "db"})
RECOVERED = (Ending.RECOVERED, "")
GONE = (Ending.REMOVED, "gone")
STOPPED = (Ending.REMOVED, "stopped")
SILENT = (Ending.LOST_SIGHT, "silent")
FROZEN = (Ending.LOST_SIGHT, "frozen")


def s(seconds: float) -> timedelta:
    """Return seconds as a span."""
    return timedelta(seconds=seconds)


@dataclass
class Rule:
    """A rule at work: its settings, its state, and what it has said so far."""

    hold: timedelta = timedelta()
    keep: timedelta = timedelta()
    verdict: tuple[Ending, str] = RECOVERED
    state: RuleState = field(default_factory=RuleState)
    told: list[tuple[float, Ending, str]] = field(default_factory=list)

    def at(self, seconds: float, *labels: Labels, value: float = 1.0) -> RuleState:
        """Carry out the evaluation at this second, which produces alerts with these labels."""
        produced = [Produced(labels=one, annotations={"n": str(seconds)}, value=value) for one in labels]
        step = advance(
            self.state,
            produced,
            START + s(seconds),
            hold=self.hold,
            keep_firing_for=self.keep,
            why=lambda _instance: self.verdict,
        )
        self.state = step.state
        self.told.extend((seconds, ended.ending, ended.detail) for ended in step.ended)
        return step.state

    def states(self) -> dict[str, str]:
        """Return each known alert's state by container name."""
        return {labels["name"]: str(one.state) for labels, one in self.state.instances.items()}


TIMELINES = [
    pytest.param(s(0), s(0), "x", ["firing"], id="no for: it fires in the evaluation that first produces it"),
    pytest.param(
        s(10), s(0), "xxx", ["pending", "pending", "firing"], id="for 10 s: it fires when 10 s have passed"
    ),
    pytest.param(s(1), s(0), "xx", ["pending", "firing"], id="for shorter than the interval: the next one"),
    pytest.param(s(7), s(0), "xxx", ["pending", "pending", "firing"], id="for is rounded up to the interval"),
    pytest.param(
        s(10),
        s(0),
        "xx.xxx",
        ["pending"] * 2 + [None] + ["pending"] * 2 + ["firing"],
        id="a gap starts for anew",
    ),
    pytest.param(s(0), s(0), "x..", ["firing", "inactive", "inactive"], id="resolved and remembered"),
    pytest.param(s(0), s(0), "x.x", ["firing", "inactive", "firing"], id="fires again after it was over"),
    pytest.param(
        s(0),
        s(10),
        "x...",
        ["firing", "firing", "firing", "inactive"],
        id="keep_firing_for counts from the first miss",
    ),
    pytest.param(
        s(0),
        s(10),
        "x.x...",
        ["firing"] * 5 + ["inactive"],
        id="keep_firing_for starts anew when it was produced in between",
    ),
    pytest.param(
        s(5),
        s(5),
        "x.xx..",
        ["pending", None, "pending", "firing", "firing", "inactive"],
        id="pending is not kept",
    ),
]


@pytest.mark.parametrize(("hold", "keep", "produced", "expected"), TIMELINES)
def test_timelines(hold, keep, produced, expected):
    """Every 5 s the rule produces the alert (x) or not (.); its state after each evaluation."""
    rule = Rule(hold=hold, keep=keep)
    seen = []
    for index, mark in enumerate(produced):
        rule.at(5 * index, *([WEB] if mark == "x" else []))
        seen.append(rule.states().get("web"))
    assert seen == expected


def test_what_an_alert_knows():
    """Active since it was first produced, fired when `for` was over; value and annotations are the newest."""
    rule = Rule(hold=s(10))
    rule.at(0, WEB, value=1)
    rule.at(5, WEB, value=2)
    one = rule.at(10, WEB, value=3).instances[WEB]
    assert (one.active_at, one.fired_at, one.resolved_at) == (START, START + s(10), None)
    assert (one.value, one.annotations) == (3, {"n": "10"})
    one = rule.at(15).instances[WEB]
    assert (one.value, one.annotations, one.resolved_at) == (3, {"n": "10"}, START + s(15))
    one = rule.at(20, WEB, value=4).instances[WEB]
    assert (one.state, one.active_at, one.resolved_at) == (AlertState.PENDING, START + s(20), None)


def test_kept_alerts_keep_their_last_words():
    """While keep_firing_for holds an alert, value and annotations stay those of its last production."""
    rule = Rule(keep=s(60))
    rule.at(0, WEB, value=1)
    one = rule.at(5).instances[WEB]
    assert (one.value, one.annotations, one.keep_firing_since) == (1, {"n": "0"}, START + s(5))
    assert rule.at(10, WEB).instances[WEB].keep_firing_since is None


def test_a_resolved_alert_is_remembered_for_15_minutes():
    """At exactly 15 min it is still there, later not."""
    rule = Rule()
    rule.at(0, WEB)
    rule.at(5)
    keep = RESOLVED_RETENTION.total_seconds()
    assert rule.at(5 + keep).instances
    assert not rule.at(5 + keep + 1).instances
    assert rule.told == [(5, *RECOVERED)]


def test_alerts_of_one_rule_go_their_own_ways():
    """One fires, one is pending, one is over."""
    rule = Rule(hold=s(5))
    rule.at(0, WEB)
    rule.at(5, WEB, DB)
    assert rule.states() == {"web": "firing", "db": "pending"}
    assert [one.labels for one in rule.state.firing] == [WEB]
    assert {one.labels for one in rule.state.active} == {WEB, DB}
    rule.at(10, DB)
    assert rule.states() == {"web": "inactive", "db": "firing"}


def test_equal_labels_fail_the_evaluation():
    """Two elements that cannot be told apart: an error that shows the labels, and nothing changed."""
    rule = Rule()
    before = rule.at(0, DB)
    with pytest.raises(EvaluationFailed) as caught:
        rule.at(5, WEB, WEB)
    assert str(caught.value) == (
        "vector contains metrics with the same labelset after applying alert labels; "
        'make them distinct: {alertname="Down", name="web"}'
    )
    assert rule.state is before


def test_a_raised_for_takes_a_firing_alert_back():
    """After a reload that raised `for` it is pending again and fires when that time is over, without news in between."""
    rule = Rule()
    rule.at(0, WEB)
    rule.hold = s(10)
    assert rule.at(5, WEB).instances[WEB].state is AlertState.PENDING
    one = rule.at(10, WEB).instances[WEB]
    assert (one.state, one.active_at, one.fired_at) == (AlertState.FIRING, START, START)
    assert rule.told == []
    assert not rule.state.lost


def test_an_alert_taken_back_to_pending_still_gets_its_end():
    """It was told as firing: when its condition passes before the raised `for` is over, that is told too, once."""
    rule = Rule()
    rule.at(0, WEB)
    rule.hold = s(60)
    rule.at(5, WEB)
    rule.at(10)
    rule.at(15)
    assert rule.told == [(10, *RECOVERED)]


class TestEnds:
    """Why an alert ended, and when that is said."""

    @pytest.mark.parametrize(
        "verdict", [RECOVERED, GONE, (Ending.REMOVED, "paused")], ids=lambda v: v[1] or "recovered"
    )
    def test_said_once(self, verdict):
        """Recovered and removed are said in the evaluation that no longer produces the alert, and never again."""
        rule = Rule(verdict=verdict)
        rule.at(0, WEB)
        rule.at(5)
        rule.at(10)
        assert rule.told == [(5, *verdict)]
        assert not rule.state.lost

    def test_a_pending_alert_ends_in_silence(self):
        """Nobody was told of it."""
        rule = Rule(hold=s(60))
        rule.at(0, WEB)
        rule.at(5)
        assert rule.told == []
        assert not rule.state.instances

    @pytest.mark.parametrize("verdict", [RECOVERED, GONE], ids=["recovered", "removed"])
    def test_lost_then_decided(self, verdict):
        """Lost sight is said once; what really happened is said when it can be seen."""
        rule = Rule(verdict=SILENT)
        rule.at(0, WEB)
        rule.at(5)
        rule.at(10)
        assert list(rule.state.lost) == [WEB]
        rule.verdict = verdict
        rule.at(15)
        rule.at(20)
        assert rule.told == [(5, *SILENT), (15, *verdict)]
        assert not rule.state.lost

    def test_lost_for_another_reason(self):
        """First the exporter is silent, then it answers with frozen facts: a second word, each said once."""
        rule = Rule(verdict=SILENT)
        rule.at(0, WEB)
        rule.at(5)
        rule.verdict = FROZEN
        rule.at(10)
        rule.at(15)
        assert rule.told == [(5, *SILENT), (10, *FROZEN)]

    def test_lost_then_seen_unchanged(self):
        """It fires again at once, active since it first was, whatever `for` says; and its next end is told."""
        rule = Rule(verdict=SILENT, hold=s(10))
        for second in (0, 5, 10):
            rule.at(second, WEB)
        rule.at(15)
        one = rule.at(20, WEB).instances[WEB]
        assert (one.state, one.active_at, one.fired_at) == (AlertState.FIRING, START, START + s(10))
        assert not rule.state.lost
        rule.verdict = RECOVERED
        rule.at(25)
        assert rule.told == [(15, *SILENT), (25, *RECOVERED)]

    def test_lost_longer_than_resolved_ones_are_remembered(self):
        """After hours out of sight it still is the same alert."""
        rule = Rule(verdict=SILENT)
        rule.at(0, WEB)
        rule.at(5)
        rule.at(7200)
        assert not rule.state.instances
        assert rule.at(7205, WEB).instances[WEB].active_at == START

    def test_stopped_on_request_is_believed_after_a_while(self):
        """A daemon that shuts down stops every container as on request, and then falls silent: that is lost sight."""
        rule = Rule(verdict=STOPPED)
        rule.at(0, WEB)
        rule.at(5)
        rule.at(5 + STOP_GRACE.total_seconds() - 0.1)
        assert rule.told == []
        rule.verdict = FROZEN
        rule.at(5 + STOP_GRACE.total_seconds())
        assert rule.told == [(8, *FROZEN)]

    def test_stopped_on_request_is_said_when_it_stays_so(self):
        """Once the grace is over."""
        rule = Rule(verdict=STOPPED)
        rule.at(0, WEB)
        rule.at(5)
        rule.at(5 + STOP_GRACE.total_seconds())
        rule.at(20)
        assert rule.told == [(8, *STOPPED)]

    def test_stopped_and_at_it_again(self):
        """A stop within the grace that is followed by the same trouble says nothing."""
        rule = Rule(verdict=STOPPED)
        rule.at(0, WEB)
        rule.at(5)
        assert rule.at(6, WEB).instances[WEB].active_at == START
        assert rule.told == []


LIMITS = [
    pytest.param(0, None, id="0 is no limit"),
    pytest.param(2, None, id="as many as allowed"),
    pytest.param(1, "exceeded limit of 1 with 2 alerts", id="one too many"),
]


@pytest.mark.parametrize(("limit", "expected"), LIMITS)
def test_limit(limit, expected):
    """Pending and firing alerts count, resolved ones do not."""
    rule = Rule(hold=s(5))
    gone = Labels({"alertname": "Down", "name": "gone"})
    rule.at(0, WEB, gone)
    rule.at(5, WEB, gone)
    rule.at(10, WEB, DB)
    assert rule.states() == {"web": "firing", "gone": "inactive", "db": "pending"}
    assert over_limit(rule.state, limit) == expected


def test_alerts_dropped_for_the_limit_still_get_their_end():
    """What was told as firing is told as over when the rule works again; what was pending is forgotten."""
    rule = Rule(hold=s(5), verdict=SILENT)
    rule.at(0, WEB)
    rule.at(5, WEB, DB)
    rule.state = without_instances(rule.state)
    assert not rule.state.instances
    rule.state = without_instances(rule.state)
    rule.verdict = RECOVERED
    rule.at(10)
    rule.at(15)
    assert rule.told == [(10, *RECOVERED)]


# Laws. A history is what happened before each evaluation: seconds passed, what was produced, and what the facts would say.
VERDICTS = [RECOVERED, GONE, STOPPED, SILENT, FROZEN]
HISTORIES = st.lists(
    st.tuples(st.integers(1, 20), st.booleans(), st.sampled_from(VERDICTS)), min_size=1, max_size=40
)
SPANS = st.integers(0, 30).map(s)


@given(history=HISTORIES, hold=SPANS, keep=SPANS)
def test_law_nothing_fires_before_for(history, hold, keep):
    """A firing alert was produced without a gap for as long as `for` says."""
    rule = Rule(hold=hold, keep=keep)
    now, since, fired_before = 0, None, False
    for seconds, produced, _ in history:
        now += seconds
        rule.at(now, *([WEB] if produced else []))
        since = (since if since is not None else now) if produced else None
        firing = rule.states().get("web") == "firing"
        if firing and not fired_before:
            assert since is not None
            assert s(now - since) >= hold
        fired_before = firing


@given(history=HISTORIES, hold=SPANS, keep=SPANS)
def test_law_every_firing_ends_once(history, hold, keep):
    """Where every fact can be seen: ends follow fires, one by one, each in the evaluation that stops firing."""
    rule = Rule(hold=hold, keep=keep)
    now, firing = 0, False
    for seconds, produced, _ in history:
        now += seconds
        told = len(rule.told)
        rule.at(now, *([WEB] if produced else []))
        was, firing = firing, rule.states().get("web") == "firing"
        assert rule.told[told:] == ([(now, *RECOVERED)] if was and not firing else [])


@given(history=HISTORIES, hold=SPANS, keep=SPANS)
def test_law_the_final_word_is_said_once(history, hold, keep):
    """Whatever is lost and found: between two fires there is one recovered or removed at most, and none without a fire."""
    rule = Rule(hold=hold, keep=keep)
    now, open_ = 0, False
    for seconds, produced, verdict in history:
        now += seconds
        rule.verdict = verdict
        told = len(rule.told)
        rule.at(now, *([WEB] if produced else []))
        for _, ending, _ in rule.told[told:]:
            assert open_
            open_ = ending is Ending.LOST_SIGHT
        open_ = open_ or rule.states().get("web") == "firing"
        undecided = bool(rule.state.lost) or rule.states().get("web") == "firing"
        assert open_ == undecided, "an alert that was told is firing, lost, or has been told as over"


@given(history=HISTORIES, hold=SPANS, keep=SPANS)
def test_law_no_word_is_repeated(history, hold, keep):
    """The same lost sight is not told twice in a row unless the alert fired in between."""
    rule = Rule(hold=hold, keep=keep)
    now, last = 0, None
    for seconds, produced, verdict in history:
        now += seconds
        rule.verdict = verdict
        told = len(rule.told)
        rule.at(now, *([WEB] if produced else []))
        if rule.states().get("web") == "firing":
            last = None
        for _, *word in rule.told[told:]:
            assert word != last
            last = word


@given(history=HISTORIES, keep=SPANS, span=st.integers(1, 30))
def test_law_keep_firing_for(history, keep, span):
    """A firing alert that is missing goes on firing for less than keep_firing_for, and no longer."""
    rule = Rule(keep=keep)
    now, missing = 0, None
    for seconds, produced, _ in [*history, (span, False, RECOVERED)]:
        now += seconds
        was = rule.states().get("web") == "firing"
        rule.at(now, *([WEB] if produced else []))
        if produced:
            missing = None
        elif was:
            missing = now if missing is None else missing
            still = rule.states().get("web") == "firing"
            assert still == (s(now - missing) < keep)


def test_an_end_carries_the_alert_as_it_was():
    """The record of an end has the last value and annotations, and the state it ended in."""
    rule = Rule()
    rule.at(0, WEB, value=137)
    step = advance(
        rule.state, [], START + s(5), hold=s(0), keep_firing_for=s(0), why=lambda _instance: RECOVERED
    )
    (ended,) = step.ended
    assert ended == Ended(instance=step.state.instances[WEB], ending=Ending.RECOVERED, detail="")
    assert (ended.instance.value, ended.instance.annotations) == (137, {"n": "0"})
