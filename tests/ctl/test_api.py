"""`POST /api/vakhta/v1/test`: who may ask, what may be asked, and how it is answered."""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from alerting.ctl.remote import _report
from alerting.web.guard import guard, is_loopback
from alerting.web.test_api import CONTENT_TYPE, PATH
from tests.ctl.site import Setup, alerting, site
from tests.telegram_api import GROUP, Standing, until
from vakhta.web import WebServer

PAGE = (Path(__file__).parents[2] / "docs" / "interfaces.md").read_text().partition("## 6.")[2]


def example(language):
    """Return the section's example."""
    return re.search(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[1]


@asynccontextmanager
async def asking(folder):
    """A running service and a way to ask it."""
    setup = Setup(id="", service=alerting())
    async with site(setup, folder) as made, aiohttp.ClientSession(trust_env=False) as session:

        async def ask(body="{}", **headers):
            given = {"Content-Type": "application/json", **headers}
            async with session.post(f"{made.url}{PATH}", data=body, headers=given) as response:
                return response.status, response.content_type, await response.text()

        made.ask = ask
        yield made


async def test_the_answer(tmp_path):
    """One line per stage as it happens, then the sum; the lines have the keys of the documented example."""
    async with asking(tmp_path) as made:
        status, kind, text = await made.ask(example("json"))
        lines = [json.loads(line) for line in text.splitlines()]
        documented = [json.loads(line) for line in example("ndjson").splitlines()]
        assert (status, kind) == (200, CONTENT_TYPE)
        assert [line.keys() for line in lines] == [line.keys() for line in documented]
        assert [{**line, "seconds": 0} for line in lines[:2]] == [
            {
                "receiver": "telegram",
                "chat_id": GROUP,
                "stage": stage,
                "ok": True,
                "message_id": 1,
                "seconds": 0,
            }
            for stage in ("firing", "resolved")
        ]
        assert lines[2] == {"done": True, "ok": True}
        (message,) = made.telegram.api.chats[GROUP].messages.values()
        assert "🟠 shop/web is down" in made.telegram.api.ledger.writes()[0].text
        assert message.edits == 1


def test_the_documented_lines_are_read():
    """Alertctl understands the example of the page."""
    reports = [_report("", json.loads(line)) for line in example("ndjson").splitlines()[:-1]]
    assert [report.message_id for report in reports] == [101, 101]


async def test_a_failed_stage(tmp_path):
    """It has a word of the error table and a sentence."""
    async with asking(tmp_path) as made:
        made.telegram.api.chats[GROUP].standing = Standing.KICKED
        _, _, text = await made.ask("")
        first, last = (json.loads(line) for line in text.splitlines())
        assert (first["ok"], first["reason"], last) == (
            False,
            "chat_unreachable",
            {"done": True, "ok": False},
        )
        assert first["error"] == "the bot was removed from this chat: add it again"


async def test_it_opens_no_incident(tmp_path):
    """It passes by dispatch: nothing to inhibit, silence, repeat or restore."""
    async with asking(tmp_path) as made:
        await made.ask()
        assert [alert for alert in made.service.dispatcher.active() if "vakhta_test" in alert.labels] == []
        assert made.service.own.latency._sum.get() == 0


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param("{", "the body is not JSON: ", id="no JSON"),
        pytest.param("[]", "the body is not a JSON object, such as ", id="no object"),
        pytest.param('{"rul": "X"}', "unknown key 'rul'; known: receiver, rule, severity", id="unknown key"),
        pytest.param('{"rule": 7}', "rule is not a string", id="not a string"),
        pytest.param('{"rule": "Nope"}', "no alerting rule named 'Nope'", id="unknown rule"),
        pytest.param('{"rule": "container:may_page:info"}', "no alerting rule named", id="a recording rule"),
        pytest.param('{"severity": "none"}', "no severity 'none'", id="unknown severity"),
        pytest.param('{"receiver": "x"}', "no receiver named 'x'; known: telegram", id="unknown receiver"),
    ],
)
async def test_what_is_not_a_test(tmp_path, body, error):
    """400 in the envelope of every error, and nothing is sent."""
    async with asking(tmp_path) as made:
        status, _, text = await made.ask(body)
        answer = json.loads(text)
        assert (status, answer["status"], answer["errorType"]) == (400, "error", "bad_data")
        assert answer["error"].startswith(error)
        assert made.telegram.api.ledger.writes() == []


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        pytest.param({"Content-Type": "text/plain"}, "Content-Type", id="a form of a strange page"),
        pytest.param({"Content-Type": "application/x-www-form-urlencoded"}, "Content-Type", id="a form"),
        pytest.param({"Host": "evil.example"}, "Host", id="a name that was made to resolve to us"),
        pytest.param({"Host": "127.0.0.1.evil.example"}, "Host", id="a name that begins like us"),
        pytest.param({"Host": "10.0.0.5:9818"}, "Host", id="an address that is not ours alone"),
        pytest.param({"X-Forwarded-For": "127.0.0.1"}, "proxy", id="a proxy"),
        pytest.param({"x-forwarded-host": "localhost"}, "proxy", id="a proxy, in lower case"),
        pytest.param({"Forwarded": "for=127.0.0.1"}, "proxy", id="a proxy of the newer kind"),
    ],
)
async def test_who_may_not(tmp_path, headers, word):
    """403, with the reason; nothing is sent."""
    async with asking(tmp_path) as made:
        status, _, text = await made.ask("{}", **headers)
        assert status == 403
        assert word in json.loads(text)["error"]
        assert made.telegram.api.ledger.writes() == []


@pytest.mark.parametrize(
    "host", ["localhost:9818", "LOCALHOST", "127.0.0.1", "127.8.8.8:1", "[::1]:9818", "[::1]"]
)
async def test_loopback_names(tmp_path, host):
    """Any name of this machine's loopback will do, and a charset in the content type is no matter."""
    async with asking(tmp_path) as made:
        headers = {"Host": host, "Content-Type": "application/json; charset=utf-8"}
        status, _, _ = await made.ask('{"severity": "x"}', **headers)
        assert status == 400


@pytest.mark.parametrize(
    ("listen", "status"),
    [
        pytest.param("127.0.0.1:9818", 200, id="loopback"),
        pytest.param("localhost:9818", 200, id="by name"),
        pytest.param("[::1]:9818", 200, id="v6"),
        pytest.param(":9818", 403, id="every interface"),
        pytest.param("0.0.0.0:9818", 403, id="every v4 interface"),
        pytest.param("[::]:9818", 403, id="every v6 interface"),
        pytest.param("10.0.0.5:9818", 403, id="the network's address"),
        pytest.param("shop.example.org:9818", 403, id="a public name"),
    ],
)
async def test_listening_to_others_turns_writing_off(listen, status):
    """Even for who comes from here: behind a proxy on this machine everybody does."""
    check = guard(listen)

    async def write(request):
        return check(request) or web.Response()

    app = web.Application()
    app.router.add_post("/", write)
    server = WebServer(app)
    await server.start()
    try:
        async with (
            aiohttp.ClientSession(trust_env=False) as session,
            session.post(f"{server.url}/", json={}) as answer,
        ):
            assert answer.status == status
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.5", False),
        ("", False),
        ("localhost.evil.example", False),
        ("0x7f.1", False),
    ],
)
def test_is_loopback(host, expected):
    """An address is looked at as an address, a name only as itself."""
    assert is_loopback(host) is expected


async def test_who_asks_and_leaves(tmp_path):
    """The message is resolved all the same."""
    async with asking(tmp_path) as made:
        async with aiohttp.ClientSession(trust_env=False) as session:
            response = await session.post(f"{made.url}{PATH}", json={})
            await response.content.readline()
            response.close()
        await until(made.telegram.api, lambda: made.telegram.api.chats[GROUP].messages[1].edits)


async def test_the_service_ends_in_the_middle(tmp_path):
    """It ends at once, and the answer says that the test did not."""
    async with asking(tmp_path) as made:
        made.service.trial.pace = type(made.tempo.pace)()  # two seconds between the messages
        async with aiohttp.ClientSession(trust_env=False) as session:
            response = await session.post(f"{made.url}{PATH}", json={})
            assert json.loads(await response.content.readline())["ok"]
            await made.service.trial.close()
            assert json.loads(await response.content.readline()) == {"done": True, "ok": False}
