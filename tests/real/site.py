"""A whole site for tests, demo and benchmarks: our two processes as shipped, beside the Telegram stand-in.

Everything listens on loopback and is stopped by pid. What people would read is asked from the stand-in's ledger.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.real.servers import free_port

_ROOT: Final = Path(__file__).resolve().parents[2]
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0
_SENDS: Final = ("sendMessage",)
_EDITS: Final = ("editMessageText",)


@dataclass(frozen=True, slots=True)
class Told:
    """One write that Telegram accepted: a message, or the edit of one."""

    text: str
    message_id: int
    edit: bool
    silent: bool
    reply_to: int | None
    wall: float

    @property
    def first_line(self) -> str:
        """What a locked phone shows."""
        return self.text.split("\n", 1)[0]


class Site:
    """The processes and the stand-in. Use as a context manager.

    Args:
        docker_host: The daemon's address, ``unix://…``.
        folder: Where state and logs go.
        flags: Further flags of vakhta-alerting.
    """

    def __init__(self, docker_host: str, folder: Path, *, flags: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.exporter_url = f"http://127.0.0.1:{free_port()}"
        self.alerting_url = f"http://127.0.0.1:{free_port()}"
        self._docker_host = docker_host
        self._flags = flags
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stand_in: dict[str, Any] = {}
        self._seen = 0
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        try:
            self.start_stand_in()
            self.start_exporter()
            self.start_alerting()
            self.wait_connected()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ---- processes ----

    def start_stand_in(self) -> None:
        """Start the stand-in for Telegram; it minds no flood, the limits are tested elsewhere."""
        process = self._spawn("telegram", "-m", "tests.telegram_api", "--no-flood", stdout=subprocess.PIPE)
        assert process.stdout is not None
        self._stand_in = json.loads(process.stdout.readline())

    def start_exporter(self) -> None:
        """Start vakhta-exporter and wait until it answers."""
        self._spawn(
            "exporter",
            "-m",
            "exporter",
            f"--web.listen-address={self.exporter_url.removeprefix('http://')}",
            f"--storage.path={self.folder / 'exporter'}",
        )
        self._wait_for_page(f"{self.exporter_url}/-/healthy")

    def start_alerting(self) -> None:
        """Start vakhta-alerting and wait until it answers."""
        self._spawn(
            "alerting",
            "-m",
            "alerting",
            f"--web.listen-address={self.alerting_url.removeprefix('http://')}",
            f"--exporter.url={self.exporter_url}",
            f"--storage.path={self.folder / 'alerting'}",
            *self._flags,
        )
        self._wait_for_page(f"{self.alerting_url}/-/healthy")

    def stop_process(self, name: str, how: signal.Signals = signal.SIGTERM) -> float:
        """End one process (``exporter``, ``alerting``, ``telegram``); return how long it took."""
        process = self._processes.pop(name)
        started = time.monotonic()
        process.send_signal(how)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        if process.stdout is not None:
            process.stdout.close()
        return time.monotonic() - started

    def stop(self) -> None:
        """End everything."""
        for name in ("alerting", "exporter", "telegram"):
            if name in self._processes:
                self.stop_process(name)

    def pid(self, name: str) -> int:
        """The process number of one process."""
        return self._processes[name].pid

    def log(self, name: str) -> str:
        """What one process wrote."""
        return (self.folder / f"{name}.log").read_text()

    def wait_connected(self, within_seconds: float = _START_SECONDS) -> None:
        """Wait until alerting listens to the exporter's event stream."""
        needle = "vakhta_event_stream_connected{"
        self.wait(
            lambda: any(
                line.startswith(needle) and line.endswith(" 1.0")
                for line in self.get(f"{self.alerting_url}/metrics").splitlines()
            ),
            "alerting is connected to the exporter",
            within_seconds,
        )

    # ---- what was told ----

    def told(self) -> list[Told]:
        """Return every write that Telegram accepted since :meth:`mark`, in order."""
        entries = json.loads(self.get(f"{self._stand_in['url']}/_ledger?since={self._seen}"))
        return [_told(entry) for entry in entries if entry["applied"] and entry["method"] in _SENDS + _EDITS]

    def refused(self) -> list[str]:
        """Return what Telegram refused, ever; an edit that was already so is no refusal."""
        entries = json.loads(self.get(f"{self._stand_in['url']}/_ledger?since=0"))
        refused = [entry for entry in entries if entry["status"] >= 400]
        return [
            f"{entry['method']}: {entry['description']}: {entry['text']}"
            for entry in refused
            if "message is not modified" not in entry["description"]
        ]

    def mark(self) -> None:
        """Forget what was told so far."""
        self._seen = len(json.loads(self.get(f"{self._stand_in['url']}/_ledger?since=0")))

    def sent(self) -> list[Told]:
        """Return the messages (not the edits) since :meth:`mark`."""
        return [told for told in self.told() if not told.edit]

    def wait_told(self, matches: Callable[[Told], bool], what: str, within_seconds: float = 15) -> Told:
        """Wait for a write that matches and return it."""
        found: list[Told] = []

        def look() -> bool:
            found[:] = [told for told in self.told() if matches(told)]
            return bool(found)

        self.wait(look, what, within_seconds)
        return found[0]

    def wait_line(self, *parts: str, edit: bool | None = None, within_seconds: float = 15) -> Told:
        """Wait for a write whose first line holds all these parts."""
        return self.wait_told(
            lambda told: all(part in told.first_line for part in parts) and edit in (None, told.edit),
            f"a {'message' if edit is not True else 'edit'} with {parts}",
            within_seconds,
        )

    def wait(self, condition: Callable[[], bool], what: str, within_seconds: float = 15) -> None:
        """Poll until the condition holds.

        Raises:
            AssertionError: It did not in time; says what was told meanwhile.
        """
        end = time.monotonic() + within_seconds
        while time.monotonic() < end:
            if condition():
                return
            time.sleep(0.05)
        told = "\n---\n".join(told.text for told in self.told()) or "nothing"
        raise AssertionError(f"not within {within_seconds:g} s: {what}\ntold meanwhile:\n{told}")

    def scrape_value(self, series: str) -> float | None:
        """Return the value of one series of the exporter, written as it is exposed."""
        for line in self.get(f"{self.exporter_url}/metrics").splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        return None

    # ---- underneath ----

    def get(self, url: str) -> str:
        """Fetch a page of one of the processes."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=10) as answer:
            return str(answer.read().decode())

    def _spawn(self, name: str, *command: str, stdout: int | None = None) -> subprocess.Popen[bytes]:
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder),
            "PYTHONPATH": str(_ROOT),
            "DOCKER_HOST": self._docker_host,
            "TZ": "UTC",
        }
        if self._stand_in:
            environment["TELEGRAM_API_URL"] = self._stand_in["url"]
            environment["TELEGRAM_BOT_TOKEN"] = self._stand_in["token"]
            environment["TELEGRAM_CHAT_ID"] = str(self._stand_in["chats"][0])
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command], env=environment, cwd=_ROOT, stdout=stdout or log, stderr=log
            )
        self._processes[name] = process
        return process

    def _wait_for_page(self, url: str) -> None:
        def answers() -> bool:
            try:
                self.get(url)
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                return False
            return True

        end = time.monotonic() + _START_SECONDS
        while not answers():
            if time.monotonic() > end:
                logs = {name: self.log(name)[-2000:] for name in self._processes}
                raise AssertionError(f"{url} does not answer; logs: {logs}")
            time.sleep(0.05)


def _told(entry: dict[str, Any]) -> Told:
    params = entry["params"]
    reply = params.get("reply_parameters")
    return Told(
        text=entry["text"] or "",
        message_id=entry["message_id"] or 0,
        edit=entry["method"] in _EDITS,
        silent=params.get("disable_notification") == "true",
        reply_to=json.loads(reply)["message_id"] if reply else None,
        wall=entry["wall"],
    )
