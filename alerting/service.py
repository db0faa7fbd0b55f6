"""vakhta-alerting as a handle: start, stop, url. Puts the rooms together and moves data from left to right.

    scrape -> window -> rules -> dispatch -> outbox -> Telegram

Each stage runs in its own task; what they decide is decided in the rooms.
"""

from __future__ import annotations

import asyncio
import functools
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web

from alerting import sight
from alerting.alerts import Ending
from alerting.config import OWN_JOB, Config
from alerting.console import CONSOLE_CHAT, ConsoleSender
from alerting.dispatch.dispatcher import Dispatcher, Policy
from alerting.labels import Labels
from alerting.own import OwnMetrics, seconds_or_zero
from alerting.promql.backend import Embedded
from alerting.promql.engine import Engine
from alerting.rules.group import GroupEvaluator, Outcome, World, as_alert
from alerting.rules.model import RuleGroup
from alerting.rules.persist import StateKeeper
from alerting.rules.schedule import Scheduler
from alerting.scrape.events import EventStream
from alerting.scrape.target import Scraped, Scraper, Target
from alerting.state import Database, StateError
from alerting.telegram import rows
from alerting.telegram.announce import Chat, TelegramAnnouncer
from alerting.telegram.draft import Draft
from alerting.telegram.errors import Reason
from alerting.telegram.outbox import Outbox
from alerting.telegram.sender import API_URL, Courier, Sender
from alerting.telegram.trial import Trial
from alerting.web import test_api
from alerting.web.app import application
from alerting.web.guard import guard
from alerting.window import SnapshotError, Window, restore, save
from vakhta import logs
from vakhta.secrets import Secret
from vakhta.web import Readiness, WebServer

_log = logs.get("alerting")
_HOUSEKEEPING: Final = 30.0
_DRAIN: Final = 3.0
_FRESH: Final = 10.0
_KEPT: Final = 14 * 24 * 3600.0  # seconds a settled message is remembered
_STUMBLED: Final = 1.0
STATE_FILE: Final = "alerting.db"
SNAPSHOT_FILE: Final = "window.snapshot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a process is started with, beside its configuration file.

    ``token`` None prints alerts on the console; ``chats`` are the default receiver's.
    """

    listen: str
    storage: Path
    zone: tzinfo
    token: Secret | None = None
    chats: tuple[Chat, ...] = ()
    api_url: str = API_URL
    external_url: str = ""


def telegram_receivers(config: Config, settings: Settings) -> dict[str, tuple[Chat, ...]]:
    """Return the receivers' chats; where the configuration names none, everybody has the default ones."""
    named = {route.receiver for route in config.route.walk()}
    return dict(config.receivers) or dict.fromkeys(named, settings.chats)


@dataclass(slots=True)
class _Sights:
    """Which targets were seen: in this process, and ever."""

    reported: set[str] = field(default_factory=set)
    known: dict[str, str] = field(default_factory=dict)  # instance -> host
    fresh: dict[str, str] = field(default_factory=dict)  # not yet in the state file
    greeted: dict[str, str] = field(default_factory=dict)  # instance -> host, as its event stream says


class Alerting:
    """The service.

    Args:
        config: The configuration.
        groups: The loaded rules.
        settings: How the process was started.
    """

    def __init__(self, config: Config, groups: Sequence[RuleGroup], settings: Settings) -> None:
        self.config = config
        self._groups = tuple(groups)
        self._settings = settings
        self._sights = _Sights()
        self._ready = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.window = Window(keep=sight.needed(groups))
        self._own_instance = settings.listen
        self.own = OwnMetrics(Labels({"job": OWN_JOB, "instance": self._own_instance}))
        self._server: WebServer | None = None
        self.failed = asyncio.Event()

    @property
    def url(self) -> str:
        """Where the service answers."""
        return self._server.url if self._server else ""

    async def start(self) -> None:
        """Open the state, start every stage, listen.

        Raises:
            StateError: The state file cannot be used.
            ListenError: The address cannot be listened on.
        """
        self._database = await Database.open(self._settings.storage / STATE_FILE)
        await self._restore()
        server = WebServer(self._application(), listen=self._settings.listen)
        try:
            await server.start()
        except OSError:
            await self._database.close()
            raise
        self._server = server
        self._session = aiohttp.ClientSession(trust_env=False)
        self._build_pipeline()
        await self.dispatcher.restore()
        self.own.reload_ok.set(1)
        self._outbox_task = asyncio.create_task(self._deliver())
        for loop in (self.dispatcher.run, self._schedule, self._housekeeping):
            self._tasks.append(asyncio.create_task(_unending(loop)))
        for target in self.config.targets:
            self._watch(target)

    async def stop(self) -> None:
        """End every stage: intake first, then evaluation, then delivery, the state file last."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.trial.close()
        await self.outbox.drain(_DRAIN)
        with suppress(asyncio.CancelledError):
            await self._outbox_task
        await self._sender.close()
        await self._session.close()
        if self._server is not None:
            await self._server.stop()
        self._save_window()
        await self._database.close()

    # ---- putting it together ----

    async def _restore(self) -> None:
        self._keeper = StateKeeper()
        await self._database.read(self._keeper.read)
        rows = await self._database.read(lambda c: c.execute("SELECT instance, host FROM targets").fetchall())
        self._sights.known = {row[0]: row[1] for row in rows}
        self._load_window()

    def _build_pipeline(self) -> None:
        engine = Engine()
        world = World(
            backend=Embedded(engine, self.window),
            window=self.window,
            latest_at=functools.partial(sight.latest_at, self.window),
            query_at=functools.partial(sight.query_at, engine, self.window),
            external_url=self._settings.external_url,
        )
        evaluators = [GroupEvaluator(group, world) for group in self._groups]
        self._keeper.restore(evaluators)
        for evaluator in evaluators:
            self.own.group_interval.labels(evaluator.group.name).set(evaluator.group.interval.total_seconds())
            for rule in evaluator.group.rules:
                self.own.rule_failures.labels(evaluator.group.name, rule.name)
        self.scheduler = Scheduler(
            evaluators, self._take, before=self._write_own, after_gap=self._look_afresh
        )
        token = self._settings.token
        self._sender: Courier = (
            Sender(token, api_url=self._settings.api_url) if token is not None else ConsoleSender()
        )
        self.outbox = Outbox(self._database, self._sender, on_delivered=self._delivered)
        self.trial = Trial(
            self.outbox,
            self._groups,
            telegram_receivers(self.config, self._settings),
            zone=self._settings.zone,
            token=token,
            api_url=self._settings.api_url,
        )
        announcer = TelegramAnnouncer(
            self.outbox,
            self._receivers(),
            zone=self._settings.zone,
            host_of=self.host_of,
            containers_of=self._containers_of,
        )
        self.dispatcher = Dispatcher(
            self._database,
            announcer,
            Policy(route=self.config.route, inhibit_rules=self.config.inhibit_rules),
            host_of=self.host_of,
            clock=lambda: datetime.now(UTC),
        )

    def _application(self) -> web.Application:
        may_write = guard(self._settings.listen)
        return application(
            self.own.registry,
            self._readiness,
            apis=[lambda app: test_api.mount(app, lambda: self.trial, may_write)],
        )

    def _receivers(self) -> dict[str, tuple[Chat, ...]]:
        """Return the receivers' chats; without a bot token every receiver prints on the console."""
        receivers = telegram_receivers(self.config, self._settings)
        if self._settings.token is None:
            return {name: (Chat(chat_id=CONSOLE_CHAT),) for name in receivers}
        return receivers

    def _watch(self, target: Target) -> None:
        scraper = Scraper(target, self._session, self.window, self._scraped)
        self._tasks.append(asyncio.create_task(_unending(scraper.run)))
        if target.events_url:
            gauge = self.own.stream_connected.labels(target.instance)

            def connected(*, connected: bool, host: str = "") -> None:
                gauge.set(1 if connected else 0)
                if host:
                    self._sights.greeted[target.instance] = host

            stream = EventStream(target.events_url, self._session, scraper.tick, connected, target.headers)
            self._tasks.append(asyncio.create_task(_unending(stream.run)))

    # ---- scrape -> rules ----

    async def _scraped(self, report: Scraped) -> None:
        sights, instance = self._sights, report.target.instance
        sights.reported.add(instance)
        if report.ok:
            host = self._read_host(instance, report.at_ms)
            seen = instance in sights.known or self._docker_answers(instance, report.at_ms)
            if seen and instance not in sights.known:
                self.scheduler.first_look(frozenset({instance}))
            if seen and sights.known.get(instance) != host:
                self._say_twin(instance, host)
                sights.known[instance] = sights.fresh[instance] = host
        if sights.reported >= {target.instance for target in self.config.targets}:
            self._ready.set()
        if report.prompted or "up" in report.changed:
            self.scheduler.tick(report.changed, report.event_at)

    def _read_host(self, instance: str, at_ms: int) -> str:
        infos = self.window.latest(sight.metric("docker_info", instance=instance), at_ms)
        return infos[0].labels.get("name", "") if infos else self._sights.known.get(instance, "")

    def _docker_answers(self, instance: str, at_ms: int) -> bool:
        """Whether a target's containers can be seen; a target that is no exporter has none to wait for."""
        found = self.window.latest(sight.metric("docker_up", instance=instance), at_ms)
        return all(sample.value == 1 for sample in found)

    def _say_twin(self, instance: str, host: str) -> None:
        twin = next(
            (other for other, name in self._sights.known.items() if name == host and other != instance), None
        )
        if host and twin is not None:
            _log.warning(
                "two targets have one host name: their incidents mix",
                host=host,
                targets=f"{twin} {instance}",
                remedy="give each a label host in scrape_configs",
            )

    def host_of(self, instance: str) -> str:
        """Return a target's host name: what Docker calls it, else the exporter, else its address; ours has none."""
        if instance == self._own_instance:
            return ""
        sights = self._sights
        return sights.known.get(instance) or sights.greeted.get(instance) or instance.rpartition(":")[0]

    def _containers_of(self, instance: str) -> int:
        return len(self.window.latest(sight.metric("container_watch_info", instance=instance), _now_ms()))

    async def _look_afresh(self, step: float) -> None:
        """After an absence or a step of the clock, wait until every target was scraped again (or 10 s)."""
        _log.warning(
            "away, or the clock was set: scraping before evaluating", clock_step_seconds=round(step, 1)
        )
        if step < 0:  # samples of a time to come would make all new ones look old
            self.window.rewind(_now_ms())
        self._sights.reported.clear()
        self._ready.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_FRESH):
                await self._ready.wait()

    async def _deliver(self) -> None:
        """Run the outbox; delivery that ends by itself ends the process, for its supervisor to start it again."""
        try:
            await self.outbox.run()
        except Exception:  # noqa: BLE001 - the top of a loop that must not end
            _log.exception("delivery ended")
            self.failed.set()

    async def _schedule(self) -> None:
        if self.config.targets:
            await self._ready.wait()
        await self.scheduler.run()

    # ---- rules -> dispatch ----

    async def _take(
        self,
        evaluators: Sequence[GroupEvaluator],
        outcomes: Sequence[Outcome],
        new_targets: frozenset[str],
        event_at: datetime | None,
    ) -> None:
        rows = [row for evaluator in evaluators for row in self._keeper.changed(evaluator)]
        orphans, gone = self._keeper.orphans(self.scheduler.evaluators)
        rows += gone
        fresh, self._sights.fresh = self._sights.fresh, {}
        for evaluator in evaluators:
            self.own.group_seconds.labels(evaluator.group.name).set(evaluator.seconds)

        def also(connection: sqlite3.Connection) -> None:
            self._keeper.write(connection, rows)
            for instance, host in fresh.items():
                connection.execute(
                    "INSERT INTO targets VALUES (?, ?, ?) ON CONFLICT (instance) DO UPDATE SET host = excluded.host",
                    (instance, host, time.time()),
                )

        alerts = [alert for outcome in outcomes for alert in (*outcome.firing, *outcome.ended)]
        at = outcomes[0].at
        alerts += [as_alert(i, ending=Ending.REMOVED, detail="rule gone", ended_at=at) for i in orphans]
        if await self.dispatcher.accept(alerts, at, new_targets=new_targets, event_at=event_at, also=also):
            self._keeper.written(rows)
        else:
            self._sights.fresh = {**fresh, **self._sights.fresh}

    # ---- our own samples, and what has to be done now and then ----

    def _write_own(self, now: float) -> None:
        own, outbox = self.own, self.outbox
        own.state_write_ok.set(1 if self._database.write_ok else 0)
        own.telegram_last_success.set(seconds_or_zero(outbox.last_success))
        own.outbox_oldest.set(seconds_or_zero(outbox.oldest_queued_at))
        own.incidents_open.set(self.dispatcher.open_count())
        for reason in (*Reason, *outbox.failures):
            _raise_to(own.telegram_failures.labels(str(reason)), outbox.failures[reason])
        for evaluator in self.scheduler.evaluators:
            for rule, health in zip(evaluator.group.rules, evaluator.health, strict=True):
                _raise_to(own.rule_failures.labels(evaluator.group.name, rule.name), health.failures)
        own.write(self.window, now)

    def _delivered(self, _key: str, _message_id: int | None, draft: Draft, seconds: float) -> None:
        if draft.event_at is not None:
            self.own.latency.observe(seconds)

    async def _housekeeping(self) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING)
            self.window.trim(_now_ms())
            self._save_window()
            with suppress(StateError):
                await self._database.write(lambda connection: rows.forget(connection, time.time() - _KEPT))

    def _load_window(self) -> None:
        path = self._settings.storage / SNAPSHOT_FILE
        try:
            restore(self.window, path)
            self.window.rewind(_now_ms())
        except (SnapshotError, OSError) as exc:
            _log.warning("window starts empty", path=str(path), error=str(exc))

    def _save_window(self) -> None:
        path = self._settings.storage / SNAPSHOT_FILE
        try:
            save(self.window, path)
        except OSError as exc:
            _log.warning("window not saved", path=str(path), error=str(exc))

    def _readiness(self) -> Readiness:
        waiting = [t.url for t in self.config.targets if t.instance not in self._sights.reported]
        details = [f"waiting for the first scrape of {url}" for url in waiting]
        if not self._database.write_ok:
            details.append("the state file cannot be written")
        return Readiness(ok=not waiting, details=tuple(details))


async def _unending(stage: Callable[[], Awaitable[None]]) -> None:
    """Run a stage until cancelled; one that stumbles starts again: a watcher must not go blind without a word."""
    while True:
        try:
            await stage()
        except Exception:  # noqa: BLE001 - the top of a loop that must not end
            _log.exception("stage stumbled", stage=getattr(stage, "__qualname__", repr(stage)))
        await asyncio.sleep(_STUMBLED)


def _raise_to(counter: object, count: float) -> None:
    """Bring a counter up to a count kept elsewhere."""
    value = counter._value  # type: ignore[attr-defined]  # noqa: SLF001 - prometheus_client has no way to set one
    if count > value.get():
        value.set(count)


def _now_ms() -> int:
    return int(time.time() * 1000)
