"""PromQL: parse an expression, evaluate it over samples, exactly as Prometheus 3.5 does with floats."""

from alerting.promql.engine import Engine
from alerting.promql.errors import EvaluationError, ParseError, QueryError
from alerting.promql.parse import Query, Selector, parse
from alerting.promql.storage import Storage
from alerting.promql.values import STALE_NAN, Matrix, Result, Sample, Scalar, Series, String, Vector, is_stale

__all__ = [
    "STALE_NAN",
    "Engine",
    "EvaluationError",
    "Matrix",
    "ParseError",
    "Query",
    "QueryError",
    "Result",
    "Sample",
    "Scalar",
    "Selector",
    "Series",
    "Storage",
    "String",
    "Vector",
    "is_stale",
    "parse",
]
