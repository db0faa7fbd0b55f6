"""How a template calls Python: what a function accepts, checked before it is called.

Go's templates know the types of a function's parameters: ``{{title 5}}`` is an error, and ``{{humanizeFloat 5}}``
would hand over 5.0. Here a function's annotations say the same: ``str``, ``int``, ``float``, ``bool`` and the
classes of the value model are checked, everything else takes any value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, get_type_hints

from alerting.templates.limits import Budget
from alerting.templates.values import type_name


class FunctionError(ValueError):
    """A function refuses its arguments; the text becomes the reason after ``error calling name:``."""


class Runtime(Protocol):
    """The running template, for functions that build text or run other templates."""

    budget: Budget

    def invoke(self, name: str, data: object) -> str:
        """Render a definition of the running template."""
        ...


@dataclass(frozen=True, slots=True)
class Function:
    """A function with the types of its parameters.

    Attributes:
        call: What is called, with positional arguments.
        parameters: One class per parameter, ``object`` for anything; of a variadic function the last repeats.
        variadic: Whether the last parameter takes any number of arguments, none included.
        wants_runtime: Whether the running template is passed before the arguments.
    """

    call: Callable[..., object]
    parameters: tuple[type, ...]
    variadic: bool = False
    wants_runtime: bool = False

    def __call__(self, *args: object) -> object:
        """Call the function."""
        return self.call(*args)

    def parameter(self, index: int) -> type:
        """Return the class that the argument at this place must have."""
        return self.parameters[min(index, len(self.parameters) - 1)]

    def miscount(self, count: int) -> str | None:
        """Return what is wrong with a number of arguments, or None."""
        wanted = len(self.parameters)
        if self.variadic:
            return None if count >= wanted - 1 else f"want at least {wanted - 1} got {count}"
        return None if count == wanted else f"want {wanted} got {count}"


def describe(call: Callable[..., object]) -> Function:
    """Return a callable with its parameters read off its annotations."""
    return call if isinstance(call, Function) else _described(call)


@lru_cache(maxsize=256)
def _described(call: Callable[..., object]) -> Function:
    hints = get_type_hints(call)
    parameters = [p for p in inspect.signature(call).parameters.values() if p.kind is not p.KEYWORD_ONLY]
    variadic = bool(parameters) and parameters[-1].kind is inspect.Parameter.VAR_POSITIONAL
    wants_runtime = bool(parameters) and hints.get(parameters[0].name) is Runtime
    kept = parameters[1:] if wants_runtime else parameters
    return Function(
        call=call,
        parameters=tuple(_checked_class(hints.get(p.name)) for p in kept),
        variadic=variadic,
        wants_runtime=wants_runtime,
    )


def _checked_class(hint: Any) -> type:
    if hint in (str, int, float, bool) or (isinstance(hint, type) and hasattr(hint, "go_type")):
        checked: type = hint
        return checked
    return object


_WANTED = {str: "string", int: "int", float: "float64", bool: "bool", object: "interface {}"}


def wanted_name(parameter: type) -> str:
    """Return Go's name for a parameter's type."""
    return _WANTED.get(parameter) or str(getattr(parameter, "go_type", parameter.__name__))


def refusal(value: object, parameter: type) -> str | None:
    """Return why a value cannot be passed for a parameter, or None if it can."""
    if parameter is object:
        return None
    if value is None:
        return f"invalid value; expected {wanted_name(parameter)}"
    if isinstance(value, parameter) and (parameter is not int or type(value) is int):
        return None
    return f"wrong type for value; expected {wanted_name(parameter)}; got {type_name(value)}"
