"""What an incident's messages say. Pure: an incident in, Telegram's HTML out.

Line 1 works alone on a locked phone, line 2 is where and since when, then the facts that change the next action. The
shape follows the annotation ``vakhta_kind``; nothing here knows an alert by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from alerting.alerts import Alert, Ending, Severity
from alerting.dispatch.incident import Call, Incident, Member, Phase, deciding
from alerting.labels import Labels
from alerting.telegram.html import clean, clip, escape, to_plain, utf16_length
from alerting.telegram.wording import clock, span

_MARKS: Final = {Severity.CRITICAL: "🔴", Severity.WARNING: "🟠", Severity.INFO: "🔵", Severity.NONE: "🔵"}
_REMOVED: Final = {
    "stopped": "was stopped on request",
    "completed": "ended by itself, exit 0",
    "paused": "was paused",
    "rule gone": "is not watched by this rule any more",
}
_SILENT: Final = {"frozen": "Docker does not answer since", "silent": "the exporter is silent since"}
_SAID: Final = ("alertname", "severity", "host", "project", "service", "name", "instance", "job", "reason")
_HISTORY_LINES: Final = 6
_OTHERS: Final = 10
_ARRIVALS: Final = 15
# Together below Telegram's limit of a message, whatever the rules say.
_LINE_BUDGET: Final = 256
_ITEM_BUDGET: Final = 120
_WORD_BUDGET: Final = 60
_DESCRIPTION_BUDGET: Final = 1500
_LONGEST_LINK: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A message in Telegram's HTML and as plain text."""

    html: str
    plain: str

    @classmethod
    def of(cls, lines: Iterable[str]) -> Text:
        """Join lines of HTML."""
        html = "\n".join(lines).strip()
        return cls(html=html, plain=to_plain(html))


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """An incident as somebody looks at it: which members are hidden by others, when, and in which zone."""

    incident: Incident
    hidden: frozenset[str]
    now: datetime
    zone: tzinfo

    @property
    def told(self) -> dict[str, Member]:
        """The members that messages speak of."""
        return {f: m for f, m in self.incident.members.items() if m.told}

    def at(self, moment: datetime) -> str:
        """Write a moment in the reader's zone."""
        return clock(moment, self.zone, self.now)


def message(view: View) -> Text:
    """Return the incident's own message, as it should read now."""
    leader = most_telling(view)
    lines = [f"<b>{escape(_one_line(_headline(view, leader)))}</b>", _where(view, leader)]
    lines += _facts(view, leader)
    lines += _others(view, leader)
    lines += _footer(view, leader)
    return Text.of(lines)


def call(view: View, kind: Call) -> Text:
    """Return the short reply that people hear."""
    leader = most_telling(view)
    alert, mark = leader.alert, _MARKS[leader.alert.severity]
    if kind is Call.OVER:
        line = f"{_mark(view)} {_ended(view, leader)}"
    elif kind is Call.AGAIN:
        line = f"{mark} {_summary(alert)} — again, time {view.incident.times}"
    elif kind is Call.REMINDER:
        line = f"{mark} {_trouble(alert, 'still')}, {span(view.now - _since(view))}"
    else:
        line = f"{mark} {_summary(alert)}"
    return Text.of([escape(_one_line(line))])


def arrival(host: str, containers: int, alerts: Sequence[Alert], now: datetime) -> Text:
    """Return the one message about everything that was broken before we came."""
    names = sorted({_found(alert, now) for alert in alerts})
    shown, more = names[:_ARRIVALS], len(names) - _ARRIVALS
    count = f"{containers} container{'' if containers == 1 else 's'}"
    listed = ", ".join(escape(name) for name in shown) + (f" and {more} more" if more > 0 else "")
    head = f"<b>{escape(_one_line(f'🔵 Watching {host}: {count}.'))}</b>"
    told = f"Already broken when I arrived: {listed}."
    return Text.of([f"{head} {told}"] if utf16_length(head + told) <= _LINE_BUDGET else [head, told])


def most_telling(view: View) -> Member:
    """Return the member that names line 1.

    Among those that fire, else those we lost sight of; of an incident that is over, those that recovered, else those
    that decided the end. Of them first what no other alert explains, then the highest severity, a state before an
    event, the lowest rank, the oldest.
    """
    told = view.told
    firing = {f: m for f, m in told.items() if m.alert.firing}
    ongoing = {f: m for f, m in told.items() if m.ongoing}
    decided = {f: m for f, m in told.items() if any(m is d for d in deciding(told))}
    if view.incident.phase is Phase.OVER:  # events may still fire: they are not how it ended
        candidates = {f: m for f, m in decided.items() if m.alert.ending is Ending.RECOVERED} or decided
    else:
        candidates = firing or ongoing or decided
    _, first = min(candidates.items(), key=lambda item: _order(item[0] in view.hidden, item[1].alert))
    return first


def _order(explained: bool, alert: Alert) -> tuple[bool, int, bool, int, datetime, str]:  # noqa: FBT001 - a sort key
    return (
        explained,
        -alert.severity,
        alert.is_event,
        alert.rank,
        alert.active_at,
        alert.labels.fingerprint(),
    )


def subject(alert: Alert) -> str:
    """Return what the alert is about, in a person's words: ``shop/web``, a domain, a host, or the alert's name."""
    labels = alert.labels
    service = labels.get("service") or labels.get("name", "")
    if service:
        return f"{labels['project']}/{service}" if "project" in labels else service
    return labels.get("domain") or labels.get("host") or alert.name


def _headline(view: View, leader: Member) -> str:
    alert = leader.alert
    if view.incident.phase is Phase.OVER:
        return f"{_mark(view)} {_ended(view, leader)}"
    if alert.firing or alert.detail not in _SILENT:
        return f"{_MARKS[alert.severity]} {_summary(alert)}"
    seen = view.at(alert.ended_at or view.now)
    silence = _SILENT.get(alert.detail)
    why = f", {silence}" if silence else ""
    return f"❔ {_trouble(alert, 'last seen', colon=True)} {seen}{why}"


def _mark(view: View) -> str:
    """Return the mark of an incident that is over: good news only if something recovered."""
    recovered = any(m.alert.ending is Ending.RECOVERED for m in deciding(view.told))
    return "✅" if recovered else "➖"


def _ended(view: View, leader: Member) -> str:
    alert = leader.alert
    over_at = view.incident.over_at or view.now
    lasted = span(over_at - _since(view))
    if _mark(view) != "✅":
        return f"{_gone(alert)} {lasted})"
    cause = alert.annotations.get("vakhta_cause", "")
    tail = f" ({cause})" if cause else ""
    line = alert.annotations.get("vakhta_resolved") or f"Over: {_summary(alert)}"
    return f"{line} — {lasted}{tail}"


def _summary(alert: Alert) -> str:
    return _one_line(alert.annotations.get("summary", "")) or _one_line(f"{subject(alert)}: {alert.name}")


def _one_line(text: str, budget: int = _LINE_BUDGET) -> str:
    """Make foreign text one line of bounded length."""
    return clip(" ".join(clean(text).split()), budget)


def _state(alert: Alert) -> str:
    return alert.annotations.get("vakhta_state") or "firing"


def _trouble(alert: Alert, word: str, *, colon: bool = False) -> str:
    """Say that something is still so, or was last seen so; a rule that names no state is quoted instead."""
    if "vakhta_state" not in alert.annotations:
        return f"{_summary(alert)} — {word}"
    return f"{subject(alert)}{':' if colon else ''} {word} {_state(alert)}"


def _gone(alert: Alert) -> str:
    """Say that the thing is not there any more, up to how long the trouble had lasted."""
    if "vakhta_state" not in alert.annotations:
        return f"{_summary(alert)} — nothing to measure any more (lasted"
    return f"{subject(alert)} {_REMOVED.get(alert.detail, 'was removed')} (was {_state(alert)}"


def _found(alert: Alert, now: datetime) -> str:
    cause = alert.annotations.get("vakhta_cause") or _state(alert)
    ago = f", {span(now - alert.since)} ago" if alert.since < alert.active_at else ""
    return _one_line(f"{alert.labels.get('name') or subject(alert)} ({cause}{ago})", _ITEM_BUDGET)


def _since(view: View) -> datetime:
    """Return when the incident's trouble began: the oldest alert that decides it."""
    ongoing = [m for m in deciding(view.told) if m.ongoing] or deciding(view.told)
    if view.incident.phase is Phase.OVER:
        ongoing = deciding(view.told)
    return min((m.alert.since for m in ongoing), default=view.incident.opened_at)


def _where(view: View, leader: Member) -> str:
    labels = leader.alert.labels
    place = escape(
        _one_line(" · ".join(part for part in (labels.get("host", ""), _path(labels, view)) if part))
    )
    since = view.at(_since(view))
    over_at = view.incident.over_at
    when = f"{since} – {view.at(over_at)}" if over_at is not None else f"since {since}"
    return " · ".join(part for part in (f"<code>{place}</code>" if place else "", when) if part)


def _path(labels: Labels, view: View) -> str:
    """Return ``project/service (replica)``, the replica without the project's name."""
    service, project = labels.get("service", ""), labels.get("project", "")
    path = f"{project}/{service}" if project else service
    names = sorted({m.alert.labels.get("name", "") for m in view.told.values()} - {"", service})
    short = [name.removeprefix(f"{project}-") for name in names] if project else names
    return f"{path} ({', '.join(short)})" if path and short else path or ", ".join(short)


def _facts(view: View, leader: Member) -> list[str]:
    alert = leader.alert
    facts: list[str] = []
    description = alert.annotations.get("description", "").strip()
    if description and view.incident.phase is not Phase.OVER:
        facts.append(escape(clip(description, _DESCRIPTION_BUDGET)))
    if not alert.kind:
        facts += _generic(alert)
    if view.incident.times > 1:
        facts.append(f"Time {view.incident.times} of the same fault.")
    return ["", *facts] if facts else []


def _generic(alert: Alert) -> list[str]:
    """Return the value, and the labels not said yet, of an alert whose rule knows nothing of Vakhta."""
    rest = [f"{name} {value}" for name, value in alert.labels.items() if name not in _SAID]
    instance = alert.labels.get("instance")
    parts = [f"value {alert.value:.6g}", *rest, *([f"instance {instance}"] if instance else [])]
    return [f"<code>{escape(_one_line(' · '.join(parts)))}</code>"]


def _others(view: View, leader: Member) -> list[str]:
    """Return a line for each further alert of the incident that says something line 1 does not."""
    leading = _one_line(_summary(leader.alert), _ITEM_BUDGET)
    seen = {leading}
    lines: list[str] = []
    for fingerprint, member in sorted(view.told.items(), key=lambda item: item[1].alert.active_at):
        text = _one_line(_summary(member.alert), _ITEM_BUDGET)
        if text in seen or fingerprint in view.hidden or not member.alert.firing:
            continue
        seen.add(text)
        lines.append(f"{_MARKS[member.alert.severity]} {escape(text)}")
    more = len(lines) - _OTHERS
    shown = [*lines[:_OTHERS], *([f"and {more} more"] if more > 0 else [])]
    return ["", *shown] if shown else []


def _footer(view: View, leader: Member) -> list[str]:
    entries = view.incident.history
    folded = len(entries) - _HISTORY_LINES
    recent = entries[-_HISTORY_LINES:]
    history = " · ".join(f"{view.at(entry.at)} {entry.what}" for entry in recent)
    if view.incident.times == 1 and folded <= 0:
        history = (
            f"{view.at(_since(view))} {escape(_one_line(_state(leader.alert), _WORD_BUDGET))} · {history}"
        )
    elif folded > 0:
        history = f"{folded} earlier · {history}"
    runbook = leader.alert.annotations.get("runbook_url", "")
    link = f'<a href="{escape(runbook)}">Runbook</a>' if _linkable(runbook) else ""
    last = " · ".join(part for part in (link, f"#{view.incident.id}") if part)
    return ["", *([history] if len(entries) > 1 else []), last]


def _linkable(url: str) -> bool:
    """Whether Telegram accepts the address: it drops a host without a dot."""
    host = url.partition("://")[2].partition("/")[0]
    return url.startswith(("http://", "https://")) and "." in host and len(url) <= _LONGEST_LINK
