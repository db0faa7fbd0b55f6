"""Evaluate pipelines, commands and operands over data.

The lower half of the interpreter: Go's order of evaluation, its typing of arguments, and its way of looking up names.
Only ``and`` and ``or`` are known by name here, for they may not look at all their arguments.

Source: https://pkg.go.dev/text/template#hdr-Pipelines
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Final

from alerting.templates import nodes
from alerting.templates.errors import TemplateError
from alerting.templates.functions import Function, describe, refusal, wanted_name
from alerting.templates.limits import Budget, LimitError, Limits
from alerting.templates.predeclared import PREDECLARED
from alerting.templates.values import StringMap, Struct, is_true, type_name


class _Missing(Enum):
    """The absence of a piped value, which is not nil."""

    MISSING = auto()


_MISSING: Final = _Missing.MISSING


class FaultError(Exception):
    """A reason without a place: the current node's is meant."""


class Variables:
    """The variables of one definition: a stack, on which the newest of a name counts."""

    __slots__ = ("_order", "_values")

    def __init__(self, data: object) -> None:
        self._order = ["$"]
        self._values: dict[str, list[object]] = {"$": [data]}

    def declare(self, name: str, value: object) -> None:
        """Add a variable."""
        self._order.append(name)
        self._values.setdefault(name, []).append(value)

    def assign(self, name: str, value: object) -> None:
        """Give the newest variable of a name another value.

        Raises:
            FaultError: There is none.
        """
        if not self._values.get(name):
            raise FaultError(f"undefined variable: {name}")
        self._values[name][-1] = value

    def get(self, name: str) -> object:
        """Return the value of the newest variable of a name.

        Raises:
            FaultError: There is none.
        """
        if not self._values.get(name):
            raise FaultError(f"undefined variable: {name}")
        return self._values[name][-1]

    def mark(self) -> int:
        """Return how many there are."""
        return len(self._order)

    def leave(self, mark: int) -> None:
        """Forget the variables declared since the mark."""
        while len(self._order) > mark:
            self._values[self._order.pop()].pop()


class Evaluator(ABC):
    """Values of expressions, with the variables in scope and the node to blame for a fault."""

    def __init__(self, functions: Mapping[str, Callable[..., object]], limits: Limits) -> None:
        self.budget = Budget(limits)
        self._functions = functions
        self._variables = Variables(None)
        self._node: nodes.Node | None = None

    @abstractmethod
    def invoke(self, name: str, data: object) -> str:
        """Render a definition to text of its own."""

    # Pipelines and commands.

    def _pipe(self, dot: object, pipe: nodes.Pipe) -> object:
        self._node = pipe
        self.budget.step()
        value: object = _MISSING
        for command in pipe.commands:
            value = self._command(dot, command, value)
        for name in pipe.variables:
            if pipe.assigns:
                self._variables.assign(name, value)
            else:
                self._variables.declare(name, value)
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
            raise FaultError(f"can't give argument to non-function {first}")
        if isinstance(first, nodes.Nil):
            raise FaultError("nil is not a command")
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
            case nodes.Number() | nodes.Bool() | nodes.String():
                return _ideal(node)
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
                value = self._variables.get(node.name)
                if not node.names and (arguments or final is not _MISSING):
                    raise FaultError(f"can't give argument to non-function {node}")
            case nodes.Chain():
                value = self._operand(dot, node.operand)
                self._node = node
        for place, name in enumerate(node.names, 1):
            if value is None:
                if place > 1:
                    raise FaultError(f"nil pointer evaluating interface {{}}.{name}")
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
                raise FaultError(f"{name} has arguments but cannot be invoked as function")
            return value.fields[name]
        if isinstance(value, Mapping):
            if has_arguments:
                raise FaultError(f"{name} is not a method but has arguments")
            return value.get(name, "" if isinstance(value, StringMap) else None)
        raise FaultError(f"can't evaluate field {name} in type {type_name(value)}")

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
            raise FaultError(f'"{name.name}" is not a defined function')
        if found is None and name.name in ("and", "or"):
            return self._short_circuit(dot, name.name, arguments, final)
        return self._call(dot, name.name, function, whole, arguments, final)

    def _short_circuit(
        self, dot: object, name: str, arguments: Sequence[nodes.Operand], final: object
    ) -> object:
        if not arguments and final is _MISSING:
            raise FaultError(f"wrong number of args for {name}: want at least 1 got 0")
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
            raise FaultError(f"wrong number of args for {name}: {complaint}")
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
        except (TemplateError, LimitError, FaultError, RecursionError):
            raise
        except Exception as error:  # foreign code: whatever it raises is a fault of this call
            raise FaultError(f"error calling {name}: {error}") from error
        self._node = whole
        self.budget.step()
        if isinstance(result, str):
            self.budget.charge(result)
        return result

    def _argument(self, dot: object, node: nodes.Operand, parameter: type) -> object:
        """Evaluate an argument; a constant takes the type that the parameter asks for."""
        self._node = node
        if isinstance(node, nodes.Nil) and parameter is not object:
            raise FaultError(f"cannot assign nil to {wanted_name(parameter)}")
        if parameter is object or not isinstance(node, nodes.Number | nodes.String | nodes.Bool):
            return _checked(self._operand(dot, node), parameter)
        return _constant(node, parameter)


def _checked(value: object, parameter: type) -> object:
    complaint = refusal(value, parameter)
    if complaint:
        raise FaultError(complaint)
    return value


def _ideal(node: nodes.Number | nodes.Bool | nodes.String) -> object:
    """Return a constant where nothing asks for a type: of a number, its form decides."""
    if isinstance(node, nodes.Bool):
        return node.value
    if isinstance(node, nodes.String):
        return node.text
    if node.is_float:
        return node.floating
    if node.integer is None:
        raise FaultError(f"{node.text} overflows int")
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
        raise FaultError(f"expected {_CONSTANT_NAMES[parameter]}; found {node}")
    raise FaultError(f"can't handle {node} for arg of type {wanted_name(parameter)}")
