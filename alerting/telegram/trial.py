"""A test of delivery: a made-up alert through the real outbox, fired, confirmed, and resolved by an edit.

It knows no route, silence or incident, so none of them can hold it back or repeat it. What only a person can repair ends
it at once; anything else gets a second chance within the time limit. It says what it found and takes back what is left.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final

from alerting.alerts import Alert
from alerting.rules.model import RuleGroup
from alerting.telegram.announce import Chat
from alerting.telegram.clock import Clock, SystemClock
from alerting.telegram.outbox import Outbox
from alerting.telegram.sample import Order, Where, destinations, sample
from alerting.telegram.shot import Pace, Report, Shot, Stage
from vakhta.secrets import Secret

_TOKEN: Final = re.compile(r"\d{5,}:[A-Za-z0-9_-]{30,}")


class NoBotError(Exception):
    """There is no bot that could send a test; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A test that can be run."""

    alert: Alert
    destinations: tuple[Where, ...]

    def passed(self, reports: Sequence[Report]) -> bool:
        """Whether every message of every chat was confirmed; one that was never told of was not."""
        return len(reports) == len(self.destinations) * len(Stage) and all(report.ok for report in reports)


class Trial:
    """Runs tests through one outbox.

    Args:
        outbox: The real one.
        groups: The loaded rules.
        receivers: Receiver names to chats.
        zone: The zone clock times are written in.
        token: The bot's; ``None``: there is none.
        api_url: The server it is asked at, for what people are told.
        clock: The time.
        pace: How long things take.
    """

    def __init__(
        self,
        outbox: Outbox,
        groups: Sequence[RuleGroup],
        receivers: Mapping[str, Sequence[Chat]],
        *,
        zone: tzinfo,
        token: Secret | None,
        api_url: str,
        clock: Clock | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.pace = pace or Pace()
        self._outbox = outbox
        self._groups = groups
        self._receivers = receivers
        self._zone = zone
        self._token = token
        self._api_url = api_url
        self._clock = clock or SystemClock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    def plan(self, order: Order) -> Plan:
        """Prepare a test.

        Raises:
            OrderError: It asks for what there is not.
            NoBotError: Nothing can be sent.
        """
        check_token(self._token)
        alert = sample(self._groups, order, self._clock.now())
        return Plan(alert=alert, destinations=destinations(self._receivers, order, self._zone))

    async def run(self, plan: Plan) -> AsyncIterator[Report]:
        """Fire a test everywhere at once and yield what becomes of each message, as it happens.

        A test goes on to its end when nobody listens any more: a message that was fired gets resolved.
        """
        reports: asyncio.Queue[Report | None] = asyncio.Queue()
        number = secrets.token_hex(3)
        for index, where in enumerate(plan.destinations):
            shot = Shot(
                outbox=self._outbox,
                clock=self._clock,
                pace=self.pace,
                api_url=self._api_url,
                key=f"test/{number}/{index}",
                where=where,
                alert=plan.alert,
                closing=self._closing,
            )
            task = asyncio.create_task(
                _guarded(shot.run(reports.put_nowait), reports), name=f"outbox {shot.key}"
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        left = len(plan.destinations)
        while left:
            report = await reports.get()
            if report is None:
                left -= 1
            else:
                yield report

    async def close(self) -> None:
        """End the tests that still run, where they stand."""
        self._closing.set()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _guarded(work: Coroutine[Any, Any, None], reports: asyncio.Queue[Report | None]) -> None:
    """Do the work; whatever becomes of it, say that it is over."""
    try:
        await work
    finally:
        reports.put_nowait(None)


def check_token(token: Secret | None) -> Secret:
    """Return the token if there is one and it looks like one; whether Telegram knows it only Telegram can say.

    Raises:
        NoBotError: It is missing or damaged.
    """
    if token is None:
        raise NoBotError(
            "there is no bot token, so nothing can be sent: get one from @BotFather and set "
            "TELEGRAM_BOT_TOKEN (or TELEGRAM_BOT_TOKEN_FILE) and TELEGRAM_CHAT_ID"
        )
    if _TOKEN.fullmatch(token.reveal()) is None:
        raise NoBotError(
            "the bot token is damaged: it is a number, a colon and some 35 letters, digits, - and _; copy all of it "
            "from @BotFather"
        )
    return token
