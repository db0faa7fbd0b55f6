"""exporter.yml: what can be set, what it is without being set, and every mistake told at once."""

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from exporter.docker.engine import DEFAULT_HOST, check_address
from vakhta.secrets import Secret, SecretError, from_env
from vakhta.yamlnodes import Document, Node, load

__all__ = ["COLLECTORS", "OFF", "ON", "SCHEDULED", "Config", "VariableError", "read"]

ON: Final = frozenset({"docker", "cgroups", "network", "node", "machine", "size", "logs", "images", "stats"})
"""The collectors that run unless somebody says otherwise."""
OFF: Final = frozenset({"processes", "volumes"})
"""Those that cost more than most want to pay: a look at every process, a walk over every volume."""
COLLECTORS: Final = tuple(sorted(ON | OFF))
SCHEDULED: Final = frozenset({"size", "logs", "images", "volumes"})
"""Those with an interval of their own; the others run at every scrape."""
_SHORTEST: Final = timedelta(seconds=1)


class VariableError(ValueError):
    """A variable of the environment cannot be used; the text names it, the fault and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The effective configuration.

    Attributes:
        host_name: What this host is called; empty: as its Docker daemon says.
        docker_host: The daemon's address.
        docker_timeout: How long any of its answers may take.
        resync_interval: How often the whole list of containers is compared.
        ignore: Containers whose name matches one of these shell patterns (`ci-*`) are not exported.
        label_allow: Keys of container labels that cAdvisor's series have beside Compose's and Swarm's.
        enabled: The collectors that run.
        intervals: Of scheduled collectors, where the file names one.
        token: Who sends it may read details of containers; None: nobody.
        logs: Whether logs may be read with it too.
    """

    host_name: str = ""
    docker_host: str = DEFAULT_HOST
    docker_timeout: timedelta = timedelta(seconds=5)
    resync_interval: timedelta = timedelta(seconds=60)
    ignore: tuple[str, ...] = ()
    label_allow: tuple[str, ...] = ()
    enabled: frozenset[str] = ON
    intervals: Mapping[str, timedelta] = field(default_factory=dict)
    token: Secret | None = None
    logs: bool = False

    def ignores(self, name: str) -> bool:
        """Whether a container of this name is not to be exported."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.ignore)


def read(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the configuration file; without one the defaults hold.

    Args:
        path: The file; None: there is none.
        environ: DOCKER_HOST is the daemon's address where the file names none; VAKHTA_API_TOKEN, or its _FILE twin, the token.

    Raises:
        ConfigError: With everything that is wrong in the file, by line and column.
        SecretError: The token is given twice, or cannot be read.
        VariableError: DOCKER_HOST counts and is no address.
    """
    token = from_env("VAKHTA_API_TOKEN", environ)
    config = Config(docker_host="", token=token)
    if path is not None:
        document = load(path)
        config = _config(document, token)
        document.finish()
    return config if config.docker_host else replace(config, docker_host=_host_of(environ))


def _host_of(environ: Mapping[str, str]) -> str:
    """Return the daemon's address where the file names none."""
    address = environ.get("DOCKER_HOST", "").strip() or DEFAULT_HOST
    try:
        check_address(address)
    except ValueError as exc:
        raise VariableError(f"DOCKER_HOST: {exc}, or name another address with docker.host") from None
    return address


def _config(document: Document, token: Secret | None) -> Config:
    known = ("host", "docker", "containers", "collectors", "api")
    sections = document.root.mapping(known) if document.root else {}
    host = _section(sections, "host", ("name",))
    docker = _section(sections, "docker", ("host", "timeout", "resync_interval"))
    containers = _section(sections, "containers", ("ignore", "label_allow"))
    collectors = {
        name: node.mapping(("enabled", "interval") if name in SCHEDULED else ("enabled",))
        for name, node in _section(sections, "collectors", COLLECTORS).items()
    }
    api = _section(sections, "api", ("token_file", "logs"))
    has_token_file = "token_file" in api and not api["token_file"].is_null
    defaults = Config()
    return Config(
        host_name=host["name"].text() if "name" in host else "",
        docker_host=_address(docker["host"]) if "host" in docker else "",
        docker_timeout=_duration(docker, "timeout", defaults.docker_timeout),
        resync_interval=_duration(docker, "resync_interval", defaults.resync_interval),
        ignore=tuple(_pattern(node) for node in containers["ignore"].sequence())
        if "ignore" in containers
        else (),
        label_allow=tuple(_label(node) for node in containers["label_allow"].sequence())
        if "label_allow" in containers
        else (),
        enabled=frozenset(name for name in COLLECTORS if _is_enabled(name, collectors.get(name, {}))),
        intervals={
            name: _duration(keys, "interval", timedelta(0))
            for name, keys in collectors.items()
            if "interval" in keys and not keys["interval"].is_null
        },
        token=_token(api["token_file"], token) if has_token_file else token,
        logs=_logs(api["logs"], has_token=has_token_file or token is not None) if "logs" in api else False,
    )


def _section(sections: Mapping[str, Node], name: str, known: tuple[str, ...]) -> dict[str, Node]:
    return sections[name].mapping(known) if name in sections else {}


def _address(node: Node) -> str:
    """Read the daemon's address; empty when there is none."""
    address = node.text()
    if node.is_scalar and not node.is_null:
        try:
            check_address(address)
        except ValueError as exc:
            node.fail(str(exc))
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


def _label(node: Node) -> str:
    key = node.text().strip()
    if not key and node.is_scalar:
        node.fail("the key of a container's label is expected, such as org.label-schema.group")
    return key


def _is_enabled(name: str, keys: Mapping[str, Node]) -> bool:
    default = name in ON
    return keys["enabled"].boolean(fallback=default) if "enabled" in keys else default


def _token(node: Node, given: Secret | None) -> Secret | None:
    """Read the token from the file that a key names, relative to the configuration file."""
    if given is not None:
        node.fail(
            "the environment names a token too: unset VAKHTA_API_TOKEN and VAKHTA_API_TOKEN_FILE, or drop this key"
        )
        return given
    name = node.text().strip()
    if not name:
        if node.is_scalar:
            node.fail("name a file that holds the token, or drop this key")
        return None
    path = Path(node.document.file).parent / name
    try:
        return from_env("VAKHTA_API_TOKEN", {"VAKHTA_API_TOKEN_FILE": str(path)})
    except SecretError as exc:
        node.fail(str(exc).removeprefix("VAKHTA_API_TOKEN_FILE: "))
        return None


def _logs(node: Node, *, has_token: bool) -> bool:
    wanted = node.boolean(fallback=False)
    if wanted and not has_token:
        node.fail(
            "without a token nobody can read logs: add api.token_file, set VAKHTA_API_TOKEN or VAKHTA_API_TOKEN_FILE, or drop this key"
        )
    return wanted
