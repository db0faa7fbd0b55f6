"""What a test shows: a made-up alert, that of the built-in example or with the texts of a loaded rule, and its message. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Final

from alerting.alerts import Alert, Ending, Origin, Severity
from alerting.dispatch.incident import Entry, Incident, Member, Phase
from alerting.labels import METRIC_NAME, Labels
from alerting.rules.model import AlertingRule, RuleGroup
from alerting.telegram import render
from alerting.telegram.announce import Chat
from alerting.telegram.html import escape
from alerting.telegram.render import Text, View
from alerting.telegram.wording import clock
from alerting.templates import Context, QuerySample, Template, TemplateExecutionError, render_alert_template

SEVERITIES: Final = ("critical", "warning", "info")
TEST_LABEL: Final = "vakhta_test"
_INCIDENT: Final = "test"
_PLACE: Final = {"host": "host-1", "instance": "host-1:9817", "job": "vakhta-exporter"}
_CONTAINER: Final = {"name": "shop-web-2", "project": "shop", "service": "web", "reason": "oom"}
# Labels that rules of public collections name most; any other shows as its own name.
_PLAUSIBLE: Final = {
    **_PLACE,
    **_CONTAINER,
    "device": "/dev/sda1",
    "domain": "shop.example.org",
    "mountpoint": "/",
    "target": "http://host-1:9817/events",
}
_NAMED: Final = re.compile(r"(?<![A-Za-z])[lL]abels\.([a-zA-Z_][a-zA-Z0-9_]*)")
_EXIT_CODE: Final = ("container_last_exit_code", 137.0)
_VALUE: Final = 3.0
_MOST_NAMED: Final = 10


class OrderError(ValueError):
    """A test was asked for that there cannot be; the text says what there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which test is wanted; empty: the built-in sample, its own severity, all receivers."""

    rule: str = ""
    severity: str = ""
    receiver: str = ""


def sample(groups: Iterable[RuleGroup], order: Order, now: datetime) -> Alert:
    """Return the alert of a test, firing since ``now``.

    Raises:
        OrderError: There is no such rule or severity.
    """
    if order.severity and order.severity not in SEVERITIES:
        raise OrderError(f"no severity {order.severity!r}: take one of {', '.join(SEVERITIES)}")
    alert = _of_rule(_find(groups, order), now) if order.rule else _built_in(order.severity, now)
    labels = {**alert.labels, TEST_LABEL: "true"}
    if order.severity:
        labels["severity"] = order.severity
    return replace(alert, labels=Labels(labels))


def _built_in(severity: str, now: datetime) -> Alert:
    what = "is down" if severity == "critical" else "1 of 3 replicas down"
    joint = " " if severity == "critical" else ": "
    return Alert(
        labels=Labels({**_PLACE, **_CONTAINER, "alertname": "ContainerDown", "severity": "warning"}),
        annotations={
            "summary": f"shop/web{joint}{what} — out of memory (exit 137)",
            "description": "Killed by the OOM killer: it reached its memory limit.",
            "vakhta_kind": "container",
            "vakhta_state": "down",
            "vakhta_cause": "out of memory, exit 137",
            "vakhta_resolved": "shop/web is back"
            if severity == "critical"
            else "shop/web is back to 3 replicas",
        },
        active_at=now,
        value=137.0,
        origin=Origin.TEST,
    )


def _find(groups: Iterable[RuleGroup], order: Order) -> AlertingRule:
    """Return the rule of this name, of several the one with the wanted severity."""
    rules = [rule for group in groups for rule in group.rules if isinstance(rule, AlertingRule)]
    named = [rule for rule in rules if rule.alert == order.rule]
    if not named:
        raise OrderError(
            f"no alerting rule named {order.rule!r}{_hint(order.rule, {rule.alert for rule in rules})}"
        )
    return next((rule for rule in named if rule.labels.get("severity") == order.severity), named[0])


def _hint(wrong: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(wrong, names, n=1)
    if close:
        return f", did you mean {close[0]}?"
    if not names:
        return "; none is loaded: check rule_files"
    more = len(names) - _MOST_NAMED
    return f"; known: {', '.join(names[:_MOST_NAMED])}" + (f" and {more} more" if more > 0 else "")


def _of_rule(rule: AlertingRule, now: datetime) -> Alert:
    texts = (*rule.labels.values(), *rule.annotations.values())
    named = {name for text in texts for name in _NAMED.findall(text)}
    found = {**_PLACE, **{name: _PLAUSIBLE.get(name, f"‹{name}›") for name in sorted(named)}}
    selected = {selector.metric for selector in rule.query.selectors}
    metric, exit_code = _EXIT_CODE
    value = exit_code if metric in selected else _VALUE
    own = _expand(rule.label_templates, found, value, now)
    annotations = _expand(rule.annotation_templates, found, value, now)
    annotations.pop("vakhta_since", None)  # made up, it would be a time long ago
    return Alert(
        labels=Labels({**found, **own, "alertname": rule.alert}).drop((METRIC_NAME,)),
        annotations=annotations,
        active_at=now,
        value=value,
        origin=Origin.TEST,
    )


def _expand(
    templates: Mapping[str, Template], labels: Mapping[str, str], value: float, now: datetime
) -> dict[str, str]:
    return {name: _text(template, labels, value, now) for name, template in templates.items()}


def _text(template: Template, labels: Mapping[str, str], value: float, now: datetime) -> str:
    """Expand a template as if its queries found nothing; one that cannot live with that gets one sample of each."""
    error = ""
    for answer in (_found_nothing, lambda _: (QuerySample(labels=labels, value=value),)):
        context = Context(
            labels=labels, value=value, external_labels={}, external_url="", now=now, query=answer
        )
        try:
            return render_alert_template(template, context)
        except TemplateExecutionError as exc:
            error = str(exc)
    return f"<error expanding template: {error}>"


def _found_nothing(_query: str) -> tuple[QuerySample, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where a test goes, and in which zone its reader lives."""

    receiver: str
    chat_id: int
    thread_id: int | None = None
    silent: bool = False
    zone: tzinfo

    def __str__(self) -> str:
        topic = f", topic {self.thread_id}" if self.thread_id is not None else ""
        return f"{self.receiver}: chat {self.chat_id}{topic}"


def destinations(receivers: Mapping[str, Sequence[Chat]], order: Order, zone: tzinfo) -> tuple[Where, ...]:
    """Return where a test goes: the chats of one receiver, or of all.

    Raises:
        OrderError: There is no such receiver, or nobody to tell.
    """
    if order.receiver and order.receiver not in receivers:
        raise OrderError(f"no receiver named {order.receiver!r}; known: {', '.join(sorted(receivers))}")
    chosen = {order.receiver: receivers[order.receiver]} if order.receiver else receivers
    found = tuple(
        Where(receiver=name, chat_id=chat.chat_id, thread_id=chat.thread_id, silent=chat.silent, zone=zone)
        for name, chats in chosen.items()
        for chat in chats
    )
    if not found:
        who = f"receiver {order.receiver!r} has" if order.receiver else "the receivers have"
        raise OrderError(f"{who} no chat to tell: give telegram_configs a chat_id, or set TELEGRAM_CHAT_ID")
    return found


def is_silent(alert: Alert, where: Where) -> bool:
    """Whether the message arrives without a sound, as a real one of its severity would."""
    return where.silent or alert.severity < Severity.WARNING


def firing(alert: Alert, where: Where) -> Text:
    """Return the message of a test that has just been fired."""
    fired = clock(alert.active_at, where.zone, alert.active_at)
    head = "🔵 Test from alertctl — delivery works"
    return _message(
        head, _line(where, f"fired {fired}"), "A real one looks like this:", _incident(alert), where.zone
    )


def resolved(alert: Alert, where: Where, now: datetime, seconds: float | None) -> Text:
    """Return what the same message says when the test is over.

    Args:
        alert: As it fired.
        where: Where it went.
        now: When it is over.
        seconds: From firing to Telegram's confirmation; ``None``: nothing was sent.
    """
    took = f" — delivered in {seconds:.2f} s" if seconds is not None else ""
    over = replace(alert, ending=Ending.RECOVERED, ended_at=now)
    times = f"fired {clock(alert.active_at, where.zone, now)} · over {clock(now, where.zone, now)}"
    return _message(
        f"✅ Test from alertctl is over{took}",
        _line(where, times),
        "A real one that is over looks like this:",
        _incident(over),
        where.zone,
    )


def _line(where: Where, times: str) -> str:
    topic = (f"topic {where.thread_id}",) if where.thread_id is not None else ()
    place = " · ".join((where.receiver, f"chat {where.chat_id}", *topic))
    return f"<code>{escape(place)}</code> · {times}"


def _message(head: str, place: str, intro: str, incident: Incident, zone: tzinfo) -> Text:
    now = incident.over_at or incident.opened_at
    shown = render.message(View(incident=incident, hidden=frozenset(), now=now, zone=zone))
    return Text.of((f"<b>{head}</b>", place, "", intro, "", *_lines(shown.html)))


def _lines(html: str) -> Sequence[str]:
    """Return a message's lines without the number of an incident that does not exist."""
    return html.removesuffix(f"#{_INCIDENT}").rstrip(" ·\n").split("\n")


def _incident(alert: Alert) -> Incident:
    """Return the incident this alert would be alone."""
    member = Member(alert=alert, seen_at=alert.active_at, told=True)
    told = Entry(at=alert.active_at, what="told")
    over = () if alert.ended_at is None else (Entry(at=alert.ended_at, what="recovered"),)
    return Incident(
        id=_INCIDENT,
        receiver="",
        route="",
        group_labels=Labels(),
        opened_at=alert.active_at,
        members={alert.labels.fingerprint(): member},
        phase=Phase.OPEN if alert.firing else Phase.OVER,
        told_at=alert.active_at,
        told_severity=Severity.of(alert.labels),
        over_at=alert.ended_at,
        history=(told, *over),
    )
