"""The labels an alert is dispatched with."""

from __future__ import annotations

import pytest

from alerting.dispatch.relabel import complete
from alerting.labels import Labels

PROJECT, SERVICE = "container_label_com_docker_compose_project", "container_label_com_docker_compose_service"


@pytest.mark.parametrize(
    ("labels", "host", "expected"),
    [
        pytest.param({"alertname": "A"}, "h", {"alertname": "A", "host": "h"}, id="the target's host is added"),
        pytest.param({"host": "mine"}, "h", {"host": "mine"}, id="a host of its own stays"),
        pytest.param({"alertname": "A"}, "", {"alertname": "A"}, id="no host: no label"),
        pytest.param({PROJECT: "shop", SERVICE: "web"}, "", {"project": "shop", "service": "web"}, id="Compose's labels under our names"),
        pytest.param({PROJECT: "shop", "project": "mine"}, "", {"project": "mine"}, id="never over labels that are there"),
        pytest.param({"id": "/docker/4f", "image": "web:1", "name": "w"}, "", {"name": "w"}, id="id and image change with every deployment"),
        pytest.param({"container_label_foo": "1", "container": "x"}, "", {"container": "x"}, id="other container labels go, other labels stay"),
    ],
)  # fmt: skip
def test_labels(labels, host, expected):
    """What is completed, added and dropped."""
    assert complete(Labels(labels), host) == Labels(expected)


def test_twice_is_once():
    """Relabelling what was relabelled changes nothing."""
    once = complete(Labels({PROJECT: "shop", SERVICE: "web", "id": "x"}), "h")
    assert complete(once, "other") == once
