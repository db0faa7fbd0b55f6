"""Every failure of a call has one verdict."""

from __future__ import annotations

import inspect
from datetime import timedelta

import httpx
import pytest
from telegram import error as tg

from alerting.telegram.errors import Action, BadAnswer, Delivered, Reason, TooEarly, classify

NO, YES, UNKNOWN = Delivered.NO, Delivered.YES, Delivered.UNKNOWN
TOKEN = "123456789:AAStandInTokenOfNoValue-0123456789ab"


def caused(outer, cause):
    """An exception as the library raises it from another."""
    outer.__cause__ = cause
    return outer


def bad(words):
    """What the library makes of a 400."""
    return tg.BadRequest(f"Bad Request: {words}")


BAD_REQUESTS = [
    ('can\'t parse entities: Unsupported start tag "no" at byte offset 2', Reason.MARKUP, NO, Action.PLAIN),
    ("unsupported parse_mode", Reason.MARKUP, NO, Action.PLAIN),
    ('can\'t parse MessageEntity: Field "type" must be of type String', Reason.MARKUP, NO, Action.PLAIN),
    ("message is too long", Reason.TOO_LONG, NO, Action.SHORTEN),
    ("MESSAGE_TOO_LONG", Reason.TOO_LONG, NO, Action.SHORTEN),
    ("text is too long", Reason.TOO_LONG, NO, Action.SHORTEN),
    ("message caption is too long", Reason.MEDIA, NO, Action.NO_MEDIA),
    ("MEDIA_CAPTION_TOO_LONG", Reason.MEDIA, NO, Action.NO_MEDIA),
    ("message text is empty", Reason.EMPTY, NO, Action.PLACEHOLDER),
    ("text must be non-empty", Reason.EMPTY, NO, Action.PLACEHOLDER),
    ("message is not modified: specified new message content", Reason.NOT_MODIFIED, YES, Action.DONE),
    ("message to edit not found", Reason.MESSAGE_GONE, NO, Action.SEND_NEW),
    ("message can't be edited", Reason.MESSAGE_GONE, NO, Action.SEND_NEW),
    ("MESSAGE_ID_INVALID", Reason.MESSAGE_GONE, NO, Action.SEND_NEW),
    ("message not found", Reason.MESSAGE_GONE, NO, Action.SEND_NEW),
    ("message to delete not found", Reason.MESSAGE_GONE, YES, Action.DONE),
    ("message can't be deleted for everyone", Reason.MESSAGE_GONE, NO, Action.DEAD),
    ("there is no text in the message to edit", Reason.NOT_A_TEXT, NO, Action.CAPTION),
    ("message to be replied not found", Reason.REPLY_GONE, NO, Action.NO_REPLY),
    ("message thread not found", Reason.TOPIC_GONE, NO, Action.NO_THREAD),
    ("TOPIC_CLOSED", Reason.TOPIC_GONE, NO, Action.NO_THREAD),
    ("TOPIC_DELETED", Reason.TOPIC_GONE, NO, Action.NO_THREAD),
    ("chat not found", Reason.CHAT_UNREACHABLE, NO, Action.PARK),
    ("private chat not found", Reason.CHAT_UNREACHABLE, NO, Action.PARK),
    ("chat_id is empty", Reason.CHAT_UNREACHABLE, NO, Action.PARK),
    ("PEER_ID_INVALID", Reason.CHAT_UNREACHABLE, NO, Action.PARK),
    ("not enough rights to send text messages to the chat", Reason.NO_RIGHTS, NO, Action.PARK),
    ("have no rights to send a message", Reason.NO_RIGHTS, NO, Action.PARK),
    ("CHAT_WRITE_FORBIDDEN", Reason.NO_RIGHTS, NO, Action.PARK),
    ("CHAT_RESTRICTED", Reason.NO_RIGHTS, NO, Action.PARK),
    ("need administrator rights in the channel chat", Reason.NO_RIGHTS, NO, Action.PARK),
    ("not enough rights to send photos to the chat", Reason.NO_RIGHTS, NO, Action.NO_MEDIA),
    ("BUTTON_DATA_INVALID", Reason.BUTTONS, NO, Action.NO_BUTTONS),
    ("BUTTON_URL_INVALID", Reason.BUTTONS, NO, Action.NO_BUTTONS),
    (
        "inline keyboard button URL 'http://grafana:3000' is invalid: Wrong HTTP URL",
        Reason.BUTTONS,
        NO,
        Action.NO_BUTTONS,
    ),
    ("can't parse reply keyboard markup JSON object", Reason.BUTTONS, NO, Action.NO_BUTTONS),
    ("reply markup is too long", Reason.BUTTONS, NO, Action.NO_BUTTONS),
    ("PHOTO_INVALID_DIMENSIONS", Reason.MEDIA, NO, Action.NO_MEDIA),
    ("IMAGE_PROCESS_FAILED", Reason.MEDIA, NO, Action.NO_MEDIA),
    ("photo has unsupported extension", Reason.MEDIA, NO, Action.NO_MEDIA),
    ("file of size 1 bytes is too big for a photo", Reason.MEDIA, NO, Action.NO_MEDIA),
    (
        "query is too old and response timeout expired or query ID is invalid",
        Reason.QUERY_EXPIRED,
        NO,
        Action.IGNORE,
    ),
    ("something nobody has seen yet", Reason.REFUSED, NO, Action.BARE),
]


@pytest.mark.parametrize(
    ("words", "reason", "delivered", "action"), BAD_REQUESTS, ids=[row[0][:40] for row in BAD_REQUESTS]
)
def test_what_a_400_says_decides(words, reason, delivered, action):
    """Telegram's words are matched whatever the library did to their case."""
    for exc in (bad(words), tg.BadRequest(words)):
        failure = classify(exc)
        assert (failure.reason, failure.delivered, failure.action) == (reason, delivered, action)


OTHERS = [
    (
        "forbidden",
        tg.Forbidden("Forbidden: bot was blocked by the user"),
        Reason.CHAT_UNREACHABLE,
        NO,
        Action.PARK,
    ),
    ("unauthorized", tg.InvalidToken("Unauthorized"), Reason.TOKEN, NO, Action.OPEN_CIRCUIT),
    ("not-found", tg.InvalidToken("Not Found"), Reason.NOT_FOUND, NO, Action.OPEN_CIRCUIT),
    ("endpoint", tg.EndPointNotFound("Not Found"), Reason.NOT_FOUND, NO, Action.OPEN_CIRCUIT),
    ("conflict", tg.Conflict("Conflict: terminated by other getUpdates"), Reason.CONFLICT, NO, Action.IGNORE),
    (
        "entity-too-large",
        tg.NetworkError("Request Entity Too Large: too many"),
        Reason.TOO_LARGE,
        NO,
        Action.DEAD,
    ),
    ("misdirected", tg.NetworkError("Misdirected Request"), Reason.REDIRECT, NO, Action.SLOW_RETRY),
    ("restart", tg.NetworkError("Internal Server Error: restart"), Reason.SERVER, UNKNOWN, Action.AMBIGUOUS),
    (
        "local-fault",
        tg.NetworkError("Unknown error in HTTP implementation: x"),
        Reason.ENCODING,
        NO,
        Action.SANITISE,
    ),
    ("bare-timeout", tg.TimedOut(), Reason.TIMEOUT, UNKNOWN, Action.AMBIGUOUS),
    ("own-deadline", TimeoutError(), Reason.TIMEOUT, UNKNOWN, Action.AMBIGUOUS),
    ("no-json", tg.TelegramError("Invalid server response"), Reason.BAD_ANSWER, UNKNOWN, Action.AMBIGUOUS),
    ("key-error", KeyError("result"), Reason.INTERNAL, UNKNOWN, Action.AMBIGUOUS),
    ("type-error", TypeError("x"), Reason.INTERNAL, UNKNOWN, Action.AMBIGUOUS),
    ("surrogate", UnicodeEncodeError("utf-8", "\ud800", 0, 1, "no"), Reason.ENCODING, NO, Action.SANITISE),
]
CAUSES = [
    (httpx.ConnectError("refused"), Reason.CONNECT, NO, Action.RETRY),
    (httpx.ConnectTimeout("slow"), Reason.CONNECT, NO, Action.RETRY),
    (httpx.PoolTimeout("busy"), Reason.CONNECT, NO, Action.RETRY),
    (httpx.ProxyError("407"), Reason.PROXY, NO, Action.SLOW_RETRY),
    (httpx.UnsupportedProtocol("x"), Reason.CONNECT, NO, Action.SLOW_RETRY),
    (httpx.ReadTimeout("slow"), Reason.TIMEOUT, UNKNOWN, Action.AMBIGUOUS),
    (httpx.WriteTimeout("slow"), Reason.TIMEOUT, UNKNOWN, Action.AMBIGUOUS),
    (httpx.ReadError("rst"), Reason.CONNECTION_LOST, UNKNOWN, Action.AMBIGUOUS),
    (httpx.WriteError("rst"), Reason.CONNECTION_LOST, UNKNOWN, Action.AMBIGUOUS),
    (httpx.RemoteProtocolError("fin"), Reason.CONNECTION_LOST, UNKNOWN, Action.AMBIGUOUS),
]
STATUSES = [
    (200, False, Reason.BAD_ANSWER, UNKNOWN, Action.AMBIGUOUS),
    (200, True, Reason.BAD_ANSWER, YES, Action.DONE),
    (302, False, Reason.REDIRECT, NO, Action.SLOW_RETRY),
    (400, False, Reason.REFUSED, NO, Action.BARE),
    (401, False, Reason.TOKEN, NO, Action.OPEN_CIRCUIT),
    (403, False, Reason.CHAT_UNREACHABLE, NO, Action.PARK),
    (404, False, Reason.NOT_FOUND, NO, Action.OPEN_CIRCUIT),
    (407, False, Reason.PROXY, NO, Action.SLOW_RETRY),
    (413, False, Reason.TOO_LARGE, NO, Action.DEAD),
    (418, False, Reason.BAD_ANSWER, NO, Action.RETRY),
    (421, False, Reason.REDIRECT, NO, Action.SLOW_RETRY),
    (502, False, Reason.SERVER, UNKNOWN, Action.AMBIGUOUS),
    (504, False, Reason.SERVER, UNKNOWN, Action.AMBIGUOUS),
]


@pytest.mark.parametrize(
    ("exc", "reason", "delivered", "action"),
    [
        *(pytest.param(*row, id=name) for name, *row in OTHERS),
        *(pytest.param(caused(tg.NetworkError("x"), c), *row, id=type(c).__name__) for c, *row in CAUSES),
        *(
            pytest.param(BadAnswer(status, "b'x'", looks_delivered=looks), *row, id=f"http-{status}-{looks}")
            for status, looks, *row in STATUSES
        ),
    ],
)
def test_the_cause_then_the_class_then_the_status(exc, reason, delivered, action):
    """What is not a 400 is judged by what broke."""
    failure = classify(exc)
    assert (failure.reason, failure.delivered, failure.action) == (reason, delivered, action)


@pytest.mark.parametrize(
    ("make", "seconds"),
    [
        pytest.param(lambda: tg.RetryAfter(7), 7, id="number"),
        pytest.param(lambda: tg.RetryAfter(timedelta(seconds=7200)), 7200, id="span"),
        pytest.param(lambda: TooEarly(timedelta(seconds=9)), 9, id="our-own"),
        pytest.param(lambda: tg.NetworkError("Too Many Requests: retry after 12"), 12, id="words-only"),
        pytest.param(lambda: tg.NetworkError("Too Many Requests"), 30, id="no-time-at-all"),
        pytest.param(lambda: tg.RetryAfter(0), 30, id="zero"),
    ],
)
@pytest.mark.filterwarnings("ignore::telegram.warnings.PTBDeprecationWarning")
def test_a_429_says_how_long(make, seconds):
    """The wait is found wherever it is written."""
    failure = classify(make())
    assert (failure.reason, failure.delivered, failure.action) == (Reason.FLOOD, NO, Action.PAUSE_CHAT)
    assert failure.retry_after == timedelta(seconds=seconds)


def test_a_migrated_chat_says_where():
    """The new number comes with the verdict."""
    failure = classify(tg.ChatMigrated(-1001))
    assert (failure.action, failure.new_chat_id) == (Action.MIGRATE, -1001)


@pytest.mark.filterwarnings("ignore::telegram.warnings.PTBDeprecationWarning")
def test_every_class_of_the_library_is_known():
    """A new class in telegram.error fails here until somebody has thought about it."""
    verdicts = {
        "TelegramError": Action.AMBIGUOUS,
        "Forbidden": Action.PARK,
        "InvalidToken": Action.OPEN_CIRCUIT,
        "EndPointNotFound": Action.OPEN_CIRCUIT,
        "NetworkError": Action.AMBIGUOUS,
        "BadRequest": Action.BARE,
        "TimedOut": Action.AMBIGUOUS,
        "ChatMigrated": Action.MIGRATE,
        "RetryAfter": Action.PAUSE_CHAT,
        "Conflict": Action.IGNORE,
        "PassportDecryptionError": Action.AMBIGUOUS,
    }
    classes = {
        name: kind
        for name, kind in inspect.getmembers(tg, inspect.isclass)
        if issubclass(kind, tg.TelegramError)
    }
    assert {name: classify(_some(kind)).action for name, kind in classes.items()} == verdicts


def _some(kind):
    if kind is tg.ChatMigrated:
        return kind(-1001)
    return kind(timedelta(seconds=3)) if kind is tg.RetryAfter else kind("x")


def test_no_token_is_in_a_verdict():
    """The library puts it into the text of some exceptions."""
    failure = classify(tg.InvalidToken(f"The token `{TOKEN}` was rejected by the server."))
    assert TOKEN not in str(failure)
    assert "rejected" in failure.detail
