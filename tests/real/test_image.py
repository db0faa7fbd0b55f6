"""Our image and the Compose stack on a real Engine: built, hardened, behind the socket proxy, and telling of a killed container."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Final

import pytest

from tests.real.engine import Engine, EngineError
from tests.real.stack import ROOT, VAKHTA, Stack, build_image, build_stand_ins

IMAGE: Final = "busybox:1.35"
OURS: Final = ("exporter", "alerting")
SERVICES: Final = (*OURS, "socket-proxy", "traefik")
CLIENTS: Final = ("exporter", "traefik", "dozzle")

# Sends request lines as they are; a client library would tidy up the paths.
ASK: Final = """
import json, socket, sys
def ask(line):
    with socket.create_connection(("socket-proxy", 2375), 5) as peer:
        peer.sendall(f"{line} HTTP/1.1\\r\\nHost: docker\\r\\nConnection: close\\r\\n\\r\\n".encode())
        return peer.makefile("rb").readline().split()[1].decode()
print(json.dumps({line: ask(line) for line in json.loads(sys.argv[1])}))
"""
ALL, WATCHING, ROUTING = set(CLIENTS), {"exporter", "dozzle"}, {"exporter", "traefik"}
NOBODY: Final[set[str]] = set()

# Request line -> the clients that may send it. {id} is a container, {image} its image.
REQUESTS: Final[dict[str, set[str]]] = {
    "GET /_ping": ALL,
    "HEAD /_ping": ALL,
    "GET /v1.45/_ping": ALL,
    "GET /version": ALL,
    "GET /v1.45/version": ALL,
    "GET http://docker/version": ALL,
    "GET /info": WATCHING,
    "GET /v1.45/info": WATCHING,
    "GET /v1.45/events?since=1&until=2": ALL,
    "GET /containers/json?all=1": ALL,
    "GET /v1.45/containers/{id}/json": ALL,
    "GET /containers/{id}/logs?stdout=1&tail=1": WATCHING,
    "GET /containers/{id}/stats?stream=0&one-shot=1": WATCHING,
    "GET /v1.45/images/{image}/json": {"exporter"},
    "GET /system/df": {"exporter"},
    # Reads that give away files, processes or names.
    "GET /containers/{id}/archive?path=/etc/passwd": NOBODY,
    "HEAD /containers/{id}/archive?path=/etc/passwd": NOBODY,
    "GET /containers/{id}/export": NOBODY,
    "GET /containers/{id}/attach/ws?stream=1": NOBODY,
    "GET /containers/{id}/changes": NOBODY,
    "GET /containers/{id}/top": NOBODY,
    "GET /images/json": NOBODY,
    "GET /images/{image}/get": NOBODY,
    "GET /networks": NOBODY,
    "GET /secrets": NOBODY,
    "GET /": NOBODY,
    # Writes.
    "POST /containers/{id}/kill": NOBODY,
    "POST /containers/{id}/exec": NOBODY,
    "POST /containers/{id}/attach": NOBODY,
    "POST /containers/{id}/json": NOBODY,
    "POST /containers/create": NOBODY,
    "DELETE /containers/{id}": NOBODY,
    "PUT /containers/{id}/archive?path=/": NOBODY,
    "get /_ping": NOBODY,
    # The same in roundabout ways.
    "GET //_ping": NOBODY,
    "GET /_ping/": NOBODY,
    "GET /v1.45/v1.45/_ping": NOBODY,
    "GET /_ping/../containers/{id}/export": NOBODY,
    "GET /containers/{id}/json/../export": NOBODY,
    "GET /containers/{id}/jsonx": NOBODY,
    "GET /versionx": NOBODY,
    "GET /x/_ping": NOBODY,
    "GET /x/containers/{id}/json": NOBODY,
    "GET /images/{image}/json/../get": NOBODY,
    "GET /v1.45//containers/{id}/export": NOBODY,
    "GET /v1.45/../containers/{id}/export": NOBODY,
    "GET /containers/{id}/archive/../json": NOBODY,
    "GET /containers/../containers/{id}/json": NOBODY,
    "GET /containers/{id}/%2e%2e/{id}/export": NOBODY,
    "GET /containers/{id}%2fexport/json": NOBODY,
    "GET /containers/{id}/export%3f/json": NOBODY,
    "GET /containers/{id}/export?/json": NOBODY,
    "GET /containers/{id}/export;/json": NOBODY,
    "GET /images/../containers/{id}/archive/json": NOBODY,
    "GET http://docker/containers/{id}/export": NOBODY,
}


@pytest.fixture(scope="module")
def daemon(running_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine with our image and the stand-ins, without containers."""
    running_engine.remove_all()
    folder = tmp_path_factory.mktemp("images")
    build_image(running_engine, folder)
    build_stand_ins(running_engine, folder)
    return running_engine


@pytest.fixture(scope="module")
def stack(daemon: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, up, with alerting connected to the exporter."""
    running = Stack(daemon, tmp_path_factory.mktemp("stack"))
    try:
        running.up(*SERVICES)
        running.wait(lambda: connected(running), "alerting hears the exporter")
        yield running
    finally:
        daemon.remove_all()


@pytest.fixture(scope="module")
def answers(daemon: Engine, stack: Stack) -> Mapping[str, Mapping[str, str]]:
    """By client, the status of each request of the table."""
    inspected = stack.inspect("alerting")
    placed = [line.format(id="vakhta-alerting-1", image=inspected["Image"]) for line in REQUESTS]
    found = {}
    for client in CLIENTS:
        network = ("--network", f"vakhta_docker-{client}")
        said = daemon.docker("run", "--rm", *network, VAKHTA, "python3", "-c", ASK, json.dumps(placed))
        found[client] = dict(zip(REQUESTS, json.loads(said).values(), strict=True))
    return found


class TestImage:
    """What the Dockerfile makes."""

    def test_its_settings(self, daemon: Engine) -> None:
        """A fixed user that is not root, no entrypoint, a health check."""
        (image,) = json.loads(daemon.docker("image", "inspect", VAKHTA))
        config = image["Config"]
        assert config["User"] == "10001:10001"
        assert config["Entrypoint"] is None
        assert config["Healthcheck"]["Test"] == ["CMD", "python3", "-m", "vakhta.health"]

    @pytest.mark.parametrize(
        "command",
        [("vakhta-exporter", "--version"), ("vakhta-alerting", "--help")],
        ids=["exporter", "alerting"],
    )
    def test_both_commands_are_in_it(self, daemon: Engine, command: tuple[str, ...]) -> None:
        """One image for both processes, even without anything writable or a network."""
        flags = ("--read-only", "--network", "none", "--cap-drop", "ALL")
        assert command[0] in daemon.docker("run", "--rm", *flags, VAKHTA, *command)

    def test_the_shipped_rules_are_found_and_the_tests_stay_out(self, daemon: Engine) -> None:
        """The installed package has exactly the rule files of the checkout."""
        code = "import vakhta.paths as p; print(*sorted(f.name for f in p.shipped('rules').iterdir()))"
        found = daemon.docker("run", "--rm", VAKHTA, "python3", "-c", code).split()
        assert found == sorted(path.name for path in (ROOT / "rules").glob("*.yml"))

    def test_nothing_in_it_installs_packages(self, daemon: Engine) -> None:
        """Neither pip nor the build backend is left in its environment."""
        for module in ("pip", "hatchling", "setuptools"):
            with pytest.raises(EngineError, match=f"No module named '?{module}"):
                daemon.docker("run", "--rm", VAKHTA, "python3", "-c", f"import {module}")


class TestHardening:
    """What Docker says of the running containers, and what they say themselves."""

    @pytest.mark.parametrize("service", SERVICES)
    def test_as_docker_sees_it(self, stack: Stack, service: str) -> None:
        """Read-only, all capabilities dropped, no new privileges, memory and logs bounded."""
        host = stack.inspect(service)["HostConfig"]
        assert host["ReadonlyRootfs"] is True
        assert (host["CapDrop"], host["CapAdd"], host["Privileged"]) == (["ALL"], None, False)
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert 0 < host["Memory"] <= 512 << 20
        assert host["LogConfig"]["Config"] == {"max-file": "3", "max-size": "10m"}

    @pytest.mark.parametrize("service", OURS)
    def test_as_it_is_inside(self, stack: Stack, service: str) -> None:
        """Not root, without capabilities; the root file system refuses writes and the volume takes them."""
        code = (
            "import os, pathlib\n"
            "lines = pathlib.Path('/proc/1/status').read_text().splitlines()\n"
            "fields = dict(line.split(':', 1) for line in lines)\n"
            "print(*fields['Uid'].split(), *(fields[name].strip() for name in ('CapEff', 'CapBnd', 'NoNewPrivs')))\n"
            "print(os.access('/', os.W_OK), os.statvfs('/').f_flag & os.ST_RDONLY, os.access('/var/lib/vakhta', os.W_OK))"
        )
        none = "0" * 16
        assert stack.run_inside(service, code).splitlines() == [
            f"10001 10001 10001 10001 {none} {none} 1",
            "False 1 True",
        ]

    def test_only_the_proxy_has_the_socket(self, stack: Stack) -> None:
        """No other container mounts it or the folder it is in."""
        holders = {
            service
            for service in SERVICES
            for mount in stack.inspect(service)["Mounts"]
            if mount["Source"].endswith(".sock")
            or mount["Destination"].startswith(("/var/run", "/run/docker"))
        }
        assert holders == {"socket-proxy"}

    def test_the_token_is_in_no_environment(self, stack: Stack) -> None:
        """It is read from a secret's file: who may inspect containers does not see it."""
        token = stack.run_inside("alerting", "print(open('/run/secrets/telegram_bot_token').read())").strip()
        assert token
        for service in SERVICES:
            inspected = stack.inspect(service)
            assert token not in json.dumps(inspected)

    def test_the_exporter_has_no_way_out(self, stack: Stack) -> None:
        """It is on internal networks only: no route leads outside, nor to the networks of the proxy's other clients."""
        networks = stack.inspect("socket-proxy")["NetworkSettings"]["Networks"]
        others = [networks[f"vakhta_docker-{client}"]["IPAddress"] for client in ("traefik", "dozzle")]
        assert all(others)
        for address in (*others, "192.0.2.1"):  # the last belongs to nobody
            code = f"import socket; socket.create_connection(({address!r}, 2375), 2)"
            with pytest.raises(EngineError, match="Network is unreachable"):
                stack.run_inside("exporter", code)


class TestSocketProxy:
    """Its allow-lists, request by request."""

    @pytest.mark.parametrize("request_line", REQUESTS)
    def test_requests(self, answers: Mapping[str, Mapping[str, str]], request_line: str) -> None:
        """200 for whom the table names, 403 for everybody else."""
        expected = {client: "200" if client in REQUESTS[request_line] else "403" for client in CLIENTS}
        assert {client: answers[client][request_line] for client in CLIENTS} == expected

    def test_what_is_refused_is_logged(self, answers: Mapping[str, object], stack: Stack) -> None:
        """With the client and the request; what is allowed makes no noise."""
        assert answers
        log = stack.log("socket-proxy")
        assert 'status=403 client=traefik request="GET /info HTTP/1.1"' in log
        assert "status=200" not in log


class TestAtWork:
    """Both processes do their work from inside."""

    def test_metrics_of_every_container(self, stack: Stack) -> None:
        """Memory and CPU of all containers and of the host, in spite of the container's own namespaces."""
        text = stack.get_inside("exporter", "http://127.0.0.1:9817/metrics")
        for family in ("container_memory_working_set_bytes", "container_cpu_usage_seconds_total"):
            lines = [line for line in text.splitlines() if line.startswith(f"{family}{{")]
            for label in ('id="/"', *(f'name="vakhta-{service}-1"' for service in SERVICES)):
                assert any(label in line for line in lines), f"{family} of {label}"
        for line in (
            "docker_up 1",
            "vakhta_docker_events_connected 1",
            "vakhta_exporter_storage_ok 1",
            'vakhta_collector_success{collector="cgroups"} 1',
        ):
            assert line in text.splitlines()

    def test_a_killed_container_is_told(self, daemon: Engine, stack: Stack) -> None:
        """From the kill to the message, through proxy, exporter and alerting; and its end."""
        daemon.docker("run", "-d", "--name", "victim", IMAGE, "sleep", "1000")
        stack.wait(lambda: state_of(stack, "victim") == "running", "victim is seen running")
        daemon.docker("kill", "victim")
        told(stack, "🔴 victim is down — killed (exit 137)")
        daemon.docker("start", "victim")
        told(stack, "✅ victim is back — ")

    def test_traefik_finds_a_site_through_the_proxy(self, daemon: Engine, stack: Stack) -> None:
        """Its own list suffices: a labelled container on the network edge is served over TLS, and plain HTTP leads there."""
        labels = {
            "traefik.enable": "true",
            "traefik.http.routers.site.rule": "Host(`site.example`)",
            "traefik.http.services.site.loadbalancer.server.port": "8000",
        }
        flags = [part for key, value in labels.items() for part in ("--label", f"{key}={value}")]
        page = ("httpd", "-f", "-p", "8000", "-h", "/etc")
        daemon.docker("run", "-d", "--name", "site", "--network", "edge", *flags, IMAGE, *page)
        stack.wait(lambda: fetch(f"https://127.0.0.1:{stack.https_port}/version") == "1.35\n", "the site")
        assert fetch(f"http://127.0.0.1:{stack.http_port}/version").startswith("301 https://site.example")

    def test_traefiks_metrics_are_there_for_prometheus(self, daemon: Engine, stack: Stack) -> None:
        """On an entrypoint that is not published, and that only Traefik's own network reaches."""
        assert stack
        code = "import urllib.request as r; print(r.urlopen('http://traefik:8082/metrics', timeout=5).read().decode())"
        text = daemon.docker("run", "--rm", "--network", "vakhta_traefik", VAKHTA, "python3", "-c", code)
        assert "traefik_config_reloads_total" in text

    def test_all_become_healthy(self, stack: Stack) -> None:
        """Each by its own check."""

        def unwell() -> dict[str, object]:
            states = {service: stack.inspect(service)["State"]["Health"] for service in SERVICES}
            return {service: health for service, health in states.items() if health["Status"] != "healthy"}

        stack.wait(lambda: not unwell(), "every check passes", within_seconds=60)

    def test_what_is_remembered_outlives_the_container(self, daemon: Engine, stack: Stack) -> None:
        """A new exporter on the same volume goes on counting where the old one stopped."""
        daemon.docker("run", "-d", "--name", "flaky", IMAGE, "sh", "-c", "exit 7")
        counted = 'container_exits_total{name="flaky",reason="error",service="flaky"} 1'
        stack.wait(lambda: counted in exposed(stack), "the exit is counted")
        stack.compose("up", "--detach", "--no-build", "--force-recreate", "--no-deps", "exporter")
        stack.wait(lambda: counted in exposed(stack), "the exit is still counted")

    def test_without_a_token_alerts_are_in_the_log(self, daemon: Engine, stack: Stack) -> None:
        """With .env as the example has it, the same stack starts and prints what it would have sent."""
        stack.up(*SERVICES, with_token=False)
        stack.wait(lambda: connected(stack), "alerting hears the exporter again")
        daemon.docker("run", "-d", "--name", "second", IMAGE, "sleep", "1000")
        stack.wait(lambda: state_of(stack, "second") == "running", "second is seen running")
        daemon.docker("kill", "second")
        stack.wait(
            lambda: "│ 🔴 second is down — killed (exit 137)" in stack.log("alerting"), "it is printed"
        )

    def test_both_end_when_asked(self, stack: Stack) -> None:
        """As process 1 they heed SIGTERM and exit 0, long before Docker would kill them."""
        stack.compose("stop", *OURS)
        assert {service: stack.inspect(service)["State"]["ExitCode"] for service in OURS} == dict.fromkeys(
            OURS, 0
        )


def connected(stack: Stack) -> bool:
    """Whether alerting listens to the exporter's stream."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{stack.alerting_url}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return any(
        line.startswith("vakhta_event_stream_connected{") and line.endswith(" 1.0")
        for line in text.splitlines()
    )


def exposed(stack: Stack) -> list[str]:
    """The exporter's metrics, line by line; none while it does not answer."""
    try:
        return stack.get_inside("exporter", "http://127.0.0.1:9817/metrics").splitlines()
    except EngineError:
        return []


def state_of(stack: Stack, name: str) -> str:
    """The state of a container, as the exporter tells it; empty: it does not know it."""
    start = f'container_state_status{{name="{name}",service="{name}",status="'
    states = [
        line.removeprefix(start) for line in exposed(stack) if line.startswith(start) and line.endswith(" 1")
    ]
    return states[0].partition('"')[0] if states else ""


def told(stack: Stack, line: str) -> None:
    """Wait for a message that begins so."""
    stack.wait(lambda: any(text.startswith(line) for text in stack.told()), line, within_seconds=15)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Shows redirections instead of following them."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:
        del args, kwargs


def fetch(url: str) -> str:
    """Fetch a page of site.example from Traefik, whoever signed its certificate; of an error, its number and where it leads."""
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    handlers = (
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=unverified),
        _Stay(),
    )
    request = urllib.request.Request(url, headers={"Host": "site.example"})
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as exc:
        return f"{exc.code} {exc.headers.get('Location', '')}"
