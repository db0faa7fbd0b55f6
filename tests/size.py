"""How long tests may take their time: ``SIZE=ci`` is minutes, ``SIZE=full`` the soak."""

from __future__ import annotations

import os

SIZE = os.environ.get("SIZE", "ci")
if SIZE not in ("ci", "full"):
    raise ValueError(f"SIZE is {SIZE!r}: set it to ci or full")
FULL = SIZE == "full"
_MORE = 20 if FULL else 1


def examples(count: int) -> int:
    """Return how many examples a property is tried on, where CI has the time for this many."""
    return count * _MORE
