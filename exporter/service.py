"""The exporter as a handle: everything wired together, `start`, `url`, `stop`."""

import asyncio
import socket
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from exporter.cgroups.collector import CgroupCollector
from exporter.config import Config
from exporter.docker.engine import DockerEngine
from exporter.docker.inventory import Inventory
from exporter.docker.status import DaemonStatus
from exporter.docker.watch import DockerWatch
from exporter.errors import StorageError
from exporter.exposition import Renderer, own_registry
from exporter.families import ALL
from exporter.scrape import Scraper
from exporter.storage import StateFile
from exporter.ticks import Broadcaster
from exporter.web import exporter_app
from vakhta import logs
from vakhta.web import Readiness, WebServer

__all__ = ["Exporter", "Settings", "own_version"]

_log: Final = logs.get(__name__)
_SAVE_INTERVAL_SECONDS: Final = 1.0
_LAST_SAVE_SECONDS: Final = 2.0

# With the docker collector switched off there is nothing to look at.
_NOT_WATCHED: Final = DaemonStatus(looked=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the flags say; the file's part is `config`."""

    config: Config
    listen: str = "127.0.0.1:9817"
    procfs: Path = Path("/proc")
    cgroupfs: Path = Path("/sys/fs/cgroup")
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


class Exporter:
    """The running exporter: `await start()`, then `url`, then `await stop()`."""

    def __init__(self, settings: Settings) -> None:
        config = settings.config
        self._config = config
        self._state = StateFile(settings.storage)
        self._inventory = Inventory(self._state.load(), ignored=config.ignores)
        self._ticks = Broadcaster()
        self._watch: DockerWatch | None = None
        if "docker" in config.enabled:
            engine = DockerEngine(config.docker_host, timeout=config.docker_timeout.total_seconds())
            seconds = config.resync_interval.total_seconds()
            self._watch = DockerWatch(
                engine, self._inventory, publish=self._ticks.publish, resync_seconds=seconds
            )
        self._storage_ok = True
        self._saved_revision = -1
        self._saving: asyncio.Task[None] | None = None
        cgroups = (
            CgroupCollector(procfs=settings.procfs, cgroupfs=settings.cgroupfs)
            if "cgroups" in config.enabled
            else None
        )
        scraper = Scraper(
            inventory=self._inventory,
            cgroups=cgroups,
            renderer=Renderer(ALL, own_registry()),
            daemon=self._daemon,
            storage_ok=lambda: self._storage_ok,
            version=own_version(),
            host_name=config.host_name,
        )
        app = exporter_app(
            scraper=scraper,
            ticks=self._ticks,
            host_name=self._host_name,
            looked=lambda: self._daemon().looked,
            ready=self._ready,
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
        self._saving = asyncio.create_task(self._keep_saving())
        if self._watch is not None:
            await self._watch.start()

    async def stop(self) -> None:
        """End within five seconds, whatever Docker and listeners do; what is known is written down."""
        if self._watch is not None:
            await self._watch.stop()
        if self._saving is not None:
            self._saving.cancel()
            await asyncio.gather(self._saving, return_exceptions=True)
        # A disk that hangs must not hold up the end.
        await asyncio.wait([asyncio.create_task(self._save())], timeout=_LAST_SAVE_SECONDS)
        await self._server.stop()

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
        if not self._storage_ok:
            details.append(f"The state file {self._state.path} cannot be written; the log says why.")
        return Readiness(ok=True, details=tuple(details))

    async def _keep_saving(self) -> None:
        while True:
            await asyncio.sleep(_SAVE_INTERVAL_SECONDS)
            if self._inventory.revision != self._saved_revision:
                await self._save()

    async def _save(self) -> None:
        revision, text = self._inventory.revision, self._inventory.to_text()
        try:
            await asyncio.to_thread(self._state.save, text)
        except StorageError as exc:
            if self._storage_ok:
                _log.error("the state cannot be kept", error=str(exc))
            self._storage_ok = False
            return
        if not self._storage_ok:
            _log.info("the state can be kept again", path=self._state.path)
        self._storage_ok, self._saved_revision = True, revision
