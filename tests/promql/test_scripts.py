"""The engine gives the answers that a real Prometheus 3.5.3 gave, to the last bit; see `script` for the notation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alerting.promql import (
    Engine,
    EvaluationError,
    ParseError,
    Result,
    Sample,
    Scalar,
    Series,
    String,
    parse,
)
from alerting.window import Window
from tests.promql.script import Question, bits, number, read, series

if TYPE_CHECKING:
    from alerting.labels import Labels
    from alerting.promql import Storage

_SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.promql"))
_ORDERED = re.compile(r"(topk|bottomk|sort|sort_desc)\b")


@dataclass(frozen=True)
class _Plain:
    """The simplest store: it filters a list."""

    series: tuple[Series, ...]

    def select(self, matchers, start_ms, end_ms):
        """Return matching series cut to the times."""
        for one in self.series:
            inside = (one.t > start_ms) & (one.t <= end_ms)
            if inside.any() and all(matcher.matches_labels(one.labels) for matcher in matchers):
                yield Series(one.labels, one.t[inside], one.v[inside])

    @classmethod
    def of(cls, found: dict[Labels, list[tuple[int, float]]]) -> _Plain:
        """Keep series in the order of their labels."""
        return cls(
            tuple(Series.of(labels, found[labels]) for labels in sorted(found, key=lambda one: one.pairs))
        )


class _Listing(_Plain):
    def select(self, matchers, start_ms, end_ms):
        """Return a list, as the protocol asks."""
        return list(super().select(matchers, start_ms, end_ms))


def _stores() -> dict[str, tuple[Storage, Storage]]:
    stores = {}
    for path in _SCRIPTS:
        found = read(path).series
        window = Window()
        for labels, points in found.items():
            for t, v in points:
                window.append(labels, t, v)
        stores[path.stem] = (window, _Listing.of(found))
    return stores


_STORES = _stores()
_QUESTIONS = [
    pytest.param(path.stem, question, id=f"{path.stem}:{question.line} {question.expr}")
    for path in _SCRIPTS
    for question in read(path).questions
]


def _ask(question: Question, store: Storage) -> Result:
    engine, query = Engine(), parse(question.expr)
    if question.range_ms is None:
        return engine.instant(query, store, question.at_ms)
    return engine.range(query, store, *question.range_ms)


def _answer(question: Question) -> tuple[list[str], list[str], list[tuple[object, ...]]]:
    warnings, infos, values = [], [], []
    for line in question.answer:
        word, _, rest = line.partition(" ")
        if word in ("warn", "info"):
            (warnings if word == "warn" else infos).append(rest)
        elif word == "scalar":
            values.append(("scalar", bits(number(rest))))
        elif word == "string":
            values.append(("string", rest))
        elif "@" in rest.split(" ")[-1]:
            labels, _ = series(f"{word} 1" if "}" not in line else f"{line[: line.rindex('}') + 1]} 1")
            points = line[line.rindex("}") + 1 :] if "}" in line else rest
            pairs = (point.split("@") for point in points.split())
            values.append((labels, [(round(float(t) * 1000), bits(number(v))) for v, t in pairs]))
        else:
            values.append(_row(question, line))
    return warnings, infos, values


def _row(question: Question, line: str) -> tuple[object, ...]:
    labels, found = series(line)
    if question.range_ms is None:
        return labels, bits(found[0])
    start, _, step = question.range_ms
    return labels, [(start + i * step, bits(v)) for i, v in enumerate(found) if v is not None]


def _given(result: Result) -> list[tuple[object, ...]]:
    match result.value:
        case Scalar(value=value):
            return [("scalar", bits(value))]
        case String(value=value):
            return [("string", value)]
        case found:
            return [
                (one.labels, bits(one.value))
                if isinstance(one, Sample)
                else (one.labels, [(t, bits(v)) for t, v in one.points()])
                for one in found
            ]


@pytest.mark.parametrize("kind", [0, 1], ids=["window", "plain store"])
@pytest.mark.parametrize(("script", "question"), _QUESTIONS)
def test_the_answer_is_prometheus_answer(script: str, question: Question, kind: int) -> None:
    """Labels, values to the last bit, times, warnings and errors are those of the real server."""
    store = _STORES[script][kind]
    if question.answer and question.answer[0].split()[0] == "fail":
        with pytest.raises((EvaluationError, ParseError)) as caught:
            _ask(question, store)
        assert question.answer[0].removeprefix("fail").strip() in str(caught.value)
        return
    result = _ask(question, store)
    warnings, infos, values = _answer(question)
    given = _given(result)
    if not _ORDERED.match(question.expr):
        given.sort(key=lambda one: str(one[0]))
        values.sort(key=lambda one: str(one[0]))
    assert given == values
    assert sorted(result.warnings) == warnings
    assert sorted(result.infos) == infos
