"""Runs a real Docker engine of our own, beside whatever else the machine runs.

Own data root, exec root, pid file, socket, bridge, address range and containerd; the machine's /var/run/docker.sock
is never used. One engine at a time: the bridge and the addresses exist once per network namespace, and so does the
lock. Everything is ended by pid; what a killed run left is cleaned at the next start.

    with Engine() as engine:
        engine.import_busybox()
        engine.docker("run", "-d", "--name", "web", "busybox:1.35", "sleep", "1000")
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import signal
import socket
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.real import images, leftovers, turn
from tests.real.components import Component, obtain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

ROOT = Path(tempfile.gettempdir()) / "vakhta-engine"
BRIDGE = "vakhta0"
NETWORKS = ipaddress.IPv4Network(
    "10.213.0.0/16"
)  # the bridge has the first /24, Compose's networks the others
_BRIDGE_ADDRESS = "10.213.0.1/24"
_NETWORK_POOL = "base=10.213.128.0/17,size=24"

_CONTAINERD_CONFIG = """\
version = 2
root = "{root}/containerd/root"
state = "{root}/containerd/state"
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri",
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "{root}/containerd.sock"
"""


class EngineError(Exception):
    """The engine did not start, did not end, or refused a command; the text has its own words."""


class Engine:
    """A Docker engine with its daemon, its containerd and its command line.

    `start` and `stop` (or ``with``) frame everything; in between `down` and `up` end and start the daemon alone, and
    `freeze` makes it hang. Methods block; async tests call them in threads.
    """

    def __init__(self, *, lock_wait_seconds: float = 600, daemon_flags: tuple[str, ...] = ()) -> None:
        self._lock_wait_seconds = lock_wait_seconds
        self._daemon_flags = daemon_flags
        self._lock: socket.socket | None = None
        self._containerd: subprocess.Popen[bytes] | None = None
        self._daemon: subprocess.Popen[bytes] | None = None

    @property
    def socket_path(self) -> Path:
        """The API's unix socket."""
        return ROOT / "docker.sock"

    @property
    def host(self) -> str:
        """The API's address, as DOCKER_HOST wants it."""
        return f"unix://{self.socket_path}"

    @property
    def pid(self) -> int:
        """The daemon's process id.

        Raises:
            EngineError: the daemon is down.
        """
        if self._daemon is None:
            raise EngineError("the daemon is down: call up()")
        return self._daemon.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Wait for our turn, clean what an earlier run left, start containerd and the daemon.

        Raises:
            EngineError: not root, another run held the lock for too long, or a daemon did not come up.
        """
        if os.geteuid() != 0:
            raise EngineError("a Docker engine of our own needs root: run with sudo")
        self._lock = self._take_turn()
        try:
            leftovers.clean(ROOT, networks=NETWORKS)
            for folder in (ROOT, ROOT / "cli"):
                folder.mkdir(mode=0o711)
            _command("ip", "link", "add", BRIDGE, "type", "bridge")
            _command("ip", "address", "add", _BRIDGE_ADDRESS, "dev", BRIDGE)
            _command("ip", "link", "set", BRIDGE, "up")
            self._start_containerd()
            self.up()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Remove the containers, end the daemons, clean up; calling it again does nothing.

        Docker's iptables chains stay, as they do after any dockerd: another engine may share them.
        """
        if self._lock is None:
            return
        try:
            if self._daemon is not None:
                with contextlib.suppress(
                    EngineError, subprocess.TimeoutExpired
                ):  # what it left is cleaned below
                    self.remove_all()
                with contextlib.suppress(EngineError):
                    self.down()
            if self._containerd is not None:
                _end(self._containerd, signal.SIGTERM)
                self._containerd = None
            leftovers.clean(ROOT, networks=NETWORKS)
        finally:
            self._lock.close()
            self._lock = None

    def up(self) -> None:
        """Start the daemon and wait until it answers. Containers with a restart policy start with it."""
        programs = _programs()
        flags = [
            *("--config-file", str(ROOT / "daemon.json")),
            *("--host", self.host),
            *("--containerd", str(ROOT / "containerd.sock")),
            *("--data-root", str(ROOT / "data")),
            *("--exec-root", str(ROOT / "exec")),
            *("--pidfile", str(ROOT / "docker.pid")),
            *("--bridge", BRIDGE),
            *("--default-address-pool", _NETWORK_POOL),
            *("--userland-proxy-path", programs.program("docker-proxy")),
            *("--init-path", programs.program("docker-init")),
            *self._daemon_flags,
        ]
        (ROOT / "daemon.json").write_text("{}")
        self._daemon = _spawn(programs.program("dockerd"), *flags, log=ROOT / "dockerd.log")
        try:
            self._wait_until_it_answers()
        except BaseException:
            _end(self._daemon, signal.SIGKILL)
            self._daemon = None
            raise

    def down(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the daemon alone.

        Args:
            how: SIGTERM stops the containers first, as ``systemctl stop docker`` does; SIGKILL is a crash, which the
                containers survive until the next `up` (with the daemon flag ``--live-restore``, for good).
        """
        if self._daemon is None:
            return
        self.thaw()
        daemon, self._daemon = self._daemon, None
        _end(daemon, how)
        if how == signal.SIGKILL:
            (ROOT / "docker.pid").unlink(missing_ok=True)

    def restart(self) -> None:
        """End the daemon in good order and start it again."""
        self.down()
        self.up()

    def freeze(self) -> None:
        """Make the daemon hang: it keeps its connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen daemon go on; one that is not frozen does not notice."""
        os.kill(self.pid, signal.SIGCONT)

    def docker(self, *args: str, stdin: bytes = b"", timeout_seconds: float = 120) -> str:
        """Run the docker command.

        Returns:
            What it printed, without the final newline.

        Raises:
            EngineError: it failed; the text has the command and its complaint.
        """
        return self._client(
            [_programs().program("docker"), *args], stdin=stdin, timeout_seconds=timeout_seconds
        )

    def compose(
        self,
        project: Path,
        *args: str,
        environment: Mapping[str, str] | None = None,
        timeout_seconds: float = 300,
    ) -> str:
        """Run Compose in a project's folder (its ``compose.yml``); otherwise like `docker`."""
        compose = obtain("compose")["compose"].program("docker-compose")
        return self._client(
            [compose, "--progress", "quiet", *args],
            folder=project,
            environment=environment,
            timeout_seconds=timeout_seconds,
        )

    def import_busybox(self) -> None:
        """Make the images ``busybox:1.35`` and ``busybox:1.36``: every applet, and /etc/version, which differs."""
        for tag in ("1.35", "1.36"):
            self.docker("import", "--change", 'CMD ["sh"]', "-", f"busybox:{tag}", stdin=images.busybox(tag))

    def remove_all(self) -> None:
        """Remove all containers, volumes and networks; images stay. A daemon that is down or frozen is revived."""
        if self._daemon is None:
            self.up()
        self.thaw()
        if paused := self.docker("ps", "--quiet", "--filter", "status=paused").split():
            self.docker("unpause", *paused)  # removing a paused container takes Docker 10 s
        if containers := self.docker("ps", "--all", "--quiet").split():
            self.docker("rm", "--force", "--volumes", *containers)
        self.docker("volume", "prune", "--all", "--force")
        self.docker("network", "prune", "--force")

    def _take_turn(self) -> socket.socket:
        try:
            return turn.take(self._lock_wait_seconds)
        except TimeoutError as error:
            raise EngineError(str(error)) from None

    def _start_containerd(self) -> None:
        config = ROOT / "containerd.toml"
        config.write_text(_CONTAINERD_CONFIG.format(root=ROOT))
        program = _programs().program("containerd")
        self._containerd = _spawn(program, "--config", str(config), log=ROOT / "containerd.log")

    def _client(
        self,
        command: list[str],
        *,
        stdin: bytes = b"",
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        timeout_seconds: float,
    ) -> str:
        own = {"DOCKER_HOST": self.host, "DOCKER_CONFIG": str(ROOT / "cli"), "HOME": str(ROOT / "cli")}
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            check=False,
            cwd=folder,
            env={**_environment(), **own, **(environment or {})},
            timeout=timeout_seconds,
        )
        if done.returncode:
            shown = " ".join([Path(command[0]).name, *command[1:]])
            complaint = done.stderr.decode(errors="replace").strip()
            raise EngineError(f"{shown}: exit {done.returncode}:\n{complaint}")
        return done.stdout.decode(errors="replace").removesuffix("\n")

    def _wait_until_it_answers(self, within_seconds: float = 60) -> None:
        deadline = time.monotonic() + within_seconds
        while not self._answers():
            if self._daemon is None or self._daemon.poll() is not None or time.monotonic() > deadline:
                raise EngineError(f"dockerd did not come up:\n{_tail(ROOT / 'dockerd.log')}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("docker", timeout=2)
        try:
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.settimeout(2)
            connection.sock.connect(str(self.socket_path))
            connection.request("GET", "/_ping")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@cache
def _programs() -> Component:
    return obtain("docker-engine")["docker-engine"]


def _environment() -> dict[str, str]:
    """The environment of every program here: the engine's own programs first, and no proxies."""
    programs = _programs().path
    path = f"{programs}/usr/sbin:{programs}/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "LC_ALL": "C.UTF-8"}


def _spawn(*command: str, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=_environment(),
            start_new_session=True,  # a Ctrl-C in the terminal is ours to handle, not the daemon's
        )


def _end(process: subprocess.Popen[bytes], how: signal.Signals, *, within_seconds: float = 40) -> None:
    process.send_signal(how)
    try:
        process.wait(within_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(within_seconds)


def _command(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
