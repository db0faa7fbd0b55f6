"""Functions that change labels, not values: label_replace, label_join, and the labels that absent() invents."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import re2

from alerting.labels import METRIC_NAME, Labels, MatchOp
from alerting.promql.ast import Expr, MatrixSelector, VectorSelector
from alerting.promql.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Sequence

_REFERENCE: Final = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})", re.ASCII)


def label_replace(
    labels: Sequence[Labels], target: str, template: str, source: str, pattern: str
) -> list[Labels]:
    """Set a label from the parts of another that a pattern matches; a label that does not match stays as it is."""
    _check_name(target, "destination", "label_replace")
    options = re2.Options()
    options.log_errors = False
    try:
        regex = re2.compile(f"^(?s:{pattern})$", options)
    except re2.error as exc:
        raise EvaluationError(f"invalid regular expression in label_replace(): {pattern}") from exc
    out = []
    for one in labels:
        match = regex.fullmatch(one.get(source, ""))
        out.append(one if match is None else one.with_({target: _expanded(template, match)}))
    return out


def _expanded(template: str, match: re2._Match[str]) -> str:
    """Fill in ``$1``, ``${1}``, ``$name`` and ``$$``; a group that does not exist is empty."""

    def group(reference: re.Match[str]) -> str:
        if reference[1]:
            return "$"
        name = reference[2] or reference[3]
        try:
            return match.group(int(name) if name.isdigit() else name) or ""
        except (IndexError, KeyError):
            return ""

    return _REFERENCE.sub(group, template)


def label_join(labels: Sequence[Labels], target: str, separator: str, sources: Sequence[str]) -> list[Labels]:
    """Set a label to other labels' values, joined."""
    for source in sources:
        _check_name(source, "source", "label_join")
    _check_name(target, "destination", "label_join")
    return [one.with_({target: separator.join(one.get(name, "") for name in sources)}) for one in labels]


def _check_name(name: str, role: str, function: str) -> None:
    if not name:
        raise EvaluationError(f"invalid {role} label name in {function}(): {name}")


def absent_labels(expr: Expr) -> Labels:
    """Return the labels that a selector fixes by exactly one ``=``: what absent() can say about the missing series."""
    if isinstance(expr, MatrixSelector):
        expr = expr.selector
    if not isinstance(expr, VectorSelector):
        return Labels()
    fixed: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in expr.matchers:
        if matcher.name == METRIC_NAME:
            continue
        if matcher.op is MatchOp.EQUAL and matcher.name not in seen:
            fixed[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            fixed.pop(matcher.name, None)
    return Labels(fixed)
