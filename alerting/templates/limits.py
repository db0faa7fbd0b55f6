"""What one rendering may cost: a template is foreign text that runs inside the evaluation loop.

Go leaves a template unbounded; here ``{{range 1000000000}}`` must not hold up the rules behind it. Steps and
bytes give the same verdict on every machine; the time is the backstop for what they do not see.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAX_NESTING: Final = 100
"""Blocks, parentheses and templates inside each other; Python's own stack ends not far above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Upper bounds of one rendering.

    Attributes:
        steps: Actions, commands and loop rounds.
        output_bytes: Bytes of UTF-8 written out or built by functions, counted together.
        nesting: Depth of blocks, parentheses and template calls.
        seconds: Wall time, functions included; a function that blocks is noticed only when it returns.
        clock: Where the time comes from, in seconds.
    """

    steps: int = 100_000
    output_bytes: int = 256 * 1024
    nesting: int = MAX_NESTING
    seconds: float = 1.0
    clock: Callable[[], float] = time.monotonic


class LimitError(Exception):
    """A limit was reached; the text says which one."""


class Budget:
    """What is left of the limits during one rendering."""

    __slots__ = ("_bytes", "_deadline", "_depth", "_limits", "_steps")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._steps = limits.steps
        self._bytes = limits.output_bytes
        self._depth = 0
        self._deadline = limits.clock() + limits.seconds

    def step(self) -> None:
        """Pay for one step and look at the clock.

        Raises:
            LimitError: Too many steps, or too late.
        """
        self._steps -= 1
        if self._steps < 0:
            raise LimitError(f"more than {self._limits.steps} steps")
        if self._limits.clock() > self._deadline:
            raise LimitError(f"longer than {self._limits.seconds:g} s")

    def charge(self, text: str) -> None:
        """Pay for text that was written or built.

        Raises:
            LimitError: Too many bytes.
        """
        self.reserve(len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")))

    def reserve(self, size: int) -> None:
        """Pay for bytes before they are built.

        Raises:
            LimitError: Too many bytes.
        """
        self._bytes -= size
        if self._bytes < 0:
            raise LimitError(f"more than {self._limits.output_bytes} bytes of text")

    def enter(self) -> None:
        """Go one level deeper.

        Raises:
            LimitError: Too deep.
        """
        self._depth += 1
        if self._depth > self._limits.nesting:
            raise LimitError(f"nested deeper than {self._limits.nesting} levels")

    def leave(self) -> None:
        """Come back from :meth:`enter`."""
        self._depth -= 1
