"""What the exporter says about its own process, under the names every client library uses.

prometheus_client's collector lists the open files one by one to count them: thousands of kept cgroup files, 4 ms of every scrape.
"""

import os
import resource
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

__all__ = ["OwnProcess"]

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_FILES: Final = "/proc/self/fd"


class OwnProcess(Collector):
    """Collects `process_*`."""

    def __init__(self) -> None:
        self._started_at = _started_at()

    def collect(self) -> Iterable[Metric]:
        """Return the families of client libraries."""
        size, resident = (int(pages) for pages in Path("/proc/self/statm").read_text().split()[:2])
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        yield CounterMetricFamily(
            "process_cpu_seconds", "User and system CPU time spent.", value=time.process_time()
        )
        for name, help_, value in (
            ("process_virtual_memory_bytes", "Virtual memory.", size * _PAGE_BYTES),
            ("process_resident_memory_bytes", "Resident memory.", resident * _PAGE_BYTES),
            ("process_start_time_seconds", "Start, in Unix seconds.", self._started_at),
            ("process_open_fds", "Open file descriptors.", _open_files()),
            (
                "process_max_fds",
                "Most file descriptors there may be.",
                float("inf") if soft == resource.RLIM_INFINITY else soft,
            ),
        ):
            yield GaugeMetricFamily(name, help_, value=value)


def _open_files() -> int:
    """Return the folder's size, which since Linux 6.2 is their number; before it was 0."""
    return os.stat(_FILES).st_size or len(os.listdir(_FILES))  # noqa: PTH116, PTH208 - at every scrape


def _started_at() -> float:
    ticks = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / _TICKS
    return time.time() - since_boot
