"""The event stream: its lines, and its connection to a real server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.scrape.events import EventParser, EventStream, ServerEvent
from tests.scrape.served import LIMIT, Served


def parse(text):
    """Return the events of a stream's text."""
    parser = EventParser()
    return [event for line in text.split("\n") if (event := parser.feed(line)) is not None]


@pytest.mark.parametrize(
    ("text", "events"),
    [
        pytest.param("event: tick\nid: 7\ndata: x\n\n", [("tick", "x", "7")], id="an event"),
        pytest.param("data: x\n\n", [("message", "x", "")], id="without a type"),
        pytest.param("data: x\ndata: y\n\n", [("message", "x\ny", "")], id="data of two lines"),
        pytest.param("data:x\n\n", [("message", "x", "")], id="no space behind the colon"),
        pytest.param("data:  x\n\n", [("message", " x", "")], id="only one space is taken off"),
        pytest.param("data\n\n", [("message", "", "")], id="a field without a colon has an empty value"),
        pytest.param(": comment\n\n", [], id="a comment"),
        pytest.param("event: tick\n\n", [], id="no data, no event"),
        pytest.param(
            "event: tick\n\ndata: x\n\n", [("message", "x", "")], id="its type is not the next one's"
        ),
        pytest.param(
            "id: 7\ndata: x\n\ndata: y\n\n", [("message", "x", "7"), ("message", "y", "7")], id="an id stays"
        ),
        pytest.param("retry: 10\nfoo: bar\ndata: x\n\n", [("message", "x", "")], id="other fields"),
        pytest.param("data: x", [], id="not yet complete"),
    ],
)
def test_lines(text, events):
    """As the specification has it."""
    assert parse(text) == [ServerEvent(*event) for event in events]


line = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))


@given(st.lists(st.tuples(line.filter(bool), line.filter(bool)), max_size=5))
def test_what_is_written_is_read(events):
    """Any type and data on one line."""
    text = "".join(f"event: {kind}\ndata: {data}\n\n" for kind, data in events)
    assert [(event.event, event.data) for event in parse(text)] == events


class Ear:
    """What a stream told: "on", "off", and the time of each tick."""

    def __init__(self):
        self.heard = []
        self.host = ""
        self._changed = asyncio.Event()

    def tick(self, at):
        """Take a tick."""
        self._note(at)

    def connected(self, *, connected, host=""):
        """Take a change of the connection."""
        self.host = host or self.host
        self._note("on" if connected else "off")

    def _note(self, what):
        self.heard.append(what)
        self._changed.set()

    async def until(self, *expected):
        """Wait until exactly this was heard."""
        async with asyncio.timeout(LIMIT):
            while self.heard != list(expected):
                assert len(self.heard) < len(expected), self.heard
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def listening(served, **more):
    """Listen to a server."""
    ear = Ear()
    async with aiohttp.ClientSession(trust_env=False) as session:
        stream = EventStream(f"{served.url}/events", session, ear.tick, ear.connected, **more)
        task = asyncio.create_task(stream.run())
        try:
            yield ear
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


AT = datetime(2026, 9, 21, 14, 13, 20, 123456, tzinfo=UTC)


async def test_a_connection_and_a_tick():
    """Nothing is believed before the hello; connecting is itself a tick."""
    async with Served() as served, listening(served) as ear:
        await served.streamed()
        await ear.until("off")
        served.hello()
        await ear.until("off", "on", None)
        assert ear.host == "host-1"
        served.tick()
        await ear.until("off", "on", None, AT)


async def test_a_comment_is_nothing():
    """It only shows that the line is alive."""
    async with Served() as served, listening(served) as ear:
        await served.streamed()
        served.send(b": still here\n\n")
        served.hello()
        await ear.until("off", "on", None)


async def test_pieces_may_end_anywhere():
    """Lines come in pieces, with either end of line."""
    async with Served() as served, listening(served) as ear:
        await served.streamed()
        whole = b'event: hello\r\ndata: {"v":1}\r\n\r\nevent: tick\r\ndata: {"ts":"2026-09-21T14:13:20.123456Z"}\r\n\r\n'
        for byte in whole:
            served.send(bytes([byte]))
        await ear.until("off", "on", None, AT)


@pytest.mark.parametrize(
    ("ts", "at"),
    [
        pytest.param("2026-09-21T14:13:20.123456Z", AT, id="UTC"),
        pytest.param("2026-09-21T14:13:20.123456", AT, id="without a zone: UTC"),
        pytest.param(
            "2026-09-21T19:13:20.123456+05:00", AT.astimezone(timezone(timedelta(hours=5))), id="another zone"
        ),
        pytest.param("soon", None, id="no time: the tick counts all the same"),
        pytest.param(5, None, id="a number"),
        pytest.param(None, None, id="null"),
    ],
)
async def test_the_time_of_a_tick(ts, at):
    """When the cause happened."""
    async with Served() as served, listening(served) as ear:
        await served.streamed()
        served.tick(ts)
        await ear.until("off", at)


@pytest.mark.parametrize("data", ["no json", "[]", "{}", '"x"', "null"])
async def test_a_tick_of_another_shape_is_a_tick(data):
    """Something changed; that is enough."""
    async with Served() as served, listening(served) as ear:
        await served.streamed()
        served.send(f"event: tick\ndata: {data}\n\n".encode())
        await ear.until("off", None)


async def test_other_events_are_not_ours():
    """A newer exporter may send more."""
    async with Served() as served, listening(served) as ear:
        await served.streamed()
        served.send(b"event: news\ndata: x\n\n")
        served.hello()
        await ear.until("off", "on", None)


async def test_a_stream_that_ends_is_connected_again():
    """Losing it is a tick: what happened meanwhile is seen by a scrape."""
    async with Served() as served, listening(served) as ear:
        await served.streamed()
        served.hello()
        await ear.until("off", "on", None)
        served.close()
        await ear.until("off", "on", None, "off", None)
        await served.streamed(2)
        served.hello()
        await ear.until("off", "on", None, "off", None, "on", None)


async def test_a_server_that_goes_and_comes_back():
    """As when the exporter is restarted."""
    async with Served() as served, listening(served) as ear:
        await served.streamed()
        served.hello()
        await ear.until("off", "on", None)
        await served.stop()
        await served.start()
        await served.streamed(2)
        served.hello()
        async with asyncio.timeout(LIMIT):
            while ear.heard.count("on") < 2:
                ear._changed.clear()
                await ear._changed.wait()
        assert ear.heard[-2:] == ["on", None]


async def test_a_refusal_is_no_connection():
    """Another status than 200: off, and a tick per try."""
    async with Served() as served:
        served.refuse_streams = True
        async with listening(served) as ear:
            await ear.until("off", "off", None)


async def test_a_line_without_an_end_does_not_end_the_loop():
    """Beyond the reader's limit the stream counts as lost."""
    async with Served() as served, listening(served) as ear:
        await served.streamed()
        served.send(b"data: " + b"x" * (1 << 20))
        await ear.until("off", "off", None)
        await served.streamed(2)


async def test_silence_is_a_loss():
    """The exporter writes a comment every 15 s; a line that says nothing for longer is dead."""
    async with Served() as served, listening(served, silence=0.1) as ear:
        await served.streamed()
        served.hello()
        await ear.until("off", "on", None, "off", None)


async def test_credentials_go_with_the_request():
    """The same as for the scrape."""
    seen = asyncio.Queue()

    async def answer(reader, writer):
        seen.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        ear = Ear()
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/events"
        async with aiohttp.ClientSession(trust_env=False) as session:
            stream = EventStream(url, session, ear.tick, ear.connected, (("Authorization", "Bearer x"),))
            task = asyncio.create_task(stream.run())
            async with asyncio.timeout(LIMIT):
                head = await seen.get()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert b"Authorization: Bearer x" in head
    assert b"Accept: text/event-stream" in head
