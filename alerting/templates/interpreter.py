"""Walk a template's trees over data and write text.

This is Go's evaluation order, scoping and typing of arguments; every fault is reported at the node that was being
evaluated, as Go does. Nothing here knows what any function but ``and`` and ``or`` does.

Source: https://pkg.go.dev/text/template
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Final, NoReturn

from alerting.templates import formatting, literals, nodes
from alerting.templates.directives import PLAIN
from alerting.templates.errors import TemplateError, TemplateExecutionError
from alerting.templates.functions import Function, describe, refusal, wanted_name
from alerting.templates.limits import Budget, LimitError, Limits
from alerting.templates.parser import Definition
from alerting.templates.predeclared import PREDECLARED
from alerting.templates.values import StringMap, Struct, is_true, sorted_items, type_name


class _Missing(Enum):
    """The absence of a piped value, which is not nil."""

    MISSING = auto()


_MISSING: Final = _Missing.MISSING


class _Flow(Enum):
    """What a statement asks of the loop around it."""

    ON = auto()
    BREAK = auto()
    CONTINUE = auto()


class _Fault(Exception):
    """Internal: a reason, to be placed at the current node."""


class Interpreter:
    """One rendering: the definitions, the functions, what is left of the limits, and the text so far."""

    def __init__(
        self,
        definitions: Mapping[str, Definition],
        functions: Mapping[str, Callable[..., object]],
        limits: Limits,
    ) -> None:
        self.budget = Budget(limits)
        self._definitions = definitions
        self._functions = functions
        self._out: list[str] = []
        self._variables: list[tuple[str, object]] = []
        self._current: Definition | None = None
        self._node: nodes.Node | None = None

    def run(self, name: str, data: object) -> str:
        """Render a definition.

        Raises:
            TemplateExecutionError: The data did not fit, a function failed or a limit was reached.
        """
        try:
            return literals.clean(self.invoke(name, data))
        except (_Fault, LimitError) as error:
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
        if definition is None or node is None:
            raise TemplateExecutionError(reason, name="", line=1, column=1) from cause
        line, column = definition.source.place(node.pos)
        if not isinstance(node, nodes.Text):
            reason = f'executing "{definition.name}" at <{node}>: {reason}'
        raise TemplateExecutionError(reason, name=definition.source.name, line=line, column=column) from cause

    # Statements.

    def _definition(self, name: str, data: object) -> None:
        definition = self._definitions.get(name)
        if definition is None:
            raise _Fault(f"template {literals.quote(name)} not defined")
        self.budget.enter()
        outer = self._variables, self._current, self._node
        self._variables, self._current = [("$", data)], definition
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
        mark = len(self._variables)
        self.budget.enter()
        flow = self._body(dot, body)
        self.budget.leave()
        del self._variables[mark:]
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
        elif value is None:
            self._write("<no value>")
        else:
            printer = formatting.Printer(self.budget)
            printer.write_value(value, PLAIN)
            self._out.append(printer.text())

    def _branches(self, dot: object, node: nodes.Branches) -> _Flow:
        mark = len(self._variables)
        flow = None
        for pipe, body in node.branches:
            value = self._pipe(dot, pipe)
            if is_true(value):
                flow = self._scope(value if node.moves_dot else dot, body)
                break
        if flow is None:
            flow = self._scope(dot, node.otherwise)
        del self._variables[mark:]
        return flow

    def _range(self, dot: object, node: nodes.Range) -> _Flow:
        mark = len(self._variables)
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
        del self._variables[mark:]
        return flow

    def _pairs(self, value: object, variables: int) -> Iterable[tuple[object, object]]:
        match value:
            case None:
                return ()
            case bool() | float() | str():
                pass
            case int():
                if variables > 1:
                    raise _Fault(f"can't use {value} to iterate over more than one variable")
                return ((None, number) for number in range(value))
            case Mapping():
                return sorted_items(value)
            case Sequence():
                return enumerate(value)
        shown = formatting.sprint(self.budget, [value])
        raise _Fault(f"range can't iterate over {shown}")

    def _bind(self, pipe: nodes.Pipe, key: object, element: object) -> None:
        """Give a round's key and element to the variables of ``range``; a single one takes the element."""
        for name, value in zip(reversed(pipe.variables), (element, key), strict=False):
            self._assign(name, value)

    # Variables: a stack, the newest of a name counts.

    def _assign(self, name: str, value: object) -> None:
        for index in range(len(self._variables) - 1, -1, -1):
            if self._variables[index][0] == name:
                self._variables[index] = (name, value)
                return
        raise _Fault(f"undefined variable: {name}")

    def _variable(self, name: str) -> object:
        for known, value in reversed(self._variables):
            if known == name:
                return value
        raise _Fault(f"undefined variable: {name}")

    # Pipelines and commands.

    def _pipe(self, dot: object, pipe: nodes.Pipe) -> object:
        self._node = pipe
        self.budget.step()
        value: object = _MISSING
        for command in pipe.commands:
            value = self._command(dot, command, value)
        for name in pipe.variables:
            if pipe.assigns:
                self._assign(name, value)
            else:
                self._variables.append((name, value))
        return value

    def _command(self, dot: object, command: nodes.Command, final: object) -> object:
        first, arguments = command.words[0], command.words[1:]
        match first:
            case nodes.Name():
                return self._function(dot, first, command, arguments, final)
            case nodes.Field() | nodes.Variable() | nodes.Chain():
                return self._lookup(dot, first, arguments, final)
        if not isinstance(first, nodes.Pipe):
            self._node = first
        if arguments or final is not _MISSING:
            raise _Fault(f"can't give argument to non-function {first}")
        if isinstance(first, nodes.Nil):
            raise _Fault("nil is not a command")
        return self._operand(dot, first)

    def _operand(self, dot: object, node: nodes.Operand) -> object:
        """Return what an operand without arguments stands for."""
        self._node = node
        match node:
            case nodes.Dot():
                return dot
            case nodes.Pipe():
                self.budget.enter()
                value = self._pipe(dot, node)
                self.budget.leave()
                return value
            case nodes.Name():
                return self._function(dot, node, node, (), _MISSING)
            case nodes.Field() | nodes.Variable() | nodes.Chain():
                return self._lookup(dot, node, (), _MISSING)
            case nodes.Number():
                return _ideal(node)
            case nodes.Bool():
                return node.value
            case nodes.String():
                return node.text
            case nodes.Nil():
                return None

    def _lookup(
        self,
        dot: object,
        node: nodes.Field | nodes.Variable | nodes.Chain,
        arguments: Sequence[nodes.Operand],
        final: object,
    ) -> object:
        self._node = node
        match node:
            case nodes.Field():
                value = dot
            case nodes.Variable():
                value = self._variable(node.name)
                if not node.names and (arguments or final is not _MISSING):
                    raise _Fault(f"can't give argument to non-function {node}")
            case nodes.Chain():
                if isinstance(node.operand, nodes.Nil):
                    raise _Fault(f"indirection through explicit nil in {node}")
                value = self._operand(dot, node.operand)
                self._node = node
        for place, name in enumerate(node.names, 1):
            if value is None:
                if place > 1:
                    raise _Fault(f"nil pointer evaluating interface {{}}.{name}")
                return None
            if place < len(node.names):
                value = self._field(dot, value, name, node, (), _MISSING)
            else:
                value = self._field(dot, value, name, node, arguments, final)
        return value

    def _field(
        self,
        dot: object,
        value: object,
        name: str,
        node: nodes.Operand,
        arguments: Sequence[nodes.Operand],
        final: object,
    ) -> object:
        if isinstance(value, Struct) and name in value.methods:
            return self._call(dot, name, describe(value.methods[name]), node, arguments, final)
        has_arguments = bool(arguments) or final is not _MISSING
        if isinstance(value, Struct) and name in value.fields:
            if has_arguments:
                raise _Fault(f"{name} has arguments but cannot be invoked as function")
            return value.fields[name]
        if isinstance(value, Mapping):
            if has_arguments:
                raise _Fault(f"{name} is not a method but has arguments")
            return value.get(name, "" if isinstance(value, StringMap) else None)
        raise _Fault(f"can't evaluate field {name} in type {type_name(value)}")

    # Calls.

    def _function(
        self,
        dot: object,
        name: nodes.Name,
        whole: nodes.Node,
        arguments: Sequence[nodes.Operand],
        final: object,
    ) -> object:
        self._node = name
        found = self._functions.get(name.name)
        function = PREDECLARED.get(name.name) if found is None else describe(found)
        if function is None:
            raise _Fault(f'"{name.name}" is not a defined function')
        if found is None and name.name in ("and", "or"):
            return self._short_circuit(dot, name.name, arguments, final)
        return self._call(dot, name.name, function, whole, arguments, final)

    def _short_circuit(
        self, dot: object, name: str, arguments: Sequence[nodes.Operand], final: object
    ) -> object:
        if not arguments and final is _MISSING:
            raise _Fault(f"wrong number of args for {name}: want at least 1 got 0")
        value: object = None
        for argument in arguments:
            value = self._operand(dot, argument)
            if is_true(value) == (name == "or"):
                return value
        return value if final is _MISSING else final

    def _call(
        self,
        dot: object,
        name: str,
        function: Function,
        whole: nodes.Node,
        arguments: Sequence[nodes.Operand],
        final: object,
    ) -> object:
        count = len(arguments) + (final is not _MISSING)
        complaint = function.miscount(count)
        if complaint:
            raise _Fault(f"wrong number of args for {name}: {complaint}")
        values = [self._argument(dot, node, function.parameter(i)) for i, node in enumerate(arguments)]
        if final is not _MISSING:
            values.append(_checked(final, function.parameter(len(values))))
        self._node = whole
        if function.wants_runtime:
            values.insert(0, self)
        return self._result(name, function, values, whole)

    def _result(self, name: str, function: Function, values: Sequence[object], whole: nodes.Node) -> object:
        try:
            result = function.call(*values)
        except (TemplateError, LimitError, _Fault, RecursionError):
            raise
        except Exception as error:  # noqa: BLE001  # foreign code: whatever it raises is a fault of this call
            raise _Fault(f"error calling {name}: {error}") from error
        self._node = whole
        self.budget.step()
        if isinstance(result, str):
            self.budget.charge(result)
        return result

    def _argument(self, dot: object, node: nodes.Operand, parameter: type) -> object:
        """Evaluate an argument; a constant takes the type that the parameter asks for."""
        self._node = node
        if isinstance(node, nodes.Nil) and parameter is not object:
            raise _Fault(f"cannot assign nil to {wanted_name(parameter)}")
        if parameter is object or not isinstance(node, nodes.Number | nodes.String | nodes.Bool):
            return _checked(self._operand(dot, node), parameter)
        return _constant(node, parameter)


def _checked(value: object, parameter: type) -> object:
    complaint = refusal(value, parameter)
    if complaint:
        raise _Fault(complaint)
    return value


def _ideal(node: nodes.Number) -> object:
    """Return a number constant where nothing asks for a type: its form decides."""
    if node.is_float:
        return node.floating
    if node.integer is None:
        raise _Fault(f"{node.text} overflows int")
    return node.integer


_CONSTANT_NAMES: Final = {str: "string", int: "integer", float: "float", bool: "bool"}


def _constant(node: nodes.Number | nodes.String | nodes.Bool, parameter: type) -> object:
    match node:
        case nodes.Number() if parameter is float:
            return node.floating
        case nodes.Number() if parameter is int and node.integer is not None:
            return node.integer
        case nodes.String() if parameter is str:
            return node.text
        case nodes.Bool() if parameter is bool:
            return node.value
    if parameter in _CONSTANT_NAMES:
        raise _Fault(f"expected {_CONSTANT_NAMES[parameter]}; found {node}")
    raise _Fault(f"can't handle {node} for arg of type {wanted_name(parameter)}")
