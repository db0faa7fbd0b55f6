"""Gives samples to Prometheus by remote write: the one way in that takes past times and stale markers.

A message is a protobuf of series with labels and samples, compressed by snappy; both are simple enough to be written out.

Source: https://prometheus.io/docs/specs/prw/remote_write_spec/
"""

from __future__ import annotations

import struct
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alerting.labels import Labels

_SLICE_MS = 600_000
"""A message covers so much time: Prometheus refuses samples an hour older than its newest."""


def write(url: str, series: Mapping[Labels, Mapping[int, float]]) -> None:
    """Write all samples, the oldest first.

    Raises:
        urllib.error.HTTPError: Prometheus refuses them.
    """
    slices: dict[int, dict[Labels, list[tuple[int, float]]]] = {}
    for labels in sorted(series, key=lambda one: one.pairs):
        for t_ms, value in series[labels].items():
            slices.setdefault(t_ms // _SLICE_MS, {}).setdefault(labels, []).append((t_ms, value))
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for number in sorted(slices):
        message = b"".join(_field(1, _series(labels, points)) for labels, points in slices[number].items())
        request = urllib.request.Request(
            f"{url}/api/v1/write",
            data=_snappy(message),
            headers={
                "Content-Type": "application/x-protobuf",
                "Content-Encoding": "snappy",
                "X-Prometheus-Remote-Write-Version": "0.1.0",
            },
        )
        direct.open(request, timeout=30).close()


def _series(labels: Labels, points: list[tuple[int, float]]) -> bytes:
    pairs = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in labels.pairs
    )
    samples = (b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(t_ms) for t_ms, value in points)
    return pairs + b"".join(_field(2, sample) for sample in samples)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _snappy(content: bytes) -> bytes:
    """Wrap content in snappy's format as literals, which compress nothing."""
    pieces = (content[at : at + 60_000] for at in range(0, len(content), 60_000))
    return _varint(len(content)) + b"".join(b"\xf4" + struct.pack("<H", len(one) - 1) + one for one in pieces)
