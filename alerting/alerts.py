"""What a rule (or another sender) says about one alert, handed from the rules to dispatch.

The record is a value: rules produce it, dispatch keeps it, rendering reads it. It knows nothing of routes or messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Final

from alerting.labels import Labels

DEFAULT_RANK: Final = 50


class Severity(IntEnum):
    """How loud an alert is, loudest highest."""

    NONE = 0  # never told: Watchdog
    INFO = 1
    WARNING = 2
    CRITICAL = 3

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Severity:
        """Read the label ``severity``; what is not one of ours counts as a warning."""
        return _SEVERITIES.get(labels.get("severity", "").lower(), cls.WARNING)


_SEVERITIES: Final = {"none": Severity.NONE, "info": Severity.INFO, "critical": Severity.CRITICAL}


class Ending(StrEnum):
    """Why an alert stopped being produced."""

    RECOVERED = "recovered"  # its sources are there and no longer match
    REMOVED = "removed"  # the container or the rule is gone, or was stopped, on purpose
    LOST_SIGHT = "lost sight"  # its target is silent, or Docker's facts are frozen


OUT_OF_SIGHT: Final = frozenset({"silent", "frozen"})
"""Details of an alert whose target cannot be seen; any other alert that is "lost" is only undecided."""


class Origin(StrEnum):
    """Where an alert came from."""

    RULES = "rules"
    API = "api"
    WEBHOOK = "webhook"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert as it stands: firing while ``ending`` is None, otherwise over for that reason.

    ``labels`` include ``alertname``; ``active_at`` is when its condition first held, ``ended_at`` when it was last seen
    not to. Annotations are those of the last evaluation that produced it.
    """

    labels: Labels
    annotations: Mapping[str, str] = field(default_factory=dict)
    active_at: datetime
    value: float = 0.0
    ended_at: datetime | None = None
    ending: Ending | None = None
    origin: Origin = Origin.RULES
    generator_url: str = ""
    source: str = ""  # fingerprint of the labels it came with, before dispatch completed them
    detail: str = ""  # how it ended, in a word the renderer knows: "stopped", "paused", "gone", ""
    severity: Severity = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "severity", Severity.of(self.labels))

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.labels.get("alertname", "")

    @property
    def firing(self) -> bool:
        """Whether its condition holds now."""
        return self.ending is None

    @property
    def since(self) -> datetime:
        """When the trouble began: what the rule says in ``vakhta_since`` (Unix seconds), else when it was noticed."""
        try:
            return datetime.fromtimestamp(float(self.annotations.get("vakhta_since", "")), UTC)
        except (ValueError, OverflowError, OSError):
            return self.active_at

    @property
    def rank(self) -> int:
        """Order among alerts of equal severity; the lowest names line 1."""
        text = self.annotations.get("vakhta_rank", "")
        return int(text) if text.isascii() and text.isdigit() else DEFAULT_RANK

    @property
    def is_event(self) -> bool:
        """Whether it reports something that happened rather than a state that lasts."""
        return self.annotations.get("vakhta_event", "") == "true"

    @property
    def kind(self) -> str:
        """The shape of its message; empty for the generic one."""
        return self.annotations.get("vakhta_kind", "")
