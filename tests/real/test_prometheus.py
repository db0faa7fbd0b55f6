"""A real Prometheus on the same exporter with the same rule files: no complaint, and the same alerts."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.real.conftest import Starter, Tool
from tests.real.engine import Engine
from tests.real.site import Site

ROOT = Path(__file__).resolve().parents[2]
RULES = sorted((ROOT / "rules").glob("*.yml"))
# vakhta-alerting's own families are not scraped here.
EXPORTER_ALERTS = ("Container", "Exporter", "Docker", "Collector", "Watchdog")
Alerts = dict[frozenset[tuple[str, str]], dict[str, str]]


def prometheus_config(site: Site) -> str:
    """A Prometheus that scrapes the exporter each second and evaluates the shipped rules."""
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in RULES],
        "scrape_configs": [
            {
                "job_name": "vakhta-exporter",
                "static_configs": [{"targets": [site.exporter_url.removeprefix("http://")]}],
            }
        ],
    }
    return json.dumps(config)  # JSON is YAML


def theirs(site: Site, url: str) -> Alerts:
    """What fires in Prometheus: labels to annotations."""
    alerts = json.loads(site.get(f"{url}/api/v1/alerts"))["data"]["alerts"]
    return {
        frozenset(alert["labels"].items()): alert["annotations"]
        for alert in alerts
        if alert["state"] == "firing" and alert["labels"]["alertname"].startswith(EXPORTER_ALERTS)
    }


def ours(site: Site) -> Alerts:
    """What fires in Vakhta, as its state file has it."""
    with closing(
        sqlite3.connect(f"file:{site.folder / 'alerting' / 'alerting.db'}?mode=ro", uri=True)
    ) as connection:
        rows = connection.execute("SELECT state FROM rule_states").fetchall()
    instances = [instance for row in rows for instance in json.loads(row[0])["instances"]]
    return {
        frozenset(instance["labels"].items()): instance["annotations"]
        for instance in instances
        if instance["state"] == "firing" and instance["labels"]["alertname"].startswith(EXPORTER_ALERTS)
    }


def test_rules_check(promtool: Tool) -> None:
    """Promtool finds nothing to complain about in the shipped rules."""
    done = promtool("check", "rules", *map(str, RULES))
    assert done.returncode == 0, done.stderr
    assert "SUCCESS" in done.stdout


def test_same_alerts(engine: Engine, tmp_path: Path, prometheus: Starter) -> None:
    """Down, out of memory, unhealthy and restarted: the same labels and annotations; and again after they ended."""
    with Site(engine.host, tmp_path) as site:
        server = prometheus(prometheus_config(site))
        check = ("--health-cmd=test -e /ok", "--health-interval=1s", "--health-retries=1")
        engine.docker("run", "-d", "--name", "steady", "busybox:1.35", "/bin/sleep", "1000")
        engine.docker("run", "-d", "--name", "victim", "busybox:1.35", "/bin/sleep", "1000")
        engine.docker("run", "-d", "--name", "sick", *check, "busybox:1.35", "/bin/sleep", "1000")
        eat = "x=x; while :; do x=$x$x$x$x; done"
        engine.docker(
            "run",
            "-d",
            "--name",
            "hog",
            "-m",
            "16m",
            "--memory-swap",
            "16m",
            "busybox:1.35",
            "/bin/sh",
            "-c",
            eat,
        )
        once = "[ -e /t ] && sleep 1000; touch /t; exit 7"
        engine.docker(
            "run", "-d", "--name", "flaky", "--restart=always", "busybox:1.35", "/bin/sh", "-c", once
        )
        engine.docker("kill", "victim")

        expected = {
            ("ContainerDown", "victim"),
            ("ContainerDown", "hog"),
            ("ContainerOOMKilled", "hog"),
            ("ContainerUnhealthy", "sick"),
            ("ContainerRestarted", "flaky"),
            ("Watchdog", ""),
        }
        site.wait(lambda: names(theirs(site, server.url)) == expected, "Prometheus has them all", 30)
        site.wait(lambda: ours(site) == theirs(site, server.url), "both say the same", 15)

        engine.docker("start", "victim")
        engine.docker("exec", "sick", "touch", "/ok")
        engine.docker("rm", "hog")
        left = {("ContainerRestarted", "victim"), ("ContainerRestarted", "flaky"), ("Watchdog", "")}
        site.wait(lambda: names(theirs(site, server.url)) == left, "Prometheus has what is left", 30)
        site.wait(lambda: ours(site) == theirs(site, server.url), "both say the same at the end", 15)
    log = server.log.read_text()
    complaints = [line for line in log.splitlines() if "level=WARN" in line or "level=ERROR" in line]
    assert complaints == []


def names(alerts: Alerts) -> set[tuple[str, str]]:
    """Alert and container names."""
    return {(dict(labels)["alertname"], dict(labels).get("name", "")) for labels in alerts}
