"""Reading a request's parameters as strictly as the server does, and more: nothing unknown passes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

_SCOPED: Final = ("scope", "language_code")
_TEXT: Final = (
    "text",
    "parse_mode",
    "entities",
    "link_preview_options",
    "reply_markup",
    "business_connection_id",
)

# Every method of the stand-in with every parameter it has at Bot API 10.0. The real server ignores others; here
# they are refused, because to send one is always a mistake.
METHODS: Final[dict[str, frozenset[str]]] = {
    "getMe": frozenset(),
    "sendMessage": frozenset(
        (
            "chat_id",
            "message_thread_id",
            "direct_messages_topic_id",
            "disable_notification",
            "protect_content",
            "allow_paid_broadcast",
            "message_effect_id",
            "suggested_post_parameters",
            "reply_parameters",
            *_TEXT,
        )
    ),
    "editMessageText": frozenset(("chat_id", "message_id", "inline_message_id", *_TEXT)),
    "editMessageReplyMarkup": frozenset(
        ("chat_id", "message_id", "inline_message_id", "reply_markup", "business_connection_id")
    ),
    "deleteMessage": frozenset(("chat_id", "message_id")),
    "answerCallbackQuery": frozenset(("callback_query_id", "text", "show_alert", "url", "cache_time")),
    "getUpdates": frozenset(("offset", "limit", "timeout", "allowed_updates")),
    "getChat": frozenset(("chat_id",)),
    "getChatMember": frozenset(("chat_id", "user_id")),
    "getChatAdministrators": frozenset(("chat_id",)),
    "setMyCommands": frozenset(("commands", *_SCOPED)),
    "getMyCommands": frozenset(_SCOPED),
    "deleteMyCommands": frozenset(_SCOPED),
    "getWebhookInfo": frozenset(),
    "deleteWebhook": frozenset(("drop_pending_updates",)),
}
NAMES: Final = {name.lower(): name for name in METHODS}  # the server does not mind the case

MOST_BYTES: Final = 1 << 20
_ROW: Final = 8
_BUTTONS: Final = 100
_ACTIONS: Final = ("callback_data", "url", "copy_text", "web_app", "login_url", "switch_inline_query")
_BUTTON_FIELDS: Final = frozenset(("text", "style", "icon_custom_emoji_id", *_ACTIONS))
_STYLES: Final = ("danger", "success", "primary")


class Refused(Exception):  # noqa: N818  it is raised as a verdict, not as a fault
    """The request is refused with this status, description and ``parameters``."""

    def __init__(self, status: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.parameters = parameters

    @classmethod
    def bad(cls, what: str) -> Refused:
        """Make a 400."""
        return cls(400, f"Bad Request: {what}")


class Params:
    """The parameters of one request."""

    def __init__(self, method: str, given: Mapping[str, str]) -> None:
        size = sum(
            len(key.encode()) + len(value.encode("utf-8", "surrogatepass")) for key, value in given.items()
        )
        if size > MOST_BYTES:
            raise Refused(413, "Request Entity Too Large: too many parameters")
        if unknown := given.keys() - METHODS[method]:
            raise Refused.bad(
                f"the stand-in refuses parameters {method} does not have: {', '.join(sorted(unknown))}"
            )
        for name, value in given.items():
            if any("\ud800" <= character <= "\udfff" for character in value):
                raise Refused.bad(f"strings must be encoded in UTF-8: {name}")
        self._given = given

    def __contains__(self, name: str) -> bool:
        return self._given.get(name, "") != ""

    def text(self, name: str) -> str:
        """Return a string; absent is empty."""
        return self._given.get(name, "")

    def integer(self, name: str, default: int = 0) -> int:
        """Return a number."""
        try:
            return int(self._given.get(name) or default)
        except ValueError:
            raise Refused.bad(f"{name} must be an integer, not {self._given[name]!r}") from None

    def flag(self, name: str) -> bool:
        """Return a truth; only ``true`` and ``false`` are one."""
        value = self._given.get(name) or "false"
        if value not in ("true", "false"):
            raise Refused.bad(f"{name} must be true or false, not {value!r}")
        return value == "true"

    def json(self, name: str, kind: type, what: str) -> Any:
        """Return a JSON value of the given type; absent is ``None``."""
        if name not in self:
            return None
        try:
            value = json.loads(self._given[name])
        except ValueError:
            raise Refused.bad(f"can't parse {what} JSON object") from None
        if not isinstance(value, kind):
            raise Refused.bad(f"object expected as {what}")
        return value


def keyboard(params: Params) -> dict[str, Any] | None:
    """Read ``reply_markup``: an inline keyboard or nothing."""
    markup = params.json("reply_markup", dict, "reply keyboard markup")
    if markup is None:
        return None
    rows = markup.get("inline_keyboard")
    if rows is None or set(markup) != {"inline_keyboard"}:
        raise Refused.bad("can't parse reply keyboard markup: the stand-in takes an inline keyboard only")
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise Refused.bad("can't parse inline keyboard: Array of Arrays expected")
    for row in rows:
        for button in row:
            _check_button(button)
    if sum(map(len, rows)) > _BUTTONS or any(len(row) > _ROW for row in rows):
        raise Refused.bad("reply markup is too long")
    return {"inline_keyboard": [row for row in rows if row]} if any(rows) else None


def _check_button(button: Any) -> None:
    if not isinstance(button, dict) or not isinstance(button.get("text"), str):
        raise Refused.bad('can\'t parse inline keyboard button: Field "text" must be of type String')
    if unknown := button.keys() - _BUTTON_FIELDS:
        raise Refused.bad(f"can't parse inline keyboard button: no such field: {', '.join(sorted(unknown))}")
    if not button["text"].strip():
        raise Refused.bad("inline keyboard button text must be non-empty")
    actions = [name for name in _ACTIONS if name in button]
    if len(actions) != 1:
        raise Refused.bad(
            "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"
        )
    if button.get("style", "primary") not in _STYLES:
        raise Refused.bad("can't parse inline keyboard button: invalid button style specified")
    if "callback_data" in button and not 1 <= len(str(button["callback_data"]).encode()) <= 64:
        raise Refused.bad("BUTTON_DATA_INVALID")
    if "url" in button:
        _check_url(str(button["url"]))
    if "copy_text" in button and not 1 <= len(str(button["copy_text"].get("text", ""))) <= 256:
        raise Refused.bad("BUTTON_COPY_TEXT_INVALID")


def _check_url(url: str) -> None:
    fault = None
    try:
        parts = urlsplit(url if "://" in url or url.startswith("tg:") else f"http://{url}")
    except ValueError:
        parts, fault = urlsplit("http://a.b"), "Wrong HTTP URL"
    if parts.scheme == "tg":
        return
    if parts.scheme not in ("http", "https", "ton"):
        fault = "Unsupported URL protocol"
    elif not parts.hostname:
        fault = "URL host is empty"
    elif "." not in parts.hostname:
        fault = "Wrong HTTP URL"
    if fault:
        raise Refused.bad(f"inline keyboard button URL '{url}' is invalid: {fault}")
