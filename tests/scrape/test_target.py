"""Scrapes of a real server: what lands in the window, and when a scrape happens."""

from __future__ import annotations

import asyncio
import gzip
import socket
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import aiohttp
import pytest

from alerting.labels import METRIC_NAME, Labels, Matcher, MatchOp
from alerting.promql.values import is_stale
from alerting.scrape.target import TICK_SPACING, Scraper, Target
from alerting.window import Window
from tests.scrape.served import LIMIT, Served

JOB = {"job": "j", "instance": "i"}
SYNTHETIC = {
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
}


class Bench:
    """A scraper, the server it scrapes, and what came of it."""

    def __init__(self, served, session, target):
        self.served = served
        self.window = Window()
        self.now = 1_790_000_000.0
        self.reports = []
        self._reported = asyncio.Condition()
        self.scraper = Scraper(target, session, self.window, self._take, clock=lambda: self.now)

    async def _take(self, report):
        async with self._reported:
            self.reports.append(report)
            self._reported.notify_all()

    async def reported(self, count):
        """Wait until so many scrapes are reported."""
        async with asyncio.timeout(LIMIT), self._reported:
            await self._reported.wait_for(lambda: len(self.reports) >= count)

    async def scrape(self, text=None):
        """Scrape once, 5 s after the last one."""
        if text is not None:
            self.served.text = text
        self.now += 5
        return await self.scraper.scrape()

    def value(self, name, **labels):
        """Return the newest value of a series; None: there is none, or it is stale."""
        wanted = {METRIC_NAME: name, **labels}
        matchers = [Matcher(label, MatchOp.EQUAL, value) for label, value in wanted.items()]
        found = self.window.latest(matchers, int(self.now * 1000))
        return found[0].value if found else None

    def series(self, name):
        """Return the series of a metric, as the window has them."""
        return self.window.select([Matcher(METRIC_NAME, MatchOp.EQUAL, name)], 0, int(self.now * 1000))

    @asynccontextmanager
    async def running(self):
        """Let the loop run."""
        task = asyncio.create_task(self.scraper.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def make():
    """Make benches; everything is closed at the end."""
    async with Served() as served, aiohttp.ClientSession(trust_env=False) as session:

        def bench(**more):
            target = Target(url=f"{served.url}/metrics", labels=Labels(JOB), interval=timedelta(minutes=1))
            return Bench(served, session, replace(target, **more))

        yield bench


async def test_samples_get_the_targets_labels(make):
    """Job and instance, and what else the configuration adds."""
    bench = make(labels=Labels({**JOB, "rack": "7"}))
    report = await bench.scrape('a{b="c"} 1\nd 2.5\n')
    assert (report.ok, report.error) == (True, "")
    assert bench.value("a", b="c", rack="7", **JOB) == 1
    assert bench.value("d", rack="7", **JOB) == 2.5


async def test_what_every_scrape_writes(make):
    """The synthetic series of Prometheus."""
    bench = make()
    await bench.scrape("a 1\nb 2\n")
    assert (bench.value("up", **JOB), bench.value("scrape_samples_scraped", **JOB)) == (1, 2)
    assert bench.value("scrape_samples_post_metric_relabeling", **JOB) == 2
    assert bench.value("scrape_series_added", **JOB) == 2
    assert 0 < bench.value("scrape_duration_seconds", **JOB) < LIMIT
    await bench.scrape("a 1\nb 2\n")
    assert bench.value("scrape_series_added", **JOB) == 0


async def test_a_label_that_clashes_is_kept_under_another_name(make):
    """The target's own label is the configuration's, what came is exported_."""
    bench = make()
    await bench.scrape('a{job="theirs",instance="x"} 1\n')
    (series,) = bench.series("a")
    assert series.labels == Labels(
        {METRIC_NAME: "a", **JOB, "exported_job": "theirs", "exported_instance": "x"}
    )


async def test_a_series_that_vanishes_goes_stale(make):
    """It is over at once, not five minutes later; when it comes back it goes on."""
    bench = make()
    await bench.scrape("a 1\nb 1\n")
    report = await bench.scrape("b 1\n")
    assert bench.value("a") is None
    assert report.changed == {"a"}
    (series,) = bench.series("a")
    assert [is_stale(value) for value in series.v] == [False, True]
    assert (await bench.scrape("a 1\nb 1\n")).changed == {"a"}
    assert bench.value("a") == 1


async def test_a_sample_may_carry_its_own_time(make):
    """Milliseconds, as in the text format."""
    bench = make()
    await bench.scrape("a 1 1790000001000\n")
    (series,) = bench.series("a")
    assert series.t.tolist() == [1790000001000]


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        pytest.param("a 1\nb 2\n", set(), id="nothing"),
        pytest.param("a 1\nb 3\n", {"b"}, id="a value"),
        pytest.param("a 1\nb 2\nc 0\n", {"c"}, id="a new series"),
        pytest.param("a 1\n", {"b"}, id="a series that is gone"),
        pytest.param('a 1\nb 2\na{x="1"} 1\n', {"a"}, id="one more series of a metric"),
    ],
)
async def test_what_changed(make, text, changed):
    """The metrics that a tick has to have evaluated."""
    bench = make()
    first = await bench.scrape("a 1\nb 2\n")
    assert first.changed == {"a", "b", "up"}
    assert (await bench.scrape(text)).changed == changed


BROKEN = [
    pytest.param({"status": 503}, "server returned HTTP status 503", id="503: it does not know yet"),
    pytest.param({"status": 404}, "server returned HTTP status 404", id="404"),
    pytest.param({"text": "<html>\n"}, "answer is not a readable exposition: line 1", id="a page for people"),
    pytest.param(
        {"text": "a 1\nb x\n"}, "answer is not a readable exposition: line 2", id="a value that is none"
    ),
    pytest.param({"text": b"a 1\n\xff\xfe 2\n"}, "answer is not UTF-8 (byte 4)", id="bytes that are no text"),
]


@pytest.mark.parametrize(("fault", "error"), BROKEN)
async def test_a_target_that_answers_wrongly(make, fault, error):
    """It is down, and its series are over: half a scrape is none."""
    bench = make()
    await bench.scrape("a 1\n")
    for name, value in fault.items():
        setattr(bench.served, name, value)
    report = await bench.scrape()
    assert report.error.startswith(error)
    assert (bench.value("up", **JOB), bench.value("a")) == (0, None)
    assert report.changed == {"a", "up"}
    assert bench.value("scrape_samples_scraped", **JOB) == 0
    again = await bench.scrape()
    assert again.changed == frozenset(), "down as before is no change"
    bench.served.status = 200
    back = await bench.scrape("a 1\n")
    assert (back.ok, back.changed, bench.value("up", **JOB)) == (True, {"a", "up"}, 1)


async def test_a_target_that_does_not_answer(make):
    """After the timeout it is down."""
    bench = make(timeout=timedelta(milliseconds=100))
    bench.served.gate.clear()
    report = await bench.scrape()
    assert report.error == "no answer within 0.1 s"
    assert bench.value("up", **JOB) == 0


async def test_a_target_that_is_not_there(make):
    """Connection refused."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    bench = make(url=f"http://127.0.0.1:{port}/metrics")
    report = await bench.scrape()
    assert f"127.0.0.1:{port}" in report.error
    assert bench.value("up", **JOB) == 0


async def test_a_target_that_never_ends(make):
    """An answer that is cut off in the middle is no answer."""

    async def cut(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\na 1\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with server:
        bench = make(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics")
        report = await bench.scrape()
    assert not report.ok
    assert (bench.value("up", **JOB), bench.value("a")) == (0, None)


async def test_what_a_target_is_asked(make):
    """The text format, how long we wait, and the configured headers."""
    bench = make(timeout=timedelta(seconds=3), headers=(("Authorization", "Bearer x"),))
    await bench.scrape("a 1\n")
    (headers,) = bench.served.headers
    assert headers["Accept"].startswith("text/plain;version=0.0.4")
    assert (headers["X-Prometheus-Scrape-Timeout-Seconds"], headers["Authorization"]) == ("3", "Bearer x")
    assert "Bearer" not in repr(bench.scraper.target), "credentials are not for logs"


async def test_a_compressed_answer_is_read(make):
    """As the exporter sends it."""
    packed = gzip.compress(b"a 1\n")

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + packed)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        bench = make(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics")
        assert (await bench.scrape()).ok
    assert bench.value("a") == 1


async def test_a_failing_target_is_logged_when_that_changes(make, caplog):
    """Not at every scrape."""
    bench = make()
    bench.served.status = 503
    for _ in range(3):
        await bench.scrape()
    bench.served.status = 200
    for _ in range(3):
        await bench.scrape("a 1\n")
    assert [record.getMessage() for record in caplog.records if record.name == "alerting.scrape"] == [
        "scrape failed"
    ]
    assert caplog.records[0].facts["error"] == "server returned HTTP status 503"


# ---- when ----


async def test_the_first_scrape_is_at_once_and_the_next_an_interval_later(make):
    """Regular scrapes are not prompted."""
    bench = make(interval=timedelta(milliseconds=300))
    async with bench.running():
        await bench.reported(3)
    assert [report.prompted for report in bench.reports] == [False] * 3
    gaps = [later - earlier for earlier, later in pairwise(bench.served.scrapes)]
    assert all(gap > 0.2 for gap in gaps)


async def test_a_tick_scrapes_now(make):
    """Not at the next interval, a minute from now."""
    bench = make()
    async with bench.running():
        await bench.reported(1)
        bench.scraper.tick(datetime(2026, 9, 21, tzinfo=UTC))
        await bench.reported(2)
        bench.scraper.tick()
        await bench.reported(3)
    assert [report.prompted for report in bench.reports] == [False, True, True]
    assert [report.event_at for report in bench.reports] == [None, datetime(2026, 9, 21, tzinfo=UTC), None]


async def test_ticks_are_bounded(make):
    """However many come, scrapes keep 200 ms between their starts."""
    bench = make()
    async with bench.running():
        await bench.reported(1)
        for count in range(2, 6):
            for _ in range(20):
                bench.scraper.tick()
            await bench.reported(count)
    gaps = [later - earlier for earlier, later in pairwise(bench.served.scrapes)]
    assert len(gaps) == 4
    assert all(gap >= TICK_SPACING - 0.02 for gap in gaps)


async def test_ticks_during_a_scrape_cause_exactly_one_more(make):
    """The running one may have missed what they speak of; one more sees it all. Its event is the oldest of them."""
    bench = make()
    bench.served.gate.clear()
    async with bench.running():
        await bench.served.scraped(1)
        for second in (3, 1, 2):
            bench.scraper.tick(datetime(2026, 9, 21, 0, 0, second, tzinfo=UTC))
        bench.scraper.tick()
        bench.served.gate.set()
        await bench.reported(2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3 * TICK_SPACING):
                await bench.reported(3)
    assert [report.event_at for report in bench.reports] == [None, datetime(2026, 9, 21, 0, 0, 1, tzinfo=UTC)]
    assert [report.prompted for report in bench.reports] == [False, True]


async def test_a_slow_target_is_not_scraped_twice_at_once(make):
    """A scrape that takes longer than the interval skips what it missed."""
    bench = make(interval=timedelta(milliseconds=100), timeout=timedelta(seconds=LIMIT))
    bench.served.gate.clear()
    async with bench.running():
        await bench.served.scraped(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.4):
                await bench.served.scraped(2)
        bench.served.gate.set()
        await bench.reported(2)
    assert len(bench.served.scrapes) <= 3


async def test_all_synthetic_series_carry_the_targets_labels_only(make):
    """Nothing of the target's answer leaks into them."""
    bench = make()
    await bench.scrape('up{x="theirs"} 7\n')
    for name in SYNTHETIC:
        assert bench.value(name, **JOB) is not None
        assert Labels({METRIC_NAME: name, **JOB}) in {series.labels for series in bench.series(name)}
