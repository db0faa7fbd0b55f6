"""Our engine and a real Prometheus give the same answers to the same questions about the same samples."""

from __future__ import annotations

import math
import random
import re
import struct
import urllib.error
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alerting.promql import Engine, QueryError, Sample, Scalar, String, parse
from alerting.promql.remote import decode
from alerting.window import Window
from tests.real.promql_grammar import Grammar
from tests.real.promql_samples import START, STEP, STEPS, samples
from tests.real.promql_write import write
from tests.real.servers import start_prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alerting.promql import Result
    from tests.real.servers import Server

_CORPUS = [
    line
    for line in (Path(__file__).parent / "promql_corpus.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
_END = START + STEP * STEPS
_GENERATED = 600


@dataclass(frozen=True)
class _Both:
    """The two engines over the same samples."""

    server: Server
    window: Window
    engine: Engine

    def instant(self, expr: str, at_ms: int) -> tuple[object, object]:
        """Ask both about one time."""
        ours = _outcome(lambda: self.engine.instant(parse(expr), self.window, at_ms))
        return ours, self._theirs("query", query=expr, time=at_ms / 1000)

    def range(self, expr: str, start_ms: int, end_ms: int, step_ms: int) -> tuple[object, object]:
        """Ask both about many times."""
        ours = _outcome(lambda: self.engine.range(parse(expr), self.window, start_ms, end_ms, step_ms))
        return ours, self._theirs(
            "query_range", query=expr, start=start_ms / 1000, end=end_ms / 1000, step=step_ms / 1000
        )

    def _theirs(self, path: str, **form: object) -> object:
        try:
            body = self.server.get(f"/api/v1/{path}?{urllib.parse.urlencode(form)}")
        except urllib.error.HTTPError as refusal:
            with refusal:
                body = refusal.read().decode()
        return _outcome(lambda: decode(200, body.encode()))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Both]:
    """A Prometheus and a window with the same samples."""
    series = samples()
    window = Window(budget=1 << 30)
    for labels, points in series.items():
        for t_ms, value in points.items():
            window.append(labels, t_ms, value)
    folder = tmp_path_factory.mktemp("promql")
    server = start_prometheus(
        "global: {}\n",
        folder,
        "--web.enable-remote-write-receiver",
        "--storage.tsdb.retention.time=100y",
    )
    try:
        write(server.url, series)
        yield _Both(server, window, Engine())
    finally:
        server.stop()


def _outcome(compute) -> object:
    """Return a result in comparable form, or that there was an error."""
    try:
        result: Result = compute()
    except QueryError:
        return "error"
    match result.value:
        case Scalar() | String() as single:
            value: object = (single.t_ms, _bits(single.value))
        case found:
            value = {one.labels: _points(one) for one in found}
            assert len(value) == len(found)
    return value, _remarks(result.warnings), _remarks(result.infos)


def _points(one) -> list[tuple[int, bytes]]:
    points = [(one.t_ms, one.value)] if isinstance(one, Sample) else one.points()
    return [(t_ms, _bits(value)) for t_ms, value in points]


def _bits(value: float | str) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return b"NaN" if math.isnan(value) else struct.pack("<d", value)


def _remarks(texts: tuple[str, ...]) -> set[str] | str:
    """Leave out positions, which our parser does not know; the server's API gives ten remarks at most."""
    without = {re.sub(r" \(\d+:\d+\)$", "", text) for text in texts}
    return "many" if len(without) >= 10 else without


@pytest.mark.parametrize("expr", _CORPUS)
def test_the_corpus_is_answered_alike(both: _Both, expr: str) -> None:
    """At three times and over a range, to the last bit, with the same warnings."""
    for at in (START + 3600, START + 1807.3, _END + 170):
        ours, theirs = both.instant(expr, round(at * 1000))
        assert ours == theirs
    ours, theirs = both.range(expr, (START + 600) * 1000, (_END + 300) * 1000, 437_000)
    assert ours == theirs


def _near(ours: object, theirs: object) -> bool:
    """Tell whether two outcomes differ by rounding at most."""
    if isinstance(ours, str) or isinstance(theirs, str) or ours[1:] != theirs[1:]:
        return ours == theirs
    mine, other = ours[0], theirs[0]
    if not isinstance(mine, dict) or not isinstance(other, dict) or mine.keys() != other.keys():
        return mine == other
    pairs = [pair for labels in mine for pair in zip(mine[labels], other[labels], strict=True)]
    return all(a[0] == b[0] and (a[1] == b[1] or _rounding(a[1], b[1])) for a, b in pairs)


def _rounding(a: bytes, b: bytes) -> bool:
    if b"NaN" in (a, b):
        return False
    return math.isclose(struct.unpack("<d", a)[0], struct.unpack("<d", b)[0], rel_tol=1e-11)


def test_generated_expressions_are_answered_alike(both: _Both) -> None:
    """Random expressions at random times: none differs by more than rounding, hardly one in its last digits.

    In a range query Prometheus adds up what functions and operators return in an order that changes from run to run,
    so that a sum of them may differ in the last digits.
    """
    different, rounded = [], []
    for number in range(_GENERATED):
        rng = random.Random(number)
        expr = Grammar(rng).vector(rng.randint(1, 3))
        at = START * 1000 + rng.choice(
            (rng.randrange(STEPS) * STEP * 1000, rng.randrange(STEPS * STEP * 1000))
        )
        step = rng.choice((15_000, 60_000, 37_000))
        if rng.random() < 0.5:
            outcomes = both.instant(expr, at)
        else:
            outcomes = both.range(expr, at, at + 20 * step, step)
        if not _near(*outcomes):
            different.append((number, expr, at))
        elif outcomes[0] != outcomes[1]:
            rounded.append((number, expr, at))
    assert different == []
    assert len(rounded) <= _GENERATED // 100
