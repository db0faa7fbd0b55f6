"""What a test shows: the built-in example, or any rule's texts with made-up labels."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alerting.rules.load import load_files
from alerting.rules.model import AlertingRule
from alerting.telegram.advice import advice
from alerting.telegram.announce import Chat
from alerting.telegram.errors import Action, Delivered, Failure, Reason
from alerting.telegram.html import BUDGET, utf16_length
from alerting.telegram.sample import (
    Order,
    OrderError,
    Where,
    destinations,
    firing,
    is_silent,
    resolved,
    sample,
)
from vakhta.paths import shipped

NOW = datetime(2026, 9, 21, 14, 2, 31, tzinfo=UTC)
SHIPPED = load_files(sorted(shipped("rules").glob("*.yml")), interval=timedelta(seconds=5))
NAMES = sorted({rule.alert for group in SHIPPED for rule in group.rules if isinstance(rule, AlertingRule)})
WHERE = Where(receiver="oncall", chat_id=-1001, thread_id=7, zone=UTC)
FOREIGN = """\
groups:
  - name: g
    rules:
      - alert: HostOutOfDiskSpace
        expr: node_filesystem_avail_bytes < 10
        labels: {severity: critical, team: '{{ $labels.team }}'}
        annotations:
          summary: Disk {{ $labels.mountpoint }} of {{ .Labels.instance }} on {{ $externalLabels.cluster }}
          description: "{{ query \\"up\\" | first | value }} left, VALUE = {{ $value }}"
      - alert: Broken
        expr: up
        annotations: {summary: '{{ $value | humanizeNothing }}'}
"""


@pytest.fixture
def foreign(tmp_path):
    """A rule as public collections have them."""
    path = tmp_path / "foreign.yml"
    path.write_text(FOREIGN.partition("      - alert: Broken")[0])
    return load_files([path], interval=timedelta(seconds=5))


def test_the_built_in_message():
    """Word for word: line 1, where and when, and what a real one will look like."""
    alert = sample((), Order(), NOW)
    assert firing(alert, WHERE).plain == (
        "🔵 Test from alertctl — delivery works\n"
        "oncall · chat -1001 · topic 7 · fired 14:02:31\n"
        "\n"
        "A real one looks like this:\n"
        "\n"
        "🟠 shop/web: 1 of 3 replicas down — out of memory (exit 137)\n"
        "host-1 · shop/web (web-2) · since 14:02:31\n"
        "\n"
        "Killed by the OOM killer: it reached its memory limit."
    )


def test_the_built_in_message_when_it_is_over():
    """The time from firing to delivery is known by then."""
    alert = sample((), Order(), NOW)
    assert resolved(alert, WHERE, NOW + timedelta(seconds=2), 0.314).plain == (
        "✅ Test from alertctl is over — delivered in 0.31 s\n"
        "oncall · chat -1001 · topic 7 · fired 14:02:31 · over 14:02:33\n"
        "\n"
        "A real one that is over looks like this:\n"
        "\n"
        "✅ shop/web is back to 3 replicas — 2 s (out of memory, exit 137)\n"
        "host-1 · shop/web (web-2) · 14:02:31 – 14:02:33\n"
        "\n"
        "14:02:31 down · 14:02:31 told · 14:02:33 recovered"
    )


def test_a_critical_sample_does_not_speak_of_healthy_replicas():
    """Critical means that none runs."""
    assert (
        "🔴 shop/web is down — out of memory"
        in firing(sample((), Order(severity="critical"), NOW), WHERE).plain
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_rule(name):
    """Reads well with made-up labels: no error, no gap, no time of long ago, within Telegram's limit."""
    alert = sample(SHIPPED, Order(rule=name), NOW)
    for text in (firing(alert, WHERE), resolved(alert, WHERE, NOW + timedelta(seconds=2), 0.3)):
        assert "<error" not in text.plain
        assert "<no value>" not in text.plain
        assert "1970" not in text.plain
        assert "  " not in text.plain
        assert utf16_length(text.plain) <= BUDGET
    assert alert.labels["vakhta_test"] == "true"


def test_of_two_rules_with_one_name_the_one_with_the_severity():
    """Their texts differ; without a wish it is the first."""
    loud, quiet = (
        sample(SHIPPED, Order(rule="ContainerDown", severity=s), NOW) for s in ("critical", "warning")
    )
    assert loud.annotations["summary"] == quiet.annotations["summary"]
    assert (loud.labels["severity"], quiet.labels["severity"]) == ("critical", "warning")


def test_a_rule_of_a_public_collection(foreign):
    """Labels it names are made up, external ones are not taken for them, a query that must find something does."""
    alert = sample(foreign, Order(rule="HostOutOfDiskSpace"), NOW)
    assert alert.annotations["summary"] == "Disk / of host-1:9817 on "
    assert alert.annotations["description"] == "3 left, VALUE = 3"
    assert alert.labels["team"] == "‹team›"
    assert "cluster" not in alert.labels
    assert "vakhta_test true" in firing(alert, WHERE).plain


def test_hostile_texts_stay_texts(tmp_path):
    """Markup in an annotation is shown, not obeyed."""
    path = tmp_path / "r.yml"
    path.write_text(
        'groups: [{name: g, rules: [{alert: A, expr: up, annotations: {summary: "<b>5 < 6</i>"}}]}]'
    )
    alert = sample(load_files([path], interval=timedelta(seconds=5)), Order(rule="A"), NOW)
    assert "&lt;b&gt;5 &lt; 6&lt;/i&gt;" in firing(alert, WHERE).html


@pytest.mark.parametrize(
    ("groups", "order", "error"),
    [
        pytest.param(SHIPPED, Order(rule="ContainerDwn"), "did you mean ContainerDown?", id="nearly right"),
        pytest.param(SHIPPED, Order(rule="X"), "and 9 more", id="many known"),
        pytest.param((), Order(rule="X"), "none is loaded: check rule_files", id="none known"),
        pytest.param((), Order(severity="loud"), "take one of critical, warning, info", id="severity"),
    ],
)
def test_orders_that_cannot_be(groups, order, error):
    """The error says what there is."""
    with pytest.raises(OrderError) as caught:
        sample(groups, order, NOW)
    assert error in str(caught.value)


RECEIVERS = {
    "a": (Chat(chat_id=1), Chat(chat_id=-2, thread_id=3, silent=True)),
    "b": (Chat(chat_id=1),),
    "none": (),
}


@pytest.mark.parametrize(
    ("receiver", "expected"),
    [
        pytest.param("", ["a: chat 1", "a: chat -2, topic 3", "b: chat 1"], id="all that have chats"),
        pytest.param("b", ["b: chat 1"], id="one"),
    ],
)
def test_destinations(receiver, expected):
    """Each chat of each receiver, in the order of the configuration."""
    assert [str(where) for where in destinations(RECEIVERS, Order(receiver=receiver), UTC)] == expected


@pytest.mark.parametrize(
    ("receiver", "error"),
    [("x", "no receiver named 'x'; known: a, b, none"), ("none", "receiver 'none' has no chat to tell")],
)
def test_no_destination(receiver, error):
    """The error says whom there is."""
    with pytest.raises(OrderError) as caught:
        destinations(RECEIVERS, Order(receiver=receiver), UTC)
    assert str(caught.value).startswith(error)


def test_a_silent_chat_stays_silent():
    """However loud the test."""
    alert = sample((), Order(severity="critical"), NOW)
    first, second, _ = destinations(RECEIVERS, Order(), UTC)
    assert (is_silent(alert, first), is_silent(alert, second)) == (False, True)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_sentence(reason):
    """With a remedy or Telegram's own words, never a placeholder left open."""
    failure = Failure(reason=reason, delivered=Delivered.NO, action=Action.DEAD, detail="words of Telegram")
    text = advice(failure, api_url="https://user:password@proxy.example:8081/path")
    assert "{" not in text
    assert "user:password" not in text
    assert ": " in text


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("https://api.telegram.org", "api.telegram.org"),
        ("http://127.0.0.1:8081/", "127.0.0.1:8081"),
        ("nonsense", "nonsense"),
    ],
)
def test_the_server_is_named(url, server):
    """Host and port, nothing else of the URL."""
    failure = Failure(reason=Reason.CONNECT, delivered=Delivered.NO, action=Action.RETRY, detail="")
    assert advice(failure, api_url=url).startswith(f"{server} cannot be reached")
