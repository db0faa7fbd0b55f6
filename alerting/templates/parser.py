"""Turn template text into trees: one for the text itself, one for every ``define`` and ``block`` in it.

A recursive descent over the tokens, with the checks that Go makes at this point: functions and variables exist,
``break`` stands in a ``range``, a name is defined once. It knows names of functions, never what they do.

Source: https://pkg.go.dev/text/template/parse
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, NoReturn

from alerting.templates import literals, nodes
from alerting.templates.errors import TemplateSyntaxError
from alerting.templates.lexer import Kind, Token, tokenize
from alerting.templates.limits import MAX_NESTING

MAX_TEXT: Final = 256 * 1024
"""Characters of one template text: parsing that many takes well under a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The text that positions point into.

    Attributes:
        name: What messages call it.
        text: The whole text.
        hidden: How many characters at its start the author did not write; positions do not count them.
    """

    name: str
    text: str
    hidden: int = 0

    def place(self, pos: int) -> tuple[int, int]:
        """Return line and column, both from 1, of an offset."""
        start = self.hidden
        pos = max(pos, start)
        line_start = max(self.text.rfind("\n", start, pos) + 1, start)
        return 1 + self.text.count("\n", start, pos), 1 + pos - line_start


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A named tree and the text it came from."""

    name: str
    source: Source
    body: nodes.Body

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing in it but white space; such a definition gives way to another."""
        return all(isinstance(node, nodes.Text) and not node.text.strip() for node in self.body)


def parse(source: Source, functions: Collection[str]) -> dict[str, Definition]:
    """Return all definitions of a text; the text itself is the one under the source's name.

    Raises:
        TemplateSyntaxError: At the first fault.
    """
    if len(source.text) - source.hidden > MAX_TEXT:
        raise TemplateSyntaxError(
            f"template of {len(source.text)} characters; at most {MAX_TEXT} are accepted",
            name=source.name,
            line=1,
            column=1,
        )
    return _Parser(source, functions).definitions()


_Ending = Literal["end", "else", "else if", "else with"]
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


class _Parser:
    """The state of one parse: a place among the tokens and what is known of the tree around it."""

    def __init__(self, source: Source, functions: Collection[str]) -> None:
        self._source = source
        self._functions = functions
        self._tokens = list(tokenize(source.text))
        self._at = 0
        self._found: dict[str, Definition] = {}
        self._variables = ["$"]
        self._ranges = 0
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
            self._unexpected(token, context)

    def _fail(self, reason: str, pos: int) -> NoReturn:
        line, column = self._source.place(pos)
        raise TemplateSyntaxError(reason, name=self._source.name, line=line, column=column)

    def _unexpected(self, token: Token, context: str) -> NoReturn:
        if token.kind is Kind.ERROR:
            self._fail(token.text, token.pos)
        self._fail(f"unexpected {token} in {context}", token.pos)

    @contextmanager
    def _nested(self, pos: int) -> Iterator[None]:
        self._depth += 1
        if self._depth > MAX_NESTING:
            self._fail(f"nested deeper than {MAX_NESTING} levels", pos)
        try:
            yield
        finally:
            self._depth -= 1

    # Definitions.

    def definitions(self) -> dict[str, Definition]:
        body: list[nodes.Statement] = []
        while (token := self._peek()).kind is not Kind.EOF:
            if self._at_define():
                self._define()
                continue
            node, ending = self._statement()
            if ending is not None:
                self._fail(f"unexpected {{{{{ending}}}}}", token.pos)
            if node is not None:
                body.append(node)
        self._add(self._source.name, tuple(body), 0)
        return self._found

    def _at_define(self) -> bool:
        if self._peek().kind is not Kind.LEFT:
            return False
        start = self._at
        self._at += 1
        token = self._skip_space()
        if token.kind is Kind.KEYWORD and token.text == "define":
            self._at += 1
            return True
        self._at = start
        return False

    def _define(self) -> None:
        name, pos = self._template_name("define clause")
        self._expect_right("define clause")
        self._add(name, self._tree("define clause", pos), pos)

    def _tree(self, context: str, pos: int) -> nodes.Body:
        """Parse up to ``end`` as a tree of its own: no variables or loops of the one around it."""
        outer = self._variables, self._ranges
        self._variables, self._ranges = ["$"], 0
        body, ending = self._body()
        if ending != "end":
            self._fail(f"unexpected {{{{{ending}}}}} in {context}", pos)
        self._variables, self._ranges = outer
        return body

    def _add(self, name: str, body: nodes.Body, pos: int) -> None:
        new = Definition(name=name, source=self._source, body=body)
        old = self._found.get(name)
        if old is None or old.is_blank:
            self._found[name] = new
        elif not new.is_blank:
            self._fail(f"multiple definition of template {literals.quote(name)}", pos)

    def _template_name(self, context: str) -> tuple[str, int]:
        token = self._take()
        if token.kind not in (Kind.STRING, Kind.RAW_STRING):
            self._unexpected(token, context)
        return self._unquote(token), token.pos

    def _unquote(self, token: Token) -> str:
        try:
            return literals.unquote(token.text)
        except ValueError as error:
            self._fail(str(error), token.pos)

    # Statements.

    def _body(self) -> tuple[nodes.Body, _Ending]:
        """Parse up to ``end`` or ``else``; say which it was."""
        with self._nested(self._peek().pos):
            statements: list[nodes.Statement] = []
            while (token := self._skip_space()).kind is not Kind.EOF:
                node, ending = self._statement()
                if ending is not None:
                    return tuple(statements), ending
                if node is not None:
                    statements.append(node)
            self._fail("unexpected EOF", token.pos)

    def _statement(self) -> tuple[nodes.Statement | None, _Ending | None]:
        token = self._take()
        if token.kind is Kind.TEXT:
            return nodes.Text(pos=token.pos, text=token.text), None
        if token.kind is not Kind.LEFT:
            self._unexpected(token, "input")
        word = self._skip_space()
        if word.kind is not Kind.KEYWORD:
            pipe = self._pipe("command", Kind.RIGHT)
            return nodes.Action(pos=token.pos, pipe=pipe), None
        self._at += 1
        return self._control(word)

    def _control(self, word: Token) -> tuple[nodes.Statement | None, _Ending | None]:
        match word.text:
            case "end":
                self._expect_right("end")
                return None, "end"
            case "else":
                return None, self._else()
            case "if" | "with":
                return self._branches(word), None
            case "range":
                return self._range(word), None
            case "template":
                return self._template(word), None
            case "block":
                return self._block(word), None
            case "break" | "continue":
                return self._leave(word), None
            case _:
                self._unexpected(word, "command")

    def _else(self) -> _Ending:
        token = self._skip_space()
        if token.kind is Kind.KEYWORD and token.text in ("if", "with"):
            self._at += 1
            return "else if" if token.text == "if" else "else with"
        self._expect_right("else")
        return "else"

    def _branches(self, word: Token) -> nodes.Branches:
        """Parse ``if`` or ``with``; a chain of ``else if`` stays flat, however long."""
        mark = len(self._variables)
        branches = []
        more: _Ending = "else if" if word.text == "if" else "else with"
        ending = more
        while ending == more:
            pipe = self._pipe(word.text, Kind.RIGHT)
            body, ending = self._body()
            branches.append((pipe, body))
        otherwise = self._otherwise(ending, word)
        del self._variables[mark:]
        return nodes.Branches(
            pos=word.pos, moves_dot=word.text == "with", branches=tuple(branches), otherwise=otherwise
        )

    def _otherwise(self, ending: _Ending, word: Token) -> nodes.Body:
        if ending == "end":
            return ()
        if ending != "else":
            self._fail(f"unexpected {{{{{ending}}}}} in {word.text}", self._peek().pos)
        otherwise, ending = self._body()
        if ending != "end":
            self._fail(f"expected end; found {{{{{ending}}}}}", self._peek().pos)
        return otherwise

    def _range(self, word: Token) -> nodes.Range:
        mark = len(self._variables)
        pipe = self._pipe("range", Kind.RIGHT)
        self._ranges += 1
        body, ending = self._body()
        self._ranges -= 1
        otherwise = self._otherwise(ending, word)
        del self._variables[mark:]
        return nodes.Range(pos=word.pos, pipe=pipe, body=body, otherwise=otherwise)

    def _template(self, word: Token) -> nodes.Invoke:
        name, _ = self._template_name("template clause")
        if self._skip_space().kind is Kind.RIGHT:
            self._at += 1
            return nodes.Invoke(pos=word.pos, name=name, pipe=None)
        pipe = self._pipe("template clause", Kind.RIGHT)
        return nodes.Invoke(pos=word.pos, name=name, pipe=pipe)

    def _block(self, word: Token) -> nodes.Invoke:
        name, pos = self._template_name("block clause")
        pipe = self._pipe("block clause", Kind.RIGHT)
        self._add(name, self._tree("block clause", pos), pos)
        return nodes.Invoke(pos=word.pos, name=name, pipe=pipe)

    def _leave(self, word: Token) -> nodes.Leave:
        self._expect_right(f"{{{{{word.text}}}}}")
        if not self._ranges:
            self._fail(f"{{{{{word.text}}}}} outside {{{{range}}}}", word.pos)
        return nodes.Leave(pos=word.pos, word=word.text)

    # Pipelines.

    def _pipe(self, context: str, end: Kind) -> nodes.Pipe:
        pos = self._skip_space().pos
        variables, assigns = self._targets(context)
        commands: list[nodes.Command] = []
        while (token := self._skip_space()).kind is not end:
            if token.kind not in _OPERANDS:
                self._unexpected(token, context)
            commands.append(self._command())
        self._at += 1
        if not commands:
            self._fail(f"missing value for {context}", pos)
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.words[0], nodes.Bool | nodes.Dot | nodes.Nil | nodes.Number | nodes.String):
                self._fail(f"non executable command in pipeline stage {stage}", command.pos)
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
                self._variables.append(token.text)
                return tuple(targets), sign.kind is Kind.ASSIGN
            if sign.kind is not Kind.SIGN or sign.text != ",":
                self._at = start
                break
            self._at += 1
            targets.append(token.text)
            self._variables.append(token.text)
            self._second_target(context, len(targets), sign)
        return tuple(targets), False

    def _second_target(self, context: str, count: int, comma: Token) -> None:
        if context != "range" or count > 1:
            self._fail(f"too many declarations in {context}", comma.pos)
        if self._skip_space().kind not in (Kind.VARIABLE, Kind.RIGHT, Kind.CLOSE):
            self._fail("range can only initialize variables", comma.pos)

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
            self._unexpected(token, "operand")
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
                self._fail(f"unexpected . after term {literals.quote(str(term))}", term.pos)
        return nodes.Chain(pos=term.pos, operand=term, names=tuple(names))

    def _term(self) -> nodes.Operand:
        token = self._next()
        pos = token.pos
        match token.kind:
            case Kind.NAME:
                if token.text not in self._functions:
                    self._fail(f"function {literals.quote(token.text)} not defined", pos)
                return nodes.Name(pos=pos, name=token.text)
            case Kind.DOT:
                return nodes.Dot(pos=pos)
            case Kind.NIL:
                return nodes.Nil(pos=pos)
            case Kind.FIELD:
                return nodes.Field(pos=pos, names=(token.text[1:],))
            case Kind.VARIABLE:
                if token.text not in self._variables:
                    self._fail(f"undefined variable {literals.quote(token.text)}", pos)
                return nodes.Variable(pos=pos, name=token.text, names=())
            case Kind.BOOL:
                return nodes.Bool(pos=pos, value=token.text == "true")
            case Kind.NUMBER | Kind.CHARACTER:
                return self._constant(token)
            case Kind.STRING | Kind.RAW_STRING:
                return nodes.String(pos=pos, quoted=token.text, text=self._unquote(token))
            case _:  # a parenthesis: _OPERANDS holds nothing else
                with self._nested(pos):
                    return self._pipe("parenthesized pipeline", Kind.CLOSE)

    def _constant(self, token: Token) -> nodes.Number:
        try:
            return _number(token)
        except ValueError as error:
            self._fail(str(error), token.pos)


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
