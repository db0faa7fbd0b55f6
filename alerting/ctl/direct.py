"""A test without the service: an outbox of its own, in memory, with the service's configuration.

The service's own queue is left alone: whatever waits there is the service's to send. Only the pauses that Telegram asked
for are read from it, because writing too early makes them longer.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from alerting.config import Config
from alerting.rules.model import RuleGroup
from alerting.service import STATE_FILE, Settings, telegram_receivers
from alerting.state.database import MEMORY, Database
from alerting.telegram import rows
from alerting.telegram.errors import Reason
from alerting.telegram.outbox import Outbox
from alerting.telegram.sample import Order
from alerting.telegram.sender import Sender
from alerting.telegram.shot import Pace, Report
from alerting.telegram.trial import Trial, check_token

_DRAIN: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What the service would be started with."""

    config: Config
    groups: tuple[RuleGroup, ...]
    settings: Settings


async def fire(prepared: Prepared, order: Order, told: Callable[[Report], None], pace: Pace) -> bool:
    """Run a test and tell of each message; return whether all were confirmed.

    Raises:
        OrderError: It asks for what there is not.
        NoBotError: There is no bot to send with.
    """
    settings = prepared.settings
    token = check_token(settings.token)
    pauses = asked_pauses(settings.storage / STATE_FILE)
    database = await Database.open(MEMORY)
    sender = Sender(token, api_url=settings.api_url)
    try:
        await database.write(lambda connection: _remember(connection, pauses))
        outbox = Outbox(database, sender)
        trial = Trial(
            outbox,
            prepared.groups,
            telegram_receivers(prepared.config, settings),
            zone=settings.zone,
            token=token,
            api_url=settings.api_url,
            pace=pace,
        )
        plan = trial.plan(order)
        running = asyncio.create_task(outbox.run())
        try:
            reports: list[Report] = []
            async for report in trial.run(plan):
                reports.append(report)
                told(report)
            return plan.passed(reports)
        finally:
            await trial.close()
            await outbox.drain(_DRAIN)
            await asyncio.gather(running, return_exceptions=True)
    finally:
        await sender.close()
        await database.close()


def _remember(connection: sqlite3.Connection, pauses: Iterable[tuple[int, float, str]]) -> None:
    for chat, until, fault in pauses:
        rows.pause(connection, chat, until, fault)


def asked_pauses(path: Path) -> list[tuple[int, float, str]]:
    """Return the pauses that Telegram asked for, as the service wrote them down; none where that cannot be read."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [pause for pause in rows.pauses(connection) if pause[2].startswith(Reason.FLOOD)]
    except sqlite3.Error:
        return []
