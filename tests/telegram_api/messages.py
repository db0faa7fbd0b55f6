"""Sending, editing and deleting: the rules a message has to meet."""

from __future__ import annotations

import re
from typing import Any, Final

from tests.telegram_api import entities as markup
from tests.telegram_api.chats import Chat, Message, Standing, User
from tests.telegram_api.entities import Entity
from tests.telegram_api.params import Params, Refused, keyboard

LONGEST: Final = 4096  # code points after parsing
LONGEST_RAW: Final = 32768  # bytes before it
_DELETABLE_SECONDS: Final = 48 * 3600
_NOT_MODIFIED: Final = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current"
    " content and reply markup of the message"
)
_TO_SPACE: Final = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f]")
_TO_NOTHING: Final = re.compile("[\r\u2028-\u202e\u0333\u033f\u030a]")


class Messages:
    """The chats of a bot and what is in them."""

    def __init__(self, bot: User) -> None:
        self.chats: dict[int, Chat] = {}
        self.bot = bot
        self._last_id = 100  # private chats and basic groups number their messages together

    def chat(self, params: Params) -> Chat:
        """Find the chat a request is about and check that the bot may use it."""
        if "chat_id" not in params:
            raise Refused.bad("chat_id is empty")
        try:
            chat = self.chats.get(int(params.text("chat_id")))
        except ValueError:
            chat = None
        if chat is None:
            raise Refused.bad("chat not found")
        if chat.migrated_to is not None:
            raise Refused(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                migrate_to_chat_id=chat.migrated_to,
            )
        return chat

    def send(self, params: Params, wall: float) -> Message:
        """Put a new message into a chat."""
        chat = self._writable(params)
        thread = self._thread(params, chat)
        text, found = content(params, edit=False)
        reply = self._reply(params, chat)
        message = Message(
            id=self._next_id(chat),
            chat_id=chat.id,
            date=int(wall),
            text=text,
            raw=params.text("text"),
            entities=found[: markup.MOST_ENTITIES],
            lost_entities=max(0, len(found) - markup.MOST_ENTITIES),
            markup=keyboard(params),
            silent=params.flag("disable_notification"),
            thread_id=thread,
            reply_to=reply,
            sender=self.bot,
        )
        params.flag("protect_content")
        params.json("link_preview_options", dict, "link preview options")
        chat.messages[message.id] = message
        return message

    def edit(self, params: Params, wall: float, *, text_too: bool) -> Message:
        """Change a message's text and buttons, or its buttons only; buttons not given again are gone."""
        chat = self._writable(params)
        message = chat.messages.get(params.integer("message_id"))
        if message is None:
            raise Refused.bad("message to edit not found")
        if not message.own:
            raise Refused.bad("message can't be edited")
        buttons = keyboard(params)
        text, found = message.text, message.entities
        if text_too:
            text, found = content(params, edit=True)
            params.json("link_preview_options", dict, "link preview options")
        if (text, found[: markup.MOST_ENTITIES], buttons) == (message.text, message.entities, message.markup):
            raise Refused.bad(_NOT_MODIFIED)
        message.text, message.markup = text, buttons
        message.entities = found[: markup.MOST_ENTITIES]
        message.lost_entities = max(0, len(found) - markup.MOST_ENTITIES)
        message.raw = params.text("text") or message.raw
        message.edits += 1
        message.edit_date = int(wall)
        return message

    def delete(self, params: Params, wall: float) -> Message:
        """Take a message away."""
        chat = self._writable(params)
        message = chat.messages.get(params.integer("message_id"))
        if message is None:
            raise Refused.bad("message to delete not found")
        if wall - message.date > _DELETABLE_SECONDS or (not message.own and chat.type != "private"):
            raise Refused.bad("message can't be deleted for everyone")
        return chat.messages.pop(message.id)

    def receive(self, chat: Chat, user: User, text: str, wall: float) -> Message:
        """Let a person write into a chat."""
        message = Message(
            id=self._next_id(chat),
            chat_id=chat.id,
            date=int(wall),
            text=text,
            raw=text,
            entities=markup.found_in(text, []),
            own=False,
            sender=user,
        )
        chat.messages[message.id] = message
        return message

    def show(self, message: Message) -> dict[str, Any]:
        """Return a message as the Bot API shows it."""
        chat = self.chats[message.chat_id]
        shown: dict[str, Any] = {
            "message_id": message.id,
            "date": message.date,
            "chat": chat.as_dict(),
            "text": message.text,
        }
        if message.sender is not None:
            shown["from"] = message.sender.as_dict()
        if message.entities:
            shown["entities"] = [entity.as_dict() for entity in message.entities]
        if message.markup:
            shown["reply_markup"] = message.markup
        if message.edit_date is not None:
            shown["edit_date"] = message.edit_date
        if message.thread_id is not None:
            shown |= {"message_thread_id": message.thread_id, "is_topic_message": True}
        if message.reply_to in chat.messages:
            answered = chat.messages[message.reply_to]
            shown["reply_to_message"] = {
                "message_id": answered.id,
                "date": answered.date,
                "chat": chat.as_dict(),
                "text": answered.text,
            }
        return shown

    def _writable(self, params: Params) -> Chat:
        chat = self.chat(params)
        if (refusal := chat.refusal()) is not None:
            raise Refused(*refusal)
        assert chat.standing is Standing.OK
        return chat

    def _next_id(self, chat: Chat) -> int:
        if chat.type in ("private", "group"):
            self._last_id += 1
            chat.last_id = self._last_id
        else:
            chat.last_id += 1
        return chat.last_id

    def _thread(self, params: Params, chat: Chat) -> int | None:
        if "message_thread_id" not in params:
            return None
        thread = params.integer("message_thread_id")
        if thread in chat.closed_topics:
            raise Refused.bad("TOPIC_CLOSED")
        if thread == 1 or thread not in chat.topics:  # the General topic is written to by naming none
            raise Refused.bad("message thread not found")
        return thread

    def _reply(self, params: Params, chat: Chat) -> int | None:
        given = params.json("reply_parameters", dict, "reply parameters")
        if given is None:
            return None
        if unknown := given.keys() - {"message_id", "chat_id", "allow_sending_without_reply", "quote"}:
            raise Refused.bad(f"can't parse reply parameters: no such field: {', '.join(sorted(unknown))}")
        if given.get("message_id") in chat.messages:
            return int(given["message_id"])
        if given.get("allow_sending_without_reply") is not True:
            raise Refused.bad("message to be replied not found")
        return None


def content(params: Params, *, edit: bool) -> tuple[str, list[Entity]]:
    """Read a request's text: cleaned, parsed, trimmed and within the limits."""
    raw = params.text("text")
    if len(raw.encode()) > LONGEST_RAW:
        raise Refused.bad("text is too long")
    raw = _TO_NOTHING.sub("", _TO_SPACE.sub(" ", raw))
    if not raw:
        raise Refused.bad("message text is empty")
    mode = params.text("parse_mode").lower()
    if "entities" in params or mode not in ("", "html"):
        raise Refused.bad("unsupported parse_mode: the stand-in takes HTML or plain text")
    found: list[Entity] = []
    if mode:
        try:
            raw, found = markup.parse(raw)
        except markup.ParseError as exc:
            raise Refused.bad(f"can't parse entities: {exc}") from None
    text, found = markup.trim(raw, found)
    if not text:
        raise Refused.bad("text must be non-empty")
    if len(text) > LONGEST:
        raise Refused.bad("MESSAGE_TOO_LONG" if edit else "message is too long")
    found = sorted(found + markup.found_in(text, found), key=lambda e: (e.offset, -e.length))
    return text, found
