"""The Bot API's rules without any input or output: a request in, an answer out, the time as an argument.

Where the real server is lenient with a mistake (parameters it does not know, truth values it cannot read), this one
refuses: tests are to find the mistake.

Source: https://core.telegram.org/bots/api
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tests.telegram_api.chats import Chat, Message, User
from tests.telegram_api.faults import Fault, Faults, Trouble
from tests.telegram_api.flood import Flood
from tests.telegram_api.ledger import WRITES, Entry, Ledger
from tests.telegram_api.messages import Messages
from tests.telegram_api.params import NAMES, Params, Refused
from tests.telegram_api.updates import LONGEST_POLL, Updates

TOKEN: Final = "123456789:AAStandInTokenOfNoValue-0123456789ab"
PRIVATE: Final = 777_000_111
GROUP: Final = -1001_000_000_001
EPOCH: Final = 1_790_000_000.0
_TOKEN_FORM: Final = re.compile(r"\d+:[A-Za-z0-9_-]{30,}")
_PAGE: Final = (
    b"<html><head><title>%d</title></head><body><center><h1>%d</h1></center><hr>nginx</body></html>"
)
_RIGHTS: Final = (
    "can_be_edited",
    "is_anonymous",
    "can_manage_chat",
    "can_delete_messages",
    "can_manage_video_chats",
    "can_restrict_members",
    "can_promote_members",
    "can_change_info",
    "can_invite_users",
    "can_post_stories",
    "can_edit_stories",
    "can_delete_stories",
)


class Connection(StrEnum):
    """What happens to the connection an answer goes over."""

    KEPT = "kept"
    DROPPED = "dropped"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer.

    Attributes:
        body: JSON to be, or bytes as they are.
        delay: Seconds until it leaves.
        poll: Nothing to tell yet: the caller may ask again until so many seconds have passed.
    """

    status: int
    body: dict[str, Any] | bytes
    connection: Connection = Connection.KEPT
    delay: float = 0.0
    poll: float = 0.0

    def encode(self) -> bytes:
        """Return the body as it goes over the wire."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class BotApi:
    """One bot and its world.

    Attributes:
        chats: By id; put more in with :meth:`open`.
        ledger: All it was asked.
        faults: What goes wrong.
        flood: The limits; ``None``: no limits.
        listeners: Called after every request and every update.
    """

    def __init__(
        self,
        *,
        token: str = TOKEN,
        chats: Iterable[Chat] | None = None,
        wall_offset: float = EPOCH,
        flood: bool = True,
    ) -> None:
        """Make a bot that has met a private chat and a supergroup, or the given chats.

        Args:
            token: The only one it knows.
            chats: Where it may write.
            wall_offset: Unix time at the moment 0 of the caller's clock.
            flood: Whether it minds how fast it is written to.
        """
        self.token = token
        self.bot = User(
            id=int(token.split(":", 1)[0]), first_name="Vakhta", username="vakhta_bot", is_bot=True
        )
        self.ledger = Ledger()
        self.faults = Faults()
        self.flood = Flood() if flood else None
        self.updates = Updates()
        self.commands: dict[str, list[dict[str, str]]] = {}
        self.listeners: list[Callable[[], None]] = []
        self._wall_offset = wall_offset
        self._messages = Messages(self.bot)
        self._methods: dict[str, Callable[[Params, float], Any]] = {
            "getMe": self._get_me,
            "sendMessage": lambda p, now: self._messages.send(p, self.wall(now)),
            "editMessageText": lambda p, now: self._messages.edit(p, self.wall(now), text_too=True),
            "editMessageReplyMarkup": lambda p, now: self._messages.edit(p, self.wall(now), text_too=False),
            "deleteMessage": lambda p, now: self._messages.delete(p, self.wall(now)),
            "answerCallbackQuery": self.updates.answer,
            "getUpdates": self.updates.take,
            "getChat": self._get_chat,
            "getChatMember": self._get_member,
            "getChatAdministrators": self._get_administrators,
            "setMyCommands": self._set_commands,
            "getMyCommands": lambda p, _: self.commands.get(p.text("scope"), []),
            "deleteMyCommands": lambda p, _: self.commands.pop(p.text("scope"), None) is None or True,
            "getWebhookInfo": self._webhook_info,
            "deleteWebhook": self._delete_webhook,
        }
        ann = User(id=PRIVATE, username="ann_oncall")
        for chat in chats or (Chat(id=PRIVATE, title=ann.first_name), Chat(id=GROUP)):
            self.open(chat)
            chat.join(ann, "creator")

    @property
    def chats(self) -> dict[int, Chat]:
        """The chats the bot has met, by id."""
        return self._messages.chats

    def wall(self, now: float) -> float:
        """Return Unix time."""
        return now + self._wall_offset

    def open(self, chat: Chat) -> Chat:
        """Let the bot meet a chat."""
        self._messages.chats[chat.id] = chat
        chat.join(self.bot, "administrator" if chat.type == "channel" else "member")
        return chat

    # ---- what the bot asks ----

    def request(self, path: str, params: Mapping[str, str], now: float) -> Response:
        """Answer a request to ``/bot<token>/<method>``."""
        token, _, method = path.removeprefix("/bot").partition("/")
        if token == self.token and path.startswith("/bot"):
            return self.call(method, params, now)
        known_form = path.startswith("/bot") and _TOKEN_FORM.fullmatch(token)
        refused = Refused(401, "Unauthorized") if known_form else Refused(404, "Not Found")
        return self._note(method, params, now, _refusal(refused), text=None, message_id=None, applied=False)

    def call(self, method: str, params: Mapping[str, str], now: float) -> Response:
        """Answer a call whose token was right.

        Args:
            method: As in the URL.
            params: As in the form: every value a string.
            now: Seconds of a clock that never steps.
        """
        name = NAMES.get(method.lower(), method)
        fault = self.faults.take(name, _chat_id(params))
        if fault is not None and (instead := _instead(fault)) is not None:
            return self._note(name, params, now, instead, text=None, message_id=None, applied=False)
        text, message_id = None, None
        try:
            result = self._apply(name, params, now)
        except Refused as refused:
            response = _refusal(refused)
        else:
            if isinstance(result, Message):
                text, message_id = result.text, result.id
                result = True if name == "deleteMessage" else self._messages.show(result)
            poll = (
                min(Params(name, params).integer("timeout"), LONGEST_POLL)
                if name == "getUpdates" and not result
                else 0
            )
            response = Response(status=200, body={"ok": True, "result": result}, poll=poll)
        applied = response.status == 200
        if fault is not None:
            response = _spoilt(response, fault)
        return self._note(name, params, now, response, text=text, message_id=message_id, applied=applied)

    def _apply(self, method: str, given: Mapping[str, str], now: float) -> Any:
        if method not in self._methods:
            raise Refused(404, "Not Found: method not found")
        params = Params(method, given)
        if method in WRITES and method != "deleteMessage" and self.flood is not None:
            wait = self.flood.retry_after(self._messages.chat(params).id, now)
            if wait is not None:
                raise Refused(429, f"Too Many Requests: retry after {wait}", retry_after=wait)
        return self._methods[method](params, now)

    def _note(
        self,
        method: str,
        params: Mapping[str, str],
        now: float,
        response: Response,
        *,
        text: str | None,
        message_id: int | None,
        applied: bool,
    ) -> Response:
        body = response.body if isinstance(response.body, dict) else {}
        self.ledger.add(
            Entry(
                method=method,
                params=dict(params),
                chat_id=_chat_id(params),
                text=params.get("text") if text is None else text,
                message_id=message_id,
                at=now,
                wall=self.wall(now),
                status=0 if response.connection is Connection.REFUSED else response.status,
                description=str(body.get("description", "")),
                applied=applied,
                answered=response.connection is Connection.KEPT
                and "ok" in body
                and (not applied or "result" in body),
            )
        )
        self._tell()
        return response

    # ---- what people do ----

    def say(self, chat_id: int, text: str, now: float, user: User | None = None) -> Message:
        """Let a person write into a chat."""
        chat = self.chats[chat_id]
        message = self._messages.receive(chat, user or self._someone(chat), text, self.wall(now))
        self.push("message", self._messages.show(message), now)
        return message

    def press(self, chat_id: int, message_id: int, data: str, now: float, user: User | None = None) -> str:
        """Let a person press a button, real or made up, and return the press's number."""
        chat = self.chats[chat_id]
        number = self.updates.press_id(now)
        content: dict[str, Any] = {
            "id": number,
            "from": (user or self._someone(chat)).as_dict(),
            "chat_instance": str(-chat_id),
            "data": data,
        }
        if message_id in chat.messages:
            content["message"] = self._messages.show(chat.messages[message_id])
        self.push("callback_query", content, now)
        return number

    def push(self, kind: str, content: dict[str, Any], now: float) -> int | None:
        """Queue an update of any kind and content."""
        number = self.updates.push(kind, content, now)
        self._tell()
        return number

    def migrate(self, old: int, new: int) -> Chat:
        """Turn a group into a supergroup: the old messages stay with the old number."""
        self.chats[old].migrated_to = new
        chat = self.open(Chat(id=new, title=self.chats[old].title))
        chat.members = dict(self.chats[old].members)
        return chat

    def _someone(self, chat: Chat) -> User:
        return next(user for user, _ in chat.members.values() if not user.is_bot)

    def _tell(self) -> None:
        for listener in tuple(self.listeners):
            listener()

    # ---- the methods that are not about messages ----

    def _get_me(self, _: Params, __: float) -> dict[str, Any]:
        return self.bot.as_dict() | {
            "can_join_groups": True,
            "can_read_all_group_messages": False,
            "supports_inline_queries": False,
        }

    def _get_chat(self, params: Params, _: float) -> dict[str, Any]:
        full = {"accent_color_id": 0, "max_reaction_count": 11, "accepted_gift_types": _gifts()}
        return self._messages.chat(params).as_dict() | full

    def _get_member(self, params: Params, _: float) -> dict[str, Any]:
        chat = self._messages.chat(params)
        found = chat.members.get(params.integer("user_id"))
        if found is None:
            raise Refused.bad("user not found")
        return _member(*found)

    def _get_administrators(self, params: Params, _: float) -> list[dict[str, Any]]:
        chat = self._messages.chat(params)
        if chat.type == "private":
            raise Refused.bad("there are no administrators in the private chat")
        return [_member(user, status) for user, status in chat.administrators() if not user.is_bot]

    def _set_commands(self, params: Params, _: float) -> bool:
        commands = params.json("commands", list, "bot commands") or []
        if len(commands) > 100:
            raise Refused.bad("too many bot commands specified")
        for command in commands:
            if not re.fullmatch(r"[a-z0-9_]{1,32}", str(command.get("command", ""))):
                raise Refused.bad("BOT_COMMAND_INVALID")
            if not 1 <= len(str(command.get("description", ""))) <= 256:
                raise Refused.bad("BOT_COMMAND_DESCRIPTION_INVALID")
        self.commands[params.text("scope")] = commands
        return True

    def _webhook_info(self, _: Params, __: float) -> dict[str, Any]:
        return {
            "url": self.updates.webhook,
            "has_custom_certificate": False,
            "pending_update_count": len(self.updates),
        }

    def _delete_webhook(self, params: Params, now: float) -> bool:
        self.updates.webhook = ""
        if params.flag("drop_pending_updates"):
            self.updates.take(Params("getUpdates", {"offset": str(2**31)}), now)
        return True


def _gifts() -> dict[str, bool]:
    names = (
        "unlimited_gifts",
        "limited_gifts",
        "unique_gifts",
        "premium_subscription",
        "gifts_from_channels",
    )
    return dict.fromkeys(names, False)


def _member(user: User, status: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"user": user.as_dict(), "status": status}
    if status == "creator":
        shown["is_anonymous"] = False
    elif status == "administrator":
        shown |= dict.fromkeys(_RIGHTS, False)
    elif status == "kicked":
        shown["until_date"] = 0
    return shown


def _chat_id(params: Mapping[str, str]) -> int | None:
    try:
        return int(params["chat_id"])
    except (KeyError, ValueError):
        return None


def _refusal(refused: Refused) -> Response:
    body: dict[str, Any] = {"ok": False, "error_code": refused.status, "description": refused.description}
    return Response(
        status=refused.status, body=body | ({"parameters": refused.parameters} if refused.parameters else {})
    )


def _instead(fault: Fault) -> Response | None:
    """Return what is answered when the request has no effect; ``None``: it has one."""
    match fault.trouble:
        case Trouble.STATUS:
            return _refusal(Refused(fault.status or 500, fault.description))
        case Trouble.HTML:
            status = fault.status or 404
            return Response(status=status, body=_PAGE % (status, status))
        case Trouble.FLOOD:
            wait = int(fault.seconds)
            return _refusal(Refused(429, f"Too Many Requests: retry after {wait}", retry_after=wait))
        case Trouble.DROP_BEFORE:
            return Response(status=200, body=b"", connection=Connection.DROPPED)
        case Trouble.REFUSE:
            return Response(status=200, body=b"", connection=Connection.REFUSED)
        case _:
            return None


def _spoilt(response: Response, fault: Fault) -> Response:
    """Return what reaches the bot of an answer to a request that had its effect."""
    match fault.trouble:
        case Trouble.DROP_AFTER:
            return Response(status=response.status, body=b"", connection=Connection.DROPPED)
        case Trouble.DELAY:
            return Response(status=response.status, body=response.body, delay=fault.seconds)
        case Trouble.NO_RESULT:
            return Response(status=200, body={"ok": True})
        case Trouble.TRUNCATED:
            whole = response.encode()
            return Response(status=response.status, body=whole[: len(whole) // 2])
        case _:
            return Response(status=fault.status or 200, body=fault.body.encode())
