"""``python -m demo``: a Docker daemon of its own, a shop that gets sick, and the messages about it in this terminal."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from demo import story
from demo.phone import Paint
from demo.stage import LINE, Stage, StageError
from demo.summary import table
from tests.real import leftovers, turn
from tests.real.components import ComponentError, cache_folder, obtain
from tests.real.components import table as known_components
from tests.real.debian import DebianError, missing
from tests.real.engine import BRIDGE, ROOT, Engine, EngineError
from tests.real.site import Site

_SHOP: Final = Path(__file__).with_name("shop.yml")
_COMPONENTS: Final = ("docker-engine", "busybox", "compose")
_HOST: Final = "host-1"
_INTERRUPTED: Final = 130
_TURN_SECONDS: Final = 600.0
_ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_FAILURES: Final = (
    AssertionError,  # how Site says that a process did not come up
    ComponentError,
    DebianError,
    EngineError,
    StageError,
    TimeoutError,  # it never became our turn, or a process survives SIGKILL
    subprocess.TimeoutExpired,
)
_HELLO: Final = """
Vakhta, the demo. A shop on a Docker host gets sick; on the right is the phone
of the person on call. Docker, the containers, their deaths and both processes
of Vakhta are real, only Telegram is a stand-in. Two minutes, then everything
is gone; Ctrl-C ends it earlier, and as cleanly. Clock times are UTC.
"""
_NEXT: Final = """
Next, your own Docker host:   make run
It prints such messages in the terminal, and sends them to your phone once it
has a bot's token: README.md says how to get one and where to put it.
"""


class NamedSite(Site):
    """A site whose host has the name that the documentation uses, whatever this machine is called."""

    def start_exporter(self) -> None:
        """Start vakhta-exporter with a configuration file."""
        config = self.folder / "exporter.yml"
        config.write_text(f"host: {{name: {_HOST}}}\n")
        self._spawn(
            "exporter",
            *("-m", "exporter"),
            f"--config.file={config}",
            f"--web.listen-address={self.exporter_url.removeprefix('http://')}",
            f"--storage.path={self.folder / 'exporter'}",
        )
        self._wait_for_page(f"{self.exporter_url}/-/healthy")

    def pids(self) -> list[int]:
        """The process numbers of all that it runs."""
        return [self.pid(name) for name in ("telegram", "exporter", "alerting")]


def main() -> int:
    """Play the demo; return 0 when every message came as it should and nothing is left."""
    if os.geteuid() != 0:
        print("make demo needs root: it starts its own Docker daemon. Run: sudo make demo", file=sys.stderr)
        return 1
    for number in _ENDINGS:
        signal.signal(number, _interrupt_once)
    pids: list[int] = []
    code = 0
    try:
        _perform(pids)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except _FAILURES as error:
        code = 1
        print(f"\nThe demo broke off: {error}", file=sys.stderr)
    if left := _left(pids):
        print(f"\nLeft behind: {', '.join(left)}. The next run cleans it up.", file=sys.stderr)
        return code or 1
    _say("Gone: the daemon, its containers, every process, the bridge, the files.")
    if code == 0:
        _say(_NEXT)
    return code


def _perform(pids: list[int]) -> None:
    """Set up, play, sum up, clean up; note the processes that must be gone afterwards."""
    paint = Paint(on=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    _say(_HELLO)
    if sys.stdout.isatty() and shutil.get_terminal_size().columns < LINE + 2:
        _say(f"(It is drawn for {LINE + 2} columns, and this terminal has fewer.)\n")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vakhta-demo-")))
        try:
            _fetch()
            _wait_for_our_turn()
            with _timed("a Docker daemon of its own"):
                engine = stack.enter_context(Engine())
                pids.append(engine.pid)
                engine.import_busybox()
            with _timed("the shop: a Compose project of six containers"):
                _open_the_shop(engine, folder)
            with _timed("vakhta-exporter, vakhta-alerting, the stand-in for Telegram"):
                site = stack.enter_context(NamedSite(engine.host, folder / "site"))
                pids += site.pids()
            stage = Stage(engine, site, folder, say=_say, paint=paint)
            story.play(stage)
        except KeyboardInterrupt:
            _say("\nEnded early; cleaning up.")
            raise
        stage.title("In short")
        _say("\n".join(["", *table(stage.measured, paint), ""]))


def _fetch() -> None:
    """Make the programs ready, and say so if that takes a download."""
    lacking = missing(known_components()["docker-engine"].system)
    fetched = [name for name in ("docker-engine", "busybox") if not (cache_folder() / name).exists()]
    if lacking or fetched:
        _say("The first run fetches from this machine's Debian mirror, about 65 MB, once:")
        if fetched:
            _say(f"  {', '.join(fetched)} into {cache_folder()}")
        if lacking:
            _say(f"  {', '.join(lacking)}, installed with apt-get")
        _say("")
    obtain(*_COMPONENTS)


def _wait_for_our_turn() -> None:
    try:
        turn.take(0).close()
    except TimeoutError:
        _say("Another run has an engine of ours on this machine: waiting until it ends.\n")
        turn.take(_TURN_SECONDS).close()


def _open_the_shop(engine: Engine, folder: Path) -> None:
    (folder / "compose.yml").write_bytes(_SHOP.read_bytes())
    engine.docker("run", "--detach", "--name", "old-backup", "busybox:1.35", "sh", "-c", "exit 2")
    engine.compose(folder, "up", "--detach")


def _left(pids: list[int]) -> list[str]:
    """Name what the run left behind; nothing, as a rule.

    Once the turn has gone to somebody else, folder and bridge are theirs, and only our processes can be looked for.
    """
    left = [f"process {pid}" for pid in pids if leftovers.alive(pid)]
    try:
        lock = turn.take(0)
    except TimeoutError:
        return left
    with lock:
        left += [f"process {pid}" for pid in leftovers.daemons(ROOT) if pid not in pids]
        left += [str(ROOT)] if ROOT.exists() else []
        left += [f"bridge {BRIDGE}"] if BRIDGE in dict(socket.if_nameindex()).values() else []
    return left


def _interrupt_once(number: int, frame: FrameType | None) -> NoReturn:
    """Break off at the first signal; the following ones must not disturb the cleaning."""
    del number, frame
    for ending in _ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def _timed(what: str) -> Iterator[None]:
    started = time.monotonic()
    print(f"  {what} ", end="", flush=True)
    yield
    dots = "." * (LINE - 10 - len(what))
    print(f"{dots}{time.monotonic() - started:5.1f} s", flush=True)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
