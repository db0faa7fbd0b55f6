"""Whole conversations, as the on-call person reads them; VAKHTA_ACCEPT=1 accepts what there is."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.telegram.draft import Kind
from tests.alerting.talk import Talk, an_alert, at, check
from tests.size import examples

GOLDEN = Path(__file__).parent / "golden"
RUNBOOK = "https://example.org/runbooks/ContainerDown"
WEB2 = {"name": "shop-web-2", "project": "shop", "service": "web", "instance": "host-1:9817"}
WORKER = {"name": "shop-worker-1", "project": "shop", "service": "worker"}

REPLICA = an_alert(
    "ContainerDown", "warning", labels={**WEB2, "reason": "oom"}, kind="container", rank="30", state="down",
    cause="out of memory, exit 137", runbook_url=RUNBOOK,
    summary="shop/web: 1 of 3 replicas down — out of memory (exit 137)", resolved="shop/web is back",
    description="Killed by the OOM killer: it reached its memory limit, or the host ran out of memory.",
)  # fmt: skip
SERVICE = replace(
    REPLICA,
    labels=REPLICA.labels.with_({"severity": "critical"}),
    annotations={**REPLICA.annotations, "summary": "shop/web is down — out of memory (exit 137)"},
)
OOM = an_alert(
    "ContainerOOMKilled", "warning", labels=WEB2, kind="container", rank="10", event="true", state="out of memory",
    summary="shop/web ran out of memory — the kernel killed a process in it",
    resolved="shop/web has not run out of memory again", description="A child of the main process was killed.",
)  # fmt: skip
CRASH = an_alert(
    "ContainerCrashLoop", "critical", labels=WORKER, kind="container", rank="20", state="crashing", cause="exit 1",
    summary="shop/worker keeps crashing — 6 exits in 10 min, exit 1", resolved="shop/worker runs again without crashing",
    description="Docker starts it again and again, and waits longer each time.",
)  # fmt: skip
CRASHED = an_alert("ContainerDown", "critical", labels=WORKER, kind="container", rank="30", state="down",
                   summary="shop/worker is down — stopped with an error (exit 1)")  # fmt: skip
UNHEALTHY = an_alert(
    "ContainerUnhealthy", "warning", labels={"name": "shop-api-1", "project": "shop", "service": "api"}, kind="container",
    state="unhealthy", summary="shop/api is unhealthy — its health check fails", resolved="shop/api is healthy again",
    description="It still runs. Traefik takes an unhealthy container out of rotation.",
)  # fmt: skip
DOCKER = an_alert(
    "DockerDown", "critical", kind="watch", state="silent", resolved="Docker answers again",
    summary="Docker does not answer — facts about containers are frozen",
    description="What is known about containers is as old as the time above; they may well be running.",
)  # fmt: skip
EXPORTER = an_alert(
    "ExporterDown", "critical", labels={"instance": "host-1:9817", "job": "vakhta-exporter"}, kind="watch", state="silent",
    summary="The exporter at host-1:9817 does not answer — its containers are out of sight",
    resolved="The exporter at host-1:9817 answers again",
)  # fmt: skip
PUBLIC = an_alert(
    "HostOutOfMemory", "warning", labels={"instance": "host-1:9100", "job": "node", "device": "none"}, value=7.3456,
    summary="Host out of memory (instance host-1:9100)",
    description="Node memory is filling up (< 10% left)\n  VALUE = 7.3\n  LABELS = map[instance:host-1:9100]",
)  # fmt: skip
PLAIN_NAME = an_alert("backup-late", "warning", labels={"name": "cron", "service": "cron"}, kind="container",
                      state="late", summary="cron has not finished — 2 h late")  # fmt: skip


def found(n, cause, ago):
    """Return an alert about something that was broken before we came."""
    alert = an_alert(
        "ContainerFoundDown", "info", labels={"name": n, "service": n}, kind="container", cause=cause
    )
    return replace(alert, annotations={**alert.annotations, "vakhta_since": str(at(-ago).timestamp())})


def again(seconds):
    """Return the service being down since a moment."""
    return replace(SERVICE, active_at=at(seconds))


def replica(n):
    """Return the n-th replica being down."""
    return an_alert("ContainerDown", "warning", labels={**WEB2, "name": f"shop-web-{n}"}, kind="container", state="down",
                    summary=f"shop/web: web-{n} is down (exit 1)", resolved="shop/web is back")  # fmt: skip


def lost(alert, why):
    """Return an alert out of sight."""
    return (alert, "lost", why)


CONVERSATIONS = {
    "replica-down": lambda t: t.says(0, REPLICA).says(38, (REPLICA, "recovered", "")),
    "service-down": lambda t: t.says(0, SERVICE).says(420, (SERVICE, "recovered", "")),
    "gets-worse": lambda t: t.says(0, REPLICA).says(20, lost(REPLICA, "not running"), SERVICE),
    "crash-loop": lambda t: (
        t.says(0, CRASHED)
        .says(60, CRASH, lost(CRASHED, "not running"), hidden=(CRASHED,))
        .says(200, (CRASH, "recovered", ""), (CRASHED, "recovered", ""))
    ),
    "unhealthy": lambda t: t.says(0, UNHEALTHY).says(95, (UNHEALTHY, "recovered", "")),
    "oom-event": lambda t: t.says(0, OOM).says(600, (OOM, "recovered", "")),
    "oom-beside-down": lambda t: t.says(0, SERVICE, OOM, hidden=(OOM,)).says(30, (SERVICE, "recovered", ""), OOM),
    "removed": lambda t: t.says(0, SERVICE).says(38, (SERVICE, "removed", "gone")),
    "stopped-on-request": lambda t: t.says(0, REPLICA).says(38, (REPLICA, "removed", "stopped")),
    "paused": lambda t: t.says(0, UNHEALTHY).says(38, (UNHEALTHY, "removed", "paused")),
    "lost-sight": lambda t: t.says(0, SERVICE).says(149, lost(SERVICE, "silent")).says(300, SERVICE).says(310, (SERVICE, "recovered", "")),
    "lost-sight-frozen": lambda t: t.says(0, SERVICE).says(149, lost(SERVICE, "frozen")),
    "docker-down": lambda t: t.says(0, DOCKER).says(30, (DOCKER, "recovered", "")),
    "exporter-down": lambda t: t.says(0, EXPORTER).says(30, (EXPORTER, "recovered", "")),
    "public-rule": lambda t: t.says(0, PUBLIC).says(3900, (PUBLIC, "recovered", "")),
    "public-rule-unseen": lambda t: (
        t.says(0, PUBLIC).look(4 * 3600 + 0.2).says(15000, lost(PUBLIC, "silent")).says(15900, (PUBLIC, "removed", "gone"))
    ),
    "without-compose": lambda t: t.says(0, PLAIN_NAME),
    "re-opened": lambda t: (
        t.says(0, SERVICE).says(40, (SERVICE, "recovered", "")).says(100, again(100)).says(160, (again(100), "recovered", "")).says(200, again(200))
    ),
    "re-opened-often": lambda t: [
        t.says(n * 60, again(n * 60)).says(n * 60 + 30, (again(n * 60), "recovered", "")) for n in range(4)
    ],
    "reminder": lambda t: t.says(0, SERVICE).look(4 * 3600 + 0.2),
    "many-members": lambda t: t.says(0, *(replica(n) for n in range(1, 21))),
    "past-midnight": lambda t: t.says(0, REPLICA).says(12 * 3600, (REPLICA, "recovered", "")),
    "arrival": lambda t: t.arrives(found("old-cron", "exited 1", 12 * 86400), found("shop-mail", "exited 127", 7200)),
    "arrival-of-many": lambda t: t.arrives(*(found(f"old-{n:02}", "exited 1", 3600) for n in range(20))),
}  # fmt: skip


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation(name):
    """Every message, edit and reply of it, to the letter; Telegram takes each of them."""
    with Talk() as talk:
        CONVERSATIONS[name](talk)
        for draft in talk.drafts:
            check(draft)
        text = talk.transcript()
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("VAKHTA_ACCEPT"):
        path.write_text(text)
    assert text == path.read_text()


def test_every_golden_file_is_a_conversation():
    """Nothing is left behind of a conversation that is gone."""
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CONVERSATIONS)


LONG = "x" * 5000
HOSTILE = {
    "markup": "<b>bold</b> <a href='http://evil.example'>&amp;</a> </code>",
    "a reference": "&#0; &lt;b&gt; &amp;amp; &bogus; &",
    "emoji": "🧨👩‍👩‍👧‍👦🇰🇿" * 40,
    "right to left": "abc\u202egnp.exe\u2066 \u200f\u061c",
    "5000 characters": LONG,
    "5000 emoji": "🧨" * 5000,
    "5000 ampersands": "&" * 5000,
    "many lines": "line\n" * 1000,
    "control characters": "a\x00b\x08c\x1b[31md\r\ne\u2028f",
    "nothing to see": "\u200b\u200b\u2060",
    "combining": "e" + "\u0301" * 3000,
    "a mention and a command": "@everyone /start #tag",
}


def hostile(text):
    """Return alerts with the text everywhere: a shipped rule's, a foreign rule's, an event."""
    labels = {"name": text, "project": text, "service": text, "host": text, "extra": text, "instance": text}
    shipped = an_alert("ContainerDown", "critical", labels=labels, kind="container", summary=text, description=text,
                       state=text, cause=text, resolved=text, runbook_url=f"https://a.example/{text}")  # fmt: skip
    foreign = an_alert(
        text, text, labels={k: v for k, v in labels.items() if k != "project"}, value=float("nan")
    )
    return shipped, foreign, an_alert("E", "info", labels=labels, event="true", since=-1, rank=text)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts(text):
    """Whatever labels and annotations hold, Telegram takes every message, whole, and line 1 stays a line."""
    alerts = hostile(text)
    with Talk() as talk:
        talk.says(0, alerts[1]).says(10, *alerts)
        talk.says(20, *((a, "lost", "silent") for a in alerts)).look(5 * 3600).says(6 * 3600, *alerts).look(
            10 * 3600 + 1
        )
        talk.says(11 * 3600, *((a, "removed", "gone") for a in alerts)).says(11 * 3600 + 60, *alerts)
        talk.says(12 * 3600, *((a, "recovered", "") for a in alerts))
        talk.arrives(*alerts)
        kinds = {draft.kind for draft in talk.drafts}
        for draft in talk.drafts:
            check(draft)
    assert kinds == {Kind.SEND, Kind.EDIT, Kind.REPLY}


labels_text = st.text(max_size=300)
rule_text = st.text(
    st.characters(), max_size=300
)  # halves of surrogate pairs too: JSON from elsewhere may hold them


@given(st.tuples(*[labels_text] * 4), st.tuples(*[rule_text] * 4))
@settings(deadline=None, max_examples=examples(60))
def test_any_text_is_accepted(labels, texts):
    """No text of a rule or a container can keep a message from being delivered as it is."""
    (name, project, service, label), (summary, description, state, resolved) = labels, texts
    alert = an_alert(
        "A", "critical", labels={"name": name, "project": project, "service": service, "x": label},
        summary=summary, description=description, state=state, resolved=resolved, runbook_url=f"https://x.example/{label}",
    )  # fmt: skip
    with Talk() as talk:
        talk.says(0, alert).says(60, (alert, "lost", "silent")).says(90, (alert, "recovered", ""))
        for draft in talk.drafts:
            check(draft)


@pytest.mark.parametrize(
    ("url", "linked"),
    [
        pytest.param("https://example.org/a?b=1&c=2", True, id="an address"),
        pytest.param('https://example.org/"><b>', True, id="with markup in it"),
        pytest.param(
            "http://localhost:3000/x", False, id="a host without a dot: Telegram would drop the link"
        ),
        pytest.param("javascript:alert(1)", False, id="no web address"),
        pytest.param("https://example.org/" + LONG, False, id="longer than any address"),
        pytest.param("", False, id="none"),
    ],
)
def test_runbooks(url, linked):
    """A runbook is linked where Telegram shows it as a link."""
    with Talk() as talk:
        talk.says(0, an_alert("A", "warning", summary="s", runbook_url=url))
        assert ("Runbook" in check(talk.drafts[0])) is linked
