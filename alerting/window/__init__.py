"""Recent samples in memory: what the loaded rules can ask for."""

from alerting.window.window import Window

__all__ = ["Window"]
