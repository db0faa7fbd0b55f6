"""One sentence for each way Telegram can refuse: what is wrong, and what a person does about it. Pure.

The reason decides; where it stands for several faults, Telegram's own words tell them apart.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from alerting.telegram.errors import Failure, Reason
from alerting.telegram.wording import span

_STATUS: Final = re.compile(r"HTTP (\d{3})")
_QUOTED: Final = 120

# What a chat that cannot be written to says of itself, first match wins.
_UNREACHABLE: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("was kicked",), "the bot was removed from this chat: add it again"),
    (("not a member",), "the bot is not in this chat: add it"),
    (
        ("blocked by the user",),
        "this person has blocked the bot: open the chat with it and choose Unblock (Restart)",
    ),
    (
        ("initiate conversation",),
        "this person has not started the bot yet: open the chat with it and press Start",
    ),
    (("deactivated",), "this person's account is deleted: choose another chat_id"),
    (("group chat was deleted",), "this group was deleted: choose another chat_id"),
    (
        ("upgraded to a supergroup",),
        "this group became a supergroup with another number: put that one into chat_id",
    ),
    (
        ("chat not found", "peer_id_invalid", "chat_id is empty"),
        "Telegram knows no such chat, or the bot was never in it: check chat_id (a group's starts with -) and add the bot",
    ),
)

# What the other reasons mean; {server} is where the Bot API should be.
_SENTENCES: Final = {
    Reason.TOKEN: "Telegram does not know this bot token (revoked, or mistyped): copy it again from @BotFather",
    Reason.NOT_FOUND: "{server} answers 404 to this bot: the token is damaged, or telegram_api_url (TELEGRAM_API_URL) leads "
    "elsewhere",
    Reason.TOPIC_GONE: "the topic is closed or gone, so the message went to the group's General topic: reopen the topic, or "
    "correct message_thread_id",
    Reason.NO_RIGHTS: "the bot may not write in this chat: let members send messages, or make the bot an administrator",
    Reason.FLOOD: "this chat has had as many messages as Telegram allows: test again in a minute",
    Reason.CONNECT: "{server} cannot be reached: check the network, DNS and the firewall, and TELEGRAM_API_URL if it is set",
    Reason.PROXY: "the proxy refuses the connection: check its address and password",
    Reason.REDIRECT: "{server} answers with a redirection, so it is no Bot API: check telegram_api_url (TELEGRAM_API_URL)",
    Reason.TIMEOUT: "{server} takes connections but does not answer, and the message may still arrive: test again, and if "
    "this stays look for a firewall or proxy that swallows answers",
    Reason.CONNECTION_LOST: "{server} closes the connection without an answer: test again, and if this stays look for a "
    "firewall or proxy in between",
}


def advice(failure: Failure, *, api_url: str) -> str:
    """Return the sentence for a failed call.

    Args:
        failure: The verdict; its detail may be empty where nothing was answered.
        api_url: The Bot API server that was asked.
    """
    server = _server(api_url)
    match failure.reason:
        case Reason.CHAT_UNREACHABLE:
            return _unreachable(failure)
        case Reason.NOT_FOUND if _STATUS.match(failure.detail):
            return (
                f"{server} answers 404 with a page, so it is no Bot API: check telegram_api_url (TELEGRAM_API_URL) "
                "and any proxy in between"
            )
        case Reason.FLOOD if failure.retry_after is not None:
            return f"Telegram asks to leave this chat alone for {span(failure.retry_after)}: test again after that"
        case Reason.SERVER | Reason.BAD_ANSWER:
            return _broken_answer(failure, server)
        case _:
            pass
    sentence = _SENTENCES.get(failure.reason)
    return (
        sentence.format(server=server)
        if sentence
        else f"Telegram refused it ({failure.reason}): {_quote(failure)}"
    )


def _unreachable(failure: Failure) -> str:
    words = failure.detail.lower()
    for needles, sentence in _UNREACHABLE:
        if any(needle in words for needle in needles):
            return sentence
    return f"this chat cannot be written to ({_quote(failure)}): add the bot to it, or choose another chat_id"


def _broken_answer(failure: Failure, server: str) -> str:
    found = _STATUS.match(failure.detail)
    answer = f"HTTP {found[1]}" if found else f"an error ({_quote(failure)})"
    return (
        f"{server} answers {answer} instead of the Bot API's words: test again in a minute, and if this stays check the "
        "proxy in between and TELEGRAM_API_URL"
    )


def _quote(failure: Failure) -> str:
    return " ".join(failure.detail.split())[:_QUOTED]


def _server(api_url: str) -> str:
    """Return host and port of a URL: what else stands in it may be a secret."""
    parts = urlsplit(api_url)
    host = parts.hostname or api_url
    return f"{host}:{parts.port}" if parts.port else host
