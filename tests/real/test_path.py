"""From a real container dying to a message on a phone: the whole path, on a real Docker Engine."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.engine import Engine, EngineError
from tests.real.site import Site

IMAGE = "busybox:1.35"
STUBBORN = ("/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
# Long enough for an event, a scrape, an evaluation, group_wait and the regular evaluation after it.
QUIET_SECONDS = 6.0
FROZEN_SECONDS = 30.0


@pytest.fixture(scope="module")
def _running_site(running_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(running_engine.host, tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def site(_running_site: Site, engine: Engine) -> Iterator[Site]:
    """One running site for the module; after each test, Telegram must not have refused anything."""
    del engine
    _running_site.mark()
    yield _running_site
    assert _running_site.refused() == []


def run(engine: Engine, name: str, *command: str, flags: tuple[str, ...] = ()) -> None:
    """Start a container and wait until it has run for a moment."""
    engine.docker("run", "-d", "--name", name, *flags, IMAGE, *(command or ("/bin/sleep", "1000")))


class TestTold:
    """Each fault leads to the right message and the right end."""

    def test_docker_kill(self, site: Site, engine: Engine) -> None:
        """Killed: one critical message; started again: the same message turns, and a reply says so."""
        run(engine, "victim")
        site.wait(lambda: site.scrape_value(state("victim", "running")) == 1, "victim is seen running")
        engine.docker("kill", "victim")
        down = site.wait_line("🔴 victim is down — killed (exit 137)", edit=False)
        assert not down.silent
        assert "victim · since " in down.text.split("\n")[1]
        engine.docker("start", "victim")
        over = site.wait_line("✅ victim is back — ", "(killed, exit 137)", edit=True)
        assert over.message_id == down.message_id
        reply = site.wait_told(lambda told: told.reply_to == down.message_id, "the reply")
        assert reply.first_line.startswith("✅ victim is back")
        assert len(site.sent()) == 2

    def test_exit_seven_under_restart_always(self, site: Site, engine: Engine) -> None:
        """One exit that Docker mends: told without a sound, not as down."""
        run(
            engine,
            "flaky",
            "/bin/sh",
            "-c",
            "sleep 2; [ -e /t ] && sleep 1000; touch /t; exit 7",
            flags=("--restart=always",),
        )
        told = site.wait_line("🔵 flaky was restarted — stopped with an error (exit 7)", edit=False)
        assert told.silent
        time.sleep(QUIET_SECONDS)
        assert len(site.sent()) == 1

    def test_memory_limit(self, site: Site, engine: Engine) -> None:
        """Out of memory names line 1 of the critical message."""
        eat = "x=x; while :; do x=$x$x$x$x; done"
        run(engine, "hog", "/bin/sh", "-c", eat, flags=("--memory=16m", "--memory-swap=16m"))
        told = site.wait_line("🔴 hog is down — out of memory (exit 137)")
        assert not told.silent
        engine.docker("rm", "hog")
        site.wait_line("➖ hog was removed (was down ", edit=True)

    def test_health(self, site: Site, engine: Engine) -> None:
        """A failing check is told; passing again ends it."""
        check = (
            "--health-cmd=test -e /ok",
            "--health-interval=1s",
            "--health-retries=2",
            "--health-timeout=2s",
        )
        run(engine, "api", "/bin/sh", "-c", "touch /ok; sleep 1000", flags=check)
        site.wait(lambda: site.scrape_value(health("api", "healthy")) == 1, "api is healthy", 20)
        engine.docker("exec", "api", "rm", "/ok")
        down = site.wait_line("🔴 api is unhealthy", edit=False, within_seconds=20)
        engine.docker("exec", "api", "touch", "/ok")
        over = site.wait_line("✅ api is healthy again — ", edit=True, within_seconds=20)
        assert over.message_id == down.message_id

    def test_crash_loop(self, site: Site, engine: Engine) -> None:
        """Three exits are a crash loop: a reply that is heard; stopping it on request ends it without good news."""
        run(engine, "loop", "/bin/sh", "-c", "exit 3", flags=("--restart=always",))
        heard = site.wait_told(
            lambda told: not told.edit and not told.silent and "🔴 loop keeps crashing" in told.first_line,
            "the crash loop",
        )
        assert "exit 3" in heard.first_line
        engine.docker("stop", "loop")
        site.wait_line("➖ loop was stopped on request (was crashing ", edit=True)
        assert not any("✅" in told.text for told in site.told())

    def test_crash_loop_recovers(self, site: Site, engine: Engine) -> None:
        """Running for 60 s ends a crash loop."""
        script = "[ $(wc -c < /n) -ge 4 ] 2>/dev/null && sleep 1000; echo -n x >> /n; exit 3"
        run(engine, "mended", "/bin/sh", "-c", script, flags=("--restart=always",))
        site.wait_line("🔴 mended keeps crashing")
        site.wait_line("✅ mended runs again without crashing", edit=True, within_seconds=100)

    def test_replica_down(self, site: Site, engine: Engine, tmp_path: Path) -> None:
        """With other replicas running it is a warning that counts them."""
        compose(engine, tmp_path, "web", STUBBORN)
        engine.compose(tmp_path, "up", "-d", "--scale", "web=3")
        site.wait(lambda: site.scrape_value(service("shop", "web", "running")) == 3, "three replicas run")
        engine.docker("kill", "shop-web-2")
        told = site.wait_line("🟠 shop/web: 1 of 3 replicas down — killed (exit 137)")
        assert "shop/web (web-2)" in told.text.split("\n")[1]
        engine.docker("kill", "shop-web-1", "shop-web-3")
        heard = site.wait_told(
            lambda t: not t.edit and "🔴 shop/web is down" in t.first_line, "nothing runs", 20
        )
        assert not heard.silent


class TestNotTold:
    """What people do on purpose says nothing, even with a program that ignores SIGTERM."""

    def quiet(self, site: Site) -> None:
        """Nothing was told, and nothing is about to be."""
        time.sleep(QUIET_SECONDS)
        assert [told.text for told in site.told()] == []

    def test_stop(self, site: Site, engine: Engine) -> None:
        """`docker stop` kills it after its timeout."""
        run(engine, "one", *STUBBORN)
        engine.docker("stop", "-t", "1", "one")
        self.quiet(site)

    def test_restart(self, site: Site, engine: Engine) -> None:
        """`docker restart` likewise, and starts it again."""
        run(engine, "two", *STUBBORN)
        engine.docker("restart", "-t", "1", "two")
        self.quiet(site)

    def test_rm_force(self, site: Site, engine: Engine) -> None:
        """`docker rm -f` kills without a word before."""
        run(engine, "three", *STUBBORN)
        engine.docker("rm", "-f", "three")
        self.quiet(site)

    def test_compose_up_with_changed_image(self, site: Site, engine: Engine, tmp_path: Path) -> None:
        """`compose up -d` replaces containers."""
        compose(engine, tmp_path, "web", STUBBORN)
        engine.compose(tmp_path, "up", "-d")
        compose(engine, tmp_path, "web", STUBBORN, image="busybox:1.36")
        engine.compose(tmp_path, "up", "-d")
        self.quiet(site)

    def test_compose_down_and_scaling_down(self, site: Site, engine: Engine, tmp_path: Path) -> None:
        """Scaling to fewer replicas, then `compose down`."""
        compose(engine, tmp_path, "web", STUBBORN)
        engine.compose(tmp_path, "up", "-d", "--scale", "web=3")
        engine.compose(tmp_path, "up", "-d", "--scale", "web=1")
        engine.compose(tmp_path, "down")
        self.quiet(site)

    def test_compose_run(self, site: Site, engine: Engine, tmp_path: Path) -> None:
        """A one-off container may fail as it likes."""
        compose(engine, tmp_path, "web", STUBBORN)
        with pytest.raises(EngineError, match="exit 9"):
            engine.compose(tmp_path, "run", "--rm", "web", "/bin/sh", "-c", "exit 9")
        self.quiet(site)


class TestFirstStart:
    """What was broken before we came."""

    def test_twenty_old_containers(self, engine: Engine, tmp_path: Path) -> None:
        """Twenty containers that exited before the first start: one message in all, without a sound."""
        for number in range(20):
            engine.docker("run", "--name", f"old-{number}", "-d", IMAGE, "/bin/sh", "-c", "exit 1")
        with Site(engine.host, tmp_path) as site:
            told = site.wait_line("🔵 Watching ", "20 containers")
            assert told.silent
            assert told.text.splitlines()[1].startswith("Already broken when I arrived: old-0 (exited 1, ")
            time.sleep(QUIET_SECONDS)
            assert len(site.told()) == 1


@pytest.fixture(scope="class")
def five(running_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with five open incidents: three down, one unhealthy, one crash loop. They last over all these tests."""
    engine = running_engine
    with Site(engine.host, tmp_path_factory.mktemp("five")) as site:
        check = ("--health-cmd=false", "--health-interval=1s", "--health-retries=1", "--restart=always")
        run(engine, "sick", flags=check)
        run(engine, "loop", "/bin/sh", "-c", "exit 3", flags=("--restart=always",))
        for name in ("app-a", "app-b", "app-c"):
            run(engine, name, "/bin/sh", "-c", "sleep 1; exit 4")
        for name in ("app-a", "app-b", "app-c"):
            site.wait_line(f"🔴 {name} is down", within_seconds=20)
        site.wait_line("🔴 sick is unhealthy", within_seconds=20)
        site.wait_line("🔴 loop keeps crashing", within_seconds=20)
        yield site
    engine.remove_all()


class TestInterruptions:
    """Restarts and outages with five open incidents: nobody is told that all is well, nobody is paged twice."""

    @pytest.fixture
    def broken(self, five: Site) -> Iterator[Site]:
        """The same, with what was told so far forgotten."""
        five.mark()
        yield five
        assert five.refused() == []

    def unmoved(self, site: Site, *, seconds: float) -> None:
        """No good news and no page about the five, for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for told in site.told():
                watch = "xporter" in told.text or "Docker" in told.first_line
                assert watch or "✅" not in told.text, told.text
                assert watch or told.edit, f"told again: {told.text}"
            time.sleep(0.5)

    def test_exporter_restarted(self, broken: Site) -> None:
        """SIGTERM, 3 s of silence, back."""
        broken.stop_process("exporter")
        time.sleep(3)
        broken.start_exporter()
        broken.wait_connected()
        self.unmoved(broken, seconds=8)

    def test_exporter_killed(self, broken: Site) -> None:
        """The same with SIGKILL."""
        broken.stop_process("exporter", signal.SIGKILL)
        broken.start_exporter()
        broken.wait_connected()
        self.unmoved(broken, seconds=8)

    def test_alerting_restarted(self, broken: Site) -> None:
        """Alerting comes back from its state file."""
        broken.stop_process("alerting")
        broken.start_alerting()
        broken.wait_connected()
        self.unmoved(broken, seconds=8)

    def test_alerting_killed(self, broken: Site) -> None:
        """The same with SIGKILL."""
        broken.stop_process("alerting", signal.SIGKILL)
        broken.start_alerting()
        broken.wait_connected()
        self.unmoved(broken, seconds=8)

    def test_daemon_restarted(self, broken: Site, running_engine: Engine) -> None:
        """The daemon stops every container and starts those it should."""
        running_engine.restart()
        broken.wait(lambda: broken.scrape_value("docker_up") == 1, "docker_up 1", 30)
        self.unmoved(broken, seconds=12)

    def test_daemon_frozen(self, broken: Site, running_engine: Engine) -> None:
        """30 s without an answer: DockerDown is told, the five stay as they are."""
        running_engine.freeze()
        thaw_at = time.monotonic() + FROZEN_SECONDS
        try:
            broken.wait_line("🔴 Docker does not answer", within_seconds=25)
            self.unmoved(broken, seconds=thaw_at - time.monotonic())
        finally:
            running_engine.thaw()
        broken.wait_line("✅ Docker answers again", edit=True, within_seconds=20)
        self.unmoved(broken, seconds=8)


class TestEnd:
    """Both processes end in time."""

    def test_sigterm(self, engine: Engine, tmp_path: Path) -> None:
        """Within 5 s of SIGTERM, each while its peers answer."""
        with Site(engine.host, tmp_path) as site:
            run(engine, "some")
            site.wait(lambda: site.scrape_value(state("some", "running")) == 1, "some is seen running")
            assert site.stop_process("exporter") < 5
            site.start_exporter()
            site.wait_connected()
            assert site.stop_process("alerting") < 5


def state(name: str, status: str) -> str:
    """The series of a state of a container without Compose."""
    return f'container_state_status{{name="{name}",service="{name}",status="{status}"}}'


def health(name: str, status: str) -> str:
    """The series of a health status of a container without Compose."""
    return f'container_state_health_status{{name="{name}",service="{name}",status="{status}"}}'


def service(project: str, name: str, status: str) -> str:
    """The series that counts a service's containers."""
    return f'compose_service_containers{{project="{project}",service="{name}",state="{status}"}}'


def compose(engine: Engine, folder: Path, name: str, command: tuple[str, ...], *, image: str = IMAGE) -> None:
    """Write a Compose project named shop with one service."""
    del engine
    words = ", ".join(f'"{word}"' for word in (c.replace('"', '\\"') for c in command))
    (folder / "compose.yml").write_text(
        f"name: shop\nservices:\n  {name}:\n    image: {image}\n    command: [{words}]\n    stop_grace_period: 1s\n"
    )
