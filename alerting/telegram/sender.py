"""One call to the Bot API and what became of it.

The token is part of every URL, so this is the place where it could leak: the libraries that log URLs are held at
WARNING before the first request, and no exception leaves :meth:`Sender.send`, only a judged failure without it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Protocol

from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions, ReplyParameters
from telegram._utils.types import ODVInput
from telegram.constants import ParseMode
from telegram.request import BaseRequest, HTTPXRequest, RequestData

from alerting.telegram.draft import Keyboard, Kind
from alerting.telegram.errors import BadAnswer, Failure, TooEarly, classify
from vakhta.secrets import Secret

API_URL: Final = "https://api.telegram.org"
# httpx counts its read timeout per chunk: an answer that drips would never end.
_DEADLINE: Final = 40.0
_PROBE_DEADLINE: Final = 10.0
_NO_PREVIEW: Final = LinkPreviewOptions(is_disabled=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call, with everything looked up.

    Attributes:
        text: The message, in Telegram's HTML if ``as_html``.
        message_id: Which message to edit or delete.
        reply_to: Which message to answer; one that is gone is no reason to fail.
    """

    kind: Kind
    chat_id: int
    text: str = ""
    as_html: bool = True
    thread_id: int | None = None
    message_id: int | None = None
    reply_to: int | None = None
    buttons: Keyboard = ()
    silent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a call.

    Attributes:
        failure: Why it failed; ``None``: it was done.
        message_id: The message that was sent or edited; ``None`` also when the answer could not be read.
    """

    message_id: int | None = None
    failure: Failure | None = None


class Courier(Protocol):
    """Whoever carries operations to people: the bot, or the console while there is none."""

    async def send(self, operation: Operation) -> Outcome:
        """Make one call and judge it. Raises nothing but ``CancelledError``."""
        ...

    async def probe(self) -> Failure | None:
        """Return why nothing can be carried now; ``None`` when it can."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


@dataclass(slots=True)
class _Seen:
    """What the wire showed of the current call, also when the library could not make sense of it."""

    ok: bool = False
    message_id: int | None = None


_seen: ContextVar[_Seen | None] = ContextVar("_seen", default=None)


class CheckedRequest(BaseRequest):
    """Passes requests on and refuses answers the library would stumble over.

    It turns the ``KeyError``, ``TypeError`` and ``AttributeError`` that odd answers cause into one
    :class:`~alerting.telegram.errors.BadAnswer`, and keeps their bodies out of the library's error log.
    """

    __slots__ = ("_inner",)

    def __init__(self, inner: BaseRequest) -> None:
        self._inner = inner

    @property
    def read_timeout(self) -> float | None:
        """The inner one's."""
        return self._inner.read_timeout

    async def initialize(self) -> None:
        """Open the inner one."""
        await self._inner.initialize()

    async def shutdown(self) -> None:
        """Close the inner one."""
        await self._inner.shutdown()

    async def do_request(
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        read_timeout: ODVInput[float] = BaseRequest.DEFAULT_NONE,
        write_timeout: ODVInput[float] = BaseRequest.DEFAULT_NONE,
        connect_timeout: ODVInput[float] = BaseRequest.DEFAULT_NONE,
        pool_timeout: ODVInput[float] = BaseRequest.DEFAULT_NONE,
    ) -> tuple[int, bytes]:
        """Make the request and check the shape of its answer.

        Raises:
            BadAnswer: It is not an answer of the Bot API.
            TooEarly: Telegram asks to wait.
        """
        status, body = await self._inner.do_request(
            url, method, request_data, read_timeout, write_timeout, connect_timeout, pool_timeout
        )
        _check(status, body)
        return status, body


def _check(status: int, body: bytes) -> None:
    success = 200 <= status < 300
    excerpt = repr(body[:80])
    try:
        answer = json.loads(body)
    except ValueError:
        announced = body.replace(b" ", b"").startswith(b'{"ok":true')
        raise BadAnswer(status, excerpt, looks_delivered=success and announced) from None
    if not isinstance(answer, dict):
        raise BadAnswer(status, excerpt, looks_delivered=False)
    if success and (answer.get("ok") is not True or "result" not in answer):
        raise BadAnswer(status, excerpt, looks_delivered=False)
    parameters = answer.get("parameters")
    wait = parameters.get("retry_after") if isinstance(parameters, dict) and not success else None
    if isinstance(wait, int | float) and wait > 0:
        raise TooEarly(timedelta(seconds=wait))
    seen = _seen.get()
    if success and seen is not None:
        result = answer["result"]
        number = result.get("message_id") if isinstance(result, dict) else None
        seen.ok = True
        seen.message_id = number if isinstance(number, int) else None


def http_request(*, proxy: str | None = None, read_timeout: float = 25, pool: int = 16) -> BaseRequest:
    """Make the HTTP client for a bot; proxies come from the configuration only, never from the environment."""
    return CheckedRequest(
        HTTPXRequest(
            connection_pool_size=pool,
            connect_timeout=10,
            read_timeout=read_timeout,
            write_timeout=15,
            pool_timeout=5,
            media_write_timeout=60,
            proxy=proxy,
            httpx_kwargs={"trust_env": False},
        )
    )


class Sender:
    """A bot that answers with outcomes instead of exceptions.

    Attributes:
        bot: For what is not a delivery: polling, answers to buttons, commands. Its ``repr`` shows the token.
    """

    def __init__(
        self,
        token: Secret,
        *,
        api_url: str = API_URL,
        proxy: str | None = None,
        request: BaseRequest | None = None,
        polling: BaseRequest | None = None,
    ) -> None:
        """Prepare a bot; nothing is asked of Telegram yet.

        Args:
            token: The bot's.
            api_url: The server, as Alertmanager's ``telegram_api_url`` has it.
            proxy: ``http://`` or ``socks5://``, for all calls.
            request: Another way to make requests than HTTP.
            polling: The same for ``getUpdates``.
        """
        for name in ("httpx", "httpcore", "telegram"):
            logger = logging.getLogger(name)
            logger.setLevel(max(logger.level, logging.WARNING))
        self._token = token
        self.bot = Bot(
            token.reveal(),
            base_url=f"{api_url.rstrip('/')}/bot",
            base_file_url=f"{api_url.rstrip('/')}/file/bot",
            request=CheckedRequest(request) if request else http_request(proxy=proxy),
            get_updates_request=(
                CheckedRequest(polling) if polling else http_request(proxy=proxy, read_timeout=15, pool=1)
            ),
        )

    async def send(self, operation: Operation) -> Outcome:
        """Make one call and judge it. Raises nothing but ``CancelledError``."""
        seen = _Seen()
        token = _seen.set(seen)
        try:
            async with asyncio.timeout(_DEADLINE):
                return Outcome(message_id=await self._call(operation))
        except Exception as exc:  # noqa: BLE001  the edge: unknown is a class of its own
            if seen.ok:  # done, but the library cannot read what Telegram says of it
                return Outcome(message_id=seen.message_id)
            return Outcome(failure=self._judge(exc))
        finally:
            _seen.reset(token)

    async def probe(self) -> Failure | None:
        """Ask who the bot is: ``None`` when Telegram answers."""
        try:
            async with asyncio.timeout(_PROBE_DEADLINE):
                await self.bot.get_me()
        except Exception as exc:  # noqa: BLE001  the edge: unknown is a class of its own
            return self._judge(exc)
        return None

    async def close(self) -> None:
        """Close the connections. Calls in flight end as unknown: let them finish first."""
        await self.bot.shutdown()
        for request in (self.bot.request, self.bot._request[0]):  # noqa: SLF001  shutdown() skips what was not initialised
            await request.shutdown()

    def _judge(self, exc: Exception) -> Failure:
        failure = classify(exc)
        return replace(failure, detail=failure.detail.replace(self._token.reveal(), "<secret>"))

    async def _call(self, operation: Operation) -> int | None:
        if operation.kind is Kind.DELETE:
            assert operation.message_id is not None
            await self.bot.delete_message(operation.chat_id, operation.message_id)
            return operation.message_id
        common: dict[str, Any] = {
            "chat_id": operation.chat_id,
            "text": operation.text,
            "parse_mode": ParseMode.HTML if operation.as_html else None,
            "reply_markup": _markup(operation.buttons),
            "link_preview_options": _NO_PREVIEW,
        }
        if operation.kind is Kind.EDIT:
            assert operation.message_id is not None
            edited = await self.bot.edit_message_text(message_id=operation.message_id, **common)
            return operation.message_id if isinstance(edited, bool) else edited.message_id
        answers = operation.reply_to
        message = await self.bot.send_message(
            disable_notification=operation.silent or None,
            message_thread_id=operation.thread_id,
            reply_parameters=(
                None if answers is None else ReplyParameters(answers, allow_sending_without_reply=True)
            ),
            **common,
        )
        return message.message_id


def _markup(buttons: Keyboard) -> InlineKeyboardMarkup | None:
    if not buttons:
        return None
    return InlineKeyboardMarkup(
        [[InlineKeyboardButton(b.text, callback_data=b.data, url=b.url) for b in row] for row in buttons]
    )
