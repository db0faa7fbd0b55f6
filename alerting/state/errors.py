"""Faults of the state file."""

from __future__ import annotations

from pathlib import Path


class StateError(Exception):
    """The state file cannot be read or written.

    Attributes:
        path: The file, or ``:memory:``.
        fault: What is wrong, as SQLite or the operating system says it.
        remedy: What the owner of the host can do about it.
        corrupt: Moving the file aside (:func:`alerting.state.set_aside`) would help.
    """

    def __init__(self, *, path: Path | str, fault: str, remedy: str, corrupt: bool = False) -> None:
        super().__init__(f"{path}: {fault}; {remedy}")
        self.path = path
        self.fault = fault
        self.remedy = remedy
        self.corrupt = corrupt
