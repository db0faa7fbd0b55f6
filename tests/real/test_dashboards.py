"""Every query of every dashboard, against a real Prometheus that scrapes the exporter of a real Engine."""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.real.conftest import Tool
from tests.real.engine import Engine
from tests.real.servers import Server, start_prometheus
from tests.real.site import Site

ROOT: Final = Path(__file__).resolve().parents[2]
DASHBOARDS: Final = {
    path.name: json.loads(path.read_text()) for path in (ROOT / "grafana_dashboards").glob("*.json")
}
# A shop whose web is well, one of whose workers crashes; a container without Compose that runs out of memory.
SHOP: Final = """
name: shop
services:
  web:
    image: busybox:1.35
    command: [sleep, "1000"]
    deploy: {replicas: 2}
    healthcheck: {test: ["CMD", "true"], interval: 1s}
  worker:
    image: busybox:1.35
    command: [sh, -c, "sleep 1; exit 3"]
    restart: always
"""
# Grafana's own variables, as it fills them in for a short range.
RANGES: Final = {"__rate_interval": "10s", "__range": "30s", "__range_s": "30"}
CHOICES: Final = {
    "All": {"instance": ".*", "project": ".*", "service": ".*"},
    "one project": {"instance": ".*", "project": "shop", "service": ".*"},
    "two services": {"instance": ".*", "project": "shop", "service": "(web|worker)"},
}
# What can only have data where the choice includes a container of that fate: the one that ran out of memory has no project.
ONLY_WITH_OOM: Final = "container_last_oom_timestamp_seconds"

QUERIES: Final = [
    pytest.param(target["expr"], id=f"{name}-{panel['title']}-{target['refId']}")
    for name, dashboard in DASHBOARDS.items()
    for panel in dashboard["panels"]
    for target in panel.get("targets", ())
]
VARIABLES: Final = [
    pytest.param(variable["query"]["query"], id=f"{name}-{variable['name']}")
    for name, dashboard in DASHBOARDS.items()
    for variable in dashboard["templating"]["list"]
    if variable["type"] == "query"
]


class Watched:
    """A Prometheus with a minute of what happened on the engine."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Evaluate an instant query; give its series."""
        answer = json.loads(
            self._server.get(f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        )
        found = answer["data"]["result"]
        assert isinstance(found, list)
        return found

    def wait(self, expression: str, within_seconds: float = 40) -> None:
        """Wait until a query has an answer."""
        end = time.monotonic() + within_seconds
        while not self.ask(expression):
            assert time.monotonic() < end, f"not within {within_seconds:g} s: {expression}"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def watched(running_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """An engine on which something happened, its exporter, and Prometheus that has seen it."""
    engine, folder = running_engine, tmp_path_factory.mktemp("watched")
    engine.remove_all()
    site = Site(engine.host, folder / "site")
    site.start_exporter()
    target = site.exporter_url.removeprefix("http://")
    job = f"[{{job_name: vakhta-exporter, static_configs: [{{targets: ['{target}']}}]}}]"
    prometheus = start_prometheus(f"global: {{scrape_interval: 1s}}\nscrape_configs: {job}\n", folder)
    try:
        watching = Watched(prometheus)
        watching.wait("docker_up == 1")
        (folder / "compose.yml").write_text(SHOP)
        engine.compose(folder, "up", "--detach")
        hog = (
            "busybox:1.35",
            "sh",
            "-c",
            "tail /dev/zero; sleep 1000",
        )  # the child dies, the container lives on
        engine.docker("run", "--detach", "--name", "hog", "--memory", "16m", *hog)
        watching.wait('sum(container_health_state{name=~"shop-web-.*"}) == 2')
        watching.wait("container_last_oom_timestamp_seconds")
        watching.wait('container_exits_total{name="shop-worker-1", reason="error"} >= 2')
        watching.wait('count_over_time(container_memory_usage_bytes{name="shop-web-1"}[10s]) >= 5')
        yield watching
    finally:
        prometheus.stop()
        site.stop()
        engine.remove_all()


def filled(expression: str, choice: dict[str, str]) -> str:
    """Fill in the variables as Grafana does; what only looks like one (``$1``) stays."""
    values = {**RANGES, **choice}
    return re.sub(r"\$(\w+)", lambda found: values.get(found[1], found[0]), expression)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("expression", QUERIES)
def test_every_query_has_an_answer(watched: Watched, expression: str, choice: str) -> None:
    """Whatever is chosen at the top of the dashboard."""
    if ONLY_WITH_OOM in expression and choice != "All":
        assert watched.ask(filled(expression, CHOICES[choice])) == []
    else:
        assert watched.ask(filled(expression, CHOICES[choice]))


@pytest.mark.parametrize("query", VARIABLES)
def test_every_variable_has_choices(watched: Watched, query: str) -> None:
    """What Grafana would list: the values of the label among the series."""
    found = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
    assert found is not None
    series, label = found.groups()
    values = {row["metric"].get(label) for row in watched.ask(filled(series, CHOICES["All"]))} - {None}
    expected = {"project": {"shop"}, "service": {"hog", "web", "worker"}}
    assert values == expected.get(label, values)
    assert values


def test_a_line_of_the_table_is_one_container(watched: Watched) -> None:
    """The table's queries agree on the labels they are merged by, and each has at most one row per container."""
    tables = [panel for panel in DASHBOARDS["containers.json"]["panels"] if panel["title"] == "Containers"]
    (table,) = tables
    for target in table["targets"]:
        rows = watched.ask(filled(target["expr"], CHOICES["All"]))
        names = [row["metric"]["name"] for row in rows]
        assert len(names) == len(set(names)), target["expr"]
        assert all({"instance", "service"} <= row["metric"].keys() for row in rows)


def test_restarts_born_between_scrapes_are_counted(watched: Watched) -> None:
    """The restarts in the chosen time are whole numbers, and those of a container that came within it are all there."""
    (panel,) = (
        panel
        for panel in DASHBOARDS["containers.json"]["panels"]
        if panel["title"] == "Restarts in the chosen time"
    )
    rows = watched.ask(filled(panel["targets"][0]["expr"], {**CHOICES["All"], "service": "worker"}))
    now = watched.ask('container_restarts_total{service="worker"}')
    assert 2 <= float(rows[0]["value"][1]) <= float(now[0]["value"][1])
    assert float(rows[0]["value"][1]).is_integer()


def test_prometheus_accepts_the_configuration_of_the_stack(promtool: Tool, tmp_path: Path) -> None:
    """The file and the rules as the container sees them."""
    (tmp_path / "prometheus.yml").write_text((ROOT / "compose/prometheus/prometheus.yml").read_text())
    (tmp_path / "rules").symlink_to(ROOT / "rules")
    checked = promtool("check", "config", str(tmp_path / "prometheus.yml"))
    assert checked.returncode == 0, checked.stderr
    assert f"{len(list((ROOT / 'rules').glob('*.yml')))} rule files found" in checked.stdout
