"""What happens in the demo: a shop gets sick in the ways that shops do, and once somebody deploys."""

from __future__ import annotations

import time

from demo.stage import Event, Stage, StageError

# Long enough for an event, a scrape, an evaluation, group_wait and the regular evaluation after it.
_QUIET_SECONDS = 6.0
_SETTLED_SECONDS = 30.0


def play(stage: Stage) -> None:
    """Play every chapter.

    Raises:
        StageError: A message that should have come did not, or one came that should not.
    """
    for chapter in (replica, health, crash_loop, memory, deploy, frozen):
        chapter(stage)
    stage.settle()


def replica(stage: Stage) -> None:
    """One of three dies: a warning, as the site still answers; then all do."""
    stage.title("A replica is killed")
    stage.run("docker kill shop-web-2", "one of three")
    stage.told(Event(action="die", container="shop-web-2"), "🟠 shop/web: 1 of 3 replicas down")
    stage.run("docker start shop-web-2", "somebody brings it back")
    stage.told(Event(action="start", container="shop-web-2"), "✅ shop/web", edit=True)


def health(stage: Stage) -> None:
    """A container that runs and does not work."""
    stage.title("A health check fails")
    stage.run("docker exec shop-api-1 rm /tmp/database", "the api's check looks for it")
    sick = Event(action="health_status: unhealthy", container="shop-api-1")
    stage.told(sick, "🔴 shop/api is unhealthy", edit=False)
    stage.run("docker exec shop-api-1 touch /tmp/database", "it is back")
    well = Event(action="health_status: healthy", container="shop-api-1")
    stage.told(well, "✅ shop/api is healthy again", edit=True)


def crash_loop(stage: Stage) -> None:
    """A deploy that cannot start: first a quiet word, then the alarm; stopping it on purpose is no good news."""
    stage.title("A container crashes again and again")
    stage.run("docker compose up -d worker", "deployed without its REDIS_URL", REDIS_URL="")
    third = Event(action="die", container="shop-worker-1", nth=4)  # the first is the old one, stopped for the new
    stage.told(third, "🔴 shop/worker keeps crashing", edit=False)
    stage.run("docker compose stop worker", "enough")
    stage.told(Event(action="stop", container="shop-worker-1"), "➖ shop/worker was stopped", edit=True)


def memory(stage: Stage) -> None:
    """The limit is reached; Docker starts it again."""
    stage.title("A container runs out of memory")
    stage.run("docker exec shop-cache-1 touch /tmp/flood", "more than its 32 MB come in")
    stage.told(Event(action="die", container="shop-cache-1"), "shop/cache", "out of memory", edit=False)


def deploy(stage: Stage) -> None:
    """Three containers die, one with exit code 137, and nobody needs to know."""
    stage.title("A deploy")
    stage.run("docker compose up -d web", "a new image: busybox 1.35 → 1.36", WEB_VERSION="1.36")
    if stage.quiet(_QUIET_SECONDS):
        raise StageError("the deploy was told")
    stage.note("Three containers stopped and were replaced: nothing told, as it should be.")


def frozen(stage: Stage) -> None:
    """The daemon hangs: what is known is old, and says so; nobody claims that containers are down."""
    stage.title("Docker itself hangs")
    stage.settle()
    stage.pretend("kill -STOP $(pidof dockerd)", "connections stay, answers do not come; the rule waits 10 s")
    stage.engine.freeze()
    stage.told_later("daemon frozen", "🔴 Docker does not answer", edit=False)
    stage.pretend("kill -CONT $(pidof dockerd)", "it goes on")
    stage.engine.thaw()
    stage.told_later("daemon thawed", "✅ Docker answers again", edit=True)
    _wait_until_the_shop_runs(stage)


def _wait_until_the_shop_runs(stage: Stage) -> None:
    end = time.monotonic() + _SETTLED_SECONDS
    while len(stage.engine.docker("ps", "--quiet", "--filter", "name=shop-web").split()) < 3:
        if time.monotonic() > end:
            raise StageError("the web replicas do not run")
        stage.quiet(0.2)
