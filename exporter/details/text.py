"""Text of containers made fit to be shown: no control characters, no terminal sequences, no more than a person reads.

What a container prints is written by whoever can make it print: it must not be able to colour, reorder or hide the rest of a message.
"""

import functools
from typing import Any, Final

import re2

__all__ = ["ELLIPSIS", "clean", "clean_block", "clip"]

ELLIPSIS: Final = "…"

# A control sequence (colours, cursor), an operating system command (titles, links) with its end, any other escape.
_ESCAPES: Final = (
    "\x1b\\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)|\x1b[ -/]*[0-~]?"
)

# C0 and C1 without the tab; what hides or turns round text; what never is text.
_INVISIBLE: Final = (
    *range(0x09),
    *range(0x0B, 0x20),
    *range(0x7F, 0xA0),
    0x200B,
    0x200E,
    0x200F,
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2065),
    *range(0x2066, 0x206A),
    0xFEFF,
    *range(0xFFF9, 0xFFFC),
)
_TABLE: Final = dict.fromkeys(_INVISIBLE) | {0x0A: " ", 0x2028: " ", 0x2029: " "}


@functools.cache
def _escapes() -> Any:
    return re2.compile(_ESCAPES)


def clean(line: str) -> str:
    """Return one line without escapes and controls; of a line that was written over, what a terminal would show last."""
    shown = line.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
    shown = shown.rstrip("\r\n")
    if "\r" in shown:
        shown = shown.rpartition("\r")[2]
    if "\x1b" in shown or "\x9b" in shown:
        shown = _escapes().sub("", shown)
    return shown.translate(_TABLE).rstrip()


def clean_block(text: str) -> str:
    """Return lines, each as `clean` does, without empty ones at the beginning and the end."""
    return "\n".join(clean(line) for line in text.split("\n")).strip("\n")


def clip(text: str, most: int) -> str:
    """Return at most so many characters, the last being an ellipsis if any are missing."""
    return text if len(text) <= most else text[: most - 1] + ELLIPSIS
