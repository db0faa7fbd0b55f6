"""What docker_state_exporter told of a container: facts of Docker's own, with our labels."""

import pytest

from exporter.docker.containers import Health, HealthCheck
from exporter.families import containers
from tests.exporter.stories import EPOCH, Story, facts, world_of

FAMILIES = {family.name: family for family in containers.FAMILIES}
STREAK = HealthCheck(streak=3)


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        pytest.param("container_state_oomkilled", {"oom_killed": True}, [1], id="oom killed"),
        pytest.param("container_state_oomkilled", {}, [0], id="not oom killed"),
        pytest.param("container_state_oomkilled", {"complete": False}, [], id="oom killed: not inspected yet"),
        pytest.param("container_state_startedat", {"started_at": EPOCH - 7.5}, [EPOCH - 7.5], id="started"),
        pytest.param("container_state_startedat", {"started_at": None}, [], id="started at Docker's zero time"),
        pytest.param("container_state_finishedat", {"finished_at": EPOCH - 9.0}, [EPOCH - 9.0], id="finished"),
        pytest.param("container_state_finishedat", {}, [], id="finished at Docker's zero time"),
        pytest.param("container_restartcount", {"restart_count": 4}, [4], id="restarts"),
        pytest.param("container_restartcount", {"complete": False}, [], id="restarts: not inspected yet"),
        pytest.param("container_health_failing_streak", {"health": Health.UNHEALTHY, "check": STREAK}, [3], id="failing health check"),
        pytest.param("container_health_failing_streak", {"check": STREAK}, [], id="no health check"),
    ],
)  # fmt: skip
def test_facts(name, changes, expected):
    """Told where it is known, with name and service and neither id nor image."""
    samples = list(FAMILIES[name].samples(world_of(Story(facts(**changes)).inventory.snapshot(EPOCH + 60.0))))
    assert [value for _, _, value in samples] == expected
    assert {base.text(own) for base, own, _ in samples} <= {'{name="web",service="web"}'}


def test_the_streak_of_a_check_that_has_stopped():
    """Docker keeps the number; it says nothing about a container that is not running."""
    story = Story(facts(health=Health.UNHEALTHY, check=STREAK)).play("1 die 1")
    seen = world_of(story.inventory.snapshot(story.now))
    assert list(FAMILIES["container_health_failing_streak"].samples(seen)) == []
    assert [value for *_, value in FAMILIES["container_state_finishedat"].samples(seen)] == [EPOCH + 1]
