"""A strict local stand-in for Telegram's Bot API.

``rules.BotApi`` holds the rules and has no input or output; ``server.StandIn`` puts it on a port, ``transport``
connects python-telegram-bot to it without one, ``control.Control`` steers it from another process.
"""

from tests.telegram_api.chats import Chat, Message, Standing, User
from tests.telegram_api.exchange import until
from tests.telegram_api.faults import Fault, Trouble
from tests.telegram_api.ledger import Entry, Ledger
from tests.telegram_api.rules import GROUP, PRIVATE, TOKEN, BotApi, Connection, Response
from tests.telegram_api.server import StandIn
from tests.telegram_api.transport import MemoryRequest

__all__ = [
    "GROUP",
    "PRIVATE",
    "TOKEN",
    "BotApi",
    "Chat",
    "Connection",
    "Entry",
    "Fault",
    "Ledger",
    "MemoryRequest",
    "Message",
    "Response",
    "StandIn",
    "Standing",
    "Trouble",
    "User",
    "until",
]
