"""Which of a container's labels are on its series, and how they are written."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.families import cadvisor
from exporter.families.labels import AllowedLabels, LabelSet
from tests.exporter.stories import Story, facts, world_of
from tests.size import examples

COMPOSE = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
OF_COMPOSE = (
    ("container_label_com_docker_compose_project", "shop"),
    ("container_label_com_docker_compose_service", "web"),
)


@pytest.mark.parametrize(
    ("allowed", "labels", "expected"),
    [
        pytest.param((), COMPOSE, OF_COMPOSE, id="Compose's by default"),
        pytest.param((), {"com.docker.swarm.service.name": "s"}, (("container_label_com_docker_swarm_service_name", "s"),), id="Swarm's service"),
        pytest.param((), {"com.docker.stack.namespace": "n"}, (("container_label_com_docker_stack_namespace", "n"),), id="Swarm's stack"),
        pytest.param((), {"secret": "x", "restartcount": "3"}, (), id="no other"),
        pytest.param(("team",), COMPOSE | {"team": "a"}, (*OF_COMPOSE, ("container_label_team", "a")), id="one more"),
        pytest.param(("org.label-schema.group",), {"org.label-schema.group": "g"}, (("container_label_org_label_schema_group", "g"),), id="odd characters become underscores"),
        pytest.param(("Größe",), {"Größe": "9"}, (("container_label_Gr__e", "9"),), id="letters of other alphabets too, case stays"),
        pytest.param(("a.b", "a_b"), {"a_b": "2", "a.b": "1"}, (("container_label_a_b", "1"),), id="two keys of one name: the first in order"),
        pytest.param(("a_b", "a.b"), {"a_b": "2", "a.b": "1"}, (("container_label_a_b", "1"),), id="whatever the order of the configuration"),
        pytest.param(("a.b", "a_b"), {"a_b": "2", "a.b": ""}, (("container_label_a_b", "2"),), id="the first that has a value"),
        pytest.param(("a.b",), {"a_b": "2"}, (), id="keys are raw, not names"),
        pytest.param(("team",), {"team": ""}, (), id="empty values are left out"),
        pytest.param(("com.docker.compose.project",), COMPOSE, OF_COMPOSE, id="a default named again"),
    ],
)  # fmt: skip
def test_allowed(allowed, labels, expected):
    """Four labels by default, those of the configuration beside them, nothing else."""
    assert AllowedLabels(allowed).of(labels) == expected


_KEYS = st.text("ab._-é", min_size=1, max_size=3)


@settings(max_examples=examples(100), deadline=None)
@given(allowed=st.lists(_KEYS, max_size=6), labels=st.dictionaries(_KEYS, st.text(max_size=2), max_size=6))
def test_labels_are_deterministic_and_unique(allowed, labels):
    """The order of neither side matters, names are valid and come once, values are those of an allowed key of that name."""
    found = AllowedLabels(allowed).of(labels)
    assert found == AllowedLabels(reversed(allowed)).of(dict(reversed(labels.items())))
    names = [name for name, _ in found]
    assert len(names) == len(set(names))
    for name, value in found:
        assert re.fullmatch(r"container_label_[a-zA-Z0-9_]+", name)
        assert value in {
            labels.get(key)
            for key in allowed
            if "container_label_" + re.sub(r"\W", "_", key, flags=re.ASCII) == name
        } - {""}


def test_every_series_of_a_container_has_the_same_labels():
    """A join between two of cAdvisor's families needs no list of labels."""
    story = Story(facts(labels=COMPOSE | {"team": "a"}))
    seen = world_of(story.inventory.snapshot(story.now), label_allow=AllowedLabels(["team"]))
    texts = {base.text(()) for family in cadvisor.FAMILIES for base, _, _ in family.samples(seen)}
    assert len(texts) == 1
    assert 'container_label_team="a"' in texts.pop()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param('say "hi"', '{a="say \\"hi\\""}', id="quotes"),
        pytest.param("C:\\x", '{a="C:\\\\x"}', id="backslash"),
        pytest.param("one\ntwo", '{a="one\\ntwo"}', id="line break"),
        pytest.param("вахта", '{a="вахта"}', id="other alphabets"),
        pytest.param("half \ud83d", '{a="half ?"}', id="half a character"),
    ],
)
def test_how_a_value_is_written(value, text):
    """Whatever a label holds, the scrape can be encoded and read."""
    written = LabelSet((("a", value),)).texts[()]
    assert written == text
    assert written.encode()


def test_a_text_is_written_once():
    """The second scrape gets the very text of the first."""
    labels = LabelSet((("name", "web"),))
    own = (("device", "/dev/vda"),)
    assert labels.texts[own] == '{device="/dev/vda",name="web"}'
    assert labels.texts[own] is labels.text(own)


def test_texts_do_not_pile_up():
    """Devices that come and go leave nothing behind on a label set that stays."""
    labels = LabelSet((("id", "/"),))
    for number in range(10_000):
        labels.text((("device", f"/dev/dm-{number}"),))
    assert len(labels.texts) < 5_000
    assert labels.text((("device", "/dev/dm-9999"),)) == '{device="/dev/dm-9999",id="/"}'
