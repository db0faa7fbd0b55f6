"""vakhta-alerting in process: an exporter that says what a test wants, a strict Telegram, the shipped rules."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, timedelta

import aiohttp
import pytest

from alerting.config import Config, exporter_target
from alerting.rules.load import expand, load_files
from alerting.service import Alerting, Settings, _unending
from alerting.state import StateError
from alerting.telegram.announce import Chat
from tests.alerting.host import Host
from tests.scrape.served import Served
from tests.telegram_api import PRIVATE, TOKEN, StandIn
from vakhta import logs, paths
from vakhta.secrets import Secret
from vakhta.web import ListenError

LIMIT = 15  # real seconds nothing here comes near
RULES = load_files(expand(("*.yml",), paths.shipped("rules")), interval=timedelta(seconds=1))


class Site:
    """A host, its exporter, Telegram, and the alerting between them, which may be stopped and started again."""

    def __init__(self, storage, exporter, telegram):
        self.storage = storage
        self.exporter = exporter
        self.telegram = telegram
        self.host = Host()
        self.host.run("shop-web-1", "web")
        self.host.run("shop-db-1", "db")
        self.alerting = None
        self._changed = asyncio.Event()
        telegram.api.listeners.append(self._changed.set)

    def settings(self, **more):
        """Return how the process is started."""
        given = {
            "listen": "127.0.0.1:0",
            "storage": self.storage,
            "zone": UTC,
            "token": Secret(TOKEN),
            "chats": (Chat(chat_id=PRIVATE),),
            "api_url": self.telegram.url,
        }
        return Settings(**{**given, **more})

    async def start(self, *, rules=RULES, **more):
        """Start alerting on what is in the storage."""
        self.exporter.text = self.host.text()
        target = replace(
            exporter_target(self.exporter.url), interval=timedelta(seconds=1), timeout=timedelta(seconds=1)
        )
        self.alerting = Alerting(Config(targets=(target,)), rules, self.settings(**more))
        scrapes, streams = len(self.exporter.scrapes), self.exporter.stream_count
        await self.alerting.start()
        await self.exporter.streamed(streams + 1)
        self.exporter.hello()
        await self.exporter.scraped(scrapes + 2)

    async def stop(self):
        """Stop alerting; return how long it took."""
        began = time.monotonic()
        if self.alerting is not None:
            await self.alerting.stop()
            self.alerting = None
        return time.monotonic() - began

    def changes(self):
        """Let the exporter tell that something happened."""
        self.exporter.text = self.host.text()
        self.exporter.tick()

    async def breaks(self):
        """Let the shop's only web server die, and wait until that is told."""
        self.host.die("shop-web-1")
        self.changes()
        await self.until("🔴 shop/web is down")

    @property
    def messages(self):
        """What is in the chat, oldest first."""
        return list(self.telegram.api.chats[PRIVATE].messages.values())

    @property
    def lines(self):
        """Line 1 of each of them."""
        return [message.text.split("\n")[0] for message in self.messages]

    async def until(self, *starts):
        """Wait until line 1 of the chat's messages start like this, and there are no others."""
        try:
            async with asyncio.timeout(LIMIT):
                while not self._is(starts):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(self.lines) from None

    def _is(self, starts):
        lines = self.lines
        return len(lines) == len(starts) and all(
            line.startswith(start) for line, start in zip(lines, starts, strict=True)
        )

    async def evaluated(self):
        """Wait until every group was evaluated once more, and what it decided is delivered."""
        before = [evaluator.last_evaluation for evaluator in self.alerting.scheduler.evaluators]
        async with asyncio.timeout(LIMIT):
            while any(
                e.last_evaluation == b
                for e, b in zip(self.alerting.scheduler.evaluators, before, strict=True)
            ):
                scrapes = len(self.exporter.scrapes)
                await self.exporter.scraped(scrapes + 1)


@asynccontextmanager
async def site(storage):
    """A site whose alerting is not yet started."""
    async with Served() as exporter, StandIn() as telegram:
        made = Site(storage, exporter, telegram)
        try:
            yield made
        finally:
            await made.stop()


async def test_down_and_up_again(tmp_path):
    """One message with a sound; the end edits it and is heard under it."""
    async with site(tmp_path) as s:
        await s.start()
        assert s.lines == []
        s.host.die("shop-web-1", "oom", 137)
        s.changes()
        await s.until("🔴 shop/web is down — out of memory (exit 137)")
        (message,) = s.messages
        assert not message.silent
        assert message.text.split("\n")[1].startswith("host-1 · shop/web (web-1) · since ")
        s.host.start("shop-web-1")
        s.changes()
        await s.until("✅ shop/web is back — ", "✅ shop/web is back — ")
        edited, reply = s.messages
        assert (edited.id, edited.edits > 0, reply.reply_to) == (message.id, True, message.id)


async def test_a_stop_on_request_says_nothing(tmp_path):
    """A deploy pages nobody."""
    async with site(tmp_path) as s:
        await s.start()
        s.host.die("shop-web-1", "requested", 137)
        s.changes()
        await s.evaluated()
        s.host.die("shop-db-1", "error", 1)
        s.changes()
        await s.until("🔴 shop/db is down")


async def test_removed_while_down(tmp_path):
    """No good news: it is gone."""
    async with site(tmp_path) as s:
        await s.start()
        await s.breaks()
        del s.host.containers["shop-web-1"]
        s.changes()
        await s.until("➖ shop/web was removed (was down ", "➖ shop/web was removed (was down ")
        assert s.messages[1].silent


async def test_the_exporter_is_gone_and_comes_back(tmp_path):
    """❔ by an edit, nothing else; back in sight and unchanged, the message is what it was and nobody is paged."""
    async with site(tmp_path) as s:
        await s.start()
        await s.breaks()
        await s.exporter.stop()
        await s.until("❔ shop/web: last seen down ")
        assert "the exporter is silent since" in s.lines[0]
        await s.exporter.start()
        await s.until("🔴 shop/web is down")
        s.host.start("shop-web-1")
        s.exporter.text = s.host.text()
        await s.until("✅ shop/web is back", "✅ shop/web is back")


async def test_docker_is_frozen(tmp_path):
    """Facts that nobody confirms end nothing."""
    async with site(tmp_path) as s:
        await s.start()
        await s.breaks()
        s.host.docker_up = 0
        s.host.containers.clear()
        s.changes()
        await s.until("❔ shop/web: last seen down ")
        assert "Docker does not answer since" in s.lines[0]


async def test_a_restart_of_alerting_says_nothing(tmp_path):
    """With an open incident: no new message, no edit; its end edits the old message."""
    async with site(tmp_path) as s:
        await s.start()
        await s.breaks()
        await s.stop()
        writes = len(s.telegram.api.ledger.writes())
        await s.start()
        await s.evaluated()
        assert len(s.telegram.api.ledger.writes()) == writes
        s.host.start("shop-web-1")
        s.changes()
        await s.until("✅ shop/web is back", "✅ shop/web is back")


async def test_an_incident_ends_with_the_rule_that_told_it(tmp_path):
    """Nobody would ever end it otherwise."""
    async with site(tmp_path) as s:
        await s.start()
        await s.breaks()
        await s.stop()
        others = tuple(
            replace(group, rules=tuple(rule for rule in group.rules if rule.name != "ContainerDown"))
            for group in RULES
        )
        await s.start(rules=others)
        await s.until("➖ shop/web is not watched by this rule any more (was down ", "➖ shop/web is not ")


async def test_a_host_that_docker_does_not_name_is_called_as_its_exporter_says(tmp_path):
    """Until Docker answers, the greeting of the event stream."""
    async with site(tmp_path) as s:
        await s.start()
        assert s.alerting.host_of("elsewhere:9817") == "elsewhere"
        (instance,) = [target.instance for target in s.alerting.config.targets]
        s.alerting._sights.known.clear()
        assert s.alerting.host_of(instance) == "host-1"


async def test_what_broke_while_alerting_was_away_is_told(tmp_path):
    """It is not mistaken for something old: the target was known before."""
    async with site(tmp_path) as s:
        await s.start()
        await s.evaluated()
        await s.stop()
        s.host.die("shop-web-1")
        await s.start()
        await s.until("🔴 shop/web is down")


async def test_the_first_start_with_many_old_exited_containers(tmp_path):
    """One silent message, whatever is evaluated afterwards."""
    async with site(tmp_path) as s:
        for number in range(20):
            s.host.run(f"old-{number:02}", f"old-{number:02}", project="")
            s.host.die(f"old-{number:02}", "unknown", 1, at=time.time() - 3600)
        await s.start()
        await s.until("🔵 Watching host-1: 22 containers.")
        await s.evaluated()
        await s.evaluated()
        (message,) = s.messages
        assert message.silent
        assert "old-00 (exited 1, 1 h ago)" in message.text
        assert "and 5 more" in message.text


async def test_a_second_start_does_not_arrive_again(tmp_path):
    """Targets that were seen are remembered."""
    async with site(tmp_path) as s:
        s.host.run("old", "old", project="")
        s.host.die("old", "unknown", 1, at=time.time() - 3600)
        await s.start()
        await s.until("🔵 Watching host-1: 3 containers.")
        await s.stop()
        await s.start()
        await s.evaluated()
        assert len(s.messages) == 1


async def test_stopping_is_quick_while_everybody_answers(tmp_path):
    """Within five seconds, an event stream and a delivery under way."""
    async with site(tmp_path) as s:
        await s.start()
        s.host.die("shop-web-1")
        s.changes()
        assert await s.stop() < 5


async def test_stopping_is_quick_while_nobody_answers(tmp_path):
    """An exporter that hangs and a Telegram that refuses hold nothing up."""
    async with site(tmp_path) as s:
        await s.start()
        await s.breaks()
        await s.telegram.refuse()
        s.exporter.gate.clear()
        s.exporter.tick()
        assert await s.stop() < 5
        s.exporter.gate.set()


async def test_the_token_is_in_no_log(tmp_path, caplog, capsys):
    """Not at the lowest level, not while everything fails, not on standard error."""
    caplog.set_level(logging.DEBUG)
    async with site(tmp_path) as s:
        await s.telegram.refuse()
        await s.start()
        s.host.die("shop-web-1")
        s.changes()
        async with asyncio.timeout(LIMIT):
            while not s.alerting.outbox.failures:
                await s.exporter.scraped(len(s.exporter.scrapes) + 1)
        await s.telegram.accept()
        await s.until("🔴 shop/web is down")
    secret = TOKEN.partition(":")[2]
    ours = [record for record in caplog.records if record.name.startswith("alerting")]
    assert ours
    for record in ours:
        assert secret not in f"{record.getMessage()} {getattr(record, 'facts', '')} {record.exc_info}"
    out = capsys.readouterr()
    assert secret not in out.out + out.err


@pytest.mark.usefixtures("root_logger")
async def test_no_formatted_line_holds_the_token(tmp_path, capfd):
    """What the process writes, foreign libraries included, as it is configured at its most talkative."""
    logs.configure(level="debug")
    async with site(tmp_path) as s:
        await s.start()
        await s.breaks()
    written = capfd.readouterr().err
    assert "delivered" in written
    assert TOKEN.partition(":")[2] not in written


async def test_its_pages(tmp_path):
    """Healthy, ready once every target answered, and its own metrics."""
    async with site(tmp_path) as s:
        await s.start()
        await s.breaks()
        await s.evaluated()
        async with aiohttp.ClientSession(trust_env=False) as client:
            for page in ("/-/healthy", "/-/ready"):
                async with client.get(s.alerting.url + page) as answer:
                    assert answer.status == 200
            async with client.get(s.alerting.url + "/metrics") as answer:
                text = await answer.text()
    assert f'vakhta_event_stream_connected{{target="{s.exporter.address}"}} 1.0' in text
    assert "vakhta_incidents_open 1.0" in text
    assert "vakhta_notification_latency_seconds_count" in text


async def test_not_ready_before_the_first_scrape(tmp_path):
    """It says whom it waits for."""
    async with site(tmp_path) as s:
        s.exporter.gate.clear()
        target = exporter_target(s.exporter.url)
        s.alerting = Alerting(Config(targets=(target,)), RULES, s.settings())
        await s.alerting.start()
        async with (
            aiohttp.ClientSession(trust_env=False) as client,
            client.get(s.alerting.url + "/-/ready") as answer,
        ):
            assert answer.status == 503
            assert f"waiting for the first scrape of {s.exporter.url}/metrics" in await answer.text()
        s.exporter.gate.set()


async def test_an_exporter_that_was_never_there(tmp_path):
    """The others are watched, and evaluation does not wait for it for ever."""
    async with site(tmp_path) as s, Served() as absent:
        await absent.stop()
        s.exporter.text = s.host.text()
        second = timedelta(seconds=1)
        targets = tuple(replace(exporter_target(each.url), interval=second) for each in (s.exporter, absent))
        s.alerting = Alerting(Config(targets=targets), RULES, s.settings())
        await s.alerting.start()
        await s.evaluated()
        s.host.die("shop-web-1")
        s.exporter.text = s.host.text()
        await s.until("🔴 shop/web is down")


async def test_without_a_token_alerts_are_printed(tmp_path, capsys):
    """What stands in for Telegram until there is a bot."""
    async with site(tmp_path) as s:
        await s.start(token=None, chats=())
        s.host.die("shop-web-1")
        s.changes()
        shown = ""
        async with asyncio.timeout(LIMIT):
            while "🔴 shop/web is down" not in shown:
                await s.exporter.scraped(len(s.exporter.scrapes) + 1)
                shown += capsys.readouterr().out
    assert s.messages == []
    assert "┌ message 1\n" in shown


async def test_a_taken_port_is_told_and_lets_go_of_the_state(tmp_path):
    """A second try with another address works."""
    async with site(tmp_path) as s:
        await s.start()
        taken = s.alerting.url.removeprefix("http://")
        second = Alerting(Config(), (), s.settings(storage=tmp_path / "other", listen=taken))
        (tmp_path / "other").mkdir()
        with pytest.raises(ListenError, match="address already in use"):
            await second.start()
        third = Alerting(Config(), (), s.settings(storage=tmp_path / "other"))
        await third.start()
        await third.stop()


async def test_a_state_file_that_is_none(tmp_path):
    """It says which file and what to do; nothing is left running."""
    (tmp_path / "alerting.db").write_bytes(b"this is not a database, however long it may be read" * 50)
    async with site(tmp_path) as s:
        with pytest.raises(StateError, match=r"alerting\.db"):
            await Alerting(Config(), (), s.settings()).start()


async def test_a_stage_that_stumbles_starts_again(caplog):
    """A watcher must not go blind: the fault is logged with its traceback, and the stage runs on."""
    runs, works = [], asyncio.Event()

    async def stage():
        runs.append(1)
        if len(runs) == 1:
            raise RuntimeError("nobody expected this")
        works.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(_unending(stage))
    async with asyncio.timeout(LIMIT):
        await works.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    (record,) = caplog.records
    assert (record.getMessage(), "nobody expected this" in str(record.exc_info[1])) == (
        "stage stumbled",
        True,
    )
    assert task.cancelled()
