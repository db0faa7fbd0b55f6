"""Every set-up a person may have, and word for word what `alertctl test` says to it.

`ACCEPT=1 pytest tests/ctl` rewrites the transcripts; the difference is what is reviewed.
"""

from __future__ import annotations

import asyncio
import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from alerting.ctl.test import Tempo
from alerting.telegram.announce import Chat as Destination
from alerting.telegram.shot import Pace
from tests.ctl.site import BOT, HASTY, Setup, alerting, play, stranger
from tests.telegram_api import GROUP, PRIVATE, TOKEN, Chat, Fault, Standing, Trouble

TRANSCRIPTS = Path(__file__).parent / "transcripts"
FORUM = -1001_000_000_002
TWO_RECEIVERS = f"""\
global:
  telegram_api_url: {{telegram}}
receivers:
  - name: oncall
    telegram_configs:
      - chat_id: {GROUP}
  - name: shop
    telegram_configs:
      - chat_id: {FORUM}
        message_thread_id: 7
        disable_notifications: true
"""
ONE_TOPIC = TWO_RECEIVERS.replace(f"  - name: oncall\n    telegram_configs:\n      - chat_id: {GROUP}\n", "")
# An edit follows a group's message a second later, and a doubtful request is repeated after ten.
UNHURRIED = Tempo(pace=Pace(limit=timedelta(seconds=3), settle=timedelta(0)))
LINE = b'{"receiver": "telegram", "chat_id": -1, "stage": "firing", "ok": true, "message_id": 1, "seconds": 0.1}\n'


def fault(trouble, **more):
    """The Telegram has this fault until the end."""

    async def break_it(telegram):
        telegram.api.faults.add(Fault(trouble=trouble, times=None, **more))

    return break_it


async def refuse(telegram):
    """Nothing listens where Telegram should."""
    await telegram.refuse()


def stands(standing, chat=GROUP):
    """How the bot stands with the chat."""

    async def change(telegram):
        telegram.api.chats[chat].standing = standing

    return change


def answers(body, status=200, kind="application/x-ndjson"):
    """What something else answers."""

    async def answer(_request):
        return web.Response(body=body, status=status, headers={"Content-Type": kind})

    return stranger(answer)


async def hang(_request):
    """Never answer."""
    await asyncio.Event().wait()


def to(chat):
    """The bot and this chat."""
    return {**BOT, "TELEGRAM_CHAT_ID": chat}


SETUPS = (
    # nothing is wrong
    Setup(id="good-direct"),
    Setup(id="good-direct-two-receivers", env={"TELEGRAM_BOT_TOKEN": TOKEN}, config=TWO_RECEIVERS, chats=(Chat(id=FORUM, topics={7}),), several=True),
    Setup(id="good-direct-one-of-two-receivers", env={"TELEGRAM_BOT_TOKEN": TOKEN}, config=TWO_RECEIVERS, argv="test --receiver oncall"),
    Setup(id="good-service", env={}, service=alerting()),
    Setup(id="good-service-rule", env={}, argv="test --rule ContainerCrashLoop --severity critical", service=alerting()),
    Setup(id="dry-run", argv="test --dry-run"),
    Setup(id="dry-run-rule", argv="test --dry-run --rule ContainerDown --severity warning"),
    Setup(id="dry-run-unconfigured", env={}, argv="test --dry-run --severity info"),
    # the bot
    Setup(id="no-token", env={}),
    Setup(id="token-damaged", env={**BOT, "TELEGRAM_BOT_TOKEN": "123456789:AAStandIn"}),
    Setup(id="token-unknown", env={**BOT, "TELEGRAM_BOT_TOKEN": f"{TOKEN[:-1]}x"}),
    Setup(id="token-twice", env={**BOT, "TELEGRAM_BOT_TOKEN_FILE": "{folder}/token"}),
    Setup(id="token-file-missing", env={"TELEGRAM_BOT_TOKEN_FILE": "{folder}/token", "TELEGRAM_CHAT_ID": "1"}),
    # the chat
    Setup(id="no-chat", env={"TELEGRAM_BOT_TOKEN": TOKEN}),
    Setup(id="chat-not-a-number", env=to("@oncall")),
    Setup(id="chat-is-the-token", env=to(TOKEN)),
    Setup(id="chat-not-found", env=to("-1009999999999")),
    Setup(id="kicked", world=stands(Standing.KICKED)),
    Setup(id="group-deleted", world=stands(Standing.DELETED)),
    Setup(id="blocked", env=to(str(PRIVATE)), world=stands(Standing.BLOCKED, PRIVATE)),
    Setup(id="not-started", env=to(str(PRIVATE)), world=stands(Standing.NOT_STARTED, PRIVATE)),
    Setup(id="no-rights", world=stands(Standing.NO_RIGHTS)),
    Setup(id="topic-closed", env={"TELEGRAM_BOT_TOKEN": TOKEN}, config=ONE_TOPIC, chats=(Chat(id=FORUM, closed_topics={7}),)),
    Setup(id="topic-missing", env={"TELEGRAM_BOT_TOKEN": TOKEN}, config=ONE_TOPIC, chats=(Chat(id=FORUM, topics={8}),)),
    Setup(id="one-of-two-broken", env={"TELEGRAM_BOT_TOKEN": TOKEN}, config=TWO_RECEIVERS),
    # the way
    Setup(id="no-network", world=refuse),
    Setup(id="page-404", world=fault(Trouble.HTML, status=404)),
    Setup(id="page-502", world=fault(Trouble.HTML, status=502), tempo=UNHURRIED),
    Setup(id="silent", world=fault(Trouble.DELAY, seconds=60, methods=("sendMessage",)), tempo=HASTY),
    Setup(id="connection-closed", world=fault(Trouble.DROP_BEFORE), tempo=UNHURRIED),
    Setup(id="flood", world=fault(Trouble.FLOOD, seconds=300)),
    Setup(id="edit-fails", world=fault(Trouble.HTML, status=502, methods=("editMessageText",)), tempo=UNHURRIED),
    # the configuration and what is typed
    Setup(id="config-wrong", config="receivers:\n  - name: oncall\n    telegram_config:\n      - chat_id: 1\n"),
    Setup(id="config-missing", argv="test --config.file {folder}/none.yml"),
    Setup(id="rule-unknown", argv="test --rule ContainerDwn"),
    Setup(id="severity-unknown", argv="test --severity loud"),
    Setup(id="receiver-unknown", argv="test --receiver oncal"),
    Setup(id="receiver-without-chat", config="receivers:\n  - name: nobody\n"),
    Setup(id="dry-run-rule-unknown", argv="test --dry-run --rule Nothing"),
    Setup(id="flag-unknown", argv="test --rul ContainerDown"),
    # through the service
    Setup(id="service-kicked", env={}, service=alerting(), world=stands(Standing.KICKED)),
    Setup(id="service-token-unknown", env={}, service=alerting(token=f"{TOKEN[:-1]}x")),
    Setup(id="service-without-token", env={}, service=alerting(token="")),
    Setup(id="service-rule-unknown", env={}, argv="test --rule ContainerDwn", service=alerting()),
    Setup(id="service-severity-unknown", env={}, argv="test --severity loud", service=alerting()),
    Setup(id="service-receiver-unknown", env={}, argv="test --receiver oncal", service=alerting()),
    Setup(
        id="service-receiver-in-a-topic",
        env={},
        chats=(Chat(id=FORUM, topics={7}),),
        argv="test --receiver shop",
        service=alerting(receivers={"oncall": (Destination(chat_id=GROUP),), "shop": (Destination(chat_id=FORUM, thread_id=7),)}),
    ),
    # something else in the service's place
    Setup(id="service-older", service=answers(b'{"status":"error"}', 404, "application/json")),
    Setup(id="service-is-a-page", service=answers(b"<html>", 200, "text/html")),
    Setup(id="service-speaks-garbage", service=answers(b"\xff\xfe\n")),
    Setup(id="service-speaks-another-json", service=answers(b'{"hello": 1}\n')),
    Setup(id="service-asks-for-a-password", service=answers(b"no", 401, "text/plain")),
    Setup(id="service-stops-half-way", service=answers(LINE)),
    Setup(id="service-hangs", service=stranger(hang), tempo=HASTY),
    Setup(id="url-without-scheme", argv="test --alerting.url 127.0.0.1:9818"),
    Setup(id="url-malformed", argv="test --alerting.url http://127.0.0.1:port"),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _wide_screen(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.id)
async def test_transcript(setup, tmp_path, capsys):
    """Word for word, the exit code included; never the token, never a traceback."""
    shown, _ = await play(setup, tmp_path, capsys)
    assert TOKEN not in shown
    assert setup.env.get("TELEGRAM_BOT_TOKEN", TOKEN) not in shown.partition("--- exit code")[2]
    assert "Traceback" not in shown
    path = TRANSCRIPTS / f"{setup.id}.txt"
    if os.environ.get("ACCEPT"):
        path.write_text(shown)
    assert shown == path.read_text(), "if this is meant, ACCEPT=1 takes it"


def test_no_transcript_without_its_setup():
    """A set-up that went takes its transcript with it."""
    assert {path.stem for path in TRANSCRIPTS.iterdir()} == {setup.id for setup in SETUPS}


# What a person mends in different ways.
DIFFERENT = (
    "no-token", "token-damaged", "token-unknown", "token-twice", "token-file-missing", "no-chat", "chat-not-a-number",
    "chat-not-found", "kicked", "group-deleted", "blocked", "not-started", "no-rights", "topic-closed", "no-network",
    "page-404", "page-502", "silent", "connection-closed", "flood", "edit-fails", "config-wrong", "config-missing",
    "rule-unknown", "severity-unknown", "receiver-unknown", "receiver-without-chat", "service-without-token",
    "service-older", "service-speaks-garbage", "service-stops-half-way", "service-hangs", "url-malformed",
)  # fmt: skip


def test_every_fault_has_a_sentence_of_its_own():
    """Set-ups that are mended differently never read the same, numbers aside; none of them exits with 0."""
    sentences = {}
    for name in DIFFERENT:
        text = (TRANSCRIPTS / f"{name}.txt").read_text()
        last = text.strip().split("\n")[-1].rpartition("not delivered: ")[2]
        sentences.setdefault(re.sub(r"-?\d+", "N", last), []).append(name)
        assert "--- exit code 0" not in text
    assert [names for names in sentences.values() if len(names) > 1] == []
