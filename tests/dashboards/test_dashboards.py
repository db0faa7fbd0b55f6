"""The dashboards as files: Grafana can load them, and they ask only for what is exported.

That every query has an answer is tested against a real Prometheus, in tests/real.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
FILES: Final = sorted((ROOT / "grafana_dashboards").glob("*.json"))
DATA_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


@pytest.fixture(params=FILES, ids=lambda path: path.name)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each dashboard of the folder."""
    loaded: dict[str, Any] = json.loads(request.param.read_text())
    return loaded


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The panels that show something."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    """Every query, those of the variables too."""
    for panel in panels(dashboard):
        yield from (target["expr"] for target in panel["targets"])
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def documented() -> set[str]:
    """The families that docs/interfaces.md promises."""
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs/interfaces.md").read_text(), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_there_are_dashboards() -> None:
    """The folder is not empty, so the tests below say something."""
    assert "containers.json" in {path.name for path in FILES}


def test_it_can_be_provisioned(dashboard: dict[str, Any]) -> None:
    """No database id, a fixed uid that fits, a recent schema, and no input that somebody must fill in."""
    assert dashboard["id"] is None
    assert re.fullmatch(r"[\w-]{1,40}", dashboard["uid"])
    assert dashboard["schemaVersion"] >= 39
    assert "__inputs" not in dashboard


def test_panels_are_told_apart(dashboard: dict[str, Any]) -> None:
    """Unique ids and titles, unique letters of queries within a panel."""
    for key in ("id", "title"):
        values = [panel[key] for panel in dashboard["panels"]]
        assert len(values) == len(set(values)), key
    for panel in panels(dashboard):
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters)), panel["title"]


def test_panels_do_not_overlap(dashboard: dict[str, Any]) -> None:
    """Each cell of the grid, 24 wide, belongs to one panel."""
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_the_data_source_is_chosen_by_the_variable(dashboard: dict[str, Any]) -> None:
    """Of panels, queries and variables alike; the variable's default is the provisioned one."""
    for panel in panels(dashboard):
        assert panel["datasource"] == DATA_SOURCE, panel["title"]
        assert all(target["datasource"] == DATA_SOURCE for target in panel["targets"]), panel["title"]
    first, *others = dashboard["templating"]["list"]
    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    assert first["current"]["value"] == "prometheus"
    assert all(variable["datasource"] == DATA_SOURCE for variable in others)


def test_variables_can_mean_all(dashboard: dict[str, Any]) -> None:
    """All matches containers without the label too, which a list of its values would not."""
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert names == ["datasource", "instance", "project", "service"]
    for variable in dashboard["templating"]["list"][1:]:
        assert (variable["includeAll"], variable["allValue"]) == (True, ".*")


def test_values_have_units_and_panels_words(dashboard: dict[str, Any]) -> None:
    """Every panel says what unit its numbers have, and what it shows."""
    for panel in panels(dashboard):
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["description"], panel["title"]


def test_only_promised_families_are_asked_for(dashboard: dict[str, Any]) -> None:
    """A family that is renamed or not there yet would leave a panel empty."""
    asked = {
        name
        for expression in expressions(dashboard)
        for name in re.findall(
            r"\b(?:container|compose|docker|vakhta)_\w+", re.sub(r'"[^"]*"', "", expression)
        )
    }
    assert asked - {"container_label_com_docker_compose_project"} <= documented()
    assert len(asked) > 10


def test_label_names_of_legends_are_kept_by_the_query(dashboard: dict[str, Any]) -> None:
    """An aggregation that drops the label would leave the legend empty."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            kept = re.search(r"sum by \(([^)]*)\)", target["expr"])
            if kept:
                shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                assert shown <= set(re.split(r", *", kept[1])), target["expr"]
