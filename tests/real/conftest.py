"""Fixtures of the real world. What is missing is a failure, never a skip; every test here carries the mark ``real``."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.real import servers
from tests.real.components import Component, obtain
from tests.real.engine import Engine
from tests.real.servers import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Starter(Protocol):
    """Starts a server from its configuration's text; it is stopped at the end of the test."""

    def __call__(self, config: str, *flags: str) -> Server:
        """Start one more, ready when this returns."""


class Tool(Protocol):
    """Runs a command-line tool; the caller judges exit code, output and complaints."""

    def __call__(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run it to its end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.real)


@pytest.fixture(scope="session")
def components() -> Mapping[str, Component]:
    """What the tests run by default, fetched if it is not in the cache; `obtain` gives the others."""
    return obtain()


@pytest.fixture(scope="session")
def running_engine() -> Iterator[Engine]:
    """One Docker engine for the session, as tests left it; `engine` is what most of them want."""
    with Engine() as engine:
        engine.import_busybox()
        yield engine


@pytest.fixture
def engine(running_engine: Engine) -> Iterator[Engine]:
    """One Docker engine for the session, with the images busybox:1.35 and 1.36 and, in each test, no containers."""
    yield running_engine
    running_engine.remove_all()


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Gives a free loopback port at each call."""
    return servers.free_port


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Starter]:
    """Starts Prometheus; ``--web.listen-address`` and the storage are set."""
    yield from _starter(tmp_path / "prometheus", servers.start_prometheus)


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Starter]:
    """Starts Alertmanager, likewise."""
    yield from _starter(tmp_path / "alertmanager", servers.start_alertmanager)


@pytest.fixture
def cadvisor(tmp_path: Path) -> Iterator[Starter]:
    """Starts cAdvisor; in place of a configuration it takes the engine's ``host``."""
    yield from _starter(tmp_path / "cadvisor", servers.start_cadvisor)


@pytest.fixture(scope="session")
def promtool() -> Tool:
    """Runs promtool."""
    return _tool(obtain("promtool")["promtool"].program())


@pytest.fixture(scope="session")
def amtool() -> Tool:
    """Runs amtool."""
    return _tool(*servers.alertmanager_command("amtool"))


def _starter(home: Path, start: Callable[..., Server]) -> Iterator[Starter]:
    started: list[Server] = []

    def start_one(config: str, *flags: str) -> Server:
        folder = home / str(len(started))
        folder.mkdir(parents=True)
        started.append(start(config, folder, *flags))
        return started[-1]

    yield start_one
    for server in started:
        server.stop()


def _tool(*program: str) -> Tool:
    def run(*args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*program, *args], input=stdin, capture_output=True, text=True, check=False, timeout=120
        )

    return run
