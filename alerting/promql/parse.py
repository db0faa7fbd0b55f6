"""From text to a `Query`: guard, native parser, own syntax tree, and what the expression can ask a store for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import promql_parser
import re2

from alerting.labels import METRIC_NAME, Matcher, MatchOp
from alerting.promql import ast
from alerting.promql.ast import Card, Expr, ValueType, value_type
from alerting.promql.catalogue import AGGREGATIONS, EXPERIMENTAL, FUNCTIONS, NATIVE_ONLY
from alerting.promql.errors import ParseError
from alerting.promql.guard import guard

DEFAULT_LOOKBACK: Final = timedelta(minutes=5)
_T = TypeVar("_T")
_MS: Final = timedelta(milliseconds=1)
MAX_DEPTH: Final = 250
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """What one selector of an expression can ask a store for.

    `metric` is the name it selects, or empty where it selects by other labels or by a pattern. `reach` is how far back
    from the evaluation time a sample can matter: range or lookback, offset, and the subqueries around it; a fixed time
    (``@ 1700000000``) reaches without limit (`timedelta.max`).
    """

    metric: str
    matchers: tuple[Matcher, ...]
    reach: timedelta


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed expression: its original text, its tree, and what it selects, in the order written."""

    text: str
    expr: Expr
    selectors: tuple[Selector, ...]

    @property
    def type(self) -> ValueType:
        """The type of its result."""
        return value_type(self.expr)


def parse(text: str) -> Query:
    """Parse an expression.

    Raises:
        ParseError: Not an expression, one the guard refuses, or one that needs native histograms or an experimental
            function.
    """
    prepared = guard(text)
    try:
        expr = _expr(promql_parser.parse(prepared), 0)
    except ParseError as exc:
        raise ParseError(exc.reason, text=text) from None
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as exc:  # a Rust panic is a BaseException
        raise ParseError(_reason(exc), text=text) from exc
    return Query(text, expr, tuple(_selectors(expr)))


def _reason(exc: BaseException) -> str:
    if isinstance(exc, ValueError | OverflowError | re2.error) and str(exc):
        return str(exc)
    return f"the parser cannot read this expression ({type(exc).__name__})"


def _expr(node: Any, depth: int) -> Expr:
    if depth > MAX_DEPTH:
        raise ParseError(f"more than {MAX_DEPTH} operators, functions and parentheses inside one another")
    translate: Callable[[Any, int], Expr] = _TRANSLATE[type(node)]
    return translate(node, depth + 1)


def _vector_selector(node: Any, _: int = 0) -> ast.VectorSelector:
    if node.matchers.or_matchers:
        raise ParseError("alternatives ('or') between matchers are not PromQL: use =~ or the or operator")
    matchers = [_matcher(m) for m in node.matchers.matchers]
    if node.name is not None:
        matchers.insert(0, Matcher(METRIC_NAME, MatchOp.EQUAL, node.name))
    return ast.VectorSelector(matchers=tuple(matchers), offset=_offset(node), at=_at(node))


def _matcher(node: Any) -> Matcher:
    try:
        return Matcher(node.name, _looked_up(_MATCH_OPS, node.op), node.value)
    except re2.error as exc:
        reason = exc.args[0].decode() if exc.args and isinstance(exc.args[0], bytes) else str(exc)
        raise ParseError(f"{node.name}: {node.value!r} is not an RE2 expression: {reason}") from exc


def _looked_up(pairs: tuple[tuple[Any, _T], ...], wanted: Any) -> _T:
    return next(ours for theirs, ours in pairs if theirs == wanted)


def _offset(node: Any) -> int:
    return 0 if node.offset is None else node.offset // _MS


def _at(node: Any) -> ast.At:
    at = node.at
    if at is None:
        return None
    if at.type == promql_parser.AtModifierType.Start:
        return "start"
    if at.type == promql_parser.AtModifierType.End:
        return "end"
    try:
        moment = at.at
    except BaseException as exc:
        raise ParseError("@ needs a time between 1970 and 9999") from exc
    return int((moment - _EPOCH) // _MS)


def _matrix_selector(node: Any, _: int) -> ast.MatrixSelector:
    return ast.MatrixSelector(selector=_vector_selector(node.vector_selector), range=node.range // _MS)


def _subquery(node: Any, depth: int) -> ast.Subquery:
    step = None if node.step is None else node.step // _MS
    return ast.Subquery(
        expr=_expr(node.expr, depth),
        range=node.range // _MS,
        step=step or None,
        offset=_offset(node),
        at=_at(node),
    )


def _call(node: Any, depth: int) -> ast.Call:
    name = node.func.name
    if name in NATIVE_ONLY:
        raise ParseError(f"{name}() reads native histograms, which are not supported: use classic buckets")
    if name in EXPERIMENTAL or name not in FUNCTIONS:
        raise ParseError(f"{name}() is an experimental function and not supported")
    return ast.Call(func=name, args=tuple(_expr(arg, depth) for arg in node.args))


def _aggregate(node: Any, depth: int) -> ast.Aggregate:
    op = str(node.op)
    if op not in AGGREGATIONS:
        raise ParseError(f"{op}() is an experimental aggregation and not supported")
    modifier = node.modifier
    return ast.Aggregate(
        op=op,
        expr=_expr(node.expr, depth),
        param=None if node.param is None else _expr(node.param, depth),
        labels=() if modifier is None else tuple(modifier.labels),
        without=modifier is not None and modifier.type == promql_parser.AggModifierType.Without,
    )


def _binary(node: Any, depth: int) -> Expr:
    operations = []
    while isinstance(node, promql_parser.BinaryExpr):
        operations.append(node)
        node = node.lhs
    expr = _expr(node, depth)
    for operation in reversed(operations):
        expr = _operation(operation, expr, _expr(operation.rhs, depth))
    return expr


def _operation(node: Any, lhs: Expr, rhs: Expr) -> ast.Binary:
    op, modifier = str(node.op), node.modifier
    types = {value_type(lhs), value_type(rhs)}
    return ast.Binary(
        op=op,
        lhs=lhs,
        rhs=rhs,
        matching=_matching(op, modifier) if types == {ValueType.VECTOR} else None,
        return_bool=modifier is not None and bool(modifier.return_bool),
        type=ValueType.SCALAR if types == {ValueType.SCALAR} else ValueType.VECTOR,
    )


def _matching(op: str, modifier: Any) -> ast.Matching:
    if modifier is None:
        card = Card.MANY_TO_MANY if op in ast.SET_OPERATORS else Card.ONE_TO_ONE
        return ast.Matching(card=card, on=False, labels=(), include=())
    if modifier.fill_values is not None and (modifier.fill_values.lhs, modifier.fill_values.rhs) != (
        None,
        None,
    ):
        raise ParseError("fill() is experimental and not supported")
    matching = modifier.matching
    on = matching is not None and matching.type == promql_parser.LabelModifierType.Include
    labels = () if matching is None else tuple(matching.labels)
    include = tuple(modifier.group_labels or ())
    return ast.Matching(card=_looked_up(_CARDS, modifier.card), on=on, labels=labels, include=include)


# The parser's enumerations have no hash, so these are looked up by equality.
_MATCH_OPS: Final = (
    (promql_parser.MatchOp.Equal, MatchOp.EQUAL),
    (promql_parser.MatchOp.NotEqual, MatchOp.NOT_EQUAL),
    (promql_parser.MatchOp.Re, MatchOp.REGEX),
    (promql_parser.MatchOp.NotRe, MatchOp.NOT_REGEX),
)
_CARDS: Final = (
    (promql_parser.VectorMatchCardinality.OneToOne, Card.ONE_TO_ONE),
    (promql_parser.VectorMatchCardinality.ManyToOne, Card.MANY_TO_ONE),
    (promql_parser.VectorMatchCardinality.OneToMany, Card.ONE_TO_MANY),
    (promql_parser.VectorMatchCardinality.ManyToMany, Card.MANY_TO_MANY),
)
_TRANSLATE: Final[dict[type, Any]] = {
    promql_parser.NumberLiteral: lambda node, _: ast.Number(node.val),
    promql_parser.StringLiteral: lambda node, _: ast.Text(node.val),
    promql_parser.VectorSelector: _vector_selector,
    promql_parser.MatrixSelector: _matrix_selector,
    promql_parser.SubqueryExpr: _subquery,
    promql_parser.Call: _call,
    promql_parser.AggregateExpr: _aggregate,
    promql_parser.BinaryExpr: _binary,
    promql_parser.UnaryExpr: lambda node, depth: ast.Negation(_expr(node.expr, depth)),
    promql_parser.ParenExpr: lambda node, depth: ast.Paren(_expr(node.expr, depth)),
}


def _selectors(expr: Expr) -> Iterator[Selector]:
    waiting = [(expr, timedelta())]
    while waiting:
        node, around = waiting.pop()
        match node:
            case ast.VectorSelector():
                yield _selector(node, around, DEFAULT_LOOKBACK)
                continue
            case ast.MatrixSelector():
                yield _selector(node.selector, around, node.range * _MS)
                continue
            case ast.Subquery():
                fixed = isinstance(node.at, int) or around == timedelta.max
                around = timedelta.max if fixed else _added(around, node.range + node.offset)
        waiting.extend((child, around) for child in reversed(ast.children(node)))


def _selector(node: ast.VectorSelector, around: timedelta, own: timedelta) -> Selector:
    names = [m.value for m in node.matchers if m.name == METRIC_NAME and m.op is MatchOp.EQUAL]
    if isinstance(node.at, int) or around == timedelta.max:
        reach = timedelta.max
    else:
        reach = max(timedelta(), _added(around, own // _MS + node.offset))
    return Selector(metric=names[0] if names else "", matchers=node.matchers, reach=reach)


def _added(base: timedelta, ms: int) -> timedelta:
    try:
        return base + ms * _MS
    except OverflowError:
        return timedelta.max
