"""Reads the scripts beside this file: samples, questions, and the answers that a real Prometheus 3.5.3 gave.

::

    load 30s
      requests_total{code="200"} 0+10x20 _ 5 stale NaN    # a+bxN: N+1 values rising by b; _: none; axN: N+1 times a
    eval instant at 5m sum(requests_total)
      {} 200
    eval range from 0 to 2m step 1m requests_total > 15
      requests_total{code="200"} _ 20 40
    eval instant at 5m time()
      scalar 300
    eval instant at 5m a + on () b
      fail found duplicate series
    eval instant at 5m quantile(2, up)
      warn PromQL warning: quantile value should be between 0 and 1, got 2
      {} +Inf

The first sample is at 0. No lines below a question: an empty answer. A float counts only if it is the same to the last
bit; an answer's order counts where the question is topk, bottomk or a sort.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alerting.labels import Labels
from alerting.promql.values import STALE_NAN
from alerting.scrape.exposition import parse as parse_exposition

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_ITEM = re.compile(
    r"(?P<first>_|stale|NaN|[+-]?(?:Inf|[\d.]+(?:e[+-]?\d+)?))(?P<step>[+-][\d.]+)?(?:x(?P<times>\d+))?"
)
_EVAL = re.compile(
    r"eval (?:instant at (?P<at>\S+)|range from (?P<start>\S+) to (?P<end>\S+) step (?P<step>\S+)) (?P<expr>.+)"
)

Point = tuple[int, float]


@dataclass
class Script:
    """The samples of a script, and its questions."""

    series: dict[Labels, list[Point]] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)


@dataclass
class Question:
    """An expression, when to evaluate it, and the answer's lines."""

    line: int
    expr: str
    at_ms: int | None
    range_ms: tuple[int, int, int] | None
    answer: list[str] = field(default_factory=list)

    @property
    def head(self) -> str:
        """The question's own line."""
        if self.range_ms is None:
            return f"eval instant at {written(self.at_ms or 0)} {self.expr}"
        start, end, step = map(written, self.range_ms)
        return f"eval range from {start} to {end} step {step} {self.expr}"


def read(path: Path) -> Script:
    """Read a script."""
    script = Script()
    step_ms = 0
    for number, raw in enumerate(path.read_text().splitlines(), start=1):
        line = raw.split(" # ")[0].rstrip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("load "):
            step_ms = milliseconds(line.removeprefix("load "))
        elif match := _EVAL.fullmatch(line):
            times = [milliseconds(match[name]) for name in ("start", "end", "step") if match[name]]
            script.questions.append(
                Question(
                    number,
                    match["expr"],
                    None if times else milliseconds(match["at"]),
                    (times[0], times[1], times[2]) if times else None,
                )
            )
        elif script.questions:
            script.questions[-1].answer.append(line.strip())
        else:
            labels, values = series(line.strip())
            script.series[labels] = [(at * step_ms, v) for at, v in enumerate(values) if v is not None]
    return script


def series(line: str) -> tuple[Labels, list[float | None]]:
    """Read a line of labels and values."""
    text, values = re.fullmatch(r"((?:[^\s{]+)?(?:\{[^}]*\})?)\s+(.*)", line).groups()
    if text.startswith("{"):
        found = parse_exposition(f"x{text} 1\n")[0][0].drop(("__name__",))
    else:
        found = parse_exposition(f"{text} 1\n")[0][0]
    return found, list(_values(values))


def _values(text: str) -> Iterator[float | None]:
    for item in text.split():
        match = _ITEM.fullmatch(item)
        assert match is not None, item
        times = int(match["times"] or 0)
        if match["first"] == "_":
            yield from [None] * max(1, times)
            continue
        value = STALE_NAN if match["first"] == "stale" else number(match["first"])
        for _ in range(times + 1):
            yield value
            value += float(match["step"] or 0)


def number(text: str) -> float:
    """Read a number as Prometheus writes it."""
    return float(text.replace("Inf", "inf"))


def milliseconds(text: str) -> int:
    """Read a duration."""
    if text == "0":
        return 0
    sign = -1 if text.startswith("-") else 1
    return sign * sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)(ms|s|m|h|d)", text))


def written(ms: int) -> str:
    """Write a duration."""
    if ms == 0:
        return "0"
    unit, size = next((unit, size) for unit, size in reversed(_UNITS.items()) if ms % size == 0)
    return f"{ms // size}{unit}"


def bits(value: float) -> bytes:
    """Return what makes two floats the same: all bits, but any NaN is like another."""
    return b"NaN" if math.isnan(value) else struct.pack("<d", value)
