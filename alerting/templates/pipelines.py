"""Parse what stands inside an action: pipelines, commands, operands.

The lower half of the parser; :mod:`alerting.templates.parser` builds statements and definitions on it. Functions and
variables are checked here, where they are named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

from alerting.templates import literals, nodes
from alerting.templates.errors import TemplateSyntaxError
from alerting.templates.lexer import Kind, Token, tokenize
from alerting.templates.limits import MAX_NESTING
from alerting.templates.source import Source

_OPERANDS: Final = frozenset(
    {
        Kind.BOOL,
        Kind.CHARACTER,
        Kind.DOT,
        Kind.FIELD,
        Kind.NAME,
        Kind.NUMBER,
        Kind.NIL,
        Kind.RAW_STRING,
        Kind.STRING,
        Kind.VARIABLE,
        Kind.OPEN,
    }
)


class Scope:
    """The variables declared so far in one tree; names may repeat."""

    def __init__(self) -> None:
        self._names = ["$"]
        self._counts = Counter(self._names)

    def __contains__(self, name: str) -> bool:
        return self._counts[name] > 0

    def declare(self, name: str) -> None:
        """Add a variable."""
        self._names.append(name)
        self._counts[name] += 1

    def mark(self) -> int:
        """Return how many there are."""
        return len(self._names)

    def leave(self, mark: int) -> None:
        """Forget the variables declared since the mark."""
        self._counts.subtract(self._names[mark:])
        del self._names[mark:]


class PipelineParser:
    """A place among the tokens, and what may be named there."""

    def __init__(self, source: Source, functions: Collection[str]) -> None:
        self._source = source
        self._functions = functions
        self._tokens = list(tokenize(source.text))
        self._at = 0
        self._scope = Scope()
        self._depth = 0

    # Tokens.

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        if token.kind not in (Kind.EOF, Kind.ERROR):
            self._at += 1
        return token

    def _skip_space(self) -> Token:
        """Return the next token that is not space, without taking it."""
        while self._tokens[self._at].kind is Kind.SPACE:
            self._at += 1
        return self._tokens[self._at]

    def _take(self) -> Token:
        self._skip_space()
        return self._next()

    def _expect_right(self, context: str) -> None:
        token = self._take()
        if token.kind is not Kind.RIGHT:
            raise self._unexpected(token, context)

    def _error(self, reason: str, pos: int) -> TemplateSyntaxError:
        line, column = self._source.place(pos)
        return TemplateSyntaxError(reason, name=self._source.name, line=line, column=column)

    def _unexpected(self, token: Token, context: str) -> TemplateSyntaxError:
        if token.kind is Kind.ERROR:
            return self._error(token.text, token.pos)
        return self._error(f"unexpected {token} in {context}", token.pos)

    @contextmanager
    def _nested(self, pos: int) -> Iterator[None]:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise self._error(f"nested deeper than {MAX_NESTING} levels", pos)
        try:
            yield
        finally:
            self._depth -= 1

    def _pipe(self, context: str, end: Kind) -> nodes.Pipe:
        pos = self._skip_space().pos
        variables, assigns = self._targets(context)
        commands: list[nodes.Command] = []
        while (token := self._skip_space()).kind is not end:
            if token.kind not in _OPERANDS:
                raise self._unexpected(token, context)
            commands.append(self._command())
        self._at += 1
        if not commands:
            raise self._error(f"missing value for {context}", pos)
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.words[0], nodes.Bool | nodes.Dot | nodes.Nil | nodes.Number | nodes.String):
                raise self._error(f"non executable command in pipeline stage {stage}", command.pos)
        return nodes.Pipe(pos=pos, variables=variables, assigns=assigns, commands=tuple(commands))

    def _targets(self, context: str) -> tuple[tuple[str, ...], bool]:
        """Parse what stands before ``:=`` or ``=``; nothing is taken if there is neither."""
        targets: list[str] = []
        while (token := self._skip_space()).kind is Kind.VARIABLE:
            start = self._at
            self._at += 1
            sign = self._skip_space()
            if sign.kind in (Kind.ASSIGN, Kind.DECLARE):
                self._at += 1
                targets.append(token.text)
                self._scope.declare(token.text)
                return tuple(targets), sign.kind is Kind.ASSIGN
            if sign.kind is not Kind.SIGN or sign.text != ",":
                self._at = start
                break
            self._at += 1
            targets.append(token.text)
            self._scope.declare(token.text)
            self._second_target(context, len(targets), sign)
        return tuple(targets), False

    def _second_target(self, context: str, count: int, comma: Token) -> None:
        if context != "range" or count > 1:
            raise self._error(f"too many declarations in {context}", comma.pos)
        if self._skip_space().kind not in (Kind.VARIABLE, Kind.RIGHT, Kind.CLOSE):
            raise self._error("range can only initialize variables", comma.pos)

    def _command(self) -> nodes.Command:
        pos = self._skip_space().pos
        words: list[nodes.Operand] = []
        while self._skip_space().kind in _OPERANDS:
            words.append(self._operand())
            if self._peek().kind is not Kind.SPACE:
                break
        token = self._peek()
        if token.kind is Kind.PIPE:
            self._at += 1
        elif token.kind not in (Kind.RIGHT, Kind.CLOSE):
            raise self._unexpected(token, "operand")
        return nodes.Command(pos=pos, words=tuple(words))

    def _operand(self) -> nodes.Operand:
        term = self._term()
        names = []
        while self._peek().kind is Kind.FIELD:
            names.append(self._next().text[1:])
        if not names:
            return term
        match term:
            case nodes.Field():
                return nodes.Field(pos=term.pos, names=(*term.names, *names))
            case nodes.Variable():
                return nodes.Variable(pos=term.pos, name=term.name, names=(*term.names, *names))
            case nodes.Bool() | nodes.String() | nodes.Number() | nodes.Nil() | nodes.Dot():
                raise self._error(f"unexpected . after term {literals.quote(str(term))}", term.pos)
        return nodes.Chain(pos=term.pos, operand=term, names=tuple(names))

    def _term(self) -> nodes.Operand:
        token = self._next()
        match token.kind:
            case Kind.NAME | Kind.FIELD | Kind.VARIABLE:
                return self._reference(token)
            case Kind.OPEN:
                with self._nested(token.pos):
                    return self._pipe("parenthesized pipeline", Kind.CLOSE)
            case Kind.NUMBER | Kind.CHARACTER:
                return self._constant(token)
            case Kind.STRING | Kind.RAW_STRING:
                return nodes.String(pos=token.pos, quoted=token.text, text=self._unquote(token))
            case Kind.BOOL:
                return nodes.Bool(pos=token.pos, value=token.text == "true")
        return nodes.Dot(pos=token.pos) if token.kind is Kind.DOT else nodes.Nil(pos=token.pos)

    def _reference(self, token: Token) -> nodes.Operand:
        if token.kind is Kind.FIELD:
            return nodes.Field(pos=token.pos, names=(token.text[1:],))
        if token.kind is Kind.VARIABLE:
            if token.text not in self._scope:
                raise self._error(f"undefined variable {literals.quote(token.text)}", token.pos)
            return nodes.Variable(pos=token.pos, name=token.text, names=())
        if token.text not in self._functions:
            raise self._error(f"function {literals.quote(token.text)} not defined", token.pos)
        return nodes.Name(pos=token.pos, name=token.text)

    def _unquote(self, token: Token) -> str:
        try:
            return literals.unquote(token.text)
        except ValueError as error:
            raise self._error(str(error), token.pos) from None

    def _constant(self, token: Token) -> nodes.Number:
        try:
            return _number(token)
        except ValueError as error:
            raise self._error(str(error), token.pos) from None


def _number(token: Token) -> nodes.Number:
    text = token.text
    if token.kind is Kind.CHARACTER:
        code = literals.unquote_character(text)
        return nodes.Number(pos=token.pos, text=text, integer=code, floating=float(code), is_float=False)
    integer = literals.parse_integer(text)
    if integer is not None and -(1 << 63) <= integer < 1 << 64:
        kept = integer if literals.fits_int(integer) else None
        return nodes.Number(pos=token.pos, text=text, integer=kept, floating=float(integer), is_float=False)
    try:
        floating = literals.parse_float(text)
    except ValueError:
        raise ValueError(f"illegal number syntax: {literals.quote(text)}") from None
    if not set(text) & set(".eEpP"):
        raise ValueError(f"integer overflow: {literals.quote(text)}")
    whole = int(floating) if floating.is_integer() and literals.fits_int(int(floating)) else None
    return nodes.Number(pos=token.pos, text=text, integer=whole, floating=floating, is_float=True)
