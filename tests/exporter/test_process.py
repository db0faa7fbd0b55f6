"""What the exporter says about its own process is what prometheus_client says, for less."""

import os

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector

from exporter.process import OwnProcess


def values(collector):
    """Return sample values by name."""
    return {sample.name: sample.value for family in collector.collect() for sample in family.samples}


def test_the_same_names_and_numbers():
    """Both read within a moment."""
    theirs, ours = values(ProcessCollector(registry=CollectorRegistry())), values(OwnProcess())
    assert ours.keys() == theirs.keys()
    exact = {"process_max_fds": 0.0, "process_start_time_seconds": 1.5, "process_cpu_seconds_total": 0.5}
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, abs=exact.get(name, max(4 << 20, 0.02 * value))), name


def test_open_files_are_counted():
    """One more is one more."""
    before = values(OwnProcess())["process_open_fds"]
    descriptor = os.open("/dev/null", os.O_RDONLY)
    try:
        assert values(OwnProcess())["process_open_fds"] == before + 1
    finally:
        os.close(descriptor)
