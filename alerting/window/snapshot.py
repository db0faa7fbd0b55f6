"""A window on disk, so that a restart does not forget.

A snapshot is a line that names the format, then one compressed stream: a JSON header with the series' labels and
sample counts, the times as differences, and the values, each after another. It is read back whole or not at all.
"""

from __future__ import annotations

import json
import os
import zlib
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from alerting.labels import Labels
from alerting.promql.values import Floats, Times

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from alerting.window.window import Window

SeriesData: TypeAlias = tuple[Labels, Times, Floats]

_MAGIC: Final = b"vakhta window 1\n"
_MAX_BYTES: Final = 1 << 30
"""No snapshot is larger: a damaged one must not fill the memory."""
_MAX_MS: Final = 1 << 53
"""No time is farther from the epoch."""


class SnapshotError(Exception):
    """A snapshot that is damaged, or written by another version."""


def pack(series: Iterable[SeriesData]) -> bytes:
    """Return the series in snapshot form."""
    labels: list[list[list[str]]] = []
    times: list[Times] = []
    values: list[Floats] = []
    for one, t, v in series:
        labels.append([list(pair) for pair in one.pairs])
        times.append(t)
        values.append(v)
    header = json.dumps({"labels": labels, "sizes": [len(t) for t in times]}).encode()
    t = np.concatenate(times) if times else np.empty(0, dtype=np.int64)
    v = np.concatenate(values) if values else np.empty(0)
    body = (
        len(header).to_bytes(8, "little")
        + header
        + np.diff(t, prepend=0).astype("<i8").tobytes()
        + v.astype("<f8").tobytes()
    )
    return _MAGIC + zlib.compress(body, level=1)


def unpack(data: bytes) -> Iterator[SeriesData]:
    """Yield the series of a snapshot.

    Raises:
        SnapshotError: Not a snapshot of this version, or a damaged one; raised before the first series.
    """
    if not data.startswith(_MAGIC):
        raise SnapshotError("not a window snapshot of this version")
    try:
        return iter(_series(data[len(_MAGIC) :]))
    except (zlib.error, ValueError, KeyError, TypeError, OverflowError, RecursionError) as exc:
        raise SnapshotError(f"the window snapshot is damaged: {exc}") from exc


def _series(packed: bytes) -> list[SeriesData]:
    stream = zlib.decompressobj()
    body = stream.decompress(packed, _MAX_BYTES)
    if not stream.eof:
        raise ValueError("it ends early, or is larger than any snapshot")
    end = 8 + int.from_bytes(body[:8], "little")
    header = json.loads(body[8:end])
    sizes = np.array(header["sizes"], dtype=np.int64).reshape(-1)
    total = int(sizes.sum())
    if (sizes < 0).any() or len(body) != end + 16 * total or len(header["labels"]) != len(sizes):
        raise ValueError("its parts do not fit together")
    t = np.cumsum(np.frombuffer(body, dtype="<i8", count=total, offset=end)).astype(np.int64)
    v = np.frombuffer(body, dtype="<f8", count=total, offset=end + 8 * total).astype(np.float64)
    bounds = np.concatenate(([0], np.cumsum(sizes))).tolist()
    found = []
    for pairs, lo, hi in zip(header["labels"], bounds, bounds[1:], strict=False):
        if lo == hi or (t[lo + 1 : hi] <= t[lo : hi - 1]).any() or max(-t[lo], t[hi - 1]) > _MAX_MS:
            raise ValueError("its times do not rise")
        found.append((Labels([(str(name), str(value)) for name, value in pairs]), t[lo:hi], v[lo:hi]))
    return found


def save(window: Window, path: Path) -> None:
    """Write a window's snapshot, replacing the file in one step.

    Raises:
        OSError: The file cannot be written; an earlier one is still there.
    """
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(window.dump())
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def restore(window: Window, path: Path) -> int:
    """Load the snapshot in a file into a window, and return how many series it gave; 0 if there is no file.

    Raises:
        OSError: The file cannot be read.
        SnapshotError: What is in the file cannot be used.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return 0
    return window.load(data)
