"""Labelsets and matchers: the words every room of the alerting side speaks.

A labelset is what identifies a series or an alert. It knows nothing about samples, rules or messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import re2

METRIC_NAME: Final = "__name__"
_FNV_OFFSET: Final = 0xCBF29CE484222325
_FNV_PRIME: Final = 0x100000001B3
_MASK_64: Final = (1 << 64) - 1


class Labels(Mapping[str, str]):
    """An immutable labelset: names to values, sorted by name, empty values left out.

    Two labelsets with the same pairs are equal and hash equal, whatever order they were built in.
    """

    __slots__ = ("_fingerprint", "_hash", "_map", "pairs")

    pairs: tuple[tuple[str, str], ...]

    def __init__(self, labels: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        items = labels.items() if isinstance(labels, Mapping) else labels
        self._map = dict(sorted((name, value) for name, value in items if value != ""))
        self.pairs = tuple(self._map.items())
        self._hash = hash(self.pairs)
        self._fingerprint: str | None = None

    def __getitem__(self, name: str) -> str:
        return self._map[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._map)

    def __len__(self) -> int:
        return len(self._map)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Labels):
            return self.pairs == other.pairs
        return NotImplemented

    def __repr__(self) -> str:
        return f"Labels({self})"

    def __str__(self) -> str:
        """Write the labelset as Prometheus does: ``name{a="b"}``."""
        name = self._map.get(METRIC_NAME, "")
        inner = ", ".join(f'{n}="{_escape(v)}"' for n, v in self.pairs if n != METRIC_NAME)
        return f"{name}{{{inner}}}" if inner or not name else name

    @property
    def metric(self) -> str:
        """The metric name, or the empty string."""
        return self._map.get(METRIC_NAME, "")

    def with_(self, more: Mapping[str, str]) -> Labels:
        """Return a labelset with these labels set; an empty value removes its label."""
        return Labels({**self._map, **more})

    def keep(self, names: Iterable[str]) -> Labels:
        """Return only the named labels, as far as they exist."""
        wanted = set(names)
        return Labels(pair for pair in self.pairs if pair[0] in wanted)

    def drop(self, names: Iterable[str]) -> Labels:
        """Return all but the named labels."""
        unwanted = set(names)
        return Labels(pair for pair in self.pairs if pair[0] not in unwanted)

    def fingerprint(self) -> str:
        """Return Alertmanager's fingerprint: FNV-1a 64 over the sorted pairs, 16 hex digits.

        Source: https://github.com/prometheus/common/blob/main/model/signature.go
        """
        if self._fingerprint is None:
            self._fingerprint = self._fnv()
        return self._fingerprint

    def _fnv(self) -> str:
        state = _FNV_OFFSET
        for name, value in self.pairs:
            for byte in (*name.encode(), 0xFF, *value.encode(), 0xFF):
                state = ((state ^ byte) * _FNV_PRIME) & _MASK_64
        return f"{state:016x}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


EMPTY: Final = Labels()


class MatchOp(StrEnum):
    """The four matching operators, as written in PromQL and in routes."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label; a missing label counts as the empty string.

    Regular expressions are RE2 and fully anchored, as everywhere in Prometheus.

    Raises:
        re2.error: The value is not a valid RE2 expression.
    """

    name: str
    op: MatchOp
    value: str
    _regex: re2._Regexp | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self.op in (MatchOp.REGEX, MatchOp.NOT_REGEX):
            object.__setattr__(self, "_regex", re2.compile(f"^(?s:{self.value})$", _quiet()))

    def __str__(self) -> str:
        return f'{self.name}{self.op}"{_escape(self.value)}"'

    def matches(self, value: str) -> bool:
        """Tell whether a label's value meets this condition."""
        if self._regex is not None:
            found = self._regex.fullmatch(value) is not None
            return found if self.op is MatchOp.REGEX else not found
        return (value == self.value) if self.op is MatchOp.EQUAL else (value != self.value)

    def matches_labels(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a labelset meets this condition."""
        return self.matches(labels.get(self.name, ""))


def _quiet() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options
