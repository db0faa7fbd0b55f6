"""The syntax tree the engine walks.

The parser's own nodes are copied out of Rust on every attribute access, cannot be compared or pickled, and carry
token objects for operators. They are therefore translated once, into these plain records.
Durations and times are integer milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from alerting.labels import Matcher


class ValueType(StrEnum):
    """The four types of expressions, named as Prometheus' messages name them."""

    SCALAR = "scalar"
    VECTOR = "instant vector"
    MATRIX = "range vector"
    STRING = "string"


class Card(StrEnum):
    """How many elements of one side may meet how many of the other."""

    ONE_TO_ONE = "one-to-one"
    MANY_TO_ONE = "many-to-one"
    ONE_TO_MANY = "one-to-many"
    MANY_TO_MANY = "many-to-many"


At: TypeAlias = int | str | None
"""The ``@`` modifier: milliseconds, "start", "end", or absent."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number literal."""

    value: float


@dataclass(frozen=True, slots=True)
class Text:
    """A string literal."""

    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorSelector:
    """An instant selector; the matchers include the metric name's."""

    matchers: tuple[Matcher, ...]
    offset: int = 0
    at: At = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixSelector:
    """A range selector: the samples of the last `range` milliseconds."""

    selector: VectorSelector
    range: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subquery:
    """An expression evaluated every `step` milliseconds over a range; no step means the engine's default."""

    expr: Expr
    range: int
    step: int | None
    offset: int = 0
    at: At = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function call."""

    func: str
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """An aggregation by the labels named, or by all but them."""

    op: str
    expr: Expr
    param: Expr | None
    labels: tuple[str, ...]
    without: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """How elements of two vectors find each other."""

    card: Card
    on: bool
    labels: tuple[str, ...]
    include: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """A binary operation; `matching` is set between two vectors only, and `type` is the result's."""

    op: str
    lhs: Expr
    rhs: Expr
    matching: Matching | None
    return_bool: bool
    type: ValueType


@dataclass(frozen=True, slots=True)
class Negation:
    """A unary minus."""

    expr: Expr


@dataclass(frozen=True, slots=True)
class Paren:
    """An expression in parentheses."""

    expr: Expr


Expr: TypeAlias = (
    Number | Text | VectorSelector | MatrixSelector | Subquery | Call | Aggregate | Binary | Negation | Paren
)

SET_OPERATORS = frozenset({"and", "or", "unless"})
COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
SCALAR_FUNCTIONS = frozenset({"time", "scalar", "pi"})


def children(expr: Expr) -> tuple[Expr, ...]:
    """Return the expressions directly inside one, in the order they are written."""
    match expr:
        case Subquery() | Negation() | Paren():
            return (expr.expr,)
        case MatrixSelector():
            return (expr.selector,)
        case Call():
            return expr.args
        case Aggregate():
            return (expr.expr,) if expr.param is None else (expr.param, expr.expr)
        case Binary():
            return (expr.lhs, expr.rhs)
        case _:
            return ()


def walk(expr: Expr) -> Iterator[Expr]:
    """Yield an expression and everything inside it, in the order written.

    This and the engine do not recurse into left operands: a chain of hundreds of operators leans to the left.
    """
    waiting = [expr]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(children(node)))


def spine(expr: Binary) -> tuple[Expr, list[Binary]]:
    """Return the leftmost operand of a chain of operators, and the operations in the order they apply."""
    operations = []
    node: Expr = expr
    while isinstance(node, Binary):
        operations.append(node)
        node = node.lhs
    return node, operations[::-1]


def unwrap(expr: Expr) -> Expr:
    """Return the expression inside any parentheses."""
    while isinstance(expr, Paren):
        expr = expr.expr
    return expr


def value_type(expr: Expr) -> ValueType:
    """Return the type an expression evaluates to."""
    while isinstance(expr, Paren | Negation):
        expr = expr.expr
    match expr:
        case Number():
            found = ValueType.SCALAR
        case Text():
            found = ValueType.STRING
        case MatrixSelector() | Subquery():
            found = ValueType.MATRIX
        case Call(func=name):
            found = ValueType.SCALAR if name in SCALAR_FUNCTIONS else ValueType.VECTOR
        case Binary():
            found = expr.type
        case _:
            found = ValueType.VECTOR
    return found


def step_invariant(expr: Expr) -> bool:
    """Tell whether an expression has the same value at every step because ``@`` fixes all it selects."""
    match expr:
        case VectorSelector() | Subquery():
            return expr.at is not None
        case Call(func=name) if name in _MOVING:
            return False
        case Aggregate():
            return step_invariant(expr.expr)
        case Binary():
            first, operations = spine(expr)
            return step_invariant(first) and all(step_invariant(one.rhs) for one in operations)
        case _:
            return all(step_invariant(child) for child in children(expr))


_MOVING = frozenset(
    {"time", "timestamp", "predict_linear", "minute", "hour", "month", "year"}
    | {"days_in_month", "day_of_month", "day_of_week", "day_of_year"}
)
"""Functions whose value depends on the evaluation time itself."""
