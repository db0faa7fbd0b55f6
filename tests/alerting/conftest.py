"""What tests of the alerting side share."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture
def root_logger():
    """Put logging back as it was: a process configures it for good."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(capture=False)
