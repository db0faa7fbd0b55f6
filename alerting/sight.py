"""What the samples say about the targets themselves: host names, containers, and which metrics that takes.

It reads the window and knows nothing of rules' meaning or of messages.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Final

from alerting.labels import METRIC_NAME, Matcher, MatchOp
from alerting.promql import Selector, parse
from alerting.promql.ast import VectorSelector
from alerting.promql.engine import Engine
from alerting.promql.values import Sample, Scalar
from alerting.rules.expand import RuleQuery
from alerting.rules.model import AlertingRule, RuleGroup
from alerting.templates import QuerySample
from alerting.window import Window

_PARSED: Final = 1024
_LOOKBACK: Final = timedelta(minutes=5)
# What `why_ended` and this module ask for, whatever the rules select.
_FACTS: Final = (
    "up",
    "docker_up",
    "docker_info",
    "container_state_status",
    "container_last_exit_reason",
    "container_watch_info",
)
# A metric's name in a template's query text: an identifier before a brace, a quote, a bracket or at the end of the string.
_NAMED: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")

# Templates put the same few texts together at every evaluation.
_parsed = functools.lru_cache(maxsize=_PARSED)(parse)


def metric(name: str, **labels: str) -> list[Matcher]:
    """Return the matchers of a plain selector."""
    wanted = {METRIC_NAME: name, **labels}
    return [Matcher(label, MatchOp.EQUAL, value) for label, value in wanted.items()]


def needed(groups: Iterable[RuleGroup]) -> list[Selector]:
    """Return everything the window has to keep for these groups: their expressions, their templates, our own facts."""
    selectors = [_plain(name) for name in _FACTS]
    for group in groups:
        for rule in group.rules:
            selectors.extend(rule.query.selectors)
            if isinstance(rule, AlertingRule):
                selectors.extend(_template_selectors(rule))
    return selectors


def _template_selectors(rule: AlertingRule) -> list[Selector]:
    """Return selectors for the metrics that a template's ``query`` may name.

    The query's text is put together at run time, so every word of such a template counts as a possible name.
    """
    texts = [text for text in (*rule.labels.values(), *rule.annotations.values()) if "query" in text]
    return [_plain(word) for text in texts for word in set(_NAMED.findall(text)) if "_" in word]


def _plain(name: str) -> Selector:
    return Selector(metric=name, matchers=tuple(metric(name)), reach=_LOOKBACK)


def latest_at(window: Window, at_ms: int) -> Callable[[Sequence[Matcher]], Sequence[Sample]]:
    """Return the function that gives the newest samples as of this time."""

    def latest(matchers: Sequence[Matcher]) -> Sequence[Sample]:
        return window.latest(matchers, at_ms)

    return latest


def query_at(engine: Engine, window: Window, at_ms: int) -> RuleQuery:
    """Return the template function ``query`` as of this time."""

    def query(text: str) -> Sequence[QuerySample]:
        parsed = _parsed(text)
        expr = parsed.expr
        if isinstance(expr, VectorSelector) and expr.at is None and not expr.offset:
            found = window.latest(expr.matchers, at_ms, engine.lookback)  # the same, without the engine
            return [QuerySample(labels=s.labels, value=s.value) for s in found]
        value = engine.instant(parsed, window, at_ms).value
        if isinstance(value, Scalar):
            return [QuerySample(labels={}, value=value.value)]
        samples = value if isinstance(value, list) else []
        return [QuerySample(labels=s.labels, value=s.value) for s in samples if isinstance(s, Sample)]

    return query
