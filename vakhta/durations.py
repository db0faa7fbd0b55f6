"""Durations as Prometheus writes them: ``1h30m``, ``5s``, ``100ms``.

Source: https://prometheus.io/docs/prometheus/latest/configuration/configuration/ (``<duration>``).
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

_UNITS: Final = (
    ("y", 365 * 24 * 3600 * 1000),
    ("w", 7 * 24 * 3600 * 1000),
    ("d", 24 * 3600 * 1000),
    ("h", 3600 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
)
_PATTERN: Final = re.compile("".join(rf"(?:([0-9]+){unit})?" for unit, _ in _UNITS))
_DIGITS: Final = 30  # beyond any range, even with leading zeros; Python refuses to read numbers of thousands
_LONGEST_MS: Final = (1 << 63) // 1_000_000


def parse(text: str) -> timedelta:
    """Read a duration: units in descending order, each at most once; ``0`` alone is allowed.

    Raises:
        ValueError: The text is not a duration; the message says what one looks like.
    """
    if text == "0":
        return timedelta()
    found = _PATTERN.fullmatch(text) if text else None
    if found is None:
        raise ValueError(f"not a duration: {text!r}; write it like 30s, 5m or 1h30m")
    if any(len(part) > _DIGITS for part in found.groups() if part):
        raise ValueError(f"duration out of range: {text}")
    ms = sum(int(part) * size for part, (_, size) in zip(found.groups(), _UNITS, strict=True) if part)
    if ms > _LONGEST_MS:
        raise ValueError(f"duration out of range: {text}")
    return timedelta(milliseconds=ms)


def format_exact(span: timedelta) -> str:
    """Write a duration so that :func:`parse` reads the same back, the way Prometheus prints one."""
    ms = round(span.total_seconds() * 1000)
    if ms == 0:
        return "0s"
    parts = []
    for unit, size in _UNITS:
        exact_only = unit in ("y", "w", "d")  # 8d stays 8d, not 1w1d
        if exact_only and ms % size:
            continue
        count, ms = divmod(ms, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)
