"""The Docker daemon as asynchronous calls; the only module that imports the `docker` package.

The package blocks, so every call runs in a thread of its own: a call that hangs holds up nobody else. The threads are daemon threads, which
unlike an executor's do not keep the process alive when the daemon is frozen and they are stuck in it. Cancelling a call gives up
waiting; the thread ends by the client's own timeout.

Foreign exceptions become the ones of `exporter.errors`, each saying what to do.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, TypeVar

import docker
import docker.errors
import docker.utils
import requests.exceptions
import urllib3.exceptions
from docker.transport import UnixHTTPAdapter

from exporter.docker.containers import Facts, facts_from_inspect, facts_from_summary
from exporter.docker.disk import Layer, Volume, created_of_image, layer_of_inspect, volumes_of_usage
from exporter.docker.events import ACTIONS
from exporter.docker.status import DaemonInfo
from exporter.errors import (
    ContainerGoneError,
    DockerAbsentError,
    DockerError,
    DockerForbiddenError,
    DockerLostError,
    DockerTimeoutError,
)

__all__ = ["DEFAULT_HOST", "DockerEngine", "check_address"]

DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
_PING_SECONDS: Final = 2.0
# Connections kept open: eight inspects at a time, and room for lists and pings.
_POOL_SIZE: Final = 10
_ANY_URL: Final = "http+docker://localhost/"

_T = TypeVar("_T")
_RawEvent = Mapping[str, Any]


class _OnePool(UnixHTTPAdapter):
    """The package keeps connections per URL, those of 25 URLs: none is used again for another container, and all stay open."""

    def get_connection(self, url: str | bytes, proxies: Mapping[str, str] | None = None) -> Any:  # noqa: ARG002 - all URLs are alike
        return super().get_connection(_ANY_URL, proxies)


class _Client(docker.APIClient):
    """The package's client without the environment's proxies, which it would read before anyone could tell it not to."""

    def __init__(self, host: str, *, timeout: float) -> None:
        super().__init__(base_url=host, version="auto", timeout=timeout, max_pool_size=_POOL_SIZE)  # type: ignore[arg-type] # the stubs know whole seconds only
        if host.startswith("unix://"):
            self.get_adapter(_ANY_URL).close()
            one_pool = _OnePool(host.removeprefix("unix:"), timeout, max_pool_size=_POOL_SIZE)  # type: ignore[arg-type] # see above
            self.mount(_ANY_URL, one_pool)

    @property
    def trust_env(self) -> bool:
        return False

    @trust_env.setter
    def trust_env(self, value: bool) -> None:  # requests' Session sets it while it is built
        pass


def check_address(address: str) -> None:
    """Make sure that an address is one of the forms that can be used, whether or not a daemon is there.

    Raises:
        ValueError: It is not; the text says the fault and the remedy.
    """
    try:
        # The package would take a path that is not absolute, and ask for another package with ssh.
        known = address.startswith(("unix:///", "tcp://", "http://", "https://")) and address != "unix:///"
        if known and docker.utils.parse_host(address):
            return
    except (docker.errors.DockerException, ValueError):
        pass
    raise ValueError(
        f"{address!r} is not an address of a Docker daemon; write it like {DEFAULT_HOST} or tcp://127.0.0.1:2375"
    )


class DockerEngine:
    """Questions to one daemon.

    Args:
        host: Its address, as DOCKER_HOST has it.
        timeout: Seconds that any answer may take, except a ping's.
    """

    def __init__(self, host: str = DEFAULT_HOST, *, timeout: float = 5.0) -> None:
        self.host = host
        self._timeout = timeout
        self._lock = threading.Lock()
        self._clients: dict[float, _Client] = {}
        self._streams: set[_Stream] = set()

    async def ping(self) -> None:
        """Ask whether the daemon answers, for at most two seconds."""
        await self._call(lambda: self._client(_PING_SECONDS).ping(), _PING_SECONDS)

    async def info(self) -> DaemonInfo:
        """Ask what daemon this is."""

        def ask() -> DaemonInfo:
            client = self._client(self._timeout)
            info, version = client.info(), client.version()
            return DaemonInfo(
                name=info.get("Name", ""),
                version=version.get("Version", ""),
                api_version=version.get("ApiVersion", ""),
                storage_driver=info.get("Driver", ""),
                cgroup_driver=info.get("CgroupDriver", ""),
                cgroup_version=info.get("CgroupVersion") or "1",
                os=info.get("OperatingSystem", ""),
                kernel=info.get("KernelVersion", ""),
            )

        return await self._call(ask, self._timeout)

    async def list(self) -> tuple[Facts, ...]:
        """Ask for all containers, stopped ones too, as far as a list tells."""
        raw = await self._call(lambda: self._client(self._timeout).containers(all=True), self._timeout)
        return tuple(facts_from_summary(entry) for entry in raw)

    async def inspect(self, container: str) -> Facts:
        """Ask for everything about one container.

        Raises:
            ContainerGoneError: The daemon does not know it.
        """
        raw = await self._call(
            lambda: self._client(self._timeout).inspect_container(container), self._timeout
        )
        return facts_from_inspect(raw)

    async def past_events(self, *, since: int, until: int) -> tuple[_RawEvent, ...]:
        """Ask for the events of a span that is over (nanoseconds); the daemon keeps its newest 256."""

        def ask() -> tuple[_RawEvent, ...]:
            stream = self._client(self._timeout).events(
                since=_point(since), until=_point(until), filters=_FILTERS, decode=True
            )
            try:
                return tuple(stream)
            finally:
                _cut(stream)

        return await self._call(ask, self._timeout)

    @contextlib.asynccontextmanager
    async def events(self, *, since: int) -> AsyncIterator[AsyncIterator[_RawEvent]]:
        """Subscribe to events from a time on (nanoseconds); the block's value yields them until the connection ends.

        Raises:
            DockerError: The subscription failed (on entering), or the connection ended (while iterating).
        """
        stream = _Stream(self._translate)
        self._streams.add(stream)
        try:
            stream.start(
                lambda: self._client(self._timeout).events(since=_point(since), filters=_FILTERS, decode=True)
            )
            try:
                async with asyncio.timeout(self._timeout):
                    await stream.opened()
            except TimeoutError:
                raise self._timed_out(self._timeout) from None
            yield stream.items()
        finally:
            self._streams.discard(stream)
            await stream.close()
            # The stream may have ended because the daemon did: the connections kept open are then dead too.
            self._forget_clients()

    async def close(self) -> None:
        """End event streams and idle connections; calls that hang are left to their threads."""
        for stream in tuple(self._streams):
            await stream.close()
        self._forget_clients()

    def _client(self, timeout: float) -> _Client:
        """Return a client; called in a thread, because making one asks the daemon for its API version."""
        self._knock()
        with self._lock:
            client = self._clients.get(timeout)
        if client is None:
            client = _Client(self.host, timeout=timeout)
            with self._lock:
                client = self._clients.setdefault(timeout, client)
        return client

    def _knock(self) -> None:
        """Fail early, with the system's own error, when nobody listens: the package would leave a socket open at each attempt."""
        if self.host.startswith("unix://"):
            with socket.socket(socket.AF_UNIX) as door:
                door.settimeout(_PING_SECONDS)
                door.connect(self.host.removeprefix("unix://"))

    def _forget_clients(self) -> None:
        """Ask for the API version anew next time: the daemon that comes back may be another."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    async def _call(self, ask: Callable[[], _T], limit: float) -> _T:
        try:
            async with asyncio.timeout(limit):
                return await _in_thread(ask)
        except TimeoutError:
            raise self._timed_out(limit) from None
        except DockerError:
            raise
        except Exception as exc:
            error = self._translate(exc)
            if isinstance(error, DockerAbsentError | DockerLostError):
                self._forget_clients()
            raise error from exc

    def _timed_out(self, seconds: float) -> DockerTimeoutError:
        return DockerTimeoutError(
            f"Docker at {self._place} did not answer within {seconds:g} s; it may be hung: see `journalctl -u docker`"
        )

    @property
    def _place(self) -> str:
        return self.host.removeprefix("unix://")

    def _translate(self, exc: BaseException) -> DockerError:
        """Say in our words what the package, requests, urllib3 or the system meant."""
        cause = _cause(exc)
        if isinstance(cause, docker.errors.APIError):
            return self._refused(cause)
        if isinstance(cause, TimeoutError | requests.exceptions.Timeout | urllib3.exceptions.TimeoutError):
            return self._timed_out(self._timeout)
        place = self._place
        match cause:
            case FileNotFoundError():
                return DockerAbsentError(
                    f"Docker is not running or not installed: {place} does not exist; start Docker, or say where it is with "
                    "docker.host or DOCKER_HOST"
                )
            case ConnectionRefusedError():
                return DockerAbsentError(
                    f"Docker is not running: nothing listens on {place}; start it, for example with `systemctl start docker`"
                )
            case PermissionError():
                return DockerForbiddenError(
                    f"permission denied on {place}: this user may not talk to Docker; add the user to group docker, or run "
                    "vakhta-exporter as root or behind a socket proxy"
                )
        return DockerLostError(f"the connection to Docker at {place} failed: {type(cause).__name__}: {cause}")

    def _refused(self, error: docker.errors.APIError) -> DockerError:
        """Say what an answer other than 200 means."""
        status, said = error.status_code, error.explanation or str(error)
        if status == 404 and "ontainer" in said:
            return ContainerGoneError(f"Docker at {self._place}: {said}")
        if status in (401, 403):
            return DockerForbiddenError(
                f"Docker at {self._place} refuses {_path(error)} ({status}); let the socket proxy pass it"
            )
        return DockerLostError(f"Docker at {self._place} answered {status} to {_path(error)}: {said}")

    async def stats(self, container: str) -> Mapping[str, Any]:
        """Ask what one container has used so far: one reading, as the daemon writes it; a stopped container's is empty.

        Raises:
            ContainerGoneError: The daemon does not know it.
        """
        # Without one_shot the daemon waits for a second reading, to tell a rate nobody here wants.
        return await self._call(
            lambda: self._client(self._timeout).stats(container, stream=False, one_shot=True), self._timeout
        )

    async def size_of(self, container: str, *, seconds: float) -> Layer:
        """Have a container's writable layer measured; the daemon reads every file of it, so give it time.

        Raises:
            ContainerGoneError: The daemon does not know it.
        """
        return layer_of_inspect(
            await self._get(f"/containers/{container}/json", seconds=seconds, params={"size": "1"})
        )

    async def image_created(self, image: str, *, seconds: float) -> float | None:
        """Ask when an image was built (Unix seconds); None when that is not known, or the image was removed from under its containers."""

        def ask() -> Any:
            client: Any = self._client(seconds)
            try:
                return client.inspect_image(image)
            except docker.errors.ImageNotFound:
                return {}

        return created_of_image(await self._call(ask, seconds))

    async def volumes(self, *, seconds: float) -> tuple[Volume, ...]:
        """Have all volumes measured; a daemon before API 1.42 measures all images and containers as well, so give it time."""
        return volumes_of_usage(await self._get("/system/df", seconds=seconds, params={"type": "volume"}))

    async def _get(self, path: str, *, seconds: float, params: Mapping[str, str]) -> Any:
        """Ask what the package has no call for."""

        def ask() -> Any:
            client: Any = self._client(seconds)  # the stubs know the public calls only
            return client._result(client._get(client._url(path), params=params), json=True)  # noqa: SLF001 - the package's calls take no such parameters

        return await self._call(ask, seconds)

    async def logs(self, container: str, *, tail: int, most_bytes: int) -> bytes:
        """Ask for the newest lines of both of a container's streams, with their times, as the daemon sends them: framed, or a terminal's text.

        Args:
            container: Its id.
            tail: How many lines at most.
            most_bytes: Nothing is read beyond these; the newest lines come last.

        Raises:
            ContainerGoneError: The daemon does not know it.
        """
        wanted = {"stdout": "1", "stderr": "1", "timestamps": "1", "tail": str(tail)}

        def ask() -> bytes:
            client: Any = self._client(self._timeout)  # the stubs know the public calls only
            # The package's own call inspects the container before each answer, and reads all of it.
            path = client._url("/containers/{0}/logs", container)  # noqa: SLF001 - see above
            with client._get(path, params=wanted, stream=True) as answer:  # noqa: SLF001 - see above
                client._raise_for_status(answer)  # noqa: SLF001 - see above
                text = bytearray()
                for piece in answer.iter_content(65536):
                    text += piece
                    if len(text) >= most_bytes:
                        break
                return bytes(text[:most_bytes])

        return await self._call(ask, self._timeout)


class _Stream:
    """The daemon's event stream, read in a thread and handed to the event loop."""

    def __init__(self, translate: Callable[[BaseException], DockerError]) -> None:
        self._translate = translate
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[_RawEvent | DockerError] = asyncio.Queue()
        self._open: asyncio.Future[None] = self._loop.create_future()
        self._lock = threading.Lock()
        self._source: Any = None
        self._closed = False

    def start(self, subscribe: Callable[[], Any]) -> None:
        threading.Thread(target=self._read, args=(subscribe,), name="docker-events", daemon=True).start()

    async def opened(self) -> None:
        await self._open

    async def items(self) -> AsyncIterator[_RawEvent]:
        while True:
            item = await self._queue.get()
            if isinstance(item, DockerError):
                raise item
            yield item

    async def close(self) -> None:
        with self._lock:
            self._closed = True
            source, self._source = self._source, None
        if source is not None:
            # Shutting the socket down is what wakes the thread; it can block, so not here.
            await _in_thread(lambda: _cut(source))

    def _read(self, subscribe: Callable[[], Any]) -> None:
        try:
            source = subscribe()
            with self._lock:
                self._source = source
                closed = self._closed
            if closed:
                _cut(source)
                return
            self._tell(_succeed, self._open, None)
            for event in source:
                self._tell(self._queue.put_nowait, event)
            ending: DockerError = DockerLostError("Docker ended the event stream")
        except Exception as exc:  # noqa: BLE001 - the edge: whatever the package raises is one of our errors
            ending = self._translate(exc)
        self._tell(_fail, self._open, ending)
        self._tell(self._queue.put_nowait, ending)

    def _tell(self, call: Callable[..., object], *args: object) -> None:
        # The loop may be closed before a stuck thread comes back.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *args)


_FILTERS: Final = {"type": ["container"], "event": list(ACTIONS)}


def _point(nanoseconds: int) -> Any:
    """Write a time as the events call takes it; Any, because the package's types know whole seconds only."""
    return f"{nanoseconds // 1_000_000_000}.{nanoseconds % 1_000_000_000:09d}"


def _cut(source: Any) -> None:
    with contextlib.suppress(Exception):
        source.close()


def _succeed(future: asyncio.Future[_T], value: _T) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[_T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


async def _in_thread(call: Callable[[], _T]) -> _T:
    """Run a blocking call in a daemon thread of its own; cancelling leaves the thread behind."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def tell(how: Callable[..., None], what: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(how, future, what)

    def run() -> None:
        try:
            tell(_succeed, call())
        except Exception as exc:  # noqa: BLE001 - carried over to the awaiting side
            tell(_fail, exc)

    threading.Thread(target=run, name="docker-call", daemon=True).start()
    return await future


def _cause(exc: BaseException) -> BaseException:
    """Return what lies at the bottom: requests and urllib3 wrap the system's error in arguments and contexts."""
    seen: set[int] = set()
    pending: list[BaseException] = [exc]
    while pending:
        error = pending.pop(0)
        if id(error) in seen:
            continue
        seen.add(id(error))
        if isinstance(
            error, FileNotFoundError | PermissionError | ConnectionRefusedError | docker.errors.APIError
        ):
            return error
        below = (*error.args, getattr(error, "reason", None), error.__cause__, error.__context__)
        pending.extend(part for part in below if isinstance(part, BaseException))
    return exc


def _path(error: docker.errors.APIError) -> str:
    url = str(getattr(error.response, "url", "") or "")
    return url.partition("://")[2].partition("/")[2].partition("?")[0] or "it"
