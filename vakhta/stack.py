"""Both processes at once, for `make run`: start them, say where to look, end them together.

The processes share nothing with this one but their exit codes; a process that dies takes the other with it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from typing import Final

from vakhta.service import ExitCode, run

EXPORTER: Final = "http://127.0.0.1:9817"
ALERTING: Final = "http://127.0.0.1:9818"
_GRACE: Final = 6.0


def greeting(environ: Mapping[str, str]) -> str:
    """Return what a person reads once both processes are started."""
    token, chat = (_given(environ, name) for name in ("TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID"))
    told = (
        f"Telegram chat {chat}"
        if token and chat
        else "Telegram, to the chats of the configuration"
        if token
        else "printed here, until TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID are set"
    )
    return (
        "Vakhta is starting. Ctrl-C stops it.\n"
        f"  exporter  {EXPORTER}/   metrics {EXPORTER}/metrics\n"
        f"  alerting  {ALERTING}/   metrics {ALERTING}/metrics\n"
        f"  alerts    {told}\n"
    )


def _given(environ: Mapping[str, str], name: str) -> str:
    """Return a setting, or where it is to be read; empty if it is not given."""
    file = environ.get(f"{name}_FILE")
    return environ.get(name) or (f"named in {file}" if file else "")


async def _serve(stop: asyncio.Event) -> int:
    sys.stdout.write(greeting(os.environ))
    sys.stdout.flush()
    processes = [await _start("exporter"), await _start("alerting")]
    ends = [asyncio.create_task(process.wait()) for process in processes]
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([*ends, stopped], return_when=asyncio.FIRST_COMPLETED)
    codes = [task.result() for task in ends if task.done()]
    for process in processes:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
    await asyncio.wait(ends, timeout=_GRACE)
    stopped.cancel()
    return codes[0] if codes and not stop.is_set() else ExitCode.OK


async def _start(module: str) -> asyncio.subprocess.Process:
    # A session of its own: Ctrl-C reaches this process alone, which then ends both in order.
    return await asyncio.create_subprocess_exec(sys.executable, "-m", module, start_new_session=True)


def main() -> int:
    """Run both processes; return the code of the one that failed, or 0."""
    return run(_serve, hangup_ends=True)


if __name__ == "__main__":
    sys.exit(main())
