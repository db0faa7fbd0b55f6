"""What the stand-in knows of the world: users, chats and the messages in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from tests.telegram_api.entities import Entity

_ADMINISTRATORS: Final = ("creator", "administrator")


class Standing(StrEnum):
    """How the bot stands with a chat."""

    OK = "ok"
    KICKED = "kicked"
    BLOCKED = "blocked"
    DEACTIVATED = "deactivated"
    NOT_STARTED = "not_started"
    NO_RIGHTS = "no_rights"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person, or the bot itself."""

    id: int
    first_name: str = "Ann"
    username: str | None = None
    is_bot: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the user as the Bot API shows it."""
        shown: dict[str, Any] = {"id": self.id, "is_bot": self.is_bot, "first_name": self.first_name}
        return shown | ({"username": self.username} if self.username else {})


@dataclass(slots=True, kw_only=True)
class Message:
    """A message as it stands now.

    Attributes:
        text: After parsing, as people see it.
        raw: The last ``text`` argument, markup included.
        entities: What is formatted in it, found links included.
        lost_entities: How many did not fit and lost their formatting.
        edits: How often it was changed.
        silent: Whether it arrived without a sound.
        own: Sent by the bot.
    """

    id: int
    chat_id: int
    date: int
    text: str
    raw: str
    entities: list[Entity]
    lost_entities: int = 0
    markup: dict[str, Any] | None = None
    edits: int = 0
    edit_date: int | None = None
    silent: bool = False
    thread_id: int | None = None
    reply_to: int | None = None
    own: bool = True
    sender: User | None = None

    @property
    def buttons(self) -> list[list[dict[str, Any]]]:
        """Rows of buttons below it."""
        return self.markup["inline_keyboard"] if self.markup else []


@dataclass(slots=True, kw_only=True)
class Chat:
    """A chat the bot has met.

    Attributes:
        topics: Open topics of a forum.
        closed_topics: Topics nobody can write into.
        members: Users by id with their status: ``creator``, ``administrator``, ``member``, ``left``.
        messages: What is in it now.
        migrated_to: The supergroup this group has become.
    """

    id: int
    type: str = ""
    title: str = "On call"
    topics: set[int] = field(default_factory=set)
    closed_topics: set[int] = field(default_factory=set)
    members: dict[int, tuple[User, str]] = field(default_factory=dict)
    standing: Standing = Standing.OK
    migrated_to: int | None = None
    messages: dict[int, Message] = field(default_factory=dict)
    last_id: int = 0

    def __post_init__(self) -> None:
        if not self.type:
            self.type = (
                "private" if self.id > 0 else "supergroup" if self.id < -1_000_000_000_000 else "group"
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the chat as messages show it."""
        shown: dict[str, Any] = {"id": self.id, "type": self.type}
        shown["first_name" if self.type == "private" else "title"] = self.title
        return shown | ({"is_forum": True} if self.topics or self.closed_topics else {})

    def join(self, user: User, status: str = "member") -> None:
        """Make a user a member."""
        self.members[user.id] = (user, status)

    def administrators(self) -> Iterable[tuple[User, str]]:
        """Return those who run the chat."""
        return [(user, status) for user, status in self.members.values() if status in _ADMINISTRATORS]

    def refusal(self) -> tuple[int, str] | None:
        """Return why the bot may not write here, as status and description."""
        kind = {"group": "group", "supergroup": "supergroup", "channel": "channel"}.get(self.type, "group")
        return {
            Standing.OK: None,
            Standing.KICKED: (403, f"Forbidden: bot was kicked from the {kind} chat"),
            Standing.BLOCKED: (403, "Forbidden: bot was blocked by the user"),
            Standing.DEACTIVATED: (403, "Forbidden: user is deactivated"),
            Standing.NOT_STARTED: (403, "Forbidden: bot can't initiate conversation with a user"),
            Standing.DELETED: (403, "Forbidden: the group chat was deleted"),
            Standing.NO_RIGHTS: (400, "Bad Request: not enough rights to send text messages to the chat"),
        }[self.standing]
