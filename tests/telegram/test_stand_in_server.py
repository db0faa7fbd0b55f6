"""The stand-in as a server: driven by the real client, by curl-like requests, and as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import warnings
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
from telegram import Bot, BotCommand, ReplyParameters
from telegram.error import Conflict, NetworkError, TelegramError
from telegram.request import HTTPXRequest

from tests.telegram_api import GROUP, PRIVATE, TOKEN, BotApi, Fault, MemoryRequest, StandIn, Trouble, until
from tests.telegram_api.control import Control

LIMIT = 20
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def stand_in():
    """A Telegram on a port."""
    async with StandIn() as running:
        yield running


@pytest.fixture
async def http():
    """A plain client."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        yield session


def transport():
    """The library's own transport, deaf to proxies."""
    return HTTPXRequest(httpx_kwargs={"trust_env": False})


@pytest.fixture(params=["port", "memory"])
async def bot(request, stand_in):
    """The real client, over a port and without one."""
    memory = request.param == "memory"
    ways = [MemoryRequest(stand_in.api) if memory else transport() for _ in range(2)]
    async with Bot(
        TOKEN, base_url=f"{stand_in.url}/bot", request=ways[0], get_updates_request=ways[1]
    ) as made:
        yield made


async def test_the_library_can_read_every_answer(stand_in, bot):
    """Each method of the stand-in answers with what python-telegram-bot takes for the real thing."""
    api = stand_in.api
    assert (await bot.get_me()).username == "vakhta_bot"
    sent = await bot.send_message(GROUP, "<b>x</b> https://x.org", parse_mode="HTML")
    reply = await bot.send_message(GROUP, "y", reply_parameters=ReplyParameters(sent.message_id))
    assert reply.reply_to_message.message_id == sent.message_id
    assert [entity.type for entity in sent.entities] == ["bold", "url"]
    assert (await bot.edit_message_text("z", GROUP, sent.message_id)).text == "z"
    assert await bot.delete_message(GROUP, reply.message_id)
    assert (await bot.get_chat(GROUP)).type == "supergroup"
    assert [member.user.id for member in await bot.get_chat_administrators(GROUP)] == [PRIVATE]
    assert (await bot.get_chat_member(GROUP, PRIVATE)).status == "creator"
    assert (await bot.get_chat_member(GROUP, bot.id)).status == "member"
    assert await bot.set_my_commands([BotCommand("status", "What is wrong")])
    assert not (await bot.get_webhook_info()).url
    assert await bot.delete_webhook()
    number = api.press(GROUP, sent.message_id, "v1:ack", time.monotonic())
    api.say(GROUP, "/status", time.monotonic())
    press, said = await bot.get_updates(timeout=1)
    assert (press.callback_query.id, press.callback_query.data, said.message.text) == (
        number,
        "v1:ack",
        "/status",
    )
    assert await bot.answer_callback_query(number, text="ok")


async def test_a_long_poll_waits_for_what_people_do(stand_in, bot):
    """It answers as soon as there is something, and is one entry in the ledger."""
    polling = asyncio.ensure_future(bot.get_updates(timeout=LIMIT))
    await until(stand_in.api, lambda: stand_in.api.ledger.of("getUpdates"))
    stand_in.api.say(GROUP, "hi", time.monotonic())
    (update,) = await asyncio.wait_for(polling, LIMIT)
    assert update.message.text == "hi"
    assert len(stand_in.api.ledger.of("getUpdates")) == 1


async def test_a_second_poller_ends_the_first(stand_in, bot):
    """With Telegram's 409; sending is unaffected."""
    first = asyncio.ensure_future(bot.get_updates(timeout=LIMIT))
    await until(stand_in.api, lambda: stand_in.api.ledger.of("getUpdates"))
    second = asyncio.ensure_future(bot.get_updates(timeout=LIMIT))
    with pytest.raises(Conflict, match="terminated by other getUpdates"):
        await asyncio.wait_for(first, LIMIT)
    await bot.send_message(GROUP, "x")
    stand_in.api.say(GROUP, "hi", time.monotonic())
    assert len(await asyncio.wait_for(second, LIMIT)) == 1


async def test_a_poll_gives_up_when_its_time_is_over(bot):
    """Nothing happened: an empty answer."""
    assert await bot.get_updates(timeout=1) == ()


@pytest.mark.parametrize("trouble", [Trouble.DROP_AFTER, Trouble.DROP_BEFORE, Trouble.REFUSE])
async def test_a_lost_connection_looks_the_same_with_and_without_a_port(stand_in, bot, trouble):
    """The client cannot tell whether it was done; the ledger can."""
    stand_in.api.faults.add(Fault(trouble=trouble))
    with pytest.raises(NetworkError, match="httpx"):
        await bot.send_message(GROUP, "x")
    assert bool(stand_in.api.chats[GROUP].messages) is (trouble is Trouble.DROP_AFTER)


async def test_refusing_and_accepting_keep_the_port(stand_in):
    """As a restarted server would."""
    before = stand_in.url
    await stand_in.refuse()
    async with Client(stand_in.url) as bot:
        with pytest.raises(NetworkError, match="ConnectError"):
            await bot.send_message(GROUP, "x")
        await stand_in.accept()
        assert stand_in.url == before
        await bot.send_message(GROUP, "x")


class Client:
    """A client that does not ask who it is before it is used."""

    def __init__(self, url):
        self.bot = Bot(TOKEN, base_url=f"{url}/bot", request=transport(), get_updates_request=transport())

    async def __aenter__(self):
        return self.bot

    async def __aexit__(self, *_):
        for one in self.bot._request:
            await one.shutdown()


@pytest.mark.parametrize(
    ("options", "status"),
    [
        pytest.param({"data": {"chat_id": str(GROUP), "text": "x"}}, 200, id="form"),
        pytest.param({"json": {"chat_id": GROUP, "text": "x", "disable_notification": True}}, 200, id="json"),
        pytest.param({"params": {"chat_id": str(GROUP), "text": "x"}}, 200, id="query"),
        pytest.param({"data": "chat_id=1", "headers": {"Content-Type": "text/plain"}}, 400, id="plain"),
        pytest.param({"data": BytesIO(b"text=" + b"x" * (1 << 20)), "headers": FORM}, 413, id="too-large"),
    ],
)
async def test_the_formats_of_a_request(stand_in, http, options, status):
    """Those the Bot API takes."""
    async with http.post(f"{stand_in.url}/bot{TOKEN}/sendMessage", **options) as response:
        assert response.status == status
        assert (await response.json())["ok"] is (status == 200)


async def test_a_page_is_a_page(stand_in, http):
    """A proxy's answer is not JSON."""
    stand_in.api.faults.add(Fault(trouble=Trouble.HTML))
    async with http.post(f"{stand_in.url}/bot{TOKEN}/getMe") as response:
        assert (response.status, response.content_type) == (404, "text/html")
        assert b"nginx" in await response.read()


async def test_the_testers_doors(stand_in):
    """Ledger, chats, faults, words, presses and refusals from another process."""
    async with Control(stand_in.url) as control, Client(stand_in.url) as bot:
        await control.faults(Fault(trouble=Trouble.STATUS, status=500, times=None))
        with pytest.raises(TelegramError, match="restart"):
            await bot.send_message(GROUP, "x")
        await control.faults()
        await bot.send_message(GROUP, "y")
        assert [entry["status"] for entry in await control.ledger()] == [500, 200]
        assert [entry["text"] for entry in await control.ledger(since=1)] == ["y"]
        assert [message["text"] for message in (await control.chats())[str(GROUP)]] == ["y"]
        await control.say(GROUP, "/status")
        number = await control.press(GROUP, 1, "v1:ack")
        said, pressed = await bot.get_updates()
        assert (said.message.text, pressed.callback_query.id) == ("/status", number)
        with pytest.raises(ValueError, match="unknown keys"):
            await control._post("/_faults", {"trouble": "delay", "time": 1})
        await control.refuse(0.2)
        assert stand_in._site is not None


async def test_the_process():
    """It says where it listens, prints what a person would see, and ends on a signal."""
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.telegram_api", "--print", "--no-flood", "--chat", "7"),
        cwd=root,
        env={**os.environ, "TZ": "UTC"},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        first = json.loads(await asyncio.wait_for(process.stdout.readline(), LIMIT))
        assert (first["token"], first["chats"]) == (TOKEN, [7])
        async with Client(first["url"]) as bot:
            keyboard = {"inline_keyboard": [[{"text": "Ack", "callback_data": "x"}]]}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the library would rather have its own classes
                await bot.send_message(
                    7, "<b>down</b>\nsince 14:02", parse_mode="HTML", api_kwargs={"reply_markup": keyboard}
                )
            await bot.edit_message_text("up", 7, 101)
            with pytest.raises(TelegramError):
                await bot.edit_message_text("up", 7, 101)
            await bot.delete_message(7, 101)
    finally:
        process.send_signal(signal.SIGTERM)
        printed, _ = await asyncio.wait_for(process.communicate(), LIMIT)
    assert process.returncode == 0
    lines = [line[14:] if line[:2].isdigit() else line for line in printed.decode().splitlines() if line]
    assert lines[:4] == ["7  message 101, with sound", "  down", "  since 14:02", "  [ Ack ]"]
    assert lines[4:6] == ["7  message 101, edited (1)", "  up"]
    assert lines[6].startswith("7  ✗ editMessageText: 400 Bad Request: message is not modified")
    assert lines[7] == "7  message 101 deleted"


async def test_waiting_for_what_never_happens_shows_what_did():
    """A test that fails says what was asked instead."""
    api = BotApi()
    api.call("getMe", {}, 0)
    with pytest.raises(TimeoutError, match=r"1 requests, the last: \[\('getMe'"):
        await until(api, lambda: False, 0.01)
