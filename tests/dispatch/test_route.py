"""Which receivers hear of an alert, grouped by what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.dispatch.matchers import parse_matchers
from alerting.dispatch.route import Route
from alerting.labels import Labels


def node(receiver, matchers="", *routes, continue_=False, **more):
    """Return a node of the tree."""
    found = tuple(parse_matchers(matchers)) if matchers else ()
    return Route(receiver=receiver, matchers=found, routes=routes, continue_=continue_, **more)


TREE = node(
    "root", "",
    node("audit", "team=~.+", continue_=True),
    node("db", "team=db", node("db-night", "shift=night"), node("db-page", "severity=critical")),
    node("web", 'team="web"', node("web-a", "app=a", continue_=True), node("web-rest", "app!=b")),
    node("never", "team=web"),
    node("tail", "tail=yes", continue_=True),
)  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        pytest.param({}, ["root"], id="no child matches: the node itself"),
        pytest.param({"team": "db"}, ["audit", "db"], id="continue: the next siblings are asked too"),
        pytest.param({"team": "db", "severity": "critical"}, ["audit", "db-page"], id="a matching grandchild takes the place of its parent"),
        pytest.param({"team": "db", "severity": "critical", "shift": "night"}, ["audit", "db-night"], id="the first matching child without continue wins"),
        pytest.param({"team": "web", "app": "a"}, ["audit", "web-a", "web-rest"], id="continue among grandchildren"),
        pytest.param({"team": "web", "app": "b"}, ["audit", "web"], id="no grandchild matches: the child"),
        pytest.param({"team": "web"}, ["audit", "web-rest"], id="a missing label is the empty string"),
        pytest.param({"team": "mail"}, ["audit"], id="a child that matched with continue is enough: the root stays out"),
        pytest.param({"tail": "yes"}, ["tail"], id="continue on the last child"),
        pytest.param({"team": "dbx"}, ["audit"], id="equality is not a prefix"),
    ],
)  # fmt: skip
def test_the_tree(labels, receivers):
    """Depth first, in order, as in Alertmanager."""
    assert [route.receiver for route in TREE.match(labels)] == receivers


def test_a_root_that_does_not_match_hears_nothing():
    """A subtree whose top does not match is not entered."""
    assert node("only", "a=b", node("x")).match({"a": "c"}) == []


def test_walk_sees_every_node_once_parents_first():
    """The dispatcher indexes routes by it."""
    names = [route.receiver for route in TREE.walk()]
    assert names == [
        "root",
        "audit",
        "db",
        "db-night",
        "db-page",
        "web",
        "web-a",
        "web-rest",
        "never",
        "tail",
    ]


@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        pytest.param(("host", "domain"), {"host": "h"}, id="labels that the alert lacks do not count"),
        pytest.param((), {}, id="no group_by: one group"),
        pytest.param(("...",), {"alertname": "A", "host": "h"}, id="all labels"),
    ],
)
def test_group_labels(group_by, expected):
    """The group is named by these labels."""
    assert node("r", group_by=group_by).group_labels(Labels({"alertname": "A", "host": "h"})) == Labels(
        expected
    )


words = st.text("ab", max_size=2)
labelsets = st.dictionaries(st.sampled_from(["team", "app", "severity", "shift", "tail"]), words)


@given(labelsets)
def test_every_alert_reaches_a_receiver(labels):
    """A root without matchers loses nothing, whatever its children say."""
    found = TREE.match(labels)
    assert found
    assert len({id(route) for route in found}) == len(found)


@given(labelsets, st.randoms())
def test_the_group_ignores_the_order_of_labels(labels, random):
    """The same alert written in another order is in the same group."""
    pairs = list(labels.items())
    random.shuffle(pairs)
    route = node("r", group_by=("team", "app"))
    assert route.group_labels(Labels(pairs)) == route.group_labels(Labels(labels))
