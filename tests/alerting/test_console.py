"""Alerts on the console, while there is no bot token."""

from __future__ import annotations

import io

import pytest

from alerting.console import CONSOLE_CHAT, ConsoleSender
from alerting.telegram.draft import Kind
from alerting.telegram.sender import Operation


@pytest.mark.parametrize(
    ("operation", "printed", "number"),
    [
        pytest.param(
            Operation(kind=Kind.SEND, chat_id=CONSOLE_CHAT, text="<b>🔴 a &amp; b</b>\nsecond", as_html=True),
            "┌ message 1\n│ 🔴 a & b\n│ second\n└\n", 1, id="a message, without markup",
        ),
        pytest.param(
            Operation(kind=Kind.SEND, chat_id=CONSOLE_CHAT, text="<b>", as_html=False, silent=True),
            "┌ message 1, silent\n│ <b>\n└\n", 1, id="plain text stays as it is; what makes no sound says so",
        ),
        pytest.param(
            Operation(kind=Kind.EDIT, chat_id=CONSOLE_CHAT, text="x", as_html=True, message_id=5, silent=True),
            "┌ edited 5\n│ x\n└\n", 5, id="an edit names its message",
        ),
        pytest.param(
            Operation(kind=Kind.REPLY, chat_id=CONSOLE_CHAT, text="x", as_html=True, reply_to=4),
            "┌ reply 1\n│ x\n└\n", 1, id="a reply",
        ),
    ],
)  # fmt: skip
async def test_what_is_printed(operation, printed, number):
    """What a person would get on the phone."""
    stream = io.StringIO()
    outcome = await ConsoleSender(stream).send(operation)
    assert (stream.getvalue(), outcome.message_id, outcome.failure) == (printed, number, None)


async def test_numbers_count_up():
    """Only new messages get a number."""
    sender = ConsoleSender(io.StringIO())
    new = Operation(kind=Kind.SEND, chat_id=CONSOLE_CHAT, text="x", as_html=True)
    edit = Operation(kind=Kind.EDIT, chat_id=CONSOLE_CHAT, text="y", as_html=True, message_id=1)
    assert [(await sender.send(each)).message_id for each in (new, edit, new)] == [1, 1, 2]
    assert await sender.probe() is None
    await sender.close()


async def test_standard_output_is_where_it_goes(capsys):
    """As a person in front of it expects."""
    await ConsoleSender().send(Operation(kind=Kind.SEND, chat_id=CONSOLE_CHAT, text="here", as_html=True))
    assert "│ here" in capsys.readouterr().out
