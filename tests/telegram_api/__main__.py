"""Run the stand-in: ``python -m tests.telegram_api --listen 127.0.0.1:0 --print``.

The first line it prints is where it listens, the token and the chats it knows, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from typing import Any

from tests.telegram_api.chats import Chat
from tests.telegram_api.ledger import WRITES, Entry
from tests.telegram_api.rules import GROUP, PRIVATE, TOKEN, BotApi
from tests.telegram_api.server import StandIn


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.telegram_api", description="A strict local Bot API."
    )
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="port 0: any free one")
    parser.add_argument("--token", default=TOKEN, help="the only token it knows")
    parser.add_argument(
        "--chat", type=int, action="append", metavar="ID", help=f"default: {PRIVATE} and {GROUP}"
    )
    parser.add_argument("--no-flood", action="store_true", help="take messages as fast as they come")
    parser.add_argument(
        "--print", action="store_true", dest="show", help="print messages as a person sees them"
    )
    asyncio.run(_serve(parser.parse_args()))


async def _serve(options: argparse.Namespace) -> None:
    host, _, port = options.listen.rpartition(":")
    chats = [Chat(id=number) for number in options.chat or (PRIVATE, GROUP)]
    api = BotApi(
        token=options.token,
        chats=chats,
        wall_offset=time.time() - time.monotonic(),
        flood=not options.no_flood,
    )
    stand_in = StandIn(api, host=host, port=int(port))
    if options.show:
        shown = Shown(api)
        api.listeners.append(shown.update)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with stand_in:
        first: dict[str, Any] = {"url": stand_in.url, "token": options.token, "chats": list(api.chats)}
        _say(json.dumps(first))
        await stop.wait()


class Shown:
    """Prints each write once."""

    def __init__(self, api: BotApi) -> None:
        self._api = api
        self._last: Entry | None = None

    def update(self) -> None:
        """Print what is new."""
        entry = self._api.ledger.entries[-1] if self._api.ledger.entries else None
        if entry is not self._last and entry is not None and entry.method in WRITES:
            _show(self._api, entry)
        self._last = entry


def _show(api: BotApi, entry: Entry) -> None:
    stamp = time.strftime("%H:%M:%S", time.localtime(entry.wall)) + f".{int(entry.wall % 1 * 1000):03d}"
    where = f"{stamp}  {entry.chat_id}"
    if not entry.applied:
        _say(f"\n{where}  ✗ {entry.method}: {entry.status} {entry.description}")
        return
    message = api.chats[entry.chat_id or 0].messages.get(entry.message_id or 0)
    if message is None:
        _say(f"\n{where}  message {entry.message_id} deleted")
        return
    how = f"edited ({message.edits})" if message.edits else "silent" if message.silent else "with sound"
    answer = f", answers {message.reply_to}" if message.reply_to else ""
    _say(f"\n{where}  message {message.id}, {how}{answer}")
    _say("\n".join(f"  {line}" for line in message.text.split("\n")))
    for row in message.buttons:
        _say("  " + " ".join(f"[ {button['text']} ]" for button in row))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
