"""Starts real servers on free loopback ports and ends them by pid: Prometheus, Alertmanager, cAdvisor, any other.

A server is a process with an address, a folder and a log; it is ready when one path answers 200.
"""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.real.components import obtain

if TYPE_CHECKING:
    from pathlib import Path

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerError(Exception):
    """A server ended before it was ready, or never was; the text has the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server: its base address without a final slash, its folder, its log and its process."""

    url: str
    folder: Path
    log: Path
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> str:
        """Fetch a path of the server.

        Raises:
            urllib.error.URLError: it does not answer, or answers with an error status.
        """
        with _DIRECT.open(f"{self.url}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def stop(self) -> None:
        """End the server and wait for its end; calling it again does nothing."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)


def free_port() -> int:
    """Name a loopback TCP port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(*command: str, port: int, folder: Path, ready: str, within_seconds: float = 60) -> Server:
    """Start a program that listens on 127.0.0.1 and wait until its path ``ready`` answers 200.

    Raises:
        ServerError: see the class.
    """
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    server = Server(url=f"http://127.0.0.1:{port}", folder=folder, log=log, process=process)
    deadline = time.monotonic() + within_seconds
    while True:
        try:
            server.get(ready)
        except OSError:
            if process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            server.stop()
            end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise ServerError(f"{command[0]}: not ready, exit {process.returncode}:\n{end}") from None
        return server


def alertmanager_command(program: str) -> tuple[str, ...]:
    """Give the start of a command line for ``alertmanager`` or ``amtool``.

    Debian's build reads its default template from /usr/share, where it is only if the package is installed; so the
    unpacked tree is laid over /usr/share in a mount namespace that ends with the program.
    """
    component = obtain("alertmanager")["alertmanager"]
    overlay = 'mount -t overlay overlay -o "lowerdir=$0/usr/share:/usr/share" /usr/share && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", overlay, str(component.path), component.program(program))


def start_prometheus(config: str, folder: Path, *flags: str) -> Server:
    """Start Prometheus with this configuration; relative paths in it start at the folder."""
    (folder / "prometheus.yml").write_text(config)
    port = free_port()
    return start(
        obtain("prometheus")["prometheus"].program(),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-lifecycle",
        *flags,
        port=port,
        folder=folder,
        ready="/-/ready",
    )


def start_alertmanager(config: str, folder: Path, *flags: str) -> Server:
    """Start Alertmanager with this configuration, without a cluster."""
    (folder / "alertmanager.yml").write_text(config)
    port = free_port()
    return start(
        *alertmanager_command("alertmanager"),
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        *flags,
        port=port,
        folder=folder,
        ready="/-/ready",
    )


def start_cadvisor(docker_host: str, folder: Path, *flags: str) -> Server:
    """Start cAdvisor for the containers of an engine."""
    port = free_port()
    return start(
        obtain("cadvisor")["cadvisor"].program(),
        f"-port={port}",
        "-listen_ip=127.0.0.1",
        f"-docker={docker_host}",
        *flags,
        port=port,
        folder=folder,
        ready="/healthz",
    )
