"""Recent samples in memory: what the loaded rules can ask for."""

from alerting.window.snapshot import SnapshotError, restore, save
from alerting.window.window import Window

__all__ = ["SnapshotError", "Window", "restore", "save"]
