"""Renders families as Prometheus text 0.0.4 or OpenMetrics 1.0.

The per-container families do not go through prometheus_client: it would rename counters, and render 12 000 samples ten times slower
than a cache of label texts does. A sample has the same name in both formats: where OpenMetrics would demand another (a counter without
`_total`), the family's type is `unknown` there.
"""

import math
import re
from collections.abc import Sequence
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry
from prometheus_client.gc_collector import GCCollector
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.platform_collector import PlatformCollector

from exporter.families.model import Family, MetricType, World
from exporter.process import OwnProcess

__all__ = ["OPENMETRICS", "TEXT", "Renderer", "own_registry", "wants_openmetrics"]

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_QUALITY: Final = re.compile(r";\s*q=([0-9.]+)")


def own_registry() -> CollectorRegistry:
    """Return a registry with what is told about this process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(OwnProcess())
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def wants_openmetrics(accept: str) -> bool:
    """Whether an Accept header prefers OpenMetrics to the text format."""
    best = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for part in accept.split(","):
        kind = part.partition(";")[0].strip().lower()
        found = _QUALITY.search(part)
        try:
            quality = float(found[1]) if found else 1.0
        except ValueError:
            continue
        if kind in best:
            best[kind] = max(best[kind], quality)
    return (
        best["application/openmetrics-text"] > 0
        and best["application/openmetrics-text"] >= best["text/plain"]
    )


class Renderer:
    """Renders worlds.

    Args:
        families: In the order they are written.
        registry: Written after them.
    """

    def __init__(self, families: Sequence[Family], registry: CollectorRegistry) -> None:
        self._families = families
        self._registry = registry
        # Texts that may serve again, and what they rest on.
        self._kept: dict[tuple[str, bool], tuple[object, bytes]] = {}

    def render(self, world: World, *, as_openmetrics: bool) -> bytes:
        """Return the exposition of one world."""
        # Encoded a family at a time: a piece that fits the processor's cache costs a third of one text of megabytes.
        parts = [self._family(family, world, as_openmetrics=as_openmetrics) for family in self._families]
        if as_openmetrics:
            parts.append(openmetrics.generate_latest(self._registry))  # type: ignore[no-untyped-call] # untyped there
        else:
            parts.append(prometheus_client.generate_latest(self._registry))
        return b"".join(parts)

    def _family(self, family: Family, world: World, *, as_openmetrics: bool) -> bytes:
        if family.rests_on is None:
            return _text(family, world, as_openmetrics=as_openmetrics)
        basis = family.rests_on(world)
        known = self._kept.get((family.name, as_openmetrics))
        if known is None or known[0] != basis:
            known = (basis, _text(family, world, as_openmetrics=as_openmetrics))
            self._kept[family.name, as_openmetrics] = known
        return known[1]


def _text(family: Family, world: World, *, as_openmetrics: bool) -> bytes:
    name = family.name
    lines = [
        f"{name}{labels.texts[own]} {value if type(value) is int else _number(value)}\n"
        for labels, own, value in family.samples(world)
    ]
    if lines:
        described, type_ = _openmetrics_head(family) if as_openmetrics else (name, family.type.value)
        lines[0] = f"# HELP {described} {_escape_help(family.help)}\n# TYPE {described} {type_}\n{lines[0]}"
    return "".join(lines).encode()


def _openmetrics_head(family: Family) -> tuple[str, str]:
    if family.type is not MetricType.COUNTER:
        return family.name, family.type.value
    if family.name.endswith("_total"):
        return family.name.removesuffix("_total"), "counter"
    return family.name, "unknown"


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(int(value))  # a bool is 0 or 1
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
