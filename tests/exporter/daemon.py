"""A Docker daemon as far as the watch asks one, on a unix socket: what it answers, and when, is the test's to say."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime

from aiohttp import web

from tests.exporter.stories import ID, raw_event


def told(
    status="running", *, container=ID, name="web", started=0.0, finished=None, code=0, policy="no", restarts=0
):
    """Return what an inspect of a container answers; times in Unix seconds."""
    running = status == "running"
    return {
        "Id": container,
        "Name": f"/{name}",
        "RestartCount": restarts,
        "State": {
            "Status": status,
            "Pid": 100 if running else 0,
            "StartedAt": _text(started),
            "FinishedAt": _text(finished),
            "ExitCode": code,
        },
        "Config": {"Image": "busybox:1.35", "Labels": {}},
        "HostConfig": {"RestartPolicy": {"Name": policy, "MaximumRetryCount": 0}},
    }


class Daemon:
    """Containers by id, events as they are told, and inspects that hang while they are told to.

    Attributes:
        containers: What their inspects answer.
        hanging: Ids whose inspect gets no answer until they are taken out again with `release`.
        asked: How often each id was inspected.
    """

    def __init__(self):
        self.containers = {}
        self.hanging = set()
        self.asked = {}
        self._released = asyncio.Event()
        self._listeners = []
        self._past = []

    async def __aenter__(self):
        """Return the running daemon."""
        app = web.Application()
        app.router.add_get("/_ping", self._ping)
        app.router.add_get("/version", self._version)
        for path, handler in (
            ("version", self._version),
            ("_ping", self._ping),
            ("info", self._info),
            ("events", self._events),
            ("containers/json", self._list),
            ("containers/{id}/json", self._inspect),
        ):
            app.router.add_get(f"/v{{api}}/{path}", handler)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        return self

    async def listen(self, path):
        """Listen on a unix socket."""
        await web.UnixSite(self._runner, str(path)).start()

    async def __aexit__(self, *_):
        """End, and everything that waits for an answer with it."""
        self.release()
        for listener in self._listeners:
            listener.put_nowait(None)
        await self._runner.cleanup()

    def tell(self, line, **whose):
        """Tell everybody who listens of an event."""
        event = raw_event(line, **whose)
        self._past.append(event)
        for listener in self._listeners:
            listener.put_nowait(event)

    def release(self, *containers):
        """Let the inspects of these containers (none: all) be answered, those that wait too, with what is true now."""
        self.hanging -= set(containers) or set(self.hanging)
        self._released.set()
        self._released = asyncio.Event()

    async def _ping(self, _):
        return web.Response(text="OK")

    async def _version(self, _):
        return web.json_response({"ApiVersion": "1.45", "Version": "26.1.5", "MinAPIVersion": "1.24"})

    async def _info(self, _):
        return web.json_response({"Name": "host-1", "Driver": "overlay2", "CgroupDriver": "systemd"})

    async def _list(self, _):
        return web.json_response(
            [
                {"Id": key, "Names": [one["Name"]], "State": one["State"]["Status"], "Status": "Up 1 second"}
                for key, one in self.containers.items()
            ]
        )

    async def _inspect(self, request):
        container = request.match_info["id"]
        self.asked[container] = self.asked.get(container, 0) + 1
        while container in self.hanging:
            await self._released.wait()
        if container not in self.containers:
            return web.json_response({"message": f"No such container: {container}"}, status=404)
        return web.json_response(self.containers[container])

    async def _events(self, request):
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if "until" in request.query:
            for event in self._past:
                await response.write(json.dumps(event).encode() + b"\n")
            return response
        listener = asyncio.Queue()
        self._listeners.append(listener)
        with contextlib.suppress(ConnectionError):
            while (event := await listener.get()) is not None:
                await response.write(json.dumps(event).encode() + b"\n")
        return response


def _text(seconds):
    if seconds is None:
        return "0001-01-01T00:00:00Z"
    whole, fraction = divmod(round(seconds * 1e6), 1_000_000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:06d}Z"
