"""What can go wrong with an expression.

::

    QueryError
    ├── ParseError        the text is not an expression we accept: fix the rule
    ├── EvaluationError   the expression is fine, the data or a limit is not
    └── BackendError      the server that evaluates does not answer, or not as it should
"""

from __future__ import annotations


class QueryError(Exception):
    """An expression that gave no result; `text` is the expression, `reason` what is wrong with it."""

    def __init__(self, reason: str, *, text: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.text = text


class ParseError(QueryError):
    """The text is not a PromQL expression, or uses what this engine does not offer."""


class EvaluationError(QueryError):
    """The evaluation failed, as Prometheus would answer it with status 422."""


class BackendError(QueryError):
    """The server that evaluates did not answer in time, or not as a Prometheus does."""
