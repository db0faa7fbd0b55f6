"""The exporter as a handle: everything wired together, `start`, `url`, `stop`."""

import asyncio
import resource
import socket
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from exporter.cgroups.collector import CgroupCollector
from exporter.cgroups.devices import BlockDevices
from exporter.cgroups.readers import DEFAULT_PARTS
from exporter.config import SCHEDULED, Config
from exporter.details.api import mount
from exporter.details.store import Details
from exporter.docker.compose import ComposeExpectations, ExpectationsFormatError
from exporter.docker.engine import DockerEngine
from exporter.docker.inventory import Inventory
from exporter.docker.stats_collector import StatsCollector, StatsFallback
from exporter.docker.status import DaemonStatus
from exporter.docker.watch import DockerWatch
from exporter.errors import StorageError
from exporter.exposition import Renderer, own_registry
from exporter.families import ALL
from exporter.families.labels import AllowedLabels
from exporter.host.machine import MachineReader
from exporter.host.network import NetworkCollector
from exporter.host.node import NodeCollector, Part
from exporter.machine import MachineWatch
from exporter.memory import Memory
from exporter.scrape import Background, Identity, Scraper
from exporter.slow.facts import Options, SlowFacts
from exporter.sources import Sources
from exporter.storage import StateFile
from exporter.ticks import Broadcaster
from exporter.web import exporter_app
from vakhta import logs
from vakhta.web import Readiness, WebServer

__all__ = ["Exporter", "Settings", "own_version"]

_log: Final = logs.get(__name__)
_SAVE_INTERVAL_SECONDS: Final = 1.0
_LAST_SAVE_SECONDS: Final = 2.0
_OPEN_FILES: Final = 16_384

# With the docker collector switched off there is nothing to look at.
_NOT_WATCHED: Final = DaemonStatus(looked=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the flags say; the file's part is `config`."""

    config: Config
    listen: str = "127.0.0.1:9817"
    procfs: Path = Path("/proc")
    cgroupfs: Path = Path("/sys/fs/cgroup")
    sysfs: Path = Path("/sys")
    rootfs: Path = Path("/")
    storage: Path


def _machine_name() -> str:
    """Return this machine's name; a container's is a made-up number, and worse than none."""
    return "" if Path("/.dockerenv").exists() else socket.gethostname()


def own_version() -> str:
    """Return the installed version."""
    try:
        return version("vakhta")
    except PackageNotFoundError:
        return "unknown"


def _expectations(memory: Memory) -> ComposeExpectations:
    try:
        return ComposeExpectations.loads(memory.services)
    except ExpectationsFormatError as exc:
        _log.warning("how many containers services should have is learnt anew", error=str(exc))
        return ComposeExpectations()


def _allow_open_files() -> None:
    """Raise the soft limit: a cgroup file that is kept open is read six times as fast as one that is opened each time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _machine(settings: Settings) -> MachineWatch | None:
    if "machine" not in settings.config.enabled:
        return None
    reader = MachineReader(procfs=settings.procfs, sysfs=settings.sysfs, rootfs=settings.rootfs)
    return MachineWatch(reader.read)


def _sources(settings: Settings) -> Sources:
    _allow_open_files()
    enabled = settings.config.enabled
    parts = DEFAULT_PARTS | (enabled & {"processes"})
    return Sources(
        cgroups=CgroupCollector(
            procfs=settings.procfs, cgroupfs=settings.cgroupfs, sysfs=settings.sysfs, parts=parts
        )
        if "cgroups" in enabled
        else None,
        network=NetworkCollector(procfs=settings.procfs) if "network" in enabled else None,
        node=NodeCollector(procfs=settings.procfs, rootfs=settings.rootfs, parts=_node_parts(settings))
        if "node" in enabled
        else None,
    )


def _node_parts(settings: Settings) -> frozenset[Part]:
    """Return what can be read of the host: its mount points mean nothing in another root directory."""
    parts = frozenset(Part)
    if settings.procfs != Path("/proc") and settings.rootfs == Path("/"):
        _log.info(
            "filesystems are not collected: mount the host's root directory and say where with --path.rootfs"
        )
        return parts - {Part.FILESYSTEM}
    return parts


class Exporter:
    """The running exporter: `await start()`, then `url`, then `await stop()`."""

    def __init__(self, settings: Settings) -> None:
        config = settings.config
        self._config = config
        self._settings = settings
        self._state = StateFile(settings.storage)
        self._memory = self._state.load()
        self._inventory = Inventory(self._memory, ignored=config.ignores)
        self._ticks = Broadcaster()
        self._storage_ok = True
        self._saved: tuple[int, int] = (-1, -1)
        self._machine = _machine(settings)
        self._tasks: list[asyncio.Task[None]] = []
        self._watch: DockerWatch | None = None
        engine: DockerEngine | None = None
        if "docker" in config.enabled:
            engine = DockerEngine(config.docker_host, timeout=config.docker_timeout.total_seconds())
            seconds = config.resync_interval.total_seconds()
            self._watch = DockerWatch(
                engine, self._inventory, publish=self._ticks.publish, resync_seconds=seconds
            )
        self._expectations = _expectations(self._memory)
        self._details = Details(host_name=self._host_name)
        self._slow = self._slow_facts(engine)
        devices = BlockDevices(settings.sysfs)
        devices.refresh()
        self._stats: StatsCollector | None = None
        if engine is not None and "stats" in config.enabled:
            self._stats = StatsCollector(engine, device_name=devices.name)
        scraper = Scraper(
            inventory=self._inventory,
            sources=_sources(settings),
            background=Background(
                daemon=self._daemon,
                storage_ok=lambda: self._storage_ok,
                expectations=self._expectations,
                details=self._details,
                machine=self._machine,
                slow=self._slow,
                fallback=StatsFallback(self._stats) if self._stats is not None else None,
            ),
            renderer=Renderer(ALL, own_registry()),
            identity=Identity(
                version=own_version(),
                host_name=config.host_name,
                label_allow=AllowedLabels(config.label_allow),
            ),
        )
        app = exporter_app(
            scraper=scraper,
            ticks=self._ticks,
            host_name=self._host_name,
            looked=lambda: self._daemon().looked,
            ready=self._ready,
        )
        mount(
            app,
            details=self._details,
            engine=engine,
            snapshot=self._inventory.snapshot,
            host_name=self._host_name,
            token=config.token,
            logs=config.logs,
            known_at=lambda: None if self._daemon().up else self._daemon().confirmed_at,
        )
        self._server = WebServer(app, listen=settings.listen)

    @property
    def url(self) -> str:
        """Where it answers."""
        return self._server.url

    async def start(self) -> None:
        """Listen, and begin to watch; Docker need not be there.

        Raises:
            ListenError: The address is taken.
        """
        await self._server.start()
        _log.info("listening", url=self.url, version=own_version())
        await self._save()
        self._tasks.append(asyncio.create_task(self._keep_saving()))
        if self._machine is not None:
            self._tasks.append(asyncio.create_task(self._machine.run()))
        if self._slow is not None:
            self._tasks.append(asyncio.create_task(self._slow.run()))
        if self._watch is not None:
            await self._watch.start()

    async def stop(self) -> None:
        """End within five seconds, whatever Docker and listeners do; what is known is written down."""
        if self._watch is not None:
            await self._watch.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._stats is not None:
            await self._stats.stop()
        # A disk that hangs must not hold up the end.
        await asyncio.wait([asyncio.create_task(self._save())], timeout=_LAST_SAVE_SECONDS)
        await self._server.stop()

    def _slow_facts(self, engine: DockerEngine | None) -> SlowFacts | None:
        wanted = self._config.enabled & SCHEDULED
        if engine is None or not wanted:
            return None
        seconds = {
            f"{name}_interval": interval.total_seconds() for name, interval in self._config.intervals.items()
        }
        options = Options(
            enabled=wanted, rootfs=self._settings.rootfs, procfs=self._settings.procfs, **seconds
        )
        return SlowFacts(engine, lambda: self._inventory.snapshot(time.time()), options=options)

    def _daemon(self) -> DaemonStatus:
        return self._watch.status if self._watch is not None else _NOT_WATCHED

    def _host_name(self) -> str:
        info = self._daemon().info
        return self._config.host_name or (info.name if info else "") or _machine_name()

    def _ready(self) -> Readiness:
        daemon = self._daemon()
        if not daemon.looked:
            return Readiness(ok=False, details=("The first look at Docker has not ended yet.",))
        details = [daemon.fault] if daemon.fault else []
        if self._slow is not None and (hidden := self._slow.hidden()):
            details.append(f"The sizes of container logs are not collected: {hidden}")
        if not self._storage_ok:
            details.append(f"The state file {self._state.path} cannot be written; the log says why.")
        return Readiness(ok=True, details=tuple(details))

    async def _keep_saving(self) -> None:
        while True:
            await asyncio.sleep(_SAVE_INTERVAL_SECONDS)
            if (self._inventory.revision, self._expectations.revision) != self._saved:
                await self._save()

    async def _save(self) -> None:
        revision = (self._inventory.revision, self._expectations.revision)
        self._memory.services = self._expectations.dumps()
        text = self._inventory.to_text()
        try:
            await asyncio.to_thread(self._state.save, text)
        except StorageError as exc:
            if self._storage_ok:
                _log.error("the state cannot be kept", error=str(exc))
            self._storage_ok = False
            return
        if not self._storage_ok:
            _log.info("the state can be kept again", path=self._state.path)
        self._storage_ok, self._saved = True, revision
