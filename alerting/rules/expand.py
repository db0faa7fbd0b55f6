"""The texts of an alert: a result element with its labels and annotations expanded.

Prometheus expands every text of every element at every evaluation. So do we, as far as anybody can tell: an element
that came with the same value last time, and whose texts' queries answer as they did then, reads as it did then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from alerting.labels import METRIC_NAME
from alerting.promql.values import Sample
from alerting.rules.model import AlertingRule
from alerting.rules.state import Produced
from alerting.templates import Context, QuerySample, Template, TemplateExecutionError, render_alert_template
from vakhta import logs

_log = logs.get("alerting.rules")


class RuleQuery(Protocol):
    """The template function ``query``: an instant query whose samples a template can walk."""

    def __call__(self, text: str) -> Sequence[QuerySample]:
        """Return the samples of an instant query at the evaluation's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """An expanded element, with the queries its texts asked and what they were answered.

    ``lasting`` is whether that was all the texts depend on beside labels and value.
    """

    produced: Produced
    answers: tuple[tuple[str, Sequence[QuerySample]], ...]
    lasting: bool

    def holds(self, value: float, query: RuleQuery) -> bool:
        """Whether expanding the texts again for this value would give the same."""
        return (
            self.lasting
            and self.produced.value == value
            and all(_answers(query, text) == answer for text, answer in self.answers)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What texts may speak of beside their element: the evaluation's time, its queries, the configuration."""

    now: datetime
    query: RuleQuery
    external_url: str = ""
    external_labels: Mapping[str, str] = field(default_factory=dict)


def expand(
    rule: AlertingRule, sample: Sample, around: Surroundings, earlier: Expansion | None = None
) -> Expansion:
    """Return a result element with its texts expanded; ``earlier`` is the same element's last expansion."""
    if earlier is not None and earlier.holds(sample.value, around.query):
        return earlier
    asked = _Asked(around.query)
    context = Context(
        labels=sample.labels,
        value=sample.value,
        external_labels=around.external_labels,
        external_url=around.external_url,
        now=around.now,
        query=asked,
    )
    own = {name: _render(template, context, rule) for name, template in rule.label_templates.items()}
    annotations = {
        name: _render(template, context, rule) for name, template in rule.annotation_templates.items()
    }
    labels = sample.labels.drop((METRIC_NAME,)).with_({**own, "alertname": rule.alert})
    return Expansion(
        produced=Produced(labels=labels, annotations=annotations, value=sample.value),
        answers=tuple(asked.answers.items()),
        lasting=not asked.failed and not _reads_clock(rule),
    )


def _answers(query: RuleQuery, text: str) -> Sequence[QuerySample] | None:
    try:
        return query(text)
    except Exception:  # noqa: BLE001 - the expansion that follows says in the text what is wrong
        return None


class _Asked:
    """Asks for a template, and remembers what it was told."""

    def __init__(self, query: RuleQuery) -> None:
        self.answers: dict[str, Sequence[QuerySample]] = {}
        self.failed = False
        self._query: Callable[[str], Sequence[QuerySample]] = query

    def __call__(self, text: str) -> Sequence[QuerySample]:
        if text not in self.answers:
            try:
                self.answers[text] = self._query(text)
            except Exception:
                self.failed = True
                raise
        return self.answers[text]


def _reads_clock(rule: AlertingRule) -> bool:
    return any("now" in text for text in (*rule.labels.values(), *rule.annotations.values()))


def _render(template: Template, context: Context, rule: AlertingRule) -> str:
    try:
        return render_alert_template(template, context)
    except TemplateExecutionError as exc:
        _log.warning("template failed", rule=rule.alert, error=str(exc))
        return f"<error expanding template: {exc}>"
