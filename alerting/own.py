"""vakhta-alerting's own families: on its /metrics, and in its own window so that rules can watch the watcher."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from alerting.labels import METRIC_NAME, Labels
from alerting.window import Window

_LATENCIES: Final = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0)


class OwnMetrics:
    """The families, and their way into the window.

    Args:
        labels: Labels of the samples in the window (``job`` and ``instance``).
    """

    def __init__(self, labels: Labels) -> None:
        self.registry = CollectorRegistry()
        self._labels = labels
        self._known: set[Labels] = set()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.rule_failures = self._counter(
            "vakhta_rule_evaluation_failures", "Evaluations of a rule that failed.", ("group", "rule")
        )
        self.group_seconds = self._gauge(
            "vakhta_rule_group_last_duration_seconds",
            "How long the last evaluation of a group took.",
            ("group",),
        )
        self.group_interval = self._gauge(
            "vakhta_rule_group_interval_seconds", "How often a group is evaluated.", ("group",)
        )
        self.telegram_failures = self._counter(
            "vakhta_telegram_failures", "Requests to Telegram that failed.", ("reason",)
        )
        self.telegram_last_success = self._gauge(
            "vakhta_telegram_last_success_timestamp_seconds",
            "When Telegram last accepted something; 0: never.",
        )
        self.outbox_oldest = self._gauge(
            "vakhta_outbox_oldest_timestamp_seconds", "Since when the oldest message waits; 0: none waits."
        )
        self.state_write_ok = self._gauge("vakhta_state_write_ok", "Whether the state file could be written.")
        self.reload_ok = self._gauge(
            "vakhta_config_last_reload_successful", "Whether the last reading of the configuration succeeded."
        )
        self.stream_connected = self._gauge(
            "vakhta_event_stream_connected", "Whether a target's event stream is connected.", ("target",)
        )
        self.incidents_open = self._gauge("vakhta_incidents_open", "Incidents that are open.")
        self.latency = Histogram(
            "vakhta_notification_latency_seconds",
            "From the event to Telegram's confirmation.",
            buckets=_LATENCIES,
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def write(self, window: Window, now: float) -> None:
        """Write the current values into the window, as a scrape of ourselves would."""
        at_ms = int(now * 1000)
        current: set[Labels] = set()
        for family in self.registry.collect():
            for sample in family.samples:
                if sample.name.endswith("_created"):
                    continue
                labels = Labels({**sample.labels, **self._labels, METRIC_NAME: sample.name})
                window.append(labels, at_ms, sample.value)
                current.add(labels)
        for labels in self._known - current:
            window.stale(labels, at_ms)
        self._known = current
        window.append(self._labels.with_({METRIC_NAME: "up"}), at_ms, 1.0)


def seconds_or_zero(at: datetime | None) -> float:
    """Return Unix seconds, or 0 for "never"."""
    return 0.0 if at is None else at.timestamp()
