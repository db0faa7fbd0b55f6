"""One message of a test in one chat: fired, confirmed, resolved by an edit; and what became of it, in a person's words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from alerting.alerts import Alert, Severity
from alerting.state import StateError
from alerting.telegram.advice import advice
from alerting.telegram.clock import Clock
from alerting.telegram.draft import Draft, Kind, Priority
from alerting.telegram.errors import Action, Delivered, Failure, Reason
from alerting.telegram.news import Delivered as Confirmed
from alerting.telegram.news import GivenUp, News
from alerting.telegram.outbox import Outbox
from alerting.telegram.render import Text
from alerting.telegram.sample import Where, firing, is_silent, resolved
from vakhta import logs

_log = logs.get("alerting.telegram.shot")

LIMIT: Final = timedelta(seconds=30)
SETTLE: Final = timedelta(seconds=2)
_PRIORITIES: Final = {Severity.CRITICAL: Priority.CRITICAL, Severity.WARNING: Priority.WARNING}
# Should the process end in between, the queue does not tell a test of yesterday.
_BACKSTOP: Final = timedelta(seconds=5)
# Failures in a row after which "again" is no answer; one may be chance.
_ENOUGH: Final = 2
_HOPELESS: Final = frozenset({Action.PARK, Action.SLOW_RETRY, Action.OPEN_CIRCUIT, Action.DEAD})
_AGAIN: Final = frozenset({Action.RETRY, Action.AMBIGUOUS})


class Stage(StrEnum):
    """Which message of a test."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of one message.

    Attributes:
        seconds: From firing it to Telegram's confirmation; ``None``: there was none.
        reason: A word of :class:`~alerting.telegram.errors.Reason`; empty when all is well.
        error: One sentence with its remedy; empty when all is well.
    """

    receiver: str
    chat_id: int
    thread_id: int | None
    stage: Stage
    ok: bool
    message_id: int | None = None
    seconds: float | None = None
    reason: str = ""
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the report as its line of JSON has it (docs/interfaces.md, section 6)."""
        found: dict[str, Any] = {"receiver": self.receiver, "chat_id": self.chat_id}
        if self.thread_id is not None:
            found["message_thread_id"] = self.thread_id
        found |= {"stage": self.stage.value, "ok": self.ok}
        if self.message_id is not None:
            found["message_id"] = self.message_id
        if self.seconds is not None:
            found["seconds"] = round(self.seconds, 3)
        return found if self.ok else {**found, "reason": self.reason, "error": self.error}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long a message may take, and how long the test stands before it is resolved."""

    limit: timedelta = LIMIT
    settle: timedelta = SETTLE


@dataclass(slots=True, kw_only=True)
class Shot:
    """A test in one chat.

    Attributes:
        key: Its conversation in the outbox.
        closing: Set when the process ends: nothing is waited for any more.
    """

    outbox: Outbox
    clock: Clock
    pace: Pace
    api_url: str
    key: str
    where: Where
    alert: Alert
    closing: asyncio.Event

    async def run(self, told: Callable[[Report], None]) -> None:
        """Fire, wait, resolve, and tell of each message."""
        try:
            await self._run(told)
        except Exception:  # noqa: BLE001  the top of a task: whoever waits for the answer gets one
            _log.exception("test stumbled", chat=self.where.chat_id)
            error = "this is a bug: the log of vakhta-alerting has the details, please report it"
            told(self._report(Stage.FIRING, reason=Reason.INTERNAL, error=error))

    async def _run(self, told: Callable[[Report], None]) -> None:
        failure = await self.outbox.try_again(self.where.chat_id)
        if failure is not None and _no_use([failure], self.pace.limit.total_seconds()):
            told(self._report(Stage.FIRING, failure=failure))
            return
        fired = await self._stage(Stage.FIRING, firing(self.alert, self.where))
        told(fired)
        if fired.message_id is None:
            return
        await self.clock.wait(self.closing, self.pace.settle.total_seconds())
        text = resolved(self.alert, self.where, self.clock.now(), fired.seconds)
        told(await self._stage(Stage.RESOLVED, text))

    async def _stage(self, stage: Stage, text: Text) -> Report:
        with self.outbox.follow(self.key, self.where.chat_id) as news:
            try:
                await self.outbox.put(self._draft(stage, text))
                return await self._listen(stage, news)
            except StateError as exc:
                return self._report(
                    stage, reason=Reason.INTERNAL, error=f"the state file cannot be written: {exc}"
                )

    def _draft(self, stage: Stage, text: Text) -> Draft:
        now, fires = self.clock.now(), stage is Stage.FIRING
        severity = self.alert.severity
        return Draft(
            key=self.key,
            chat_id=self.where.chat_id,
            thread_id=self.where.thread_id,
            kind=Kind.SEND if fires else Kind.EDIT,
            priority=_PRIORITIES.get(severity, Priority.INFO) if fires else Priority.EDIT,
            html=text.html,
            plain=text.plain,
            silent=is_silent(self.alert, self.where),
            created_at=now,
            give_up_after=self.pace.limit + _BACKSTOP,
        )

    async def _listen(self, stage: Stage, news: News) -> Report:
        """Follow a message until it is confirmed, hopeless or too late."""
        deadline = self.clock.monotonic() + self.pace.limit.total_seconds()
        failures: list[Failure] = []
        while (left := deadline - self.clock.monotonic()) > 0:
            item = news.take()
            if item is None:
                await self.clock.wait(news.event, left)
            elif isinstance(item, Confirmed):
                return self._confirmed(stage, item, failures)
            elif isinstance(item, GivenUp):
                break
            else:
                failures.append(item)
                if _no_use(failures, left):
                    break
        sending = await self.outbox.withdraw(self.key)
        return self._report(stage, failure=failures[-1] if failures else _unanswered(sending=sending))

    def _confirmed(self, stage: Stage, item: Confirmed, failures: Sequence[Failure]) -> Report:
        elsewhere = next((f for f in failures if f.reason is Reason.TOPIC_GONE), None)
        if item.message_id is None:
            return self._report(
                stage,
                reason=Reason.BAD_ANSWER,
                error="it seems delivered, but the answer was cut short: test again",
            )
        report = self._report(stage, failure=elsewhere) if elsewhere else self._report(stage)
        return replace(report, message_id=item.message_id, seconds=item.seconds)

    def _report(
        self, stage: Stage, *, failure: Failure | None = None, reason: str = "", error: str = ""
    ) -> Report:
        if failure is not None:
            reason, error = failure.reason, advice(failure, api_url=self.api_url)
        return Report(
            receiver=self.where.receiver,
            chat_id=self.where.chat_id,
            thread_id=self.where.thread_id,
            stage=stage,
            ok=not error,
            reason=reason,
            error=error,
        )


def _no_use(failures: Sequence[Failure], left: float) -> bool:
    """Whether waiting for another try within the time left is of no use."""
    last = failures[-1]
    if last.retry_after is not None and last.retry_after.total_seconds() >= left:
        return True
    return last.action in _HOPELESS or sum(f.action in _AGAIN for f in failures) >= _ENOUGH


def _unanswered(*, sending: bool) -> Failure:
    """Return the verdict on a message nothing was heard of: on its way, or still behind others."""
    return Failure(
        reason=Reason.TIMEOUT if sending else Reason.FLOOD,
        delivered=Delivered.UNKNOWN if sending else Delivered.NO,
        action=Action.DEAD,
        detail="",
    )
