"""What happens in the demo: a shop gets sick in the ways that shops do, and once somebody deploys."""

from __future__ import annotations

from dataclasses import replace

from demo.stage import Event, Stage, StageError

# Long enough for an event, a scrape, an evaluation, group_wait and the regular evaluation after it.
_QUIET_SECONDS = 6.0


def play(stage: Stage) -> None:
    """Play every chapter.

    Raises:
        StageError: A message that should have come did not, or one came that should not.
    """
    stage.note("\nOne container was broken before the watch began: one message, and no sound.")
    for chapter in (replicas, health, crash_loop, memory, deploy, hang):
        chapter(stage)
    stage.settle()


def replicas(stage: Stage) -> None:
    """One of three dies: a warning, as the site still answers; then the others do."""
    stage.title("Containers are killed")
    stage.run("docker kill shop-web-2", "one of three replicas")
    one = Event(called="a replica dies", action="die", container="shop-web-2")
    stage.told(one, "🟠 shop/web: 1 of 3 replicas down", edit=False)
    stage.run("docker kill shop-web-1 shop-web-3", "and now none runs")
    last = Event(called="the last replica dies", action="die", container="shop-web-*", nth=2)
    stage.told(last, "🔴 shop/web is down", edit=True)
    sound = replace(last, called="…with a sound", waits="one sound per incident in 5 s (group_interval)")
    stage.told(sound, "🔴 shop/web is down", edit=False)
    stage.run("docker compose start web", "somebody brings them back")
    back = Event(called="all replicas run again", action="start", container="shop-web-*", nth=3)
    stage.told(back, "✅ shop/web", edit=True)


def health(stage: Stage) -> None:
    """A container that runs and does not work."""
    stage.title("A health check fails")
    stage.run("docker exec shop-api-1 rm /tmp/database", "the api's check looks for it")
    sick = Event(called="the check has failed", action="health_status: unhealthy", container="shop-api-1")
    stage.told(sick, "🔴 shop/api is unhealthy", edit=False)
    stage.run("docker exec shop-api-1 touch /tmp/database", "it is back")
    well = Event(called="the check passes again", action="health_status: healthy", container="shop-api-1")
    stage.told(well, "✅ shop/api is healthy again", edit=True)


def crash_loop(stage: Stage) -> None:
    """A version that cannot start: first a quiet word, then the alarm; stopping it on purpose is no good news."""
    stage.title("A container crashes again and again")
    stage.run("docker compose up -d worker", "deployed without its REDIS_URL", REDIS_URL="")
    # Compose stops the old container first, which is a death too.
    third = Event(called="the third crash", action="die", container="shop-worker-1", nth=4)
    stage.told(third, "🔴 shop/worker keeps crashing", edit=False)
    stage.run("docker compose stop worker", "enough for today")
    stopped = Event(
        called="stopped on request",
        action="stop",
        container="shop-worker-1",
        waits="3 s and a round of evaluation: a daemon that shuts down looks the same at first",
    )
    stage.told(stopped, "➖ shop/worker was stopped on request", edit=True)


def memory(stage: Stage) -> None:
    """The limit is reached; Docker starts it again."""
    stage.title("A container runs out of memory")
    stage.run("docker exec shop-cache-1 touch /tmp/flood", "more than its 32 MB come in")
    killed = Event(called="the kernel kills it", action="die", container="shop-cache-1")
    stage.told(killed, "shop/cache ran out of memory", edit=False)


def deploy(stage: Stage) -> None:
    """Three containers are killed because they do not listen to SIGTERM, and nobody needs to know."""
    stage.title("A deploy")
    stage.run("docker compose up -d web", "a new image: three containers are replaced", WEB_VERSION="1.36")
    if stage.quiet(_QUIET_SECONDS):
        raise StageError("a deploy was told: it should not be")
    codes = ", ".join(map(str, stage.exit_codes("shop-web-*")))
    stage.note(f"Nothing told, as it should be. Exit codes, all on request: {codes}.")


def hang(stage: Stage) -> None:
    """The daemon hangs: what is known is old, and says so; nobody claims that containers are down."""
    stage.title("Docker itself hangs")
    stage.announce("pkill -STOP dockerd", "its connections stay, its answers do not come")
    stage.engine.freeze()
    frozen = Event(called="Docker hangs", waits="a ping of 2 s, the rule's own 10 s, rounds of 5 s")
    stage.told(frozen, "🔴 Docker does not answer", edit=False)
    stage.note("All containers out of sight, one message: nobody claims that they are down.")
    stage.announce("pkill -CONT dockerd", "it goes on")
    stage.engine.thaw()
    thawed = Event(called="Docker goes on", waits="until the next ping, 2 s at most")
    stage.told(thawed, "✅ Docker answers again", edit=True)
