"""The demo as a newcomer runs it, beside the engine of this session: in a network and a temporary folder of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.phone import WIDTH, columns
from tests.real import leftovers
from tests.real.engine import Engine

_ROOT = Path(__file__).resolve().parents[2]
_IN_ITS_OWN_NETWORK = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


@pytest.fixture
def scratch(engine: Engine) -> Iterator[Path]:
    """A folder in place of /tmp, with a short name: sockets live in it. Our engine idles, so it is still one at a time."""
    del engine
    with tempfile.TemporaryDirectory(prefix="d-") as folder:
        yield Path(folder)


def start(scratch: Path) -> subprocess.Popen[str]:
    """Start the demo."""
    return subprocess.Popen(
        [*_IN_ITS_OWN_NETWORK, sys.executable, "-m", "demo"],
        cwd=_ROOT,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def is_gone(scratch: Path) -> bool:
    """Whether no file, no daemon and no process of the demo is left."""
    return not list(scratch.iterdir()) and not leftovers.daemons(scratch)


def test_the_whole_demo(scratch: Path) -> None:
    """Every message comes, is drawn in 80 columns without control codes, and nothing is left."""
    with start(scratch) as demo:
        said, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, said
    assert "\x1b" not in said
    assert max(columns(line) for line in said.splitlines()) <= 80
    bubbles = re.findall(r"│ .* │$", said, re.MULTILINE)
    assert {columns(line) for line in bubbles} == {WIDTH}
    assert re.search(r"p50 [\d.]+ s · max [\d.]+ s", said)
    assert "Nothing told, as it should be" in said
    assert "host-1 · shop/web" in said
    assert "Gone: the daemon" in said
    assert is_gone(scratch)


def test_ctrl_c_twice(scratch: Path) -> None:
    """Somebody has seen enough at the first message, and is impatient: everything is gone, too."""
    with start(scratch) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "🔵 Watching host-1" in line:
                demo.send_signal(signal.SIGINT)
            if "cleaning up" in line:
                demo.send_signal(signal.SIGINT)
                break
        said, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, said
    assert "Gone: the daemon" in said
    assert is_gone(scratch)
