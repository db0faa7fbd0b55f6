"""An event loop whose time passes by being waited for: hours of schedules in milliseconds, in the same order every time."""

import asyncio
import contextlib
import selectors
import threading

from exporter.docker.disk import Layer
from exporter.docker.snapshot import Snapshot, view_of
from exporter.memory import Book
from exporter.slow.fact import Clocks
from exporter.slow.facts import Options, SlowFacts
from tests.exporter.stories import EPOCH, facts


class _Selector(selectors.DefaultSelector):
    """Never sleeps for a timer; waits for real only while a thread of the worker's is at work."""

    def __init__(self):
        super().__init__()
        self.now = 0.0

    def select(self, timeout=None):
        ready = super().select(0)
        while not ready and any(thread.name == "blocking-call" for thread in threading.enumerate()):
            ready = super().select(0.01)
        if not ready:
            assert timeout is not None, "everything waits for something that never comes"
            self.now += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Run coroutines in virtual time, which starts at 0."""

    def __init__(self):
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self):
        """Return the virtual seconds."""
        return self._virtual.now


def in_virtual_time(coroutine):
    """Run a coroutine to its end and return what it returns."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


def clocks():
    """Return the running loop's clocks."""
    time = asyncio.get_running_loop().time
    return Clocks(monotonic=time, wall=lambda: EPOCH + time())


def container(name, **changes):
    """Return a view of a running container whose id is its name."""
    plain = {"id": name, "name": name, "image_id": f"sha256:{name}", "log_driver": "json-file"}
    return view_of(facts(**{**plain, **changes}), Book(id=name, first_seen=float(EPOCH)))


class ScriptedEngine:
    """A daemon whose answers take as long as the test says.

    Args:
        seconds: How long the layer of a container takes; None: for ever. The default is a hundredth.

    Attributes:
        calls: (began, ended, container) of every measurement that ended, cancelled ones too.
        images: Ids asked for.
        faults: By container or image: raised instead of an answer.
        most: The most measurements that were under way together.
    """

    def __init__(self, seconds=None):
        self.seconds = seconds or {}
        self.calls = []
        self.images = []
        self.faults = {}
        self.measured = ()
        self.volume_calls = 0
        self.most = 0
        self._running = 0

    async def size_of(self, container, *, seconds):
        """Measure."""
        assert seconds > 0
        time = asyncio.get_running_loop().time
        began = time()
        self._running += 1
        self.most = max(self.most, self._running)
        try:
            await _lasting(self.seconds.get(container, 0.01))
        finally:
            self._running -= 1
            self.calls.append((began, time(), container))
        self._maybe_fail(container)
        return Layer(rw_bytes=len(container), path="")

    async def image_created(self, image, *, seconds):
        """Tell an image's date, or nothing."""
        assert seconds > 0
        self.images.append(image)
        await _lasting(self.seconds.get(image, 0.001))
        self._maybe_fail(image)
        return None if image == "sha256:dateless" else 1.7e9

    async def volumes(self, *, seconds):
        """Measure all volumes."""
        assert seconds > 0
        self.volume_calls += 1
        await _lasting(self.seconds.get("volumes", 1.0))
        self._maybe_fail("volumes")
        return self.measured

    def _maybe_fail(self, what):
        if what in self.faults:
            raise self.faults[what]


async def _lasting(seconds):
    if seconds is None:
        await asyncio.Event().wait()
    else:
        await asyncio.sleep(seconds)


class Host:
    """SlowFacts over containers that a test adds and removes; `async with` runs it."""

    def __init__(self, *names, engine=None, **options):
        self.engine = engine or ScriptedEngine()
        self.views = {name: container(name) for name in names}
        self.slow = SlowFacts(
            self.engine, self.snapshot, options=Options(**options) if options else None, clocks=clocks()
        )

    def snapshot(self):
        """Return the containers."""
        return Snapshot(at=EPOCH + asyncio.get_running_loop().time(), containers=tuple(self.views.values()))

    async def __aenter__(self):
        """Begin."""
        self._task = asyncio.create_task(self.slow.run())
        return self

    async def __aexit__(self, *_):
        """End; the loop must still have been running."""
        assert not self._task.done()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def status(self, name):
        """Return how one fact is doing."""
        return next(status for status in self.slow.statuses() if status.name == name)

    def asked(self, name):
        """Return when the measurements of a container began."""
        return [began for began, _, container in sorted(self.engine.calls) if container == name]
