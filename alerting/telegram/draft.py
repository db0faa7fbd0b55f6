"""What dispatch hands to the outbox: one thing to be told in one chat."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum


class Kind(StrEnum):
    """What is done to the conversation."""

    SEND = "send"
    """A new message; it becomes the conversation's message."""
    EDIT = "edit"
    """New content for the conversation's message. Where there is none (never confirmed, or deleted by
    somebody) a new message takes its place."""
    REPLY = "reply"
    """A new message that answers ``reply_to_key``'s."""
    DELETE = "delete"
    """Take the conversation's message away; one that is not there is fine."""


class Priority(IntEnum):
    """Who goes first when a chat cannot take everything at once; smaller is sooner."""

    CRITICAL = 0
    ONCALL = 1
    """An answer to what the on-call person just did."""
    EDIT = 2
    WARNING = 3
    INFO = 4
    CHART = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """An inline button: exactly one of ``data`` and ``url``.

    Attributes:
        data: What a press sends back, 1 to 64 bytes.
        url: Where it leads. Telegram refuses the whole message for a host without a dot.
    """

    text: str
    data: str | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        if (self.data is None) == (self.url is None):
            raise ValueError(f"button {self.text!r}: give it either data or a URL")
        if self.data is not None and not 1 <= len(self.data.encode()) <= 64:
            raise ValueError(
                f"button {self.text!r}: data takes 1 to 64 bytes, this is {len(self.data.encode())}"
            )


Keyboard = tuple[tuple[Button, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One thing to be told.

    Attributes:
        key: The conversation: incident, receiver and chat. What happens to one key happens in order.
        chat_id: As Telegram numbers chats: negative for groups.
        thread_id: The topic, absent for the General one.
        html: The message as Telegram's HTML, within its limits. Empty for a deletion.
        plain: The same for a reader whose Telegram refuses the HTML.
        buttons: Rows of buttons below the message.
        silent: Arrives without a sound. Edits never make one.
        reply_to_key: Whose message a reply answers, looked up when it is sent.
        created_at: When dispatch decided it.
        give_up_after: How long it is worth telling; ``None``: until it is told.
        event_at: When the thing itself happened, for the latency shown; ``None``: nothing to measure.
    """

    key: str
    chat_id: int
    thread_id: int | None = None
    kind: Kind
    priority: Priority
    html: str = ""
    plain: str = ""
    buttons: Keyboard = ()
    silent: bool = False
    reply_to_key: str | None = None
    created_at: datetime
    give_up_after: timedelta | None = None
    event_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.kind is not Kind.DELETE and not self.html.strip():
            raise ValueError(f"{self.key}: a {self.kind} needs a text")
        if self.kind is Kind.REPLY and self.reply_to_key is None:
            raise ValueError(f"{self.key}: a reply needs reply_to_key")
        for moment in (self.created_at, self.event_at):
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"{self.key}: times carry a zone")
