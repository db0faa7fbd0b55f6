"""PromQL: parse an expression, evaluate it over samples, exactly as Prometheus 3.5 does with floats.

The backend that asks a server is in `remote`, so that whoever only parses or evaluates loads no HTTP client.
"""

from alerting.promql.backend import Backend, Embedded, Overlaid
from alerting.promql.engine import Engine
from alerting.promql.errors import BackendError, EvaluationError, ParseError, QueryError
from alerting.promql.parse import Query, Selector, parse
from alerting.promql.storage import Storage
from alerting.promql.values import STALE_NAN, Matrix, Result, Sample, Scalar, Series, String, Vector, is_stale

__all__ = [
    "STALE_NAN",
    "Backend",
    "BackendError",
    "Embedded",
    "Engine",
    "EvaluationError",
    "Matrix",
    "Overlaid",
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
