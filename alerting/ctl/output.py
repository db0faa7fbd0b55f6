"""What alertctl says: results to stdout, faults to stderr, colours where they help, the bot token nowhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final, TextIO

from vakhta import logs
from vakhta.secrets import Secret

_GREEN: Final = "32"
_RED: Final = "31"
_HIDDEN: Final = "<secret>"
_SHORTEST: Final = (
    6  # a shorter "secret" is a slip of the keyboard, and hiding it would hide what the text says
)


class CannotRunError(Exception):
    """The command could not do its work; the text names the fault and the remedy."""


class Output:
    """Where everything goes that a person reads.

    Args:
        environ: ``NO_COLOR`` and ``TERM`` switch colours off; a token in it is hidden even where it stands wrongly.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
        self._hidden: set[str] = set()
        for variable in ("TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID"):
            value = environ.get(variable, "").strip()
            if variable == "TELEGRAM_BOT_TOKEN" or ":" in value:  # the two swapped
                self.hide(Secret(value))

    def hide(self, secret: Secret | None) -> None:
        """Never show this, whatever text it is part of."""
        if secret is not None and len(secret.reveal()) >= _SHORTEST:
            self._hidden.add(secret.reveal())

    def say(self, text: str) -> None:
        """Write a result."""
        self._write(sys.stdout, text, "")

    def good(self, text: str) -> None:
        """Write a result that is as it should be."""
        self._write(sys.stdout, text, _GREEN)

    def note(self, text: str) -> None:
        """Write what has to be known beside the results."""
        self._write(sys.stderr, text, "")

    def bad(self, text: str) -> None:
        """Write a fault."""
        self._write(sys.stderr, text, _RED)

    def _write(self, stream: TextIO, text: str, colour: str) -> None:
        shown = logs.mask(text)
        for secret in sorted(self._hidden, key=len, reverse=True):
            shown = shown.replace(secret, _HIDDEN)
        if colour and not self._plain and stream.isatty():
            shown = f"\x1b[{colour}m{shown}\x1b[0m"
        stream.write(f"{shown}\n")
        stream.flush()
