"""What an alert says of itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from alerting.alerts import DEFAULT_RANK, Alert, Ending, Severity
from alerting.labels import Labels

AT = datetime(2026, 9, 21, 14, 2, 31, tzinfo=UTC)


def alert(labels=None, **annotations):
    """Return an alert."""
    return Alert(labels=Labels(labels or {}), annotations=annotations, active_at=AT)


@pytest.mark.parametrize(
    ("given", "severity"),
    [
        ("critical", Severity.CRITICAL),
        ("CRITICAL", Severity.CRITICAL),
        ("warning", Severity.WARNING),
        ("info", Severity.INFO),
        ("none", Severity.NONE),
        ("page", Severity.WARNING),
        ("", Severity.WARNING),
    ],
)
def test_severity(given, severity):
    """What is not one of ours is a warning: never lost, never the loudest."""
    assert alert({"severity": given}).severity is severity


@pytest.mark.parametrize(
    ("text", "since"),
    [
        pytest.param("1790000000.5", datetime(2026, 9, 21, 14, 13, 20, 500000, UTC), id="Unix seconds"),
        pytest.param(" 1790000000 ", datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC), id="white space around"),
        pytest.param("", AT, id="absent: when it was noticed"),
        pytest.param("yesterday", AT, id="no number"),
        pytest.param("NaN", AT, id="NaN"),
        pytest.param("+Inf", AT, id="infinite"),
        pytest.param("1e300", AT, id="beyond every calendar"),
        pytest.param("-1e12", AT, id="before it"),
        pytest.param("<error expanding template: x>", AT, id="a template that failed"),
    ],
)
def test_since(text, since):
    """When the trouble began, where the rule knows better."""
    assert alert(vakhta_since=text).since == since


@pytest.mark.parametrize(
    ("text", "rank"),
    [
        ("10", 10),
        ("0", 0),
        ("", DEFAULT_RANK),
        ("-1", DEFAULT_RANK),
        ("1.5", DEFAULT_RANK),
        ("²", DEFAULT_RANK),
    ],
)
def test_rank(text, rank):
    """A whole number, or the default."""
    assert alert(vakhta_rank=text).rank == rank


def test_the_rest():
    """Name, kind, event and whether it fires."""
    over = Alert(labels=Labels({"alertname": "A"}), active_at=AT, ending=Ending.LOST_SIGHT)
    assert (over.name, over.kind, over.is_event, over.firing) == ("A", "", False, False)
    event = alert(vakhta_event="true", vakhta_kind="container")
    assert (event.name, event.kind, event.is_event, event.firing) == ("", "container", True, True)
    assert not alert(vakhta_event="yes").is_event
