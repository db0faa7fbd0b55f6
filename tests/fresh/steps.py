"""The steps of tests/fresh/run.sh, run inside the fresh machine as root by Debian's own python3.

Each step prints its verdict; the exit code is the number of steps that failed. Standard library only: nothing is
installed yet, that is the point.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PERSON = "person"
HOME = Path("/home") / PERSON
CLONE = HOME / "vakhta"
PORTS = (9817, 9818)
CLOSED = "http://127.0.0.1:9"


class StepError(Exception):
    """A promise was not kept; the text says which, with what was seen."""


def make_run_needs_python3_venv() -> str:
    """Without python3-venv, an ordinary user is told the one command that helps."""
    for package in ("python3-venv", "python3.11-venv"):
        _run("dpkg", "--purge", package)
    try:
        said = subprocess.run(
            _as_person("make", "run"), cwd=CLONE, capture_output=True, text=True, check=False, timeout=60
        )
    finally:
        _run("apt-get", "-qq", "update")
        _run("apt-get", "-qq", "install", "-y", "--no-install-recommends", "python3-venv")
    lines = [line for line in (said.stdout + said.stderr).splitlines() if not line.startswith("make")]
    _expect(said.returncode != 0, f"make run succeeded: {lines}")
    _expect(
        lines == ["python3-venv is missing: run  sudo apt-get install -y python3-venv"],
        f"it said instead: {lines}",
    )
    return lines[0]


def make_run_serves_and_ends() -> str:
    """``make run`` of an ordinary user: both ports serve, the missing Docker is said, Ctrl-C ends both in 5 s."""
    log = Path("/var/tmp/make-run.log")
    begun = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            _as_person("make", "run"), cwd=CLONE, stdout=output, stderr=output, start_new_session=True
        )
    try:
        metrics = _wait_for("http://127.0.0.1:9817/metrics", process, log)
        _wait_for("http://127.0.0.1:9818/-/healthy", process, log)
        served = time.monotonic() - begun
        _expect("\ndocker_up 0" in metrics, f"no 'docker_up 0' in /metrics:\n{metrics[:2000]}")
        _expect(
            "docker is not running" in log.read_text().lower(),
            f"the console does not say that there is no Docker:\n{_end(log)}",
        )
        pressed = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        ended = _ends_within(process, 30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    took = time.monotonic() - pressed
    _expect(ended and took < 5, f"Ctrl-C took {took:.1f} s:\n{_end(log)}")
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    return f"served {served:.0f} s after make run, ended {took:.1f} s after Ctrl-C"


def make_test_refuses_a_person() -> str:
    """``make test`` of an ordinary user says at once that it needs root."""
    begun = time.monotonic()
    said = subprocess.run(_as_person("make", "test"), cwd=CLONE, capture_output=True, text=True, check=False)
    took = time.monotonic() - begun
    _expect(said.returncode != 0 and "Run: sudo make test" in said.stderr, said.stdout + said.stderr)
    _expect(took < 1, f"it took {took:.1f} s to say so")
    return said.stderr.splitlines()[0]


def make_test_passes() -> str:
    """``.ci/run`` as root installs what it needs, make itself included, and passes."""
    _run("dpkg", "--purge", "make", "python3-venv", "python3.11-venv")
    shutil.copytree("/checkout", "/root/vakhta")
    return _timed(".ci/run")


def make_test_passes_without_a_network() -> str:
    """Again, with no package index and the proxies set to a closed port: nothing is downloaded."""
    return _timed("make", "test", PIP_NO_INDEX="1", http_proxy=CLOSED, https_proxy=CLOSED, all_proxy=CLOSED)


QUICK: tuple[Callable[[], str], ...] = (
    make_test_refuses_a_person,
    make_run_needs_python3_venv,
    make_run_serves_and_ends,
)
LONG: tuple[Callable[[], str], ...] = (make_test_passes, make_test_passes_without_a_network)


def main(which: str) -> int:
    """Run the steps, all or ``quick``."""
    _run("useradd", "--create-home", "--shell", "/bin/bash", PERSON)
    shutil.copytree("/checkout", CLONE)
    _run("chown", "-R", f"{PERSON}:{PERSON}", str(CLONE))
    failed = 0
    for step in QUICK if which == "quick" else QUICK + LONG:
        try:
            verdict = f"ok      {step.__name__}: {step()}"
        except (StepError, OSError, subprocess.SubprocessError) as error:
            failed += 1
            verdict = f"FAILED  {step.__name__}: {error}"
        print(verdict, flush=True)  # noqa: T201 - the verdicts are the output
    return failed


def _as_person(*command: str) -> list[str]:
    environment = [f"HOME={HOME}", f"USER={PERSON}", "PATH=/usr/bin:/bin"]
    return [
        "setpriv",
        f"--reuid={PERSON}",
        f"--regid={PERSON}",
        "--init-groups",
        "env",
        *environment,
        *command,
    ]


def _timed(*command: str, **environment: str) -> str:
    begun = time.monotonic()
    done = subprocess.run(command, cwd="/root/vakhta", env={**os.environ, **environment}, check=False)
    took = f"{time.monotonic() - begun:.0f} s"
    _expect(done.returncode == 0, f"exit {done.returncode} after {took}")
    return took


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path, within_seconds: float = 600) -> str:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + within_seconds
    while True:
        try:
            with direct.open(url, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError as error:
            _expect(process.poll() is None, f"make run ended before {url} answered:\n{_end(log)}")
            _expect(time.monotonic() < deadline, f"{url}: {error}:\n{_end(log)}")
            time.sleep(0.2)


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    _expect(
        done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()[-500:]}"
    )


def _expect(kept: object, otherwise: str) -> None:
    if not kept:
        raise StepError(otherwise)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
