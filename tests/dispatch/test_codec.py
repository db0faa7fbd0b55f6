"""What the state file keeps of incidents is what was put in."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.alerts import Alert, Ending, Origin, Severity
from alerting.dispatch import codec
from alerting.dispatch.incident import Entry, Incident, Member, Phase
from alerting.labels import Labels
from tests.size import examples

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
# Whole milliseconds: what evaluations and clocks give survives a float of Unix seconds.
times = st.integers(1_600_000_000_000, 2_000_000_000_000).map(
    lambda ms: datetime.fromtimestamp(ms / 1000, UTC)
)
maybe = st.none() | times
labelsets = st.dictionaries(text.filter(bool), text, max_size=3).map(Labels)
alerts = st.builds(
    Alert,
    labels=labelsets,
    annotations=st.dictionaries(text, text, max_size=3),
    active_at=times,
    value=st.floats(allow_nan=False),
    ended_at=maybe,
    ending=st.none() | st.sampled_from(Ending),
    origin=st.sampled_from(Origin),
    generator_url=text,
    detail=text,
)
members = st.builds(Member, alert=alerts, seen_at=times, told=st.booleans(), arrival=st.booleans())
incidents = st.builds(
    Incident,
    id=text,
    receiver=text,
    route=text,
    group_labels=labelsets,
    opened_at=times,
    members=st.dictionaries(text, members, max_size=3),
    phase=st.sampled_from(Phase),
    told_at=maybe,
    told_severity=st.sampled_from(Severity),
    heard=st.sampled_from(Severity),
    over_at=maybe,
    again_at=maybe,
    last_sound_at=maybe,
    acknowledged=st.booleans(),
    times=st.integers(1, 99),
    calls=st.integers(0, 99),
    history=st.lists(st.builds(Entry, at=times, what=text), max_size=3).map(tuple),
)


@given(incidents)
@settings(deadline=None, max_examples=examples(50))
def test_incidents_come_back_whole(incident):
    """Written and read, nothing is lost and nothing is another."""
    assert codec.loads(codec.dumps(incident)) == incident


@given(st.floats())
def test_every_value_survives_as_json(value):
    """Infinity and NaN are no JSON; they are kept all the same."""
    alert = Alert(labels=Labels(), active_at=datetime(2026, 1, 1, tzinfo=UTC), value=value)
    kept = codec.load_alert(json.loads(json.dumps(codec.dump_alert(alert), allow_nan=False)))
    assert repr(kept.value) == repr(value)


def test_equal_incidents_are_equal_text():
    """The state file writes an incident only when its text changed."""
    incident = Incident(
        id="a",
        receiver="r",
        route="{}",
        group_labels=Labels({"b": "1", "a": "2"}),
        opened_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert codec.dumps(codec.loads(codec.dumps(incident))) == codec.dumps(incident)
