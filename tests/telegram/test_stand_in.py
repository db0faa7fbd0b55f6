"""The stand-in refuses what Telegram refuses, in Telegram's words."""

from __future__ import annotations

import json

import pytest

from tests.telegram_api import GROUP, PRIVATE, TOKEN, BotApi, Chat, Fault, Standing, Trouble, User
from tests.telegram_api.entities import ParseError, checked_url, parse

CHAT = str(GROUP)


def api(**options):
    """A bot without limits of speed."""
    return BotApi(**{"flood": False, **options})


def send(bot, text="x", now=0.0, chat=CHAT, **more):
    """Send a message and return the answer."""
    return bot.call("sendMessage", {"chat_id": chat, "text": text, **more}, now)


def refusal(response):
    """Status and description of a refusal."""
    assert response.body["ok"] is False
    assert response.body["error_code"] == response.status
    return response.status, response.body["description"]


# ---- markup ----

MARKUP = [
    ("5 < 6", 'Unsupported start tag "" at byte offset 2'),
    ("a <no value>", 'Unsupported start tag "no" at byte offset 2'),
    ("é<br>", 'Unsupported start tag "br" at byte offset 2'),
    ("<br/>", 'Unsupported start tag "br/" at byte offset 0'),
    ("a <", "Unclosed start tag at byte offset 2"),
    ("<b", "Unclosed start tag at byte offset 0"),
    ("<b>x", 'Can\'t find end tag corresponding to start tag "b"'),
    ("x</b>", "Unexpected end tag at byte offset 1"),
    ("<b>x</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
    ("<b>x</b", "Unclosed end tag at byte offset 4"),
    ('<a href="x', "Unclosed start tag at byte offset 0"),
    ("<a href", 'Unclosed start tag "a" at byte offset 0'),
    ("<a href=", 'Unclosed start tag "a" at byte offset 0'),
    ('<a ="x">y</a>', 'Empty attribute name in the tag "a" at byte offset 0'),
    ("<a href=x/y>z</a>", "Unexpected end of name token at byte offset 8"),
    ("<span>x</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
    ('<tg-emoji emoji-id="x">x</tg-emoji>', "Invalid custom emoji identifier specified"),
    ('<tg-time unix="x">x</tg-time>', "Invalid date specified"),
    (
        "&#xD800;",
        "Text contains invalid Unicode characters after decoding HTML entities, check for unmatched surrogate code units",
    ),
]


@pytest.mark.parametrize(("markup", "fault"), MARKUP, ids=[row[0] for row in MARKUP])
def test_markup_is_refused_in_telegrams_words(markup, fault):
    """With the byte offset of the fault."""
    with pytest.raises(ParseError) as caught:
        parse(markup)
    assert str(caught.value) == fault
    assert refusal(send(api(), markup, parse_mode="HTML")) == (
        400,
        f"Bad Request: can't parse entities: {fault}",
    )


@pytest.mark.parametrize(
    ("markup", "text", "entities"),
    [
        pytest.param("<B>x</b>", "x", [("bold", 0, 1)], id="case"),
        pytest.param("<b>x</>", "x", [("bold", 0, 1)], id="short-end-tag"),
        pytest.param("<b onclick=x id>x</b >", "x", [("bold", 0, 1)], id="unknown-attributes"),
        pytest.param("😀<i>é</i>", "😀é", [("italic", 2, 1)], id="utf-16-offsets"),
        pytest.param("<b><i>x</i>y</b>", "xy", [("bold", 0, 2), ("italic", 0, 1)], id="nested"),
        pytest.param("<b></b>x", "x", [], id="empty-entity"),
        pytest.param("&lt;&amp&#39;&#x27;&nbsp;", "<&''&nbsp;", [], id="references"),
        pytest.param('<pre><code class="language-sh">x</code></pre>', "x", [("pre", 0, 1)], id="language"),
        pytest.param('<code class="language-sh">x</code>', "x", [("code", 0, 1)], id="code-has-no-language"),
        pytest.param(
            "<blockquote expandable>x</blockquote>", "x", [("expandable_blockquote", 0, 1)], id="expandable"
        ),
        pytest.param('<a href="http://grafana:3000">x</a>', "x", [], id="host-without-dot"),
        pytest.param('<a href="https://x.org/&amp;">x</a>', "x", [("text_link", 0, 1)], id="link"),
        pytest.param('<span class="tg-spoiler">x</span>', "x", [("spoiler", 0, 1)], id="spoiler"),
        pytest.param('<tg-time unix="1790000000">x</tg-time>', "x", [("date_time", 0, 1)], id="time"),
    ],
)
def test_markup_is_read(markup, text, entities):
    """Text and entities as people see them."""
    shown, found = parse(markup)
    assert (shown, [(e.type, e.offset, e.length) for e in found]) == (text, entities)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://x.org", "https://x.org/"),
        ("x.org/a", "http://x.org/a"),
        ("localhost:9090", None),
        ("http://[::1", None),
        ("javascript:alert(1)", None),
        ("tg://user?id=1", "tg://user?id=1"),
    ],
)
def test_links_are_kept_or_dropped(url, kept):
    """A host needs a dot."""
    assert checked_url(url) == kept


def test_what_telegram_makes_tappable_is_found_outside_of_code():
    """A command in a log line can be tapped unless it is code."""
    bot = api()
    send(bot, "see x.org/a or ask @ann_oncall, /restart <code>/stop @bob_oncall</code>", parse_mode="HTML")
    (message,) = bot.chats[GROUP].messages.values()
    assert [e.type for e in message.entities] == ["url", "mention", "bot_command", "code"]


# ---- messages ----

LIMITS = [
    ("4096-emoji", {"text": "😀" * 4096}, None),
    ("4097-emoji", {"text": "😀" * 4097}, "message is too long"),
    ("trimmed-first", {"text": " " * 99 + "x" * 4096}, None),
    ("32768-bytes", {"text": "<b>x</b>" * 4096, "parse_mode": "HTML"}, None),
    ("32769-bytes", {"text": "<b>x</b>" * 4096 + "x", "parse_mode": "HTML"}, "text is too long"),
    ("no-text", {"text": ""}, "message text is empty"),
    ("only-space", {"text": " \n\t"}, "text must be non-empty"),
    ("only-empty-tags", {"text": "<b> </b>", "parse_mode": "HTML"}, "text must be non-empty"),
    (
        "markdown",
        {"text": "x", "parse_mode": "MarkdownV2"},
        "unsupported parse_mode: the stand-in takes HTML or plain text",
    ),
    ("no-chat", {"chat_id": ""}, "chat_id is empty"),
    ("unknown-chat", {"chat_id": "-1"}, "chat not found"),
    ("chat-name", {"chat_id": "@oncall"}, "chat not found"),
    ("no-such-reply", {"reply_parameters": '{"message_id":9}'}, "message to be replied not found"),
    ("reply-anyway", {"reply_parameters": '{"message_id":9,"allow_sending_without_reply":true}'}, None),
    (
        "reply-field",
        {"reply_parameters": '{"message":9}'},
        "can't parse reply parameters: no such field: message",
    ),
    ("reply-json", {"reply_parameters": "9"}, "object expected as reply parameters"),
    ("no-topics", {"message_thread_id": "5"}, "message thread not found"),
    ("general-topic", {"message_thread_id": "1"}, "message thread not found"),
    ("truth", {"disable_notification": "True"}, "disable_notification must be true or false, not 'True'"),
    ("number", {"message_thread_id": "x"}, "message_thread_id must be an integer, not 'x'"),
    (
        "unknown-parameter",
        {"reply_to_message_id": "5"},
        "the stand-in refuses parameters sendMessage does not have: reply_to_message_id",
    ),
    ("surrogate", {"text": "\ud800"}, "strings must be encoded in UTF-8: text"),
]


@pytest.mark.parametrize(("params", "fault"), [pytest.param(p, f, id=name) for name, p, f in LIMITS])
def test_what_a_message_may_be(params, fault):
    """Limits and parameters."""
    response = api().call("sendMessage", {"chat_id": CHAT, "text": "x", **params}, 0)
    assert (response.status == 200) if fault is None else refusal(response) == (400, f"Bad Request: {fault}")


def button(**fields):
    """A keyboard of one button."""
    return json.dumps({"inline_keyboard": [[fields]]})


KEYBOARDS = [
    ("data", button(text="x", callback_data="d" * 64), None),
    ("long-data", button(text="x", callback_data="é" * 33), "BUTTON_DATA_INVALID"),
    ("no-data", button(text="x", callback_data=""), "BUTTON_DATA_INVALID"),
    ("link", button(text="x", url="https://x.org"), None),
    (
        "dotless",
        button(text="x", url="http://g:3000"),
        "inline keyboard button URL 'http://g:3000' is invalid: Wrong HTTP URL",
    ),
    (
        "hostless",
        button(text="x", url="http://"),
        "inline keyboard button URL 'http://' is invalid: URL host is empty",
    ),
    (
        "scheme",
        button(text="x", url="ftp://x.org"),
        "inline keyboard button URL 'ftp://x.org' is invalid: Unsupported URL protocol",
    ),
    (
        "no-action",
        button(text="x"),
        "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard",
    ),
    ("no-words", button(text=" ", callback_data="x"), "inline keyboard button text must be non-empty"),
    (
        "no-text",
        button(callback_data="x"),
        'can\'t parse inline keyboard button: Field "text" must be of type String',
    ),
    ("style", button(text="x", callback_data="x", style="danger"), None),
    (
        "no-style",
        button(text="x", callback_data="x", style="red"),
        "can't parse inline keyboard button: invalid button style specified",
    ),
    ("field", button(text="x", data="x"), "can't parse inline keyboard button: no such field: data"),
    ("json", "{", "can't parse reply keyboard markup JSON object"),
    (
        "rows",
        json.dumps({"inline_keyboard": [{"text": "x"}]}),
        "can't parse inline keyboard: Array of Arrays expected",
    ),
    (
        "nine",
        json.dumps({"inline_keyboard": [[{"text": "x", "callback_data": "x"}] * 9]}),
        "reply markup is too long",
    ),
    (
        "hundred",
        json.dumps({"inline_keyboard": [[{"text": "x", "callback_data": "x"}]] * 101}),
        "reply markup is too long",
    ),
]


@pytest.mark.parametrize(("markup", "fault"), [pytest.param(m, f, id=name) for name, m, f in KEYBOARDS])
def test_what_buttons_may_be(markup, fault):
    """One bad button fails the whole message."""
    response = send(api(), reply_markup=markup)
    assert (response.status == 200) if fault is None else refusal(response) == (400, f"Bad Request: {fault}")


def test_more_than_100_entities_lose_their_formatting_only():
    """No error: the message just looks plainer."""
    bot = api()
    send(bot, "<b>x</b> " * 120, parse_mode="HTML")
    (message,) = bot.chats[GROUP].messages.values()
    assert (len(message.entities), message.lost_entities) == (100, 20)


def test_odd_characters_go_the_way_they_go_there():
    """Control characters become spaces, direction overrides vanish."""
    bot = api()
    send(bot, "a\0b\tc\r\nd\u202ee")
    assert [m.text for m in bot.chats[GROUP].messages.values()] == ["a b c\nde"]


@pytest.mark.parametrize(
    ("standing", "status", "description"),
    [
        (Standing.KICKED, 403, "Forbidden: bot was kicked from the supergroup chat"),
        (Standing.BLOCKED, 403, "Forbidden: bot was blocked by the user"),
        (Standing.DEACTIVATED, 403, "Forbidden: user is deactivated"),
        (Standing.NOT_STARTED, 403, "Forbidden: bot can't initiate conversation with a user"),
        (Standing.DELETED, 403, "Forbidden: the group chat was deleted"),
        (Standing.NO_RIGHTS, 400, "Bad Request: not enough rights to send text messages to the chat"),
    ],
)
def test_a_chat_may_be_closed_to_the_bot(standing, status, description):
    """Each way has its words."""
    bot = api()
    bot.chats[GROUP].standing = standing
    assert refusal(send(bot)) == (status, description)


def test_a_group_that_became_a_supergroup_says_where_it_is():
    """In the parameters, whatever is asked."""
    bot = api(chats=[Chat(id=-5)])
    bot.migrate(-5, GROUP)
    response = send(bot, chat="-5")
    assert refusal(response) == (400, "Bad Request: group chat was upgraded to a supergroup chat")
    assert response.body["parameters"] == {"migrate_to_chat_id": GROUP}
    assert send(bot).status == 200


def test_topics():
    """An open one takes messages, a closed one and one that is not there do not."""
    bot = api(chats=[Chat(id=GROUP, topics={4}, closed_topics={5})])
    assert send(bot, message_thread_id="4").body["result"]["message_thread_id"] == 4
    assert refusal(send(bot, message_thread_id="5")) == (400, "Bad Request: TOPIC_CLOSED")
    assert refusal(send(bot, message_thread_id="6")) == (400, "Bad Request: message thread not found")


def edit(bot, number, now=0.0, **more):
    """Edit a message and return the answer."""
    return bot.call("editMessageText", {"chat_id": CHAT, "message_id": str(number), **more}, now)


def test_edits():
    """Changed text, changed buttons, nothing changed, nothing there, not ours, too long."""
    bot = api()
    number = send(bot, "<b>x</b>", parse_mode="HTML", reply_markup=button(text="a", callback_data="b")).body[
        "result"
    ]["message_id"]
    theirs = bot.say(GROUP, "hi", 0).id
    same = {"text": "<b>x</b>", "parse_mode": "HTML", "reply_markup": button(text="a", callback_data="b")}
    status, description = refusal(edit(bot, number, **same))
    assert (status, description[:39]) == (400, "Bad Request: message is not modified: s")
    assert edit(bot, number, text="x").body["result"]["edit_date"]
    assert bot.chats[GROUP].messages[number].buttons == []
    only = {"chat_id": CHAT, "message_id": str(number), "reply_markup": button(text="a", callback_data="c")}
    assert bot.call("editMessageReplyMarkup", only, 0).status == 200
    assert refusal(edit(bot, 99, text="y")) == (400, "Bad Request: message to edit not found")
    assert refusal(edit(bot, theirs, text="y")) == (400, "Bad Request: message can't be edited")
    assert refusal(edit(bot, number, text="x" * 4097)) == (400, "Bad Request: MESSAGE_TOO_LONG")


def test_deletions():
    """Within two days, once."""
    bot = api()
    for number, now, fault in (
        (1, 0, None),
        (1, 0, "message to delete not found"),
        (2, 48 * 3600 + 1, "message can't be deleted for everyone"),
    ):
        send(bot)
        response = bot.call("deleteMessage", {"chat_id": CHAT, "message_id": str(number)}, now)
        assert (
            (response.body.get("result") is True) if fault is None else refusal(response)[1].endswith(fault)
        )


def test_messages_are_numbered_as_telegram_numbers_them():
    """Each supergroup by itself, private chats and basic groups together."""
    bot = api(chats=[Chat(id=PRIVATE), Chat(id=-5), Chat(id=GROUP), Chat(id=GROUP - 1)])
    chats = (PRIVATE, -5, PRIVATE, GROUP, GROUP - 1, GROUP)
    assert [send(bot, chat=str(c)).body["result"]["message_id"] for c in chats] == [101, 102, 103, 1, 1, 2]


# ---- speed ----


def test_a_chat_takes_a_short_burst_then_one_a_second():
    """The sixth at once is refused; asking again too early makes it longer."""
    bot = BotApi()
    answers = [send(bot, now=0.0).status for _ in range(6)]
    assert answers == [200] * 5 + [429]
    hammering = send(bot, now=0.5)
    assert refusal(hammering) == (429, "Too Many Requests: retry after 6")
    assert hammering.body["parameters"] == {"retry_after": 6}
    assert send(bot, now=6.1).status == 200


def test_a_group_takes_20_a_minute_edits_included():
    """A private chat has no such limit."""
    for chat, most in ((GROUP, 20), (PRIVATE, 60)):
        bot = BotApi()
        number = send(bot, chat=str(chat)).body["result"]["message_id"]
        done = 1
        for second in range(1, 60):
            params = {"chat_id": str(chat), "message_id": str(number), "text": f"{second}"}
            done += bot.call("editMessageText", params, float(second)).status == 200
        assert done == most


def test_a_bot_sends_30_a_second():
    """Over all its chats."""
    bot = BotApi(chats=[Chat(id=number) for number in range(1, 40)])
    answers = [send(bot, chat=str(number)).status for number in range(1, 40)]
    assert answers.count(200) == 30


# ---- who asks, and how ----


@pytest.mark.parametrize(
    ("path", "status", "description"),
    [
        pytest.param(f"/bot{TOKEN}/getMe", 200, "", id="right"),
        pytest.param(f"/bot{TOKEN}/GETME", 200, "", id="case"),
        pytest.param(f"/bot{TOKEN[:-1]}x/getMe", 401, "Unauthorized", id="wrong-token"),
        pytest.param("/bot123/getMe", 404, "Not Found", id="malformed-token"),
        pytest.param("/other", 404, "Not Found", id="elsewhere"),
        pytest.param(f"/bot{TOKEN}/getThem", 404, "Not Found: method not found", id="unknown-method"),
    ],
)
def test_who_may_ask(path, status, description):
    """Token and method are checked as they are there."""
    response = api().request(path, {}, 0)
    assert response.status == status
    if status != 200:
        assert refusal(response) == (status, description)


def test_a_request_may_be_too_large():
    """Over 1 MiB is not even parsed."""
    assert refusal(send(api(), "x" * (1 << 20)))[0] == 413


# ---- updates ----


def updates(bot, now=0.0, **params):
    """The numbers of the updates that are waiting."""
    response = bot.call("getUpdates", {key: str(value) for key, value in params.items()}, now)
    return [update["update_id"] for update in response.body["result"]]


def test_updates_are_told_until_they_are_confirmed():
    """An offset confirms everything below it; a negative one keeps the last ones."""
    bot = api()
    for text in "abcd":
        bot.say(GROUP, text, 0)
    first = updates(bot)
    assert len(first) == 4
    assert updates(bot, limit=2) == first[:2]
    assert updates(bot, offset=first[1] + 1) == first[2:]
    assert updates(bot, offset=-1) == first[3:]
    assert updates(bot) == first[3:]


def test_updates_do_not_wait_for_ever():
    """A press 150 s, a message a day."""
    bot = api()
    bot.say(GROUP, "x", 0)
    bot.press(GROUP, 1, "d", 0)
    assert len(updates(bot, 149)) == 2
    assert len(updates(bot, 151)) == 1
    assert not updates(bot, 86_401)


def test_the_kinds_asked_for_are_remembered():
    """Until the bot says otherwise."""
    bot = api()
    updates(bot, allowed_updates='["callback_query"]')
    bot.say(GROUP, "x", 0)
    assert not updates(bot)
    updates(bot, allowed_updates="[]")
    assert bot.push("message_reaction", {}, 0) is None
    bot.say(GROUP, "x", 0)
    assert len(updates(bot)) == 1


def test_a_webhook_forbids_polling():
    """Until it is deleted."""
    bot = api()
    bot.updates.webhook = "https://x.org"
    assert bot.call("getWebhookInfo", {}, 0).body["result"]["url"] == "https://x.org"
    assert refusal(bot.call("getUpdates", {}, 0))[0] == 409
    bot.say(GROUP, "x", 0)
    assert bot.call("deleteWebhook", {"drop_pending_updates": "true"}, 0).status == 200
    assert not updates(bot)


def test_a_press_is_answered_in_time():
    """With at most 200 characters; a number nobody was given is too old."""
    bot = api()
    number = bot.press(GROUP, 1, "d", 0)
    late = "Bad Request: query is too old and response timeout expired or query ID is invalid"
    for params, now, expected in (
        ({"callback_query_id": number, "text": "ok", "show_alert": "true"}, 1, None),
        ({"callback_query_id": number, "text": "x" * 201}, 1, "Bad Request: MESSAGE_TOO_LONG"),
        ({"callback_query_id": number}, 151, late),
        ({"callback_query_id": "1"}, 1, late),
    ):
        response = bot.call("answerCallbackQuery", params, now)
        assert response.status == 200 if expected is None else refusal(response) == (400, expected)
    assert bot.updates.answers[number] == {"text": "ok", "show_alert": True}


def test_members_and_commands():
    """Who runs a chat, who is in it, and what the bot can be told to do."""
    bot = api()
    bot.chats[GROUP].join(User(id=5, first_name="Bob"))
    members = bot.call("getChatAdministrators", {"chat_id": CHAT}, 0).body["result"]
    assert [(m["user"]["id"], m["status"]) for m in members] == [(PRIVATE, "creator")]
    assert (
        bot.call("getChatMember", {"chat_id": CHAT, "user_id": "5"}, 0).body["result"]["status"] == "member"
    )
    assert refusal(bot.call("getChatMember", {"chat_id": CHAT, "user_id": "6"}, 0)) == (
        400,
        "Bad Request: user not found",
    )
    private = bot.call("getChatAdministrators", {"chat_id": str(PRIVATE)}, 0)
    assert refusal(private) == (400, "Bad Request: there are no administrators in the private chat")
    good = json.dumps([{"command": "status", "description": "What is wrong"}])
    assert bot.call("setMyCommands", {"commands": good}, 0).status == 200
    assert bot.call("getMyCommands", {}, 0).body["result"] == json.loads(good)
    bad = json.dumps([{"command": "Status!", "description": "x"}])
    assert refusal(bot.call("setMyCommands", {"commands": bad}, 0)) == (
        400,
        "Bad Request: BOT_COMMAND_INVALID",
    )
    assert bot.call("deleteMyCommands", {}, 0).status == 200
    assert bot.call("getMyCommands", {}, 0).body["result"] == []


# ---- faults and ledger ----


def test_faults_meet_whom_they_are_for():
    """By method, by chat, every so many, so many times."""
    bot = api()
    bot.faults.add(Fault(trouble=Trouble.STATUS, methods=("sendMessage",), chat_id=GROUP, times=2, every=2))
    answers = [
        send(bot, chat=chat).status
        for chat in (CHAT, str(PRIVATE), CHAT, CHAT, str(PRIVATE), CHAT, CHAT, CHAT)
    ]
    assert answers == [200, 200, 500, 200, 200, 500, 200, 200]
    bot.faults.add(Fault(trouble=Trouble.STATUS, times=None))
    assert send(bot).status == 500
    bot.faults.clear()
    assert send(bot).status == 200


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, "trouble is missing"),
        ({"trouble": "x"}, "'x' is not"),
        ({"trouble": "delay", "time": 1}, "unknown keys"),
    ],
)
def test_a_fault_from_json_is_checked(given, fault):
    """A typing error does not test nothing."""
    with pytest.raises(ValueError, match=fault):
        Fault.from_dict(given)


def test_a_fault_survives_json():
    """As a demonstration sends it."""
    fault = Fault(trouble=Trouble.DELAY, methods=("getMe",), seconds=2.5)
    assert Fault.from_dict(json.loads(json.dumps(fault.as_dict()))) == fault


def test_the_ledger_tells_what_happened_from_what_was_asked():
    """Applied and answered are two things."""
    bot = api()
    for trouble in (Trouble.DROP_AFTER, Trouble.DROP_BEFORE, Trouble.TRUNCATED, Trouble.REFUSE):
        bot.faults.add(Fault(trouble=trouble))
        send(bot, f"<b>{trouble}</b>", parse_mode="HTML")
    send(bot, "fine", now=7.0)
    shown = [(e.applied, e.answered, e.status, e.text) for e in bot.ledger]
    assert shown == [
        (True, False, 200, "drop_after"),
        (False, False, 200, "<b>drop_before</b>"),
        (True, False, 200, "truncated"),
        (False, False, 0, "<b>refuse</b>"),
        (True, True, 200, "fine"),
    ]
    assert [m.text for m in bot.chats[GROUP].messages.values()] == ["drop_after", "truncated", "fine"]
    last = bot.ledger.of("sendMessage", GROUP, applied=True)[-1]
    assert (last.at, last.wall - last.at) == (7.0, pytest.approx(bot.wall(0)))
    assert bot.ledger.busiest(GROUP, 5) == 2
