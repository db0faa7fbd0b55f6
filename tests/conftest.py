"""What every test can rely on, however the run was started."""

from __future__ import annotations

import signal

from hypothesis import settings

from tests.size import examples

settings.register_profile("sized", max_examples=examples(100), deadline=None)
settings.load_profile("sized")


def pytest_configure() -> None:
    """Take Ctrl-C as usual: a run started in the background ignores it, and so would every program the tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
