"""Reads what a target exposes: the text format 0.0.4 and OpenMetrics text.

A target repeats the same series at every scrape and only their values change, so a `LineCache` recognises the text of
a series it has read before and does not take it apart again.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import math
import re
from typing import Final, TypeAlias

from alerting.labels import METRIC_NAME, Labels

Exposed: TypeAlias = tuple[Labels, float, int | None]
"""A labelset with the metric's name, its value, and its own time in milliseconds if the target gave one."""

_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r'[ \t]*(?:([a-zA-Z_][a-zA-Z0-9_]*)|("(?:[^"\\\n]|\\.)*"))[ \t]*')
_VALUE: Final = re.compile(r'=[ \t]*("(?:[^"\\\n]|\\.)*")[ \t]*')
_ESCAPE: Final = re.compile(r"\\(.)")
_NUMBER: Final = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|inf(?:inity)?|nan)",
    re.IGNORECASE,
)
_MAX_MS: Final = 1 << 62


class ExpositionError(Exception):
    """A line that is not in the format: `line` counts from 1, `column` too, or is None for the whole line."""

    def __init__(self, line: int, column: int | None, reason: str) -> None:
        place = f"line {line}" if column is None else f"line {line}, column {column}"
        super().__init__(f"{place}: {reason}")
        self.line = line
        self.column = column
        self.reason = reason


class _BadLineError(Exception):
    """What is wrong at which column (from 0) of a line."""

    def __init__(self, column: int, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason


def parse(text: str, *, openmetrics: bool | None = None) -> list[Exposed]:
    """Read one exposition; see `LineCache.parse`."""
    return LineCache().parse(text, openmetrics=openmetrics)


class LineCache:
    """Reads the expositions of one target, one after another, and remembers the series it has seen."""

    def __init__(self) -> None:
        self._seen: dict[str, Labels] = {}
        self._words: dict[str, str] = {}

    def __len__(self) -> int:
        """How many series are remembered."""
        return len(self._seen)

    def parse(self, text: str, *, openmetrics: bool | None = None) -> list[Exposed]:
        """Return the samples in the order exposed.

        `openmetrics` tells the format, which decides the unit of times (seconds; in the older format milliseconds);
        without it a last line ``# EOF`` tells.

        Raises:
            ExpositionError: A line is not in the format; nothing is returned then.
        """
        if openmetrics is None:
            openmetrics = text.rstrip().endswith("# EOF")
        lines = text.split("\n")
        seen = self._seen
        if len(seen) > 2 * len(lines) + 100:
            seen.clear()  # mostly series that are gone: those that remain are read anew, once
            self._words.clear()
        out: list[Exposed] = []
        number = 0
        try:
            for line in lines:
                number += 1
                head, _, tail = line.rpartition(" ")
                labels = seen.get(head)
                if labels is not None and tail.isascii() and "_" not in tail:
                    out.append((labels, float(tail), None))
                elif line and line[0] != "#":
                    sample = self._line(line, head, tail, openmetrics=openmetrics)
                    if sample is not None:
                        out.append(sample)
        except _BadLineError as exc:
            raise ExpositionError(number, exc.column + 1, exc.reason) from None
        except ValueError:
            raise ExpositionError(number, None, "expected a number after the series") from None
        return out

    def _line(self, line: str, head: str, tail: str, *, openmetrics: bool) -> Exposed | None:
        """Read a line that is not just a known series and a value."""
        series, _, text = head.rpartition(" ")
        known = self._seen.get(series)
        if known is not None and not openmetrics:
            return known, _number(text, len(series) + 1), _milliseconds(tail, len(head) + 1)
        stripped = line.strip(" \t\r")
        if not stripped or stripped[0] == "#":
            return None
        start = len(line) - len(line.lstrip(" \t"))
        labels, end = self._series(line, start)
        self._seen[line[start:end]] = labels
        rest = line[end:]
        fields = (rest.partition(" # ")[0] if openmetrics else rest).split()
        if not 1 <= len(fields) <= 2:
            raise _BadLineError(end, "expected a value, and at most a time after it")
        value = _number(fields[0], line.index(fields[0], end))
        if len(fields) == 1:
            return labels, value, None
        column = line.index(fields[1], end + len(fields[0]))
        return labels, value, _seconds(fields[1], column) if openmetrics else _milliseconds(fields[1], column)

    def _series(self, line: str, start: int) -> tuple[Labels, int]:
        """Read a name and labels from a position; return them and where they end."""
        pairs: dict[str, str] = {}
        name = _NAME.match(line, start)
        end = start
        if name is not None:
            pairs[METRIC_NAME] = self._word(name[0])
            end = name.end()
        opened = len(line[end:]) - len(line[end:].lstrip(" \t")) + end
        if line[opened : opened + 1] == "{":
            end = self._labels(line, opened + 1, pairs)
        if METRIC_NAME not in pairs:
            raise _BadLineError(start, "expected a metric name")
        return Labels(pairs), end

    def _labels(self, line: str, at: int, pairs: dict[str, str]) -> int:
        while True:
            label = _LABEL.match(line, at)
            if label is None:
                at += len(line[at:]) - len(line[at:].lstrip(" \t"))
                if line[at : at + 1] == "}":
                    return at + 1
                raise _BadLineError(at, "expected a label name or }")
            at = label.end()
            value = _VALUE.match(line, at)
            if value is not None:
                name = label[1] or _unquoted(label[2])
                text = _unquoted(value[1])
                at = value.end()
            elif label[2] and METRIC_NAME not in pairs:
                name, text = METRIC_NAME, _unquoted(label[2])  # {"a name with dots", label="value"}
            else:
                raise _BadLineError(at, 'expected ="value" after the label name')
            if name in pairs or not name:
                raise _BadLineError(label.start(), f"label {name} occurs twice")
            pairs[self._word(name)] = self._word(text)
            if line[at : at + 1] == ",":
                at += 1
            elif line[at : at + 1] != "}":
                raise _BadLineError(at, "expected , or }")

    def _word(self, text: str) -> str:
        """Return one string object per distinct text: names and values repeat in thousands of series."""
        return self._words.setdefault(text, text)


def _unquoted(text: str) -> str:
    inner = text[1:-1]
    return _ESCAPE.sub(_unescaped, inner) if "\\" in inner else inner


def _unescaped(match: re.Match[str]) -> str:
    return {"n": "\n", '"': '"', "\\": "\\"}.get(match[1], match[0])


def _number(text: str, column: int) -> float:
    if _NUMBER.fullmatch(text) is None:
        raise _BadLineError(column, f"{text!r} is not a number")
    return float(text)


def _milliseconds(text: str, column: int) -> int:
    if re.fullmatch("[+-]?[0-9]{1,19}", text, re.ASCII) is None or abs(int(text)) > _MAX_MS:
        raise _BadLineError(column, f"{text!r} is not a time in milliseconds")
    return int(text)


def _seconds(text: str, column: int) -> int:
    seconds = _number(text, column)
    if not math.isfinite(seconds) or abs(seconds) * 1000 > _MAX_MS:
        raise _BadLineError(column, f"{text!r} is not a time in seconds")
    return int(seconds * 1000)
