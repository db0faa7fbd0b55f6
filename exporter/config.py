"""exporter.yml: what can be set, what it is without being set, and every mistake told at once."""

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from exporter.docker.engine import DEFAULT_HOST
from vakhta.yamlnodes import Document, Node, load

__all__ = ["COLLECTORS", "Config", "read"]

COLLECTORS: Final = ("docker", "cgroups")
_SHORTEST: Final = timedelta(seconds=1)
_SCHEMES: Final = ("unix://", "tcp://", "http://", "https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The effective configuration.

    Attributes:
        host_name: What this host is called; empty: as its Docker daemon says.
        docker_host: The daemon's address.
        docker_timeout: How long any of its answers may take.
        resync_interval: How often the whole list of containers is compared.
        ignore: Containers whose name matches one of these shell patterns (`ci-*`) are not exported.
        enabled: The collectors that run.
    """

    host_name: str = ""
    docker_host: str = DEFAULT_HOST
    docker_timeout: timedelta = timedelta(seconds=5)
    resync_interval: timedelta = timedelta(seconds=60)
    ignore: tuple[str, ...] = ()
    enabled: frozenset[str] = frozenset(COLLECTORS)

    def ignores(self, name: str) -> bool:
        """Whether a container of this name is not to be exported."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.ignore)


def read(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the configuration file; without one the defaults hold.

    Args:
        path: The file; None: there is none.
        environ: DOCKER_HOST is the daemon's address where the file names none.

    Raises:
        ConfigError: With everything that is wrong in the file, by line and column.
    """
    default_host = environ.get("DOCKER_HOST", "") or DEFAULT_HOST
    if path is None:
        return Config(docker_host=default_host)
    document = load(path)
    config = _config(document, default_host)
    document.finish()
    return config


def _config(document: Document, default_host: str) -> Config:
    sections = document.root.mapping(("host", "docker", "containers", "collectors")) if document.root else {}
    host = _section(sections, "host", ("name",))
    docker = _section(sections, "docker", ("host", "timeout", "resync_interval"))
    containers = _section(sections, "containers", ("ignore",))
    collectors = _section(sections, "collectors", COLLECTORS)
    defaults = Config()
    return Config(
        host_name=host["name"].text() if "name" in host else "",
        docker_host=_address(docker["host"], default_host) if "host" in docker else default_host,
        docker_timeout=_duration(docker, "timeout", defaults.docker_timeout),
        resync_interval=_duration(docker, "resync_interval", defaults.resync_interval),
        ignore=tuple(_pattern(node) for node in containers["ignore"].sequence())
        if "ignore" in containers
        else (),
        enabled=frozenset(name for name in COLLECTORS if _is_enabled(collectors.get(name))),
    )


def _section(sections: Mapping[str, Node], name: str, known: tuple[str, ...]) -> dict[str, Node]:
    return sections[name].mapping(known) if name in sections else {}


def _address(node: Node, fallback: str) -> str:
    address = node.text(fallback)
    if not address.startswith(_SCHEMES):
        node.fail(
            f"{address!r} is not an address of a Docker daemon; write it like {DEFAULT_HOST} or tcp://127.0.0.1:2375"
        )
    return address


def _duration(section: Mapping[str, Node], name: str, fallback: timedelta) -> timedelta:
    if name not in section:
        return fallback
    problems = len(section[name].document.problems)
    span = section[name].duration(fallback)
    if span < _SHORTEST and len(section[name].document.problems) == problems:
        section[name].fail("must be 1s or more")
    return span


def _pattern(node: Node) -> str:
    pattern = node.text()
    if not re.fullmatch(r"[\w.*?\[\]!-]+", pattern):
        node.fail(
            f"{pattern!r} cannot match a container's name; write a name or a shell pattern such as ci-*"
        )
    return pattern


def _is_enabled(node: Node | None) -> bool:
    if node is None:
        return True
    keys = node.mapping(("enabled",))
    return keys["enabled"].boolean(fallback=True) if "enabled" in keys else True
