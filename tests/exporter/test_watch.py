"""The watch on a daemon that is slow: late answers are told, and one slow answer is forgiven."""

import asyncio
import contextlib
import time

import pytest

from exporter.docker.containers import Status
from exporter.docker.engine import DockerEngine
from exporter.docker.inventory import Inventory
from exporter.docker.watch import DockerWatch
from exporter.memory import Memory
from tests.exporter.daemon import Daemon, told
from tests.exporter.stories import EPOCH, ID

OTHER = "b0" * 32
BOUND_SECONDS = 10


class Watched:
    """One watch, its inventory and the ticks it sent, each with the state of `web` at that moment."""

    def __init__(self, daemon, engine, *, resync_seconds, memory):
        self.daemon = daemon
        self.inventory = Inventory(memory)
        self._ticks = asyncio.Queue()
        self.watch = DockerWatch(engine, self.inventory, publish=self._publish, resync_seconds=resync_seconds)

    def tell(self, action, **whose):
        """Let the daemon tell of something that happens now."""
        self.daemon.tell(f"{time.time() - EPOCH:.6f} {action}", **whose)

    async def tick(self, reason):
        """Wait for a tick of this reason, and return the state `web` had when it was sent."""
        async with asyncio.timeout(BOUND_SECONDS):
            while True:
                seen, state = await self._ticks.get()
                if seen == reason:
                    return state

    async def until(self, condition):
        """Wait for something that no tick tells."""
        async with asyncio.timeout(BOUND_SECONDS):
            while not condition():  # noqa: ASYNC110 - the status and the inventory have no event to wait for
                await asyncio.sleep(0.01)

    def _publish(self, tick):
        states = {view.name: view.status for view in self.inventory.snapshot(time.time()).containers}
        self._ticks.put_nowait((tick.reason, states.get("web")))


@pytest.fixture
async def watching(tmp_path):
    """Make watches that have looked once; all are stopped afterwards."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(*containers, patience=60.0, resync_seconds=60.0, memory=None):
            daemon = await stack.enter_async_context(Daemon())
            daemon.containers = {one["Id"]: one for one in containers}
            await daemon.listen(tmp_path / "docker.sock")
            engine = DockerEngine(f"unix://{tmp_path}/docker.sock", timeout=patience)
            watched = Watched(daemon, engine, resync_seconds=resync_seconds, memory=memory)
            await watched.watch.start()
            stack.push_async_callback(watched.watch.stop)
            await watched.watch.first_look()
            await watched.tick("docker_up")
            return watched

        yield make


async def test_the_death_of_a_container_never_inspected_waits_for_its_policy(watching):
    """Its first inspect is slower than its first crash: no tick may show `exited` when the policy says `restarting`."""
    watched = await watching()
    begun = time.time()
    crashed = told("restarting", started=begun, finished=begun, code=1, policy="always", restarts=1)
    watched.daemon.containers[ID] = crashed
    watched.daemon.hanging.add(ID)
    for action in ("create", "start", "die 1"):
        watched.tell(action)
    await watched.until(
        lambda: ID in watched.inventory and watched.inventory.snapshot(begun).containers[0].exits
    )
    asyncio.get_running_loop().call_later(0.3, watched.daemon.release, ID)
    assert await watched.tick("create") is Status.RESTARTING


async def test_a_death_without_any_inspect_is_told_all_the_same(watching):
    """The tick waits a second, and not for ever, however often the container dies."""
    watched = await watching()
    watched.daemon.hanging.add(ID)
    for action in ("create", "start", "die 1", "start", "die 1"):
        watched.tell(action)
    assert await watched.tick("die") is Status.EXITED


async def test_a_late_answer_that_changes_something_is_told(watching):
    """The tick went out without the inspect; what the inspect corrects has a tick of its own."""
    begun = time.time()
    watched = await watching(told(started=begun - 100, policy="always"))
    watched.daemon.hanging.add(ID)
    watched.tell("die 1")
    assert await watched.tick("die") is Status.RESTARTING
    watched.daemon.containers[ID] = told(
        "exited", started=begun - 100, finished=begun, code=1, policy="always"
    )
    watched.daemon.release(ID)
    assert await watched.tick("resync") is Status.EXITED


async def test_a_container_removed_after_a_timeout_is_no_fault(watching):
    """What failed is forgotten with the container."""
    watched = await watching(told(), told(container=OTHER, name="other"), patience=0.3, resync_seconds=0.2)
    watched.daemon.hanging.add(OTHER)
    watched.tell("update", container=OTHER, name="other")
    await watched.until(lambda: not watched.watch.status.look_ok)
    del watched.daemon.containers[OTHER]
    watched.tell("destroy", container=OTHER, name="other")
    await watched.until(lambda: watched.watch.status.look_ok)


async def test_one_timeout_is_forgiven_at_the_next_resync(watching):
    """A container that agrees with the list is asked again all the same."""
    watched = await watching(told(), patience=0.3, resync_seconds=0.2)
    watched.daemon.hanging.add(ID)
    watched.tell("update")
    await watched.until(lambda: not watched.watch.status.look_ok)
    watched.daemon.release(ID)
    await watched.until(lambda: watched.watch.status.look_ok)


async def test_a_newest_event_from_the_future_is_forgotten_aloud(watching, caplog):
    """The clock was put back while the exporter was away: a death now is no old news."""
    ahead = Memory(last_event_time_nano=time.time_ns() + 3 * 3600 * 10**9)
    begun = time.time()
    watched = await watching(told(started=begun - 100), memory=ahead)
    said = [record for record in caplog.records if "the clock was put back" in record.getMessage()]
    assert len(said) == 1
    watched.daemon.containers[ID] = told("exited", started=begun - 100, finished=begun, code=1)
    watched.tell("die 1")
    assert await watched.tick("die") is Status.EXITED
    assert watched.inventory.snapshot(time.time()).containers[0].last_exit.code == 1
