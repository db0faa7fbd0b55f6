"""What public dashboards and rules ask of cAdvisor has an answer when a real Prometheus scrapes the exporter alone."""

from __future__ import annotations

import json
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real.blkio import count_disk_io
from tests.real.servers import Server, start_prometheus
from tests.real.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.real.engine import Engine

IMAGE = "busybox:1.35"
QUERIES = Path(__file__).with_name("cadvisor_queries.txt").read_text().splitlines()
SCRAPED_SECONDS = 20
CONFIG = """\
global: {{scrape_interval: 2s}}
scrape_configs:
  - job_name: cadvisor
    static_configs: [{{targets: ["{target}"]}}]
"""


@pytest.fixture(scope="module")
def prometheus(running_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Prometheus that has scraped the exporter for a while, over a container that is limited and one that writes."""
    engine = running_engine
    labels = ("--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=web")
    limits = ("--cpus", "0.2", "--memory", "64m", "--memory-reservation", "32m")
    script = "while :; do dd if=/dev/zero of=/f bs=64k count=16 conv=fsync; sync; sleep 0.5; done"
    id_ = engine.docker("run", "-d", "--name", "limited", *labels, *limits, IMAGE, "/bin/sh", "-c", script)
    count_disk_io(id_, engine.socket_path.parent)
    engine.docker("run", "-d", "--name", "idle", IMAGE, "/bin/sleep", "100000")
    site = Site(engine.host, tmp_path_factory.mktemp("exporter"))
    site.start_exporter()
    config = CONFIG.format(target=site.exporter_url.removeprefix("http://"))
    server = start_prometheus(config, tmp_path_factory.mktemp("prometheus"))
    try:
        time.sleep(SCRAPED_SECONDS)
        yield server
    finally:
        server.stop()
        site.stop()
        engine.remove_all()


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_has_an_answer(prometheus: Server, query: str) -> None:
    """Not an empty one."""
    answer = json.loads(prometheus.get(f"/api/v1/query?query={urllib.parse.quote(query)}"))
    assert answer["status"] == "success"
    assert answer["data"]["result"] != []


def test_no_scrape_was_refused_or_incomplete(prometheus: Server) -> None:
    """And no sample of one was thrown away."""
    for query in ("min_over_time(up[1m])", "scrape_samples_scraped == scrape_samples_post_metric_relabeling"):
        answer = json.loads(prometheus.get(f"/api/v1/query?query={urllib.parse.quote(query)}"))
        assert [float(found["value"][1]) > 0 for found in answer["data"]["result"]] == [True]
