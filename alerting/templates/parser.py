"""Turn template text into trees: one for the text itself, one for every ``define`` and ``block`` in it.

A recursive descent over the tokens, with the checks that Go makes at this point: functions and variables exist,
``break`` stands in a ``range``, a name is defined once. It knows names of functions, never what they do.

Source: https://pkg.go.dev/text/template/parse
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, Literal

from alerting.templates import literals, nodes
from alerting.templates.errors import TemplateSyntaxError
from alerting.templates.lexer import Kind, Token
from alerting.templates.pipelines import PipelineParser, Scope
from alerting.templates.source import Definition, Source

MAX_TEXT: Final = 64 * 1024
"""Characters of one template text: parsing that many takes about half a second at worst."""


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


class _Parser(PipelineParser):
    """The state of one parse: a place among the tokens and what is known of the tree around it."""

    def __init__(self, source: Source, functions: Collection[str]) -> None:
        super().__init__(source, functions)
        self._found: dict[str, Definition] = {}
        self._ranges = 0

    # Definitions.

    def definitions(self) -> dict[str, Definition]:
        body: list[nodes.Statement] = []
        while (token := self._peek()).kind is not Kind.EOF:
            if self._at_define():
                self._define()
                continue
            node, ending = self._statement()
            if ending is not None:
                raise self._error(f"unexpected {{{{{ending}}}}}", token.pos)
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
        outer = self._scope, self._ranges
        self._scope, self._ranges = Scope(), 0
        body, ending = self._body()
        if ending != "end":
            raise self._error(f"unexpected {{{{{ending}}}}} in {context}", pos)
        self._scope, self._ranges = outer
        return body

    def _add(self, name: str, body: nodes.Body, pos: int) -> None:
        new = Definition(name=name, source=self._source, body=body)
        old = self._found.get(name)
        if old is None or old.is_blank:
            self._found[name] = new
        elif not new.is_blank:
            raise self._error(f"multiple definition of template {literals.quote(name)}", pos)

    def _template_name(self, context: str) -> tuple[str, int]:
        token = self._take()
        if token.kind not in (Kind.STRING, Kind.RAW_STRING):
            raise self._unexpected(token, context)
        return self._unquote(token), token.pos

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
            raise self._error("unexpected EOF", token.pos)

    def _statement(self) -> tuple[nodes.Statement | None, _Ending | None]:
        token = self._take()
        if token.kind is Kind.TEXT:
            return nodes.Text(pos=token.pos, text=token.text), None
        if token.kind is not Kind.LEFT:
            raise self._unexpected(token, "input")
        word = self._skip_space()
        if word.kind is not Kind.KEYWORD:
            pipe = self._pipe("command", Kind.RIGHT)
            return nodes.Action(pos=token.pos, pipe=pipe), None
        self._at += 1
        return self._control(word)

    def _control(self, word: Token) -> tuple[nodes.Statement | None, _Ending | None]:
        if word.text == "end":
            self._expect_right("end")
            return None, "end"
        if word.text == "else":
            return None, self._else()
        controls: dict[str, Callable[[Token], nodes.Statement]] = {
            "if": self._branches,
            "with": self._branches,
            "range": self._range,
            "template": self._template,
            "block": self._block,
            "break": self._leave,
            "continue": self._leave,
        }
        if word.text not in controls:
            raise self._unexpected(word, "command")
        return controls[word.text](word), None

    def _else(self) -> _Ending:
        token = self._skip_space()
        if token.kind is Kind.KEYWORD and token.text in ("if", "with"):
            self._at += 1
            return "else if" if token.text == "if" else "else with"
        self._expect_right("else")
        return "else"

    def _branches(self, word: Token) -> nodes.Branches:
        """Parse ``if`` or ``with``; a chain of ``else if`` stays flat, however long."""
        mark = self._scope.mark()
        branches = []
        more: _Ending = "else if" if word.text == "if" else "else with"
        ending = more
        while ending == more:
            pipe = self._pipe(word.text, Kind.RIGHT)
            body, ending = self._body()
            branches.append((pipe, body))
        otherwise = self._otherwise(ending, word)
        self._scope.leave(mark)
        return nodes.Branches(
            pos=word.pos, moves_dot=word.text == "with", branches=tuple(branches), otherwise=otherwise
        )

    def _otherwise(self, ending: _Ending, word: Token) -> nodes.Body:
        if ending == "end":
            return ()
        if ending != "else":
            raise self._error(f"unexpected {{{{{ending}}}}} in {word.text}", self._peek().pos)
        otherwise, ending = self._body()
        if ending != "end":
            raise self._error(f"expected end; found {{{{{ending}}}}}", self._peek().pos)
        return otherwise

    def _range(self, word: Token) -> nodes.Range:
        mark = self._scope.mark()
        pipe = self._pipe("range", Kind.RIGHT)
        self._ranges += 1
        body, ending = self._body()
        self._ranges -= 1
        otherwise = self._otherwise(ending, word)
        self._scope.leave(mark)
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
            raise self._error(f"{{{{{word.text}}}}} outside {{{{range}}}}", word.pos)
        return nodes.Leave(pos=word.pos, word=word.text)
