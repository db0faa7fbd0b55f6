"""The functions every Go template has.

Only their shape is here for ``and`` and ``or``: they may not look at all their arguments, so the interpreter
evaluates them itself.

Source: https://pkg.go.dev/text/template#hdr-Functions
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import quote_plus

from alerting.templates import formatting, literals
from alerting.templates.functions import Function, FunctionError, Runtime, describe
from alerting.templates.values import Kind, Struct, Uint8, is_true, kind, type_name

_COMPARABLE: Final = frozenset({Kind.BOOL, Kind.INT, Kind.UINT, Kind.FLOAT, Kind.STRING})
_INTEGERS: Final = frozenset({Kind.INT, Kind.UINT})


# Comparison.


def _eq(first: object, *others: object) -> bool:
    if not others:
        raise FunctionError("missing argument for comparison")
    return any(_equal(first, other) for other in others)


def _equal(first: object, second: object) -> bool:
    kinds = kind(first), kind(second)
    if kinds[0] != kinds[1]:
        if _INTEGERS.issuperset(kinds):
            return first == second
        if None in (first, second):
            return False
        if not _COMPARABLE.isdisjoint(kinds):
            raise FunctionError(_incompatible(first, second))
    if kinds[0] in _COMPARABLE or first is None:
        return first == second
    if isinstance(first, Struct) and isinstance(second, Struct):
        return first is second
    raise FunctionError(f"non-comparable type {type_name(second)}")


def _incompatible(first: object, second: object) -> str:
    return f"incompatible types for comparison: {type_name(first)} and {type_name(second)}"


def _ne(first: object, second: object) -> bool:
    return not _equal(first, second)


def _lt(first: object, second: object) -> bool:
    kinds = kind(first), kind(second)
    if not _COMPARABLE.issuperset(kinds):
        raise FunctionError("invalid type for comparison")
    if kinds[0] != kinds[1] and not _INTEGERS.issuperset(kinds):
        raise FunctionError(_incompatible(first, second))
    if isinstance(first, str) and isinstance(second, str):
        return literals.as_bytes(first) < literals.as_bytes(second)
    if isinstance(first, bool):
        raise FunctionError("invalid type for comparison")
    assert isinstance(first, int | float)  # the kinds are comparable and fit each other
    assert isinstance(second, int | float)
    return first < second


def _le(first: object, second: object) -> bool:
    return _lt(first, second) or _equal(first, second)


def _gt(first: object, second: object) -> bool:
    return not _le(first, second)


def _ge(first: object, second: object) -> bool:
    return not _lt(first, second)


def _not(value: object) -> bool:
    return not is_true(value)


# Parts of lists, maps and strings.


def _len(value: object) -> int:
    match value:
        case str():
            return len(value) if value.isascii() else len(literals.as_bytes(value))
        case Mapping() | Sequence():
            return len(value)
        case None:
            raise FunctionError("len of nil pointer")
        case _:
            raise FunctionError(f"len of type {type_name(value)}")


def _index(item: object, *keys: object) -> object:
    if item is None:
        raise FunctionError("index of untyped nil")
    for key in keys:
        item = _element(item, key)
    return item


def _element(item: object, key: object) -> object:
    match item:
        case None:
            raise FunctionError("index of nil pointer")
        case str():
            raw = literals.as_bytes(item)
            return Uint8(raw[_position(key, len(raw), "string")])
        case Mapping():
            if not isinstance(key, str):
                raise FunctionError(_bad_key(key))
            return item.get(key, "" if kind_of_values_is_string(item) else None)
        case Sequence():
            return item[_position(key, len(item), "slice")]
        case _:
            raise FunctionError(f"can't index item of type {type_name(item)}")


def _bad_key(key: object) -> str:
    if key is None:
        return "value is nil; should be of type string"
    return f"value has type {type_name(key)}; should be string"


def kind_of_values_is_string(mapping: Mapping[str, object]) -> bool:
    """Tell whether a missing key reads as the empty string rather than nil."""
    return type_name(mapping) == "map[string]string"


def _position(key: object, length: int, what: str) -> int:
    position = _bound(key, length)
    if position == length:
        raise FunctionError(f"reflect: {what} index out of range")
    return position


def _bound(key: object, length: int) -> int:
    if key is None:
        raise FunctionError("cannot index slice/array with nil")
    if not isinstance(key, int) or isinstance(key, bool):
        raise FunctionError(f"cannot index slice/array with type {type_name(key)}")
    if not 0 <= key <= length:
        raise FunctionError(f"index out of range: {key}")
    return int(key)


def _slice(item: object, *bounds: object) -> object:
    if item is None:
        raise FunctionError("slice of untyped nil")
    if len(bounds) > 3:
        raise FunctionError(f"too many slice indexes: {len(bounds)}")
    if isinstance(item, str):
        if len(bounds) == 3:
            raise FunctionError("cannot 3-index slice a string")
        raw = literals.as_bytes(item)
        start, stop = _range(bounds, len(raw))
        return literals.from_bytes(raw[start:stop])
    if isinstance(item, Sequence):
        start, stop = _range(bounds, len(item))
        return item[start:stop]
    raise FunctionError(f"can't slice item of type {type_name(item)}")


def _range(bounds: Sequence[object], length: int) -> tuple[int, int]:
    points = [_bound(bound, length) for bound in bounds]
    start, stop, *limit = [*points, *(0, length)[len(points) :]]
    for low, high in ((start, stop), *((stop, end) for end in limit)):
        if low > high:
            raise FunctionError(f"invalid slice index: {low} > {high}")
    return start, stop


# Text.


def _print(runtime: Runtime, *values: object) -> str:
    return formatting.sprint(runtime.budget, values)


def _println(runtime: Runtime, *values: object) -> str:
    return formatting.sprintln(runtime.budget, values)


def _printf(runtime: Runtime, text: str, *values: object) -> str:
    return formatting.sprintf(runtime.budget, text, values)


_HTML: Final = str.maketrans({"\0": "�", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"})
_JS: Final = str.maketrans(
    {
        **{chr(code): f"\\u00{code:02X}" for code in range(0x20)},
        "\\": "\\\\",
        "'": "\\'",
        '"': '\\"',
        "<": "\\u003C",
        ">": "\\u003E",
        "&": "\\u0026",
        "=": "\\u003D",
    }
)


def _html(runtime: Runtime, *values: object) -> str:
    return _escaped_text(runtime, values).translate(_HTML)


def _js(runtime: Runtime, *values: object) -> str:
    text = _escaped_text(runtime, values).translate(_JS)
    if text.isascii():
        return text
    return "".join(ch if _shows(ch) else f"\\u{ord(ch):04X}" for ch in text)


def _shows(character: str) -> bool:
    """Tell whether JavaScript text keeps the character; a byte that is not UTF-8 is kept, as in Go."""
    return character.isprintable() or character == "\x7f" or "\ud800" <= character <= "\udfff"


def _urlquery(runtime: Runtime, *values: object) -> str:
    return quote_plus(literals.as_bytes(_escaped_text(runtime, values)))


def _escaped_text(runtime: Runtime, values: Sequence[object]) -> str:
    return formatting.sprint(runtime.budget, [formatting.printable(value) for value in values])


def _call(*_: object) -> object:
    raise FunctionError("template data holds no functions to call")


def _operator(*_: object) -> object:
    raise AssertionError("and/or are evaluated by the interpreter")


_CALLS: Final[Mapping[str, Callable[..., object]]] = {
    "call": _call,
    "eq": _eq,
    "ge": _ge,
    "gt": _gt,
    "html": _html,
    "index": _index,
    "js": _js,
    "le": _le,
    "len": _len,
    "lt": _lt,
    "ne": _ne,
    "not": _not,
    "print": _print,
    "printf": _printf,
    "println": _println,
    "slice": _slice,
    "urlquery": _urlquery,
}
PREDECLARED: Final[Mapping[str, Function]] = {
    "and": Function(_operator, (object, object), variadic=True),
    "or": Function(_operator, (object, object), variadic=True),
    **{name: describe(function) for name, function in _CALLS.items()},
}
