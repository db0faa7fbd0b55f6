"""The table of real components, and the promise that a second run needs no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real import components as table_module
from tests.real import debian
from tests.real.components import Component, ComponentError, obtain, read_table, upstream_version, version_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.real.conftest import Starter, Tool

CLOSED = "http://127.0.0.1:9"
OLD_FORM = (
    "# deb http://other/debian bookworm main\ndeb [arch=amd64] http://mirror/debian bookworm main contrib\n"
)
NEW_FORM = "Types: deb\n# a comment\nURIs: http://mirror/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
SECURITY = "Types: deb\nURIs: http://security/debian\nSuites: bookworm-security\nComponents: main\n"


def test_every_default_component_is_there_and_new_enough(components: Mapping[str, Component]) -> None:
    """The fixture gives each default row of the table, with all its programs."""
    assert {
        "docker-engine",
        "prometheus",
        "promtool",
        "alertmanager",
        "cadvisor",
        "busybox",
    } <= components.keys()
    for name, component in components.items():
        assert version_key(component.version) >= version_key(_table()[name].minimum)
        assert all(os.access(program, os.X_OK) for program in component.programs.values())


def test_a_second_run_downloads_nothing(components: Mapping[str, Component], tmp_path: Path) -> None:
    """With proxies to a closed port, and an apt-get that only fails, the command prints the same paths."""
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\nexit 9\n")
    apt.chmod(0o755)
    closed = {
        "PIP_NO_INDEX": "1",
        "http_proxy": CLOSED,
        "https_proxy": CLOSED,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }
    said = _command(environment=closed)
    assert said.returncode == 0, said.stderr
    assert {name: row["path"] for name, row in json.loads(said.stdout).items()} == {
        name: str(component.path) for name, component in components.items()
    }


def test_an_incomplete_folder_is_fetched_again_and_a_failed_fetch_leaves_no_folder(tmp_path: Path) -> None:
    """A version folder without its program does not count; when apt cannot help, the reason is said."""
    (tmp_path / "cache/promtool/99.0").mkdir(parents=True)
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\necho no mirror today >&2\nexit 9\n")
    apt.chmod(0o755)
    said = _command(
        "promtool",
        environment={"VAKHTA_CACHE": str(tmp_path / "cache"), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert said.returncode == 1
    assert "apt-get -q update: exit 9:\nno mirror today" in said.stderr
    assert [path.name for path in (tmp_path / "cache/promtool").iterdir()] == ["99.0"]


def test_an_unknown_component_is_refused_with_the_known_ones() -> None:
    """The error lists the table's names."""
    with pytest.raises(
        ComponentError, match=r"grafana: no such component, there are docker-engine, prometheus, "
    ):
        obtain("grafana")


@pytest.mark.parametrize(
    ("said", "version"),
    [
        pytest.param("Docker version 26.1.5+dfsg1, build 411e817", "26.1.5", id="docker"),
        pytest.param("prometheus, version 3.5.3+ds1 (branch: debian/sid)", "3.5.3", id="prometheus"),
        pytest.param(
            "BusyBox v1.35.0 (Debian 1:1.35.0-4+deb12u1) multi-call",
            "1.35.0",
            id="busybox, glued to a letter",
        ),
        pytest.param("1:1.35.0-4+deb12u1+b1", "1.35.0", id="a package's version, epoch dropped"),
        pytest.param("wrk debian/4.1.0-3+b2 [epoll]", "4.1.0", id="wrk"),
    ],
)
def test_the_version_is_found_in_what_a_program_says(said: str, version: str) -> None:
    """The first dotted number counts."""
    assert upstream_version(said) == version


def test_versions_are_compared_as_numbers() -> None:
    """3.10 is newer than 3.9."""
    assert version_key("3.10.0") > version_key("3.9.1")


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        pytest.param('[x]\nsuit = "sid"\n', "x.suit: unknown key", id="a misspelt key"),
        pytest.param(
            '[x]\npackages = []\nminimum = "1.0"\nprograms = {}\n', "x: suite is missing", id="no suite"
        ),
        pytest.param(
            '[x]\nsuite = "sid"\npackages = []\nminimum = "100"\nprograms = {}\n',
            "x.minimum: '100' is no version",
            id="a minimum that nothing could be compared with",
        ),
    ],
)
def test_a_faulty_table_is_refused(table: str, complaint: str) -> None:
    """The error names the component and the key."""
    with pytest.raises(ComponentError, match=complaint):
        read_table(table)


@pytest.mark.parametrize(
    "sources",
    [
        pytest.param([OLD_FORM], id="one line per source"),
        pytest.param([NEW_FORM], id="paragraphs"),
        pytest.param([f"{SECURITY}\n{NEW_FORM}"], id="the security archive has no other suites"),
        pytest.param(
            ["", NEW_FORM.replace("mirror", "off") + "Enabled: no\n", NEW_FORM], id="a disabled source"
        ),
        pytest.param(["deb http://vendor/apt stable main\n", OLD_FORM], id="a vendor's own repository"),
    ],
)
def test_the_mirror_is_the_machine_s_own(sources: list[str]) -> None:
    """The source that serves the running release is taken."""
    assert debian.mirror(sources, "bookworm") == "http://mirror/debian"


def test_a_machine_without_a_debian_mirror_is_told_what_to_add() -> None:
    """The error says where and what."""
    with pytest.raises(debian.DebianError, match="no source has 'bookworm main': add the Debian mirror"):
        debian.mirror([SECURITY], "bookworm")


def test_prometheus_and_promtool_run(prometheus: Starter, promtool: Tool) -> None:
    """A started Prometheus answers promtool's query."""
    server = prometheus("global: {scrape_interval: 1s}\n")
    said = promtool("query", "instant", server.url, "1 + 1")
    assert said.stdout.startswith("scalar: 2 @"), said.stderr


def test_alertmanager_and_amtool_run(alertmanager: Starter, amtool: Tool) -> None:
    """A started Alertmanager tells amtool its configuration."""
    server = alertmanager("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    said = amtool("--alertmanager.url", server.url, "config", "show")
    assert "receiver: nobody" in said.stdout, said.stderr


def _table() -> Mapping[str, table_module.Wanted]:
    return table_module.table()


def _command(*names: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.real.components", *names],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
