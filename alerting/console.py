"""Alerts on the console: what stands in for Telegram while there is no bot token."""

from __future__ import annotations

import itertools
import sys
from typing import TextIO

from alerting.telegram.draft import Kind
from alerting.telegram.errors import Failure
from alerting.telegram.html import to_plain
from alerting.telegram.sender import Operation, Outcome

CONSOLE_CHAT = 1
_TITLES = {Kind.SEND: "message", Kind.EDIT: "edited", Kind.REPLY: "reply", Kind.DELETE: "deleted"}


class ConsoleSender:
    """Prints what a person would get on the phone; message numbers count up from 1."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stdout
        self._ids = itertools.count(1)

    async def send(self, operation: Operation) -> Outcome:
        """Print the operation; it cannot fail."""
        new = operation.message_id is None
        number = next(self._ids) if new else operation.message_id
        text = to_plain(operation.text) if operation.as_html else operation.text
        sound = ", silent" if new and operation.silent else ""
        head = f"┌ {_TITLES[operation.kind]} {number}{sound}"
        body = "".join(f"│ {line}\n" for line in text.splitlines())
        self._stream.write(f"{head}\n{body}└\n")
        self._stream.flush()
        return Outcome(message_id=number)

    async def probe(self) -> Failure | None:
        """The console always answers."""
        return None

    async def close(self) -> None:
        """Nothing to close."""
