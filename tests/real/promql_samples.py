"""The samples that both engines are asked about.

Counters with resets, gauges with NaN and infinities, gaps, histograms, series that end and come back. Everything is
made from a fixed seed, so that a difference found once is found again.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from alerting.labels import Labels
from alerting.promql import STALE_NAN

if TYPE_CHECKING:
    from collections.abc import Iterator

START = 1_700_000_000
"""The first sample's time in seconds; not on a full minute, so that steps and subqueries are not aligned by chance."""
STEP = 15
STEPS = 480

Points = dict[int, float]
"""Values by time in milliseconds."""


def samples() -> dict[Labels, Points]:
    """Return all series with their samples."""
    rng = random.Random(20240229)
    series: dict[Labels, Points] = {}
    for labels, values in _all(rng):
        times = (START * 1000 + step * STEP * 1000 for step in range(STEPS))
        series[Labels(labels)] = {t: v for t, v in zip(times, values, strict=False) if v is not None}
    return series


def _all(rng: random.Random) -> Iterator[tuple[dict[str, str], list[float | None]]]:
    for name in ("web", "db", "cache"):
        for code in ("200", "404", "500"):
            yield (
                {"__name__": "http_requests_total", "name": name, "code": code, "job": "app"},
                _counter(
                    rng, speed=rng.choice((0.5, 3, 40)), resets=rng.randint(0, 6), gaps=rng.randint(0, 3)
                ),
            )
        yield (
            {"__name__": "container_info", "name": name, "image": f"img-{name}:1", "version": "7"},
            _constant(1.0),
        )
        yield {"__name__": "mem_bytes", "name": name, "job": "app"}, _walk(rng, 5e8, 1e6)
        yield {"__name__": "mem_limit_bytes", "name": name}, _constant(0.0 if name == "cache" else 1e9)
        yield {"__name__": "up", "name": name, "job": "app"}, _flapping(rng)
        yield {"__name__": "temp", "name": name, "room": "a" if name == "db" else "b"}, _walk(rng, 0.1, 0.7)
        yield from _histogram(rng, name)
    yield {"__name__": "mem_bytes", "name": "web", "job": "other"}, _walk(rng, 1e8, 1e7)
    yield {"__name__": "container_info", "name": "gone", "image": "x"}, _constant(1.0)[:100]
    yield (
        {"__name__": "container_info", "name": "late", "image": "x", "version": "8"},
        [None] * 300 + _constant(1.0)[:180],
    )
    for name in ("ends", "flaps"):
        yield (
            {"__name__": "container_info", "name": name, "image": "x"},
            _ending(rng, 1 if name == "ends" else 9),
        )
    yield {"__name__": "strange", "kind": "mixed"}, _strange(rng)
    yield {"__name__": "strange", "kind": "nan"}, _constant(math.nan)
    yield {"__name__": "strange", "kind": "inf"}, _constant(math.inf)
    yield {"__name__": "strange", "kind": "huge"}, [rng.uniform(-1, 1) * 1.7e308 for _ in range(STEPS)]
    yield {"__name__": "strange", "kind": "tiny"}, [rng.uniform(-1, 1) * 1e-308 for _ in range(STEPS)]
    yield {"__name__": "small"}, [float(step % 7) for step in range(STEPS)]
    yield (
        {"__name__": "born_total", "name": "web"},
        [None] * 200 + [float(1 + step // 50) for step in range(280)],
    )
    yield (
        {"__name__": "sparse_total", "name": "web"},
        [float(s) if s % 18 == 0 else None for s in range(STEPS)],
    )


def _constant(value: float) -> list[float | None]:
    return [value] * STEPS


def _walk(rng: random.Random, start: float, stride: float) -> list[float | None]:
    value, out = start, []
    for _ in range(STEPS):
        value += rng.gauss(0, stride)
        out.append(value)
    return out


def _counter(rng: random.Random, *, speed: float, resets: int, gaps: int) -> list[float | None]:
    reset_at = set(rng.sample(range(STEPS), resets))
    value, out = rng.uniform(0, 1000), []
    for step in range(STEPS):
        value = rng.uniform(0, 2 * speed) if step in reset_at else value + rng.expovariate(1 / speed)
        out.append(value)
    for _ in range(gaps):
        at = rng.randrange(STEPS)
        out[at : at + rng.randint(1, 60)] = [None] * len(out[at : at + rng.randint(1, 60)])
    return out[:STEPS]


def _flapping(rng: random.Random) -> list[float | None]:
    return [0.0 if rng.random() < 0.1 else 1.0 for _ in range(STEPS)]


def _ending(rng: random.Random, times: int) -> list[float | None]:
    """End by a stale marker so many times, each time for a while."""
    values = _constant(1.0)
    for at in sorted(rng.sample(range(20, STEPS - 20), times)):
        values[at] = STALE_NAN
        pause = rng.randint(1, 15)
        values[at + 1 : at + 1 + pause] = [None] * len(values[at + 1 : at + 1 + pause])
    return values


def _strange(rng: random.Random) -> list[float | None]:
    odd = (math.nan, math.inf, -math.inf, -0.0, 0.0, None)
    return [rng.choice(odd) if rng.random() < 0.3 else rng.gauss(0, 100) for _ in range(STEPS)]


def _histogram(rng: random.Random, name: str) -> Iterator[tuple[dict[str, str], list[float | None]]]:
    bounds = ("0.005", "0.1", "0.5", "1", "2.5", "+Inf")
    counts = [0.0] * len(bounds)
    columns: list[list[float | None]] = [[] for _ in bounds]
    for step in range(STEPS):
        first = 0.0
        for at in range(len(bounds)):
            first += rng.randint(0, 3)
            counts[at] += first
        for at, count in enumerate(counts):
            # One histogram is inconsistent now and then, as after a scrape in the middle of an update.
            columns[at].append(count - 30 if name == "db" and at == 2 and step % 11 == 0 else count)
    for bound, column in zip(bounds, columns, strict=True):
        yield {"__name__": "latency_bucket", "name": name, "le": bound}, column
    yield {"__name__": "latency_count", "name": name}, list(columns[-1])
