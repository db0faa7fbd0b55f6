"""The syntax tree of a template; ``str`` of a node is its text in messages.

Nodes carry the place of their first character and nothing else that is not in the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Anything with a place in the text."""

    pos: int


# Operands: the words of a command.


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot(Node):
    """The cursor, ``.``."""

    def __str__(self) -> str:
        return "."


@dataclass(frozen=True, slots=True, kw_only=True)
class Nil(Node):
    """The untyped ``nil``."""

    def __str__(self) -> str:
        return "nil"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bool(Node):
    """``true`` or ``false``."""

    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Node):
    """An ideal constant: it may serve as integer, as float, or as both.

    Attributes:
        text: As written; its form decides the type where nothing else does.
        integer: The value as an integer, if it is one that 64 bits hold.
        floating: The value as a float.
        is_float: Whether the form says float.
    """

    text: str
    integer: int | None
    floating: float
    is_float: bool

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class String(Node):
    """A string constant, raw or not."""

    quoted: str
    text: str

    def __str__(self) -> str:
        return self.quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Field(Node):
    """``.A.B``: names looked up from the cursor."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable(Node):
    """``$x.A``: a variable, then names looked up from it."""

    name: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.name, *self.names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Name(Node):
    """The name of a function."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain(Node):
    """``(…).A`` or ``function.A``: names looked up from the result of another operand."""

    operand: Operand
    names: tuple[str, ...]

    def __str__(self) -> str:
        inner = f"({self.operand})" if isinstance(self.operand, Pipe) else str(self.operand)
        return ".".join((inner, *self.names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Node):
    """An operand with its arguments: a call, or a value when there is one word only."""

    words: tuple[Operand, ...]

    def __str__(self) -> str:
        return " ".join(f"({word})" if isinstance(word, Pipe) else str(word) for word in self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipe(Node):
    """Commands, each one's value the last argument of the next; the last value may go to variables."""

    variables: tuple[str, ...]
    assigns: bool
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        target = ", ".join(self.variables) + (" = " if self.assigns else " := ") if self.variables else ""
        return target + " | ".join(map(str, self.commands))


Operand: TypeAlias = Dot | Nil | Bool | Number | String | Field | Variable | Name | Chain | Pipe


# Statements: what a list of nodes is made of.


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Node):
    """Text outside of actions."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action(Node):
    """``{{pipeline}}``."""

    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Branches(Node):
    """``if`` or ``with`` and its ``else if``, ``else with`` and ``else``.

    Attributes:
        moves_dot: True for ``with``.
        branches: Conditions in order, each with what it guards.
        otherwise: The last ``else``, empty if there is none.
    """

    moves_dot: bool
    branches: tuple[tuple[Pipe, Body], ...]
    otherwise: Body

    def __str__(self) -> str:
        return f"{{{{{'with' if self.moves_dot else 'if'} {self.branches[0][0]}}}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Range(Node):
    """``range`` and its ``else``."""

    pipe: Pipe
    body: Body
    otherwise: Body

    def __str__(self) -> str:
        return f"{{{{range {self.pipe}}}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoke(Node):
    """``template``, or the place of a ``block``."""

    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        return f'{{{{template "{self.name}"' + (f" {self.pipe}" if self.pipe else "") + "}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave(Node):
    """``break`` or ``continue``."""

    word: str

    def __str__(self) -> str:
        return f"{{{{{self.word}}}}}"


Statement: TypeAlias = Text | Action | Branches | Range | Invoke | Leave
Body: TypeAlias = tuple[Statement, ...]
