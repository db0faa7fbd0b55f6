"""The Compose stack as it ships, on the engine of the tests.

compose.yml is used as it is, and so is every configuration beside it; only .env differs. Our image is built by the project's
Dockerfile. No registry can be reached, so images made here stand in for the foreign ones, with the real programs inside: haproxy and
Traefik. One service is added, the Telegram stand-in, since containers cannot reach a server on the host's loopback.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.real import bases
from tests.real.components import obtain
from tests.real.engine import Engine
from tests.real.servers import free_port
from tests.telegram_api.rules import GROUP, TOKEN

ROOT: Final = bases.ROOT
BASE: Final = "vakhta-test/python:base"
VAKHTA: Final = "vakhta-test/vakhta:built"
_PROXY: Final = "vakhta-test/haproxy:real"
_TRAEFIK: Final = "vakhta-test/traefik:real"
_TELEGRAM: Final = "vakhta-test/telegram:stand-in"
_TELEGRAM_PORT: Final = 8081

# The official image starts haproxy likewise, and has busybox' wget for the health check.
_PROXY_DOCKERFILE: Final = f"""\
FROM {BASE}
COPY tree/usr /usr
CMD ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
"""
_TELEGRAM_DOCKERFILE: Final = f"""\
FROM {VAKHTA}
COPY telegram_api /opt/stand-in/tests/telegram_api
ENV PYTHONPATH=/opt/stand-in
CMD ["python3", "-m", "tests.telegram_api", "--no-flood", "--listen", "0.0.0.0:{_TELEGRAM_PORT}"]
"""
_OVERRIDE: Final = f"""\
services:
  telegram:
    image: {_TELEGRAM}
    labels: {{vakhta.ignore: "true"}}
    ports: ["127.0.0.1:${{TELEGRAM_PORT}}:{_TELEGRAM_PORT}"]
    networks: [monitoring, outside]
"""


def build_image(engine: Engine, folder: Path, *, tag: str = VAKHTA) -> None:
    """Build our image from the checkout with the project's Dockerfile; nothing is downloaded meanwhile."""
    context = folder / "context"
    context.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("vakhta", "exporter", "alerting", "rules"):
        shutil.copytree(ROOT / name, context / name, ignore=ignored)
    for name in (
        "Dockerfile",
        ".dockerignore",
        "pyproject.toml",
        "requirements.lock",
        "README.md",
        "LICENSE",
    ):
        shutil.copy(ROOT / name, context / name)
    shutil.copytree(bases.wheels(), context / "wheels")
    engine.docker("import", str(bases.python_base()), BASE)
    engine.docker(
        *("build", "--network", "none", "--build-arg", f"BASE_IMAGE={BASE}", "--tag", tag, str(context)),
        timeout_seconds=300,
    )


def build_stand_ins(engine: Engine, folder: Path) -> None:
    """Make the images that stand in for foreign ones; after `build_image`."""
    proxy = folder / "proxy"
    tree = proxy / "tree"
    shutil.copytree(obtain("haproxy")["haproxy"].path, tree, symlinks=True)
    shutil.copy(obtain("busybox")["busybox"].program(), tree / "usr/bin/wget")
    (proxy / "Dockerfile").write_text(_PROXY_DOCKERFILE)
    engine.docker("build", "--tag", _PROXY, str(proxy))
    telegram = folder / "telegram"
    shutil.copytree(ROOT / "tests/telegram_api", telegram / "telegram_api")
    (telegram / "Dockerfile").write_text(_TELEGRAM_DOCKERFILE)
    engine.docker("build", "--tag", _TELEGRAM, str(telegram))
    entrypoint = ("--change", 'ENTRYPOINT ["/usr/local/bin/traefik"]', "--change", "ENV PATH=/usr/local/bin")
    engine.docker("import", *entrypoint, "-", _TRAEFIK, stdin=_traefik())


def _traefik() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(obtain("traefik")["traefik"].program(), "usr/local/bin/traefik")
    return packed.getvalue()


class Stack:
    """The running stack: `up`, then ask; the engine's `remove_all` is its end.

    Args:
        engine: Where it runs.
        folder: For .env, the token and what is added to compose.yml.
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder
        self.telegram_url = f"http://127.0.0.1:{free_port()}"
        self.alerting_url = f"http://127.0.0.1:{free_port()}"
        self.https_port = free_port()
        self.http_port = free_port()

    def up(self, *services: str, with_token: bool = True) -> None:
        """Write .env from the example, changed where this place differs, and start the services, or change running ones.

        Args:
            services: Their names; the Telegram stand-in comes with them.
            with_token: Whether somebody has filled in the Telegram part of .env.
        """
        token = self._folder / "telegram_bot_token"
        token.write_text(f"{TOKEN}\n")
        token.chmod(0o400)
        shutil.chown(token, 10001)
        self._folder.chmod(0o755)
        telegram = {
            "TELEGRAM_BOT_TOKEN_FILE": str(token),
            "TELEGRAM_CHAT_ID": str(GROUP),
            "TELEGRAM_API_URL": f"http://telegram:{_TELEGRAM_PORT}",
        }
        changed = {
            **(telegram if with_token else {}),
            "ACME_CA_SERVER": "https://127.0.0.1:9/directory",  # nobody is to be asked for a certificate
            "HTTP_PORT": f"127.0.0.1:{self.http_port}",
            "HTTPS_PORT": f"127.0.0.1:{self.https_port}",
            "ALERTING_PORT": self.alerting_url.rpartition(":")[2],
            "DOCKER_SOCKET": str(self._engine.socket_path),
            "VAKHTA_IMAGE": VAKHTA,
            "SOCKET_PROXY_IMAGE": _PROXY,
            "TRAEFIK_IMAGE": _TRAEFIK,
        }
        example = (ROOT / "compose/.env.example").read_text()
        (self._folder / ".env").write_text(environment(example, changed))
        (self._folder / "added.yml").write_text(_OVERRIDE)
        self.compose("up", "--detach", "--no-build", "--pull", "never", *services, "telegram")

    def compose(self, *args: str) -> str:
        """Run Compose for the stack."""
        files = ("--file", "compose.yml", "--file", str(self._folder / "added.yml"))
        port = {"TELEGRAM_PORT": self.telegram_url.rpartition(":")[2]}
        return self._engine.compose(
            ROOT / "compose", "--env-file", str(self._folder / ".env"), *files, *args, environment=port
        )

    def inspect(self, service: str) -> dict[str, Any]:
        """What Docker says of the service's container."""
        (found,) = json.loads(self._engine.docker("inspect", f"vakhta-{service}-1"))
        assert isinstance(found, dict)
        return found

    def log(self, service: str) -> str:
        """What the service wrote."""
        return self.compose("logs", "--no-color", "--no-log-prefix", service)

    def run_inside(self, service: str, code: str) -> str:
        """Run Python inside the service's container, as its user; give what it printed."""
        return self._engine.docker("exec", f"vakhta-{service}-1", "python3", "-c", code)

    def get_inside(self, service: str, url: str) -> str:
        """Fetch a page as the service would."""
        return self.run_inside(
            service, f"import urllib.request as r; print(r.urlopen({url!r}, timeout=5).read().decode())"
        )

    def told(self) -> list[str]:
        """The texts that Telegram took, in order."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.telegram_url}/_ledger?since=0", timeout=10) as answer:
            entries = json.loads(answer.read())
        return [entry["text"] for entry in entries if entry["applied"] and entry["text"]]

    def wait(self, condition: Callable[[], bool], what: str, within_seconds: float = 30) -> None:
        """Poll until the condition holds.

        Raises:
            AssertionError: It did not in time; says what the services wrote.
        """
        end = time.monotonic() + within_seconds
        while not _holds(condition):
            if time.monotonic() > end:
                raise AssertionError(
                    f"not within {within_seconds:g} s: {what}\n{self.compose('logs')[-6000:]}"
                )
            time.sleep(0.1)


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except OSError:  # it does not listen yet
        return False


def environment(example: str, changed: Mapping[str, str]) -> str:
    """Change values of a .env file.

    Raises:
        KeyError: The example does not have one of the variables.
    """
    lines, left = [], dict(changed)
    for line in example.splitlines():
        name = line.partition("=")[0]
        lines.append(f"{name}={left.pop(name)}" if name in left else line)
    if left:
        raise KeyError(", ".join(left))
    return "\n".join((*lines, ""))
