"""What a failed call to Telegram means: was it delivered, and what is to be done now.

The exception's cause decides first, then its class, then Telegram's own words. The order matters, because
python-telegram-bot makes ``BadRequest`` and ``TimedOut`` subclasses of ``NetworkError``: whoever retries every
network error sends a malformed message for ever.

Words are matched in lower case, as substrings: the library changes the case of what Telegram said.

Source: https://core.telegram.org/bots/api#making-requests and telegram.request._baserequest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

import httpx
from telegram import error as tg

from vakhta.logs import mask


class Reason(StrEnum):
    """Why it failed, as the label of ``vakhta_telegram_failures_total`` shows it."""

    FLOOD = "flood"
    MARKUP = "markup"
    TOO_LONG = "too_long"
    EMPTY = "empty"
    NOT_MODIFIED = "not_modified"
    MESSAGE_GONE = "message_gone"
    NOT_A_TEXT = "not_a_text"
    REPLY_GONE = "reply_gone"
    TOPIC_GONE = "topic_gone"
    MIGRATED = "migrated"
    CHAT_UNREACHABLE = "chat_unreachable"
    NO_RIGHTS = "no_rights"
    BUTTONS = "buttons"
    MEDIA = "media"
    TOO_LARGE = "too_large"
    REFUSED = "refused"
    QUERY_EXPIRED = "query_expired"
    TOKEN = "token"  # noqa: S105  a label, not a token
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    REDIRECT = "redirect"
    SERVER = "server"
    BAD_ANSWER = "bad_answer"
    CONNECT = "connect"
    PROXY = "proxy"
    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection_lost"
    ENCODING = "encoding"
    INTERNAL = "internal"


class Delivered(StrEnum):
    """Whether the request had its effect."""

    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


class Action(StrEnum):
    """What the outbox does next with the row, the chat or the bot."""

    RETRY = "retry"
    """Again, with backoff; certainly not delivered, so it costs nothing."""
    SLOW_RETRY = "slow_retry"
    """Again, but only a person can repair it: minutes apart."""
    PAUSE_CHAT = "pause_chat"
    """Telegram named a time to wait; not counted as an attempt."""
    PLAIN = "plain"
    """Again at once as plain text."""
    SHORTEN = "shorten"
    """Again at once, cut to what Telegram takes."""
    PLACEHOLDER = "placeholder"
    """Again at once with a text that names the conversation: this one is empty."""
    NO_REPLY = "no_reply"
    NO_THREAD = "no_thread"
    NO_BUTTONS = "no_buttons"
    NO_MEDIA = "no_media"
    BARE = "bare"
    """Again once without markup, buttons, topic and reply; then it is dead."""
    SANITISE = "sanitise"
    """Again once with every character that cannot be encoded taken out."""
    SEND_NEW = "send_new"
    """The message to edit is gone: tell it in a new one."""
    CAPTION = "caption"
    """The message is a picture: edit its caption."""
    MIGRATE = "migrate"
    """The chat has a new id."""
    PARK = "park"
    """The chat cannot be written to: keep its rows and try every few minutes."""
    OPEN_CIRCUIT = "open_circuit"
    """Nothing can be sent at all: hold everything and probe."""
    AMBIGUOUS = "ambiguous"
    """It may have been delivered."""
    DONE = "done"
    """It is as it should be."""
    IGNORE = "ignore"
    """Of no consequence to a delivery."""
    DEAD = "dead"
    """No retry can help this payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failed call, judged.

    Attributes:
        retry_after: How long Telegram asks to wait, for ``PAUSE_CHAT``.
        new_chat_id: Where the chat went, for ``MIGRATE``.
        detail: Telegram's or the library's words, without any token, for the log.
    """

    reason: Reason
    delivered: Delivered
    action: Action
    detail: str
    retry_after: timedelta | None = None
    new_chat_id: int | None = None


class BadAnswer(tg.NetworkError):
    """The server's answer is not one of the Bot API: a proxy's page, a cut body, JSON of another shape.

    Attributes:
        status: The HTTP status.
        looks_delivered: A success was announced, but what was sent cannot be read.
    """

    def __init__(self, status: int, excerpt: str, *, looks_delivered: bool) -> None:
        super().__init__(f"HTTP {status}, not an answer of the Bot API: {excerpt}")
        self.status = status
        self.looks_delivered = looks_delivered


class TooEarly(tg.TelegramError):
    """A 429, raised in place of the library's own class, which warns of its deprecation each time it is made.

    Attributes:
        retry_after: How long to wait.
    """

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__(f"Too Many Requests: retry after {retry_after.total_seconds():g}")
        self.retry_after = retry_after


_Verdict = tuple[Reason, Delivered, Action]
_NO, _YES, _UNKNOWN = Delivered.NO, Delivered.YES, Delivered.UNKNOWN

# What a 400 says, first match wins.
_BAD_REQUESTS: Final[tuple[tuple[tuple[str, ...], _Verdict], ...]] = (
    (
        (
            "can't parse entities",
            "unsupported parse_mode",
            "can't parse messageentity",
            "invalid unicode characters",
        ),
        (Reason.MARKUP, _NO, Action.PLAIN),
    ),
    (("caption is too long", "caption_too_long"), (Reason.MEDIA, _NO, Action.NO_MEDIA)),
    (
        ("message is too long", "message_too_long", "text is too long"),
        (Reason.TOO_LONG, _NO, Action.SHORTEN),
    ),
    (("message text is empty", "text must be non-empty"), (Reason.EMPTY, _NO, Action.PLACEHOLDER)),
    (("message is not modified",), (Reason.NOT_MODIFIED, _YES, Action.DONE)),
    (("no text in the message to edit",), (Reason.NOT_A_TEXT, _NO, Action.CAPTION)),
    (("message to delete not found",), (Reason.MESSAGE_GONE, _YES, Action.DONE)),
    (("message can't be deleted",), (Reason.MESSAGE_GONE, _NO, Action.DEAD)),
    (
        ("message to be replied not found", "reply message not found", "replied message not found"),
        (Reason.REPLY_GONE, _NO, Action.NO_REPLY),
    ),
    (
        ("message thread not found", "topic_closed", "topic_deleted"),
        (Reason.TOPIC_GONE, _NO, Action.NO_THREAD),
    ),
    (
        ("message to edit not found", "message can't be edited", "message_id_invalid", "message not found"),
        (Reason.MESSAGE_GONE, _NO, Action.SEND_NEW),
    ),
    (
        (
            "button_data_invalid",
            "button_url_invalid",
            "inline keyboard button",
            "reply markup is too long",
            "keyboard",
        ),
        (Reason.BUTTONS, _NO, Action.NO_BUTTONS),
    ),
    (
        ("not enough rights to send photos", "not enough rights to send documents"),
        (Reason.NO_RIGHTS, _NO, Action.NO_MEDIA),
    ),
    (
        (
            "not enough rights",
            "have no rights",
            "chat_write_forbidden",
            "chat_restricted",
            "need administrator rights",
        ),
        (Reason.NO_RIGHTS, _NO, Action.PARK),
    ),
    (
        ("chat not found", "chat_id is empty", "peer_id_invalid", "upgraded to a supergroup"),
        (Reason.CHAT_UNREACHABLE, _NO, Action.PARK),
    ),
    (
        ("photo_invalid_dimensions", "image_process_failed", "unsupported extension", "too big for a photo"),
        (Reason.MEDIA, _NO, Action.NO_MEDIA),
    ),
    (("query is too old", "query id is invalid"), (Reason.QUERY_EXPIRED, _NO, Action.IGNORE)),
)

# What broke on the way, most derived class first.
_CAUSES: Final[tuple[tuple[type[BaseException], _Verdict], ...]] = (
    (httpx.ConnectTimeout, (Reason.CONNECT, _NO, Action.RETRY)),
    (httpx.PoolTimeout, (Reason.CONNECT, _NO, Action.RETRY)),
    (httpx.WriteTimeout, (Reason.TIMEOUT, _UNKNOWN, Action.AMBIGUOUS)),
    (httpx.TimeoutException, (Reason.TIMEOUT, _UNKNOWN, Action.AMBIGUOUS)),
    (httpx.ConnectError, (Reason.CONNECT, _NO, Action.RETRY)),
    (httpx.ProxyError, (Reason.PROXY, _NO, Action.SLOW_RETRY)),
    (httpx.UnsupportedProtocol, (Reason.CONNECT, _NO, Action.SLOW_RETRY)),
    (httpx.InvalidURL, (Reason.CONNECT, _NO, Action.SLOW_RETRY)),
    (httpx.TransportError, (Reason.CONNECTION_LOST, _UNKNOWN, Action.AMBIGUOUS)),
    (httpx.HTTPError, (Reason.CONNECTION_LOST, _UNKNOWN, Action.AMBIGUOUS)),
    (UnicodeError, (Reason.ENCODING, _NO, Action.SANITISE)),
)

# The rest of the library's classes, most derived first; BadRequest and RetryAfter have rules of their own.
_CLASSES: Final[tuple[tuple[type[BaseException], _Verdict], ...]] = (
    (tg.Forbidden, (Reason.CHAT_UNREACHABLE, _NO, Action.PARK)),
    (tg.EndPointNotFound, (Reason.NOT_FOUND, _NO, Action.OPEN_CIRCUIT)),
    (tg.Conflict, (Reason.CONFLICT, _NO, Action.IGNORE)),
    (tg.PassportDecryptionError, (Reason.INTERNAL, _UNKNOWN, Action.AMBIGUOUS)),
    (tg.TimedOut, (Reason.TIMEOUT, _UNKNOWN, Action.AMBIGUOUS)),
    (tg.TelegramError, (Reason.BAD_ANSWER, _UNKNOWN, Action.AMBIGUOUS)),
    (TimeoutError, (Reason.TIMEOUT, _UNKNOWN, Action.AMBIGUOUS)),
)

_RETRY_AFTER: Final = re.compile(r"retry after (\d+)", re.IGNORECASE)
_DEFAULT_WAIT: Final = timedelta(seconds=30)  # when a 429 names no time


def classify(exc: BaseException) -> Failure:
    """Judge what a call to Telegram raised. Knows every class of ``telegram.error``, and takes any other.

    Never hand it a ``CancelledError``: that is not a failure of Telegram.
    """
    detail = mask(str(exc) or type(exc).__name__)
    if isinstance(exc, TooEarly):
        return flooded(exc.retry_after, detail)
    if isinstance(exc, tg.RetryAfter):
        return flooded(_seconds(exc.retry_after), detail)
    if isinstance(exc, tg.ChatMigrated):
        return Failure(
            reason=Reason.MIGRATED,
            delivered=_NO,
            action=Action.MIGRATE,
            detail=detail,
            new_chat_id=exc.new_chat_id,
        )
    if detail.lower().startswith("too many requests"):
        found = _RETRY_AFTER.search(detail)
        return flooded(timedelta(seconds=int(found[1])) if found else _DEFAULT_WAIT, detail)
    reason, delivered, action = _verdict(exc, detail.lower())
    return Failure(reason=reason, delivered=delivered, action=action, detail=detail)


def flooded(wait: timedelta, detail: str) -> Failure:
    """Return the verdict on a 429."""
    return Failure(
        reason=Reason.FLOOD,
        delivered=_NO,
        action=Action.PAUSE_CHAT,
        detail=detail,
        retry_after=wait or _DEFAULT_WAIT,
    )


def _seconds(value: timedelta | float) -> timedelta:
    """The library is about to change the type from a number to a span; both work here."""
    return value if isinstance(value, timedelta) else timedelta(seconds=value)


def _verdict(exc: BaseException, words: str) -> _Verdict:
    if isinstance(exc, BadAnswer):
        return _status(exc.status, words, looks_delivered=exc.looks_delivered)
    return (
        _first(exc.__cause__, _CAUSES)
        or _first(exc, _CAUSES)
        or _by_words(exc, words)
        or _first(exc, _CLASSES)
        or (Reason.INTERNAL, _UNKNOWN, Action.AMBIGUOUS)
    )


def _first(
    exc: BaseException | None, rows: tuple[tuple[type[BaseException], _Verdict], ...]
) -> _Verdict | None:
    return next((verdict for kind, verdict in rows if isinstance(exc, kind)), None)


def _by_words(exc: BaseException, words: str) -> _Verdict | None:
    """Judge the classes that stand for many things: only the description tells them apart."""
    if isinstance(exc, tg.BadRequest):
        return _bad_request(words)
    if isinstance(exc, tg.InvalidToken):
        reason = Reason.TOKEN if "unauthorized" in words or "401" in words else Reason.NOT_FOUND
        return reason, _NO, Action.OPEN_CIRCUIT
    if isinstance(exc, tg.NetworkError) and not isinstance(exc, tg.TimedOut):
        return _network_error(words)
    return None


def _bad_request(words: str) -> _Verdict:
    for needles, verdict in _BAD_REQUESTS:
        if any(needle in words for needle in needles):
            return verdict
    return Reason.REFUSED, _NO, Action.BARE


def _network_error(words: str) -> _Verdict:
    """Judge what the library has no class for: odd statuses, and faults of its own."""
    if words.startswith("unknown error in http implementation"):
        return Reason.ENCODING, _NO, Action.SANITISE
    if "request entity too large" in words:
        return Reason.TOO_LARGE, _NO, Action.DEAD
    if "misdirected request" in words:
        return Reason.REDIRECT, _NO, Action.SLOW_RETRY
    return Reason.SERVER, _UNKNOWN, Action.AMBIGUOUS


def _status(status: int, words: str, *, looks_delivered: bool) -> _Verdict:
    """Judge an answer whose body says nothing by its status alone."""
    if 200 <= status < 300:
        if looks_delivered:
            return Reason.BAD_ANSWER, _YES, Action.DONE
        return Reason.BAD_ANSWER, _UNKNOWN, Action.AMBIGUOUS
    by_status: dict[int, _Verdict] = {
        400: (Reason.REFUSED, _NO, Action.BARE),
        401: (Reason.TOKEN, _NO, Action.OPEN_CIRCUIT),
        403: (Reason.CHAT_UNREACHABLE, _NO, Action.PARK),
        404: (Reason.NOT_FOUND, _NO, Action.OPEN_CIRCUIT),
        407: (Reason.PROXY, _NO, Action.SLOW_RETRY),
        413: (Reason.TOO_LARGE, _NO, Action.DEAD),
        421: (Reason.REDIRECT, _NO, Action.SLOW_RETRY),
    }
    if status in by_status:
        return by_status[status]
    if 300 <= status < 400:
        return Reason.REDIRECT, _NO, Action.SLOW_RETRY
    if 400 <= status < 500:
        return Reason.BAD_ANSWER, _NO, Action.RETRY
    return _network_error(words)
