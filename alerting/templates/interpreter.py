"""Walk a template's trees over data and write text.

Statements, scopes and output; expressions are :mod:`alerting.templates.evaluator`'s. Every fault is reported at the
node that was being evaluated, as Go does.

Source: https://pkg.go.dev/text/template#hdr-Actions
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import NoReturn

from alerting.templates import formatting, literals, nodes
from alerting.templates.errors import TemplateExecutionError, shorten
from alerting.templates.evaluator import Evaluator, FaultError, Variables
from alerting.templates.limits import LimitError, Limits
from alerting.templates.source import Definition
from alerting.templates.values import is_true, sorted_items


class _Flow(Enum):
    """What a statement asks of the loop around it."""

    ON = auto()
    BREAK = auto()
    CONTINUE = auto()


class Interpreter(Evaluator):
    """One rendering: the definitions, the functions, what is left of the limits, and the text so far."""

    def __init__(
        self,
        definitions: Mapping[str, Definition],
        name: str,
        functions: Mapping[str, Callable[..., object]],
        limits: Limits,
    ) -> None:
        super().__init__(functions, limits)
        self._definitions = definitions
        self._out: list[str] = []
        self._current = definitions[name]

    def run(self, data: object) -> str:
        """Render the definition that was named.

        Raises:
            TemplateExecutionError: The data did not fit, a function failed or a limit was reached.
        """
        try:
            return literals.clean(self.invoke(self._current.name, data))
        except (FaultError, LimitError) as error:
            self._fail(str(error), error)
        except RecursionError as error:
            self._fail("nested too deeply", error)

    def invoke(self, name: str, data: object) -> str:
        """Render a definition to text of its own."""
        outer, self._out = self._out, []
        try:
            self._definition(name, data)
            return "".join(self._out)
        finally:
            self._out = outer

    def _fail(self, reason: str, cause: Exception) -> NoReturn:
        definition, node = self._current, self._node
        line, column = definition.source.place(node.pos if node else 0)
        if node and not isinstance(node, nodes.Text):
            reason = f'executing "{definition.name}" at <{shorten(str(node), 120)}>: {reason}'
        raise TemplateExecutionError(reason, name=definition.source.name, line=line, column=column) from cause

    # Statements.

    def _definition(self, name: str, data: object) -> None:
        definition = self._definitions.get(name)
        if definition is None:
            raise FaultError(f"template {literals.quote(name)} not defined")
        self.budget.enter()
        outer = self._variables, self._current, self._node
        self._variables, self._current = Variables(data), definition
        self._body(data, definition.body)
        self._variables, self._current, self._node = outer
        self.budget.leave()

    def _body(self, dot: object, body: nodes.Body) -> _Flow:
        for statement in body:
            flow = self._statement(dot, statement)
            if flow is not _Flow.ON:
                return flow
        return _Flow.ON

    def _scope(self, dot: object, body: nodes.Body) -> _Flow:
        """Run a block one level deeper; its variables end with it."""
        mark = self._variables.mark()
        self.budget.enter()
        flow = self._body(dot, body)
        self.budget.leave()
        self._variables.leave(mark)
        return flow

    def _statement(self, dot: object, node: nodes.Statement) -> _Flow:
        self._node = node
        self.budget.step()
        match node:
            case nodes.Text():
                self._write(node.text)
            case nodes.Action():
                self._action(dot, node)
            case nodes.Branches():
                return self._branches(dot, node)
            case nodes.Range():
                return self._range(dot, node)
            case nodes.Invoke():
                data = self._pipe(dot, node.pipe) if node.pipe else None
                self._node = node
                self._definition(node.name, data)
            case nodes.Leave():
                return _Flow.BREAK if node.word == "break" else _Flow.CONTINUE
        return _Flow.ON

    def _write(self, text: str) -> None:
        self.budget.charge(text)
        self._out.append(text)

    def _action(self, dot: object, node: nodes.Action) -> None:
        value = self._pipe(dot, node.pipe)
        if node.pipe.variables:
            return
        self._node = node
        if isinstance(value, str):
            self._write(value)
        else:
            self._out.append(formatting.sprint(self.budget, [formatting.printable(value)]))

    def _branches(self, dot: object, node: nodes.Branches) -> _Flow:
        mark = self._variables.mark()
        flow = None
        for pipe, body in node.branches:
            value = self._pipe(dot, pipe)
            if is_true(value):
                flow = self._scope(value if node.moves_dot else dot, body)
                break
        if flow is None:
            flow = self._scope(dot, node.otherwise)
        self._variables.leave(mark)
        return flow

    def _range(self, dot: object, node: nodes.Range) -> _Flow:
        mark = self._variables.mark()
        value = self._pipe(dot, node.pipe)
        ran = False
        for key, element in self._pairs(value, len(node.pipe.variables)):
            ran = True
            self.budget.step()
            self._bind(node.pipe, key, element)
            flow = self._scope(element, node.body)
            if flow is _Flow.BREAK:
                break
        flow = _Flow.ON if ran else self._scope(dot, node.otherwise)
        self._variables.leave(mark)
        return flow

    def _pairs(self, value: object, variables: int) -> Iterable[tuple[object, object]]:
        match value:
            case None:
                return ()
            case bool() | float() | str():
                pass
            case int():
                if variables > 1:
                    raise FaultError(f"can't use {value} to iterate over more than one variable")
                return ((None, number) for number in range(value))
            case Mapping():
                return sorted_items(value)
            case Sequence():
                return enumerate(value)
        shown = formatting.sprint(self.budget, [value])
        raise FaultError(f"range can't iterate over {shown}")

    def _bind(self, pipe: nodes.Pipe, key: object, element: object) -> None:
        """Give a round's key and element to the variables of ``range``; a single one takes the element."""
        for name, value in zip(reversed(pipe.variables), (element, key), strict=False):
            self._variables.assign(name, value)
