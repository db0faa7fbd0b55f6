"""The real client against the stand-in on a real port: odd answers, lost answers, and no token anywhere."""

from __future__ import annotations

import pytest
from telegram.error import NetworkError

from alerting.telegram.draft import Kind
from alerting.telegram.errors import Action, Reason
from alerting.telegram.sender import Operation, Sender
from tests.telegram_api import GROUP, TOKEN, BotApi, Fault, MemoryRequest, StandIn, Trouble
from vakhta.secrets import Secret

SECRET_HALF = TOKEN.split(":")[1]
MESSAGE = Operation(kind=Kind.SEND, chat_id=GROUP, text="<b>x</b>")


@pytest.fixture
async def stand_in():
    """A Telegram on a port."""
    async with StandIn(BotApi(flood=False)) as running:
        yield running


@pytest.fixture
async def sender(stand_in):
    """A bot of it."""
    made = Sender(Secret(TOKEN), api_url=stand_in.url)
    yield made
    await made.close()


def raw(body, status=200):
    """An answer as it stands."""
    return Fault(trouble=Trouble.RAW, body=body, status=status)


ODD = [
    ("no-result", raw('{"ok":true}'), Reason.BAD_ANSWER, Action.AMBIGUOUS),
    ("not-ok", raw('{"ok":false}'), Reason.BAD_ANSWER, Action.AMBIGUOUS),
    ("null", raw("null"), Reason.BAD_ANSWER, Action.AMBIGUOUS),
    ("list", raw("[]"), Reason.BAD_ANSWER, Action.AMBIGUOUS),
    ("empty", raw(""), Reason.BAD_ANSWER, Action.AMBIGUOUS),
    ("page", raw("<html>"), Reason.BAD_ANSWER, Action.AMBIGUOUS),
    ("list-400", raw("[]", 400), Reason.REFUSED, Action.BARE),
    (
        "flood-without-time",
        raw('{"ok":false,"description":"Too Many Requests"}', 429),
        Reason.FLOOD,
        Action.PAUSE_CHAT,
    ),
    ("cut-after-ok", Fault(trouble=Trouble.TRUNCATED), Reason.BAD_ANSWER, Action.DONE),
    ("flood", Fault(trouble=Trouble.FLOOD, seconds=7), Reason.FLOOD, Action.PAUSE_CHAT),
    ("500", Fault(trouble=Trouble.STATUS), Reason.SERVER, Action.AMBIGUOUS),
    ("502-page", Fault(trouble=Trouble.HTML, status=502), Reason.SERVER, Action.AMBIGUOUS),
    ("302-page", Fault(trouble=Trouble.HTML, status=302), Reason.REDIRECT, Action.SLOW_RETRY),
    ("404-page", Fault(trouble=Trouble.HTML), Reason.NOT_FOUND, Action.OPEN_CIRCUIT),
    ("dropped", Fault(trouble=Trouble.DROP_AFTER), Reason.CONNECTION_LOST, Action.AMBIGUOUS),
]


@pytest.mark.parametrize(("fault", "reason", "action"), [pytest.param(*row, id=name) for name, *row in ODD])
async def test_whatever_is_answered_becomes_a_verdict(stand_in, sender, fault, reason, action, caplog):
    """Nothing is raised, and the library writes no body into the log."""
    stand_in.api.faults.add(fault)
    outcome = await sender.send(MESSAGE)
    assert outcome.failure is not None
    assert (outcome.failure.reason, outcome.failure.action) == (reason, action)
    assert not caplog.records


async def test_a_result_the_library_cannot_read_is_still_a_delivery(stand_in, sender):
    """The message number is taken from the answer itself."""
    stand_in.api.faults.add(raw('{"ok":true,"result":{"message_id":7,"date":"soon","chat":[]}}'))
    outcome = await sender.send(MESSAGE)
    assert (outcome.message_id, outcome.failure) == (7, None)


@pytest.mark.parametrize("body", ['{"ok":true,"result":true}', '{"ok":true,"result":{"message_id":"x"}}'])
async def test_a_delivery_without_a_number_is_a_delivery(stand_in, sender, body):
    """It can just not be edited."""
    stand_in.api.faults.add(raw(body))
    outcome = await sender.send(MESSAGE)
    assert (outcome.message_id, outcome.failure) == (None, None)


async def test_nobody_listening_is_no_delivery(stand_in, sender):
    """A refused connection is certain, and costs nothing."""
    await stand_in.refuse()
    outcome = await sender.send(MESSAGE)
    assert outcome.failure is not None
    assert (outcome.failure.reason, outcome.failure.action) == (Reason.CONNECT, Action.RETRY)
    await stand_in.accept()
    assert (await sender.send(MESSAGE)).failure is None


async def test_proxies_of_the_environment_are_ignored(stand_in, monkeypatch):
    """A proxy comes from the configuration only."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    sender = Sender(Secret(TOKEN), api_url=stand_in.url)
    assert (await sender.send(MESSAGE)).failure is None
    await sender.close()


async def test_a_proxy_of_the_configuration_is_used(stand_in):
    """Nothing goes past it."""
    sender = Sender(Secret(TOKEN), api_url=stand_in.url, proxy="http://127.0.0.1:1")
    outcome = await sender.send(MESSAGE)
    assert outcome.failure is not None
    assert outcome.failure.reason is Reason.CONNECT
    assert not stand_in.api.ledger.entries
    await sender.close()


async def test_the_token_is_in_no_log_line_and_no_verdict(stand_in, sender, caplog):
    """Through every kind of trouble, with logging at its loudest: ours, the library's, its HTTP client's."""
    caplog.set_level("DEBUG")
    faults = [fault for _, fault, *_ in ODD]
    stand_in.api.faults.add(*faults)
    said = [repr(await sender.send(MESSAGE)) for _ in (*faults, "one that works")]
    stand_in.api.faults.add(*faults)
    said += [repr(await sender.probe()) for _ in (*faults, "one that works")]
    for wrong in (
        Sender(Secret(TOKEN[:-1]), api_url=stand_in.url),
        Sender(Secret(TOKEN), api_url="http://127.0.0.1:1"),
    ):
        said += [repr(await wrong.probe()), repr(await wrong.send(MESSAGE))]
        await wrong.close()
    said += [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
    assert len(said) > 30
    assert not [line for line in said if SECRET_HALF[:-1] in line]


class Blabbing(MemoryRequest):
    """A client whose failures quote the URL."""

    async def do_request(self, url, *_, **__):
        """Fail."""
        raise NetworkError(f"cannot reach {url}")


async def test_a_failure_that_quotes_the_url_does_not_show_the_token():
    """Not even one that does not look like a token."""
    request = Blabbing(BotApi())
    sender = Sender(Secret("12:hush"), request=request, polling=request)
    for failure in (await sender.probe(), (await sender.send(MESSAGE)).failure):
        assert failure is not None
        assert failure.detail.startswith("cannot reach https://api.telegram.org/bot<secret>/")
    await sender.close()


async def test_a_short_token_is_not_shown_either(stand_in, caplog):
    """What does not look like a token may be one."""
    caplog.set_level("DEBUG")
    sender = Sender(Secret("12:hush"), api_url=stand_in.url)
    failure = await sender.probe()
    assert failure is not None
    assert "hush" not in f"{failure} {caplog.text}"
    await sender.close()
