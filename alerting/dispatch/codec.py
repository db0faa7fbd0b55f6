"""Incidents and alerts as JSON, for the state file. What is written by one version is read by the next."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from alerting.alerts import Alert, Ending, Origin, Severity
from alerting.dispatch.incident import Entry, Incident, Member, Phase
from alerting.labels import Labels


def dump_alert(alert: Alert) -> dict[str, Any]:
    """Return an alert as plain data."""
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "active_at": alert.active_at.timestamp(),
        "value": repr(alert.value),
        "ended_at": _seconds(alert.ended_at),
        "ending": alert.ending,
        "origin": alert.origin,
        "generator_url": alert.generator_url,
        "detail": alert.detail,
        "source": alert.source,
    }


def load_alert(data: dict[str, Any]) -> Alert:
    """Return the alert that :func:`dump_alert` wrote."""
    return Alert(
        labels=Labels(data["labels"]),
        annotations=data["annotations"],
        active_at=_time(data["active_at"]),
        value=float(data["value"]),
        ended_at=_maybe(data["ended_at"]),
        ending=Ending(data["ending"]) if data["ending"] else None,
        origin=Origin(data["origin"]),
        generator_url=data["generator_url"],
        detail=data["detail"],
        source=data["source"],
    )


def dumps(incident: Incident) -> str:
    """Return an incident as JSON text."""
    return json.dumps(
        {
            "id": incident.id,
            "receiver": incident.receiver,
            "route": incident.route,
            "group_labels": dict(incident.group_labels),
            "opened_at": incident.opened_at.timestamp(),
            "members": {f: _dump_member(m) for f, m in incident.members.items()},
            "phase": incident.phase,
            "told_at": _seconds(incident.told_at),
            "told_severity": int(incident.told_severity),
            "heard": int(incident.heard),
            "over_at": _seconds(incident.over_at),
            "again_at": _seconds(incident.again_at),
            "last_sound_at": _seconds(incident.last_sound_at),
            "acknowledged": incident.acknowledged,
            "times": incident.times,
            "calls": incident.calls,
            "history": [[entry.at.timestamp(), entry.what] for entry in incident.history],
        }
    )  # escaped: half a surrogate pair, which JSON from elsewhere may hold, cannot be stored as text


def loads(text: str) -> Incident:
    """Return the incident that :func:`dumps` wrote."""
    data = json.loads(text)
    return Incident(
        id=data["id"],
        receiver=data["receiver"],
        route=data["route"],
        group_labels=Labels(data["group_labels"]),
        opened_at=_time(data["opened_at"]),
        members={f: _load_member(m) for f, m in data["members"].items()},
        phase=Phase(data["phase"]),
        told_at=_maybe(data["told_at"]),
        told_severity=Severity(data["told_severity"]),
        heard=Severity(data["heard"]),
        over_at=_maybe(data["over_at"]),
        again_at=_maybe(data["again_at"]),
        last_sound_at=_maybe(data["last_sound_at"]),
        acknowledged=data["acknowledged"],
        times=data["times"],
        calls=data["calls"],
        history=tuple(Entry(at=_time(at), what=what) for at, what in data["history"]),
    )


def _dump_member(member: Member) -> dict[str, Any]:
    return {
        "alert": dump_alert(member.alert),
        "seen_at": member.seen_at.timestamp(),
        "told": member.told,
        "arrival": member.arrival,
    }


def _load_member(data: dict[str, Any]) -> Member:
    return Member(
        alert=load_alert(data["alert"]),
        seen_at=_time(data["seen_at"]),
        told=data["told"],
        arrival=data["arrival"],
    )


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _maybe(seconds: float | None) -> datetime | None:
    return None if seconds is None else _time(seconds)
