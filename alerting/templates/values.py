"""What a template works on: Python objects standing for Go values.

=======================  ==========================================================================
Python                   Go
=======================  ==========================================================================
``None``                 nil
``bool`` ``int`` ``float``  ``bool`` ``int`` ``float64``; :class:`Uint8` for a byte of a string
``str``                  ``string`` (bytes that are not UTF-8 as surrogate escapes)
:class:`StringMap`       ``map[string]string``: a missing key is the empty string
any other mapping        ``map[string]interface {}``: a missing key is nil
list, tuple              ``[]interface {}``
:class:`Struct`          a struct, or a pointer to one, with its methods
=======================  ==========================================================================

Go's types show in messages, in ``%T`` and in what may be compared with what; this module knows them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar


class Uint8(int):
    """A byte out of a string, as ``index`` returns it."""

    go_type: ClassVar = "uint8"


class StringMap(dict[str, str]):
    """A map in which a missing key reads as the empty string: labels, annotations."""

    go_type: ClassVar = "map[string]string"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Struct:
    """A Go struct, or a pointer to one; two of them are equal only if they are the same one.

    Attributes:
        type_name: Go's name of the type, without the pointer's star.
        fields: Values by name, in the order of declaration.
        methods: What templates may call by name; the arguments follow the rules of functions.
        pointer: Whether the template holds a pointer.
        text: What the type's ``String`` method returns, None if it has none.
    """

    type_name: str
    fields: Mapping[str, object] = field(default_factory=dict)
    methods: Mapping[str, Callable[..., object]] = field(default_factory=dict)
    pointer: bool = False
    text: str | None = None


class Kind(StrEnum):
    """Go's kinds, as far as templates tell them apart."""

    NIL = "nil"
    BOOL = "bool"
    INT = "int"
    UINT = "uint"
    FLOAT = "float"
    STRING = "string"
    MAP = "map"
    SLICE = "slice"
    STRUCT = "struct"
    OTHER = "other"


_BY_TYPE = {
    type(None): Kind.NIL,
    bool: Kind.BOOL,
    int: Kind.INT,
    Uint8: Kind.UINT,
    float: Kind.FLOAT,
    str: Kind.STRING,
    dict: Kind.MAP,
    StringMap: Kind.MAP,
    list: Kind.SLICE,
    tuple: Kind.SLICE,
    Struct: Kind.STRUCT,
}
_BY_BASE = (
    (bool, Kind.BOOL),
    (int, Kind.INT),
    (float, Kind.FLOAT),
    (str, Kind.STRING),
    (Mapping, Kind.MAP),
    (Sequence, Kind.SLICE),
    (Struct, Kind.STRUCT),
)


def kind(value: object) -> Kind:
    """Return the kind of a value."""
    found = _BY_TYPE.get(type(value))
    if found is not None:
        return found
    return next((kind for base, kind in _BY_BASE if isinstance(value, base)), Kind.OTHER)


_NAMES = {
    Kind.NIL: "<nil>",
    Kind.BOOL: "bool",
    Kind.INT: "int",
    Kind.UINT: "uint8",
    Kind.FLOAT: "float64",
    Kind.STRING: "string",
    Kind.MAP: "map[string]interface {}",
    Kind.SLICE: "[]interface {}",
}


def type_name(value: object) -> str:
    """Return Go's name for the type of a value."""
    own = getattr(value, "go_type", None)
    if isinstance(own, str):
        return own
    if isinstance(value, Struct):
        return f"*{value.type_name}" if value.pointer else value.type_name
    return _NAMES.get(kind(value)) or type(value).__name__


def is_true(value: object) -> bool:
    """Tell whether a value counts as true: it is not the zero of its type."""
    match value:
        case None:
            return False
        case str() | Mapping() | Sequence():
            return len(value) > 0
        case bool() | int() | float():
            return value != 0
        case _:
            return True


def sorted_items(mapping: Mapping[object, object]) -> list[tuple[object, object]]:
    """Return a map's pairs in the order in which Go prints and ranges over them."""
    return sorted(mapping.items(), key=_sort_key)


def _sort_key(item: tuple[object, object]) -> tuple[str, object]:
    return kind(item[0]), item[0]
