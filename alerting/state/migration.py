"""One step of the schema's history."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """A step that never changes once released; its place in the list is the version it leads to.

    Attributes:
        name: For the log and for the error when it fails.
        script: SQL statements without transaction control: the step is one transaction.
    """

    name: str
    script: str
