"""The exporter's pages over a real socket, and who shares whose collection."""

import asyncio
import gzip
import threading

import aiohttp
import pytest

from exporter.cgroups.collector import Readings
from exporter.cgroups.usage import MemoryUsage, Usage
from exporter.details.store import Details
from exporter.docker.compose import ComposeExpectations
from exporter.docker.inventory import Inventory
from exporter.docker.stats import StatsReadings
from exporter.docker.stats_collector import Filled
from exporter.docker.status import DaemonStatus
from exporter.exposition import OPENMETRICS, TEXT, Renderer, own_registry
from exporter.families import ALL
from exporter.scrape import Background, Identity, Scraper, time_to_read
from exporter.sources import Sources
from exporter.ticks import BACKLOG, Broadcaster, Tick
from exporter.web import exporter_app
from tests.exporter.stories import EPOCH, ID, Story, facts
from vakhta.web import Readiness, WebServer


class Slow:
    """Readings that wait until they are let go, and count themselves."""

    def __init__(self):
        self.began = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.count = 0

    def collect(self, *_, **__):
        """Read nothing, slowly."""
        self.count += 1
        self.began.release()
        assert self.go.acquire(timeout=10)
        return Readings(usage={}, paths={}, host=None)

    def so_far(self):
        """Nothing was read."""
        return Readings(usage={}, paths={}, host=None)


class Empty:
    """Readings of nothing, with these complaints."""

    def __init__(self, faults):
        self.faults = faults

    def collect(self, *_, **__):
        """Read nothing."""
        return Readings(usage={}, paths={}, host=None, faults=self.faults)

    so_far = collect


class Asked:
    """Docker's stats API as a scrape sees it: what the scrape said of the files."""

    def fill(self, _, *, usage, **__):
        """Serve nothing."""
        self.usage = usage
        return Filled(usage={}, interfaces={}, by_api=frozenset(), readings=StatsReadings(by_id={}, wanted=0))


def scraper_of(inventory, cgroups=None, fallback=None):
    """Return a scraper over an inventory."""
    return Scraper(
        inventory=inventory,
        sources=Sources(cgroups=cgroups),
        background=Background(
            daemon=lambda: DaemonStatus(looked=True, up=True),
            storage_ok=lambda: True,
            expectations=ComposeExpectations(),
            details=Details(),
            fallback=fallback,
        ),
        renderer=Renderer(ALL, own_registry()),
        identity=Identity(version="0.1.0"),
    )


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        pytest.param({}, None, id="a lone container that has just ended"),
        pytest.param({"host": "no"}, None, id="a fault of something else"),
        pytest.param({"cgroups": "no"}, {}, id="the cgroups cannot be read"),
    ],
)
async def test_when_docker_is_asked_instead(faults, told):
    """No reading of any container is a reason only when the cgroups are to blame; None leaves things as they are."""
    api = Asked()
    await scraper_of(Story(facts()).inventory, Empty(faults), api).world()
    assert api.usage == told


class Served:
    """An application being served, and what it stands on."""

    def __init__(self):
        self.story = Story(facts())
        self.ticks = Broadcaster()
        self.looked = True
        self.server = WebServer(
            exporter_app(
                scraper=scraper_of(self.story.inventory),
                ticks=self.ticks,
                host_name=lambda: "host-1",
                looked=lambda: self.looked,
                ready=lambda: Readiness(ok=self.looked),
                comment_seconds=0.05,
            )
        )


@pytest.fixture
async def served():
    """A served application; stopped afterwards."""
    it = Served()
    await it.server.start()
    yield it
    await it.server.stop()


@pytest.fixture
async def client():
    """A client that shows answers as they are on the wire."""
    async with aiohttp.ClientSession(
        trust_env=False, auto_decompress=False, timeout=aiohttp.ClientTimeout(total=10)
    ) as session:
        yield session


@pytest.mark.parametrize(
    ("accept", "encoding", "content_type"),
    [
        pytest.param("", "identity", TEXT, id="text"),
        pytest.param("application/openmetrics-text", "identity", OPENMETRICS, id="OpenMetrics"),
        pytest.param("", "deflate, gzip;q=0.8", TEXT, id="text, compressed"),
        pytest.param("application/openmetrics-text", "gzip", OPENMETRICS, id="OpenMetrics, compressed"),
    ],
)
async def test_metrics(served, client, accept, encoding, content_type):
    """The format and the compression asked for."""
    async with client.get(
        served.server.url + "/metrics", headers={"Accept": accept, "Accept-Encoding": encoding}
    ) as answer:
        body = await answer.read()
        assert answer.status == 200
        assert answer.headers["Content-Type"] == content_type
        assert (answer.headers.get("Content-Encoding") == "gzip") is ("gzip" in encoding)
    if "gzip" in encoding:
        body = gzip.decompress(body)
    assert b'container_state_status{name="web",service="web",status="running"} 1\n' in body
    assert body.endswith(b"# EOF\n") is (content_type == OPENMETRICS)


async def test_before_the_first_look(served, client):
    """A scrape fails as long as nobody knows whether there are containers."""
    served.looked = False
    async with client.get(served.server.url + "/metrics") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert (await answer.json())["errorType"] == "unavailable"


async def test_events(served, client):
    """A greeting, then ticks as they come, comments in between, and the end when the server stops."""
    async with client.get(served.server.url + "/events") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert await answer.content.readuntil(b"\n\n") == b'event: hello\ndata: {"v":1,"host":"host-1"}\n\n'
        assert await answer.content.readuntil(b"\n\n") == b": still here\n\n"
        tick = Tick(reason="die", name="web", time_nano=1790000000123456789)
        served.ticks.publish(tick)
        while (part := await answer.content.readuntil(b"\n\n")).startswith(b":"):
            pass
        assert part == tick.to_sse()
        stopping = asyncio.create_task(served.server.stop())
        while part := await answer.content.readuntil(b"\n\n"):
            assert part.startswith(b":")
        await asyncio.wait_for(stopping, 5)


async def test_a_listener_that_hangs_is_cut_off(served):
    """One that reads nothing fills its queue and loses its connection, though its handler is stuck in a write."""
    host, port = served.server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"hello")
    big = Tick(reason="die", name="x" * 100_000, time_nano=1)
    while served.ticks._listeners:
        for _ in range(BACKLOG):
            served.ticks.publish(big)
        await asyncio.sleep(0)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(10**9), 10)
    writer.close()


async def test_leaving_is_noticed(served, client):
    """A listener that closes its connection is forgotten at the next comment."""
    async with client.get(served.server.url + "/events") as answer:
        await answer.content.readuntil(b"\n\n")
        assert len(served.ticks) == 1
    async with asyncio.timeout(5):
        while len(served.ticks):  # noqa: ASYNC110 - from outside there is nothing to wait on
            await asyncio.sleep(0.01)


async def test_scrapes_at_the_same_time_share_a_collection():
    """But only one that began after they came: the first goes alone, all who come meanwhile share the second."""
    slow = Slow()
    scraper = scraper_of(Inventory(), slow)
    first = asyncio.create_task(scraper.world())
    await asyncio.to_thread(slow.began.acquire)
    others = [asyncio.create_task(scraper.world()) for _ in range(5)]
    await asyncio.sleep(0)
    slow.go.release()
    slow.go.release()
    worlds = await asyncio.gather(*others)
    assert slow.count == 2
    assert all(world is worlds[0] for world in worlds)
    assert await first is not worlds[0]


async def test_a_scrape_sees_what_happened_before_it():
    """A change before the scrape is in it, even while an older collection runs."""
    slow, story = Slow(), Story(facts())
    scraper = scraper_of(story.inventory, slow)
    first = asyncio.create_task(scraper.scrape(as_openmetrics=False, compressed=False))
    await asyncio.to_thread(slow.began.acquire)
    story.play("1 die 7")
    second = asyncio.create_task(scraper.scrape(as_openmetrics=False, compressed=False))
    slow.go.release()
    slow.go.release()
    await first
    assert b'container_last_exit_reason{name="web",reason="error",service="web"} 1\n' in await second


async def test_a_scrape_that_is_given_up_takes_nobody_with_it():
    """The client that left must not cancel the collection others wait for."""
    slow = Slow()
    scraper = scraper_of(Inventory(), slow)
    leaving, staying = (asyncio.create_task(scraper.world()) for _ in range(2))
    await asyncio.to_thread(slow.began.acquire)
    leaving.cancel()
    slow.go.release()
    assert (await staying).version == "0.1.0"


async def test_readings_reach_the_counter_of_the_same_scrape():
    """An OOM kill that only the cgroup knows of is in the scrape that read it."""

    class Ooms(Slow):
        kills = 0

        def collect(self, *_, **__):
            memory = MemoryUsage(usage_bytes=1, working_set_bytes=1, oom_kills=self.kills)
            usage = Usage(memory=memory)
            return Readings(usage={ID: usage}, paths={}, host=None)

    ooms, story = Ooms(), Story(facts(started_at=EPOCH - 10.0))
    scraper = scraper_of(story.inventory, ooms)
    await scraper.world()
    ooms.kills = 2
    text = (await scraper.scrape(as_openmetrics=False, compressed=False)).decode()
    assert f'container_oom_events_total{{id="/docker/{ID}",image="busybox:1.35",name="web"}} 2\n' in text
    assert "container_last_oom_timestamp_seconds{" in text


async def test_without_cgroups():
    """The collector that is switched off says nothing about itself."""
    text = (
        await scraper_of(Story(facts()).inventory).scrape(as_openmetrics=False, compressed=False)
    ).decode()
    assert 'collector="cgroups"' not in text
    assert "container_memory_usage_bytes" not in text


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("10", 9.0),
        ("1", 0.75),
        ("0.2", 0.1),
        ("", 9.0),
        ("soon", 9.0),
        ("-3", 9.0),
        ("inf", 9.0),
        ("nan", 9.0),
    ],
)
def test_time_to_read(said, seconds):
    """What the scraper says of its patience, less what the answer takes; nonsense is the usual ten seconds."""
    assert time_to_read({"X-Prometheus-Scrape-Timeout-Seconds": said} if said else {}) == pytest.approx(
        seconds
    )


async def test_a_scrape_answers_before_its_scraper_gives_up():
    """With what there is: no usage, and the collector says so; the next scrape does not wait for the stuck one, but tries to go around it."""
    slow = Slow()
    scraper = scraper_of(Story(facts()).inventory, slow)
    try:
        for _ in range(2):
            world = await scraper.world(0.2)
            assert [status.success for status in world.collectors if status.name == "cgroups"] == [False]
            assert [known.view.name for known in world.containers] == ["web"]
            assert world.measured.memory == ()
        assert slow.count == 2
    finally:
        slow.go.release(2)
