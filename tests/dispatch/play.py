"""Plays a script of alerts against one incident, and writes down what people get.

A script reads ``0 down fires; 30 down recovered``: seconds, then who does what; ``+`` joins what happens in the same
evaluation. What people get reads ``0.2 send loud down; 30 edit over recovered; 30 reply over loud``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from alerting.alerts import Alert, Ending
from alerting.dispatch.incident import Incident, Phase, Timing, advance, join
from alerting.labels import Labels

START = datetime(2026, 9, 21, 14, 0, tzinfo=UTC)
TIMING = Timing(
    group_wait=timedelta(milliseconds=200),
    group_interval=timedelta(seconds=5),
    repeat_interval=timedelta(hours=4),
)
# name -> severity, and whether it is an event
CAST = {
    "down": ("critical", False),
    "crash": ("critical", False),
    "replica": ("warning", False),
    "slow": ("warning", False),
    "note": ("info", False),
    "oom": ("warning", True),
    "restart": ("info", True),
    "watchdog": ("none", False),
}
ENDINGS = {"recovered": Ending.RECOVERED, "removed": Ending.REMOVED, "lost": Ending.LOST_SIGHT}


def at(seconds):
    """Return the moment so many seconds into the play."""
    return START + timedelta(seconds=seconds)


def an_alert(name, seconds=0.0, *, ending=None, **labels):
    """Return an alert of the cast as it stands at a moment."""
    severity, event = CAST[name]
    return Alert(
        labels=Labels({"alertname": name, "severity": severity, "host": "h", "service": "web", **labels}),
        annotations={"summary": f"web is {name}", "vakhta_event": "true"} if event else {"summary": f"web is {name}"},
        active_at=at(seconds),
        ending=ending,
        ended_at=None if ending is None else at(seconds),
    )  # fmt: skip


class Play:
    """One dispatch group and its audience.

    ``heard`` is the transcript, ``looks`` every moment at which the incident was looked at.
    """

    def __init__(self, timing=TIMING):
        self.timing = timing
        self.incident = None
        self.heard = []
        self.hidden = set()
        self.born = 0
        self._since = {}
        self._wake_at = None
        self._face = None

    def run(self, script, *, until=None, looks=()):
        """Play a script, then let time pass; ``looks`` are moments to look at the incident for no reason."""
        acts = [
            (float(when), what) for when, _, what in (act.strip().partition(" ") for act in script.split(";"))
        ]
        moments = sorted([*((when, 0, what) for when, what in acts), *((when, 1, "") for when in looks)])
        for when, _, what in moments:
            self.pass_to(when)
            if what:
                self.act(when, what)
            elif self.incident is not None:
                self.look(when)
        self.pass_to(acts[-1][0] if until is None else until)
        return self.heard

    def pass_to(self, seconds):
        """Let time pass, looking whenever the incident asked for it."""
        while self._wake_at is not None and self._wake_at <= seconds:
            self.look(self._wake_at)

    def act(self, seconds, what):
        """Let one evaluation happen."""
        for each in what.split(" + "):
            name, verb = each.split()
            if verb in ("hidden", "shown"):
                (self.hidden.add if verb == "hidden" else self.hidden.discard)(name)
            else:
                self._join(seconds, name, verb)
        if self.incident is not None:
            self.look(seconds)

    def _join(self, seconds, name, verb):
        firing = verb in ("fires", "arrives")
        if self.incident is None:
            if not firing:
                return
            self.born += 1
            self.incident = Incident(
                id=str(self.born), receiver="r", route="{}", group_labels=Labels(), opened_at=at(seconds)
            )
        if firing:
            self._since.setdefault(name, seconds)
        alert = an_alert(name, self._since.get(name, seconds), ending=ENDINGS.get(verb))
        if verb in ("recovered", "removed"):
            self._since.pop(name, None)
        self.incident = join(self.incident, name, alert, at(seconds), arrival=verb == "arrives")

    def look(self, seconds):
        """Look at the incident and write down what people get of it."""
        before = self.incident
        step = advance(before, at(seconds), self.timing, lambda alert: alert.name in self.hidden)
        self._wake_at = None if step.wake_at is None else (step.wake_at - START).total_seconds()
        assert self._wake_at is None or self._wake_at > seconds, "asks to be looked at without an end"
        self.incident = step.incident
        if step.incident is None or step.incident.phase is Phase.WAITING:
            self._face = None
        if step.incident is None:
            return
        if step.speak:
            face = self._describe(step.incident)
            if before.phase is Phase.WAITING:
                self._note(seconds, f"send {_sound(step.loud)} {face}")
            elif face != self._face:
                self._note(seconds, f"edit {face}")
            self._face = face
        for call, loud in step.calls:
            times = f" {step.incident.times}" if call == "again" else ""
            self._note(seconds, f"reply {call}{times} {_sound(loud)}")

    def _describe(self, incident):
        """Return what the incident's message shows, in a few words."""
        if incident.phase is Phase.OVER:
            return f"over {incident.history[-1].what}"
        told = {name: member.alert for name, member in incident.members.items() if member.told}
        firing = " ".join(name for name, alert in told.items() if alert.firing)
        return firing or "lost " + " ".join(
            name for name, alert in told.items() if alert.ending is Ending.LOST_SIGHT
        )

    def _note(self, seconds, what):
        self.heard.append(f"{seconds:g} {what}")


def _sound(loud):
    return "loud" if loud else "quietly"
