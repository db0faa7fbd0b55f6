"""What Prometheus would say beside a result: warnings, and notes ("infos") on likely mistakes.

The texts are Prometheus' own, without the position in the expression, which the parser does not tell.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from alerting.promql.numbers import format_g, quoted
from alerting.promql.values import Floats

_COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")
_HISTOGRAM_HELP = "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile"


@dataclass(slots=True)
class Remarks:
    """Collects the remarks of one evaluation; the same remark counts once."""

    warnings: dict[str, None] = field(default_factory=dict)
    infos: dict[str, None] = field(default_factory=dict)

    def invalid_quantiles(self, q: Floats) -> None:
        """A quantile outside 0 to 1 gives an infinity."""
        for value in q[~((q >= 0) & (q <= 1))].tolist():
            self._warn(f"quantile value should be between 0 and 1, got {format_g(value)}")

    def bad_bucket(self, metric: str, bound: str) -> None:
        """A series without a numeric upper bound is no bucket of a histogram."""
        self._warn(
            f'bucket label "le" is missing or has a malformed value of {quoted(bound)} '
            f"for metric name {quoted(metric)}"
        )

    def repaired_histogram(self, metric: str) -> None:
        """A histogram's counts fell from one bucket to the next."""
        self._note(
            "input to histogram_quantile needed to be fixed for monotonicity "
            f"(see {_HISTOGRAM_HELP}) for metric name {quoted(metric)}"
        )

    def possible_gauge(self, metric: str) -> None:
        """A rate of something that is not named like a counter is likely a mistake."""
        if metric and not metric.endswith(_COUNTER_SUFFIXES):
            self._note(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "
                + quoted(metric)
            )

    def _warn(self, text: str) -> None:
        self.warnings[f"PromQL warning: {text}"] = None

    def _note(self, text: str) -> None:
        self.infos[f"PromQL info: {text}"] = None
