"""The engine of our own: what a test may rely on when it asks for one."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real import leftovers
from tests.real.engine import BRIDGE, NETWORKS, ROOT, Engine, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = """\
services:
  web:
    image: busybox:{tag}
    command: httpd -f -p 80
    stop_signal: SIGKILL
    healthcheck: {{test: [CMD, test, -f, /etc/version], interval: 200ms, retries: 3, start_period: 1s}}
  worker:
    image: busybox:1.35
    command: sleep 1000
    stop_signal: SIGKILL
    depends_on: {{web: {{condition: service_healthy}}}}
"""


def test_a_container_runs_an_applet_of_the_imported_image(engine: Engine) -> None:
    """Both busybox images run and differ in /etc/version."""
    said = [engine.docker("run", "--rm", f"busybox:{tag}", "cat", "/etc/version") for tag in ("1.35", "1.36")]
    assert said == ["1.35", "1.36"]


def test_containers_live_on_the_engine_s_own_bridge(engine: Engine) -> None:
    """A container's address is in the engine's own range, on its own bridge."""
    engine.docker("run", "-d", "--name", "web", "busybox:1.35", "sleep", "1000")
    address = engine.docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", "web")
    assert ipaddress.IPv4Address(address) in NETWORKS
    assert Path("/sys/class/net", BRIDGE).exists()


def test_a_published_port_answers_on_loopback(engine: Engine, free_port: Callable[[], int]) -> None:
    """Load and probes reach a container by 127.0.0.1, never by its bridge address."""
    port = free_port()
    publish = f"127.0.0.1:{port}:80"
    engine.docker("run", "-d", "--name", "web", "-p", publish, "busybox:1.35", "httpd", "-f", "-h", "/etc")
    engine.docker(
        "exec", "web", "sh", "-c", "until wget -q -O- http://127.0.0.1/version; do usleep 20000; done"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET /version HTTP/1.0\r\n\r\n")
        assert b"".join(iter(lambda: connection.recv(1000), b"")).endswith(b"1.35\n")


def test_compose_brings_a_project_up_replaces_a_changed_service_and_takes_it_down(
    engine: Engine, tmp_path: Path
) -> None:
    """``up --wait`` ends when the check is healthy; a new image replaces one service; ``down`` removes all."""
    (tmp_path / "compose.yml").write_text(PROJECT.format(tag="1.35"))
    engine.compose(tmp_path, "-p", "shop", "up", "-d", "--wait")
    first = _services(engine, tmp_path)
    assert {name: row["Health"] for name, row in first.items()} == {"web": "healthy", "worker": ""}

    (tmp_path / "compose.yml").write_text(PROJECT.format(tag="1.36"))
    engine.compose(tmp_path, "-p", "shop", "up", "-d", "--wait")
    second = _services(engine, tmp_path)
    assert second["web"]["ID"] != first["web"]["ID"]
    assert engine.docker("exec", "shop-web-1", "cat", "/etc/version") == "1.36"

    engine.compose(tmp_path, "-p", "shop", "down")
    assert engine.docker("ps", "--all", "--quiet") == ""
    assert "shop_default" not in engine.docker("network", "ls")


def test_a_frozen_daemon_hangs_and_a_thawed_one_answers(engine: Engine) -> None:
    """A request to a frozen daemon runs into its time limit."""
    engine.freeze()
    with pytest.raises(subprocess.TimeoutExpired):
        engine.docker("version", timeout_seconds=1)
    engine.thaw()
    assert engine.docker("ps", "--quiet", timeout_seconds=10) == ""


def test_a_restart_of_the_daemon_starts_what_shall_always_run(engine: Engine) -> None:
    """Only the container with a restart policy runs after it, and the daemon is another process."""
    engine.docker(
        "run", "-d", "--init", "--name", "kept", "--restart", "always", "busybox:1.35", "sleep", "1000"
    )
    engine.docker("run", "-d", "--init", "--name", "left", "busybox:1.35", "sleep", "1000")
    before = engine.pid
    engine.restart()
    assert engine.pid != before
    assert engine.docker("ps", "--format", "{{.Names}}") == "kept"


def test_remove_all_leaves_no_container_volume_or_network_and_revives_the_daemon(engine: Engine) -> None:
    """Also a paused container goes, and also when a test left the daemon down."""
    engine.docker("network", "create", "extra")
    engine.docker(
        "run",
        "-d",
        "--name",
        "still",
        "--stop-signal",
        "KILL",
        "-v",
        "data:/data",
        "busybox:1.35",
        "sleep",
        "1000",
    )
    engine.docker("pause", "still")
    engine.down(signal.SIGKILL)
    engine.remove_all()
    assert engine.docker("ps", "--all", "--quiet") == ""
    assert engine.docker("volume", "ls", "--quiet") == ""
    assert engine.docker("network", "ls", "--format", "{{.Name}}").split() == ["bridge", "host", "none"]


def test_a_refused_command_says_what_docker_said(engine: Engine) -> None:
    """The error carries the command, its exit code and Docker's own words."""
    with pytest.raises(EngineError, match=r"docker inspect nobody: exit 1:\n(?s:.)*[Nn]o such object"):
        engine.docker("inspect", "nobody")


def test_a_second_engine_waits_no_longer_than_told_and_names_the_first(engine: Engine) -> None:
    """One engine at a time: the bound is the caller's."""
    assert engine.docker("ps", "--quiet") == ""
    with pytest.raises(EngineError, match=f"process {os.getpid()}"):
        Engine(lock_wait_seconds=0.1).start()


def test_what_a_killed_run_left_is_cleaned(engine: Engine) -> None:
    """After a kill of everything that would clean up, the next start finds no process, mount, cgroup or bridge."""
    for name in ("running", "paused"):
        engine.docker("run", "-d", "--name", name, "busybox:1.35", "sleep", "1000")
    engine.docker("pause", "paused")
    asked = engine.docker("inspect", "--format", "{{.State.Pid}} {{.Id}}", "running", "paused")
    inside = {int(line.split()[0]): line.split()[1] for line in asked.splitlines()}
    leftovers.end(leftovers.daemons(ROOT))
    assert all(leftovers.alive(pid) for pid in inside), "a container outlives its daemons"

    leftovers.clean(ROOT, networks=NETWORKS)
    assert not any(leftovers.alive(pid) for pid in inside)
    assert str(ROOT) not in Path("/proc/self/mountinfo").read_text()
    assert not any(list(Path("/sys/fs/cgroup").glob(f"**/*{name}*")) for name in inside.values())
    assert not Path("/sys/class/net", BRIDGE).exists()
    assert not ROOT.exists()

    engine.stop()
    engine.start()
    engine.import_busybox()
    assert engine.docker("ps", "--all", "--quiet") == ""


def _services(engine: Engine, project: Path) -> dict[str, dict[str, str]]:
    shown = engine.compose(project, "-p", "shop", "ps", "--format", "json")
    return {row["Service"]: row for row in map(json.loads, shown.splitlines())}
