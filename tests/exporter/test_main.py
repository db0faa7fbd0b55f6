"""The program as a process: flags, exit codes, life without Docker."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Program:
    """A running vakhta-exporter; its log is read as it comes."""

    def __init__(self, *flags, environ=None):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "exporter", "--log.format=json", *flags],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environ or {})},
        )
        self.log = []

    def line(self, event):
        """Read the log up to an event and return its line."""
        for text in self.process.stderr:
            self.log.append(json.loads(text))
            if self.log[-1]["event"] == event:
                return self.log[-1]
        raise AssertionError(f"no {event!r} in {self.log}")

    def get(self, url):
        """Ask for a page; its status and text."""
        try:
            with NO_PROXY.open(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as exc:
            return exc.code, exc.read().decode()

    def metrics(self, url):
        """Scrape, once the first look is over."""
        while (answer := self.get(f"{url}/metrics"))[0] == 503:
            assert self.process.poll() is None
        assert answer[0] == 200
        return answer[1].splitlines()

    def end(self, number=signal.SIGTERM):
        """Ask it to end; its exit code and how long it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(10), time.monotonic() - began


@pytest.fixture
def program(tmp_path):
    """Start programs without a Docker daemon, on any port; all are killed afterwards."""
    started = []

    def start(*flags, environ=None):
        given = ("--web.listen-address=127.0.0.1:0", f"--storage.path={tmp_path}/state", *flags)
        started.append(
            Program(*given, environ={"DOCKER_HOST": f"unix://{tmp_path}/none.sock", **(environ or {})})
        )
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
        one.process.stderr.close()


def run(*flags, environ=None):
    """Run a program that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "exporter", *flags],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={**os.environ, **(environ or {})},
    )


def test_without_docker(program, tmp_path):
    """It starts, says so in one line, and exports docker_up 0."""
    it = program(
        "--no-collector.cgroups", "--no-collector.network"
    )  # which complain where this is a container
    url = it.line("listening")["url"]
    said = it.line("Docker does not answer")
    assert said["level"] == "warning"
    assert said["error"] == (
        f"Docker is not running or not installed: {tmp_path}/none.sock does not exist; start Docker, or say where it is with "
        "docker.host or DOCKER_HOST"
    )
    status, text = it.get(f"{url}/metrics")
    assert status == 200
    assert {"docker_up 0", "vakhta_docker_events_connected 0", "vakhta_exporter_storage_ok 1"} <= set(
        text.splitlines()
    )
    assert it.get(f"{url}/-/healthy")[0] == 200
    ready = it.get(f"{url}/-/ready")
    assert ready == (200, f"vakhta-exporter is ready.\n{said['error']}\n")
    assert it.end()[0] == 0
    assert [line["event"] for line in map(json.loads, it.process.stderr)] == ["asked to end"]


def test_ends_while_listeners_and_daemon_hang(program, tmp_path):
    """SIGTERM ends it within five seconds whatever hangs: a listener of /events, and a daemon that never answers."""
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(f"{tmp_path}/frozen.sock")
        frozen.listen()
        it = program(environ={"DOCKER_HOST": f"unix://{tmp_path}/frozen.sock"})
        host, port = it.line("listening")["url"].removeprefix("http://").split(":")
        assert it.get(f"http://{host}:{port}/metrics")[0] == 503
        with socket.create_connection((host, int(port))) as listener:
            listener.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in listener.recv(100)
            code, seconds = it.end()
    assert (code, seconds < 5) == (0, True)


def test_storage_that_cannot_be_written(program, tmp_path):
    """It runs on, says so once in the log, and in the metric."""
    (tmp_path / "state").write_text("a file, no folder")
    it = program()
    url = it.line("listening")["url"]
    assert "name another directory with --storage.path" in it.line("the state cannot be kept")["error"]
    it.line("Docker does not answer")
    assert "vakhta_exporter_storage_ok 0" in it.metrics(url)
    assert "cannot be written" in it.get(f"{url}/-/ready")[1]
    assert it.end()[0] == 0


def test_a_taken_port():
    """Exit code 2, with the remedy and without a traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run(f"--web.listen-address={address}", "--storage.path=/dev/null/x", "--log.level=error")
    assert done.returncode == 2
    assert done.stderr == (
        f"vakhta-exporter: cannot listen on {address}: address already in use; stop the other program or choose another --web.listen-address\n"
    )


def test_a_wrong_configuration(tmp_path):
    """Exit code 1, every mistake on a line of its own."""
    (tmp_path / "exporter.yml").write_text("dokcer: {}\nhost: {nmae: x}\n")
    done = run(f"--config.file={tmp_path}/exporter.yml")
    assert done.returncode == 1
    assert done.stderr == (
        f"{tmp_path}/exporter.yml:1:1: dokcer: unknown key, did you mean docker?\n{tmp_path}/exporter.yml:2:8: host.nmae: unknown key, did you mean name?\n"
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DOCKER_HOST", "ssh://u@h", "'ssh://u@h' is not an address of a Docker daemon; write it like"),
        ("VAKHTA_API_TOKEN_FILE", "/dev/null", "/dev/null is empty; write the secret into it"),
    ],
)
def test_a_wrong_variable(name, value, words):
    """Exit code 1 too, with variable, fault and remedy."""
    done = run("--web.listen-address=127.0.0.1:0", "--storage.path=/dev/null/x", environ={name: value})
    assert done.returncode == 1
    assert done.stderr.startswith(f"vakhta-exporter: {name}: {words}")


@pytest.mark.parametrize(
    ("flag", "code", "words"),
    [
        ("--version", 0, r"vakhta-exporter \S+\n"),
        ("--help", 0, r"(?s)usage: vakhta-exporter.*--web\.listen-address.*"),
        ("--nonsense", 2, "(?s).*unrecognized arguments.*"),
    ],
)
def test_flags(flag, code, words):
    """Help and version go to standard output, complaints to standard error."""
    done = run(flag)
    assert done.returncode == code
    assert re.fullmatch(words, done.stdout or done.stderr)


def test_the_collectors_can_be_switched_off(program, tmp_path):
    """Nothing is asked of Docker then, and nothing complained about."""
    (tmp_path / "exporter.yml").write_text(
        "collectors: {docker: {enabled: false}, cgroups: {enabled: false}}\n"
    )
    it = program(f"--config.file={tmp_path}/exporter.yml")
    url = it.line("listening")["url"]
    assert "docker_up 0" in it.metrics(url)
    it.end(signal.SIGINT)
    with contextlib.closing(it.process.stderr) as rest:
        assert "Docker" not in rest.read()
