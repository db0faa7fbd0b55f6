"""exporter.yml: what it may hold, and how mistakes are told."""

from datetime import timedelta

import pytest

from exporter.config import ON, Config, read
from vakhta.secrets import Secret
from vakhta.yamlnodes import ConfigError

EVERYTHING = """\
host: {name: web-7}
docker:
  host: tcp://127.0.0.1:2375
  timeout: 3s
  resync_interval: 2m
containers:
  ignore: [ci-*, scratch]
  label_allow: [org.label-schema.group]
collectors:
  cgroups: {enabled: false}
  processes: {enabled: true}
  size: {interval: 10m}
api:
  token_file: api-token
  logs: true
"""


def test_defaults():
    """Without a file, and with an empty one, everything has its default."""
    assert read(None, {}) == Config()


@pytest.mark.parametrize("text", ["", "# nothing\n", "docker:\ncontainers:\n", "collectors: {cgroups: {}}\n"])
def test_empty_files(tmp_path, text):
    """Everything in the file is optional."""
    (tmp_path / "exporter.yml").write_text(text)
    assert read(tmp_path / "exporter.yml", {}) == Config()


def test_everything(tmp_path):
    """Every key there is."""
    (tmp_path / "exporter.yml").write_text(EVERYTHING)
    (tmp_path / "api-token").write_text("hush\n")
    config = read(tmp_path / "exporter.yml", {"DOCKER_HOST": "unix:///elsewhere"})
    assert config == Config(
        host_name="web-7",
        docker_host="tcp://127.0.0.1:2375",
        docker_timeout=timedelta(seconds=3),
        resync_interval=timedelta(minutes=2),
        ignore=("ci-*", "scratch"),
        label_allow=("org.label-schema.group",),
        enabled=ON - {"cgroups"} | {"processes"},
        intervals={"size": timedelta(minutes=10)},
        token=Secret("hush"),
        logs=True,
    )
    assert [name for name in ("ci-17", "scratch", "scratch-2", "web") if config.ignores(name)] == [
        "ci-17",
        "scratch",
    ]


@pytest.mark.parametrize(
    ("environ", "host"),
    [
        ({}, "unix:///var/run/docker.sock"),
        ({"DOCKER_HOST": ""}, "unix:///var/run/docker.sock"),
        ({"DOCKER_HOST": "unix:///x"}, "unix:///x"),
    ],
)
def test_docker_host(environ, host):
    """DOCKER_HOST is obeyed; an empty one is none."""
    assert read(None, environ).docker_host == host


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        pytest.param("dokcer: {}\n", ["1:1: dokcer: unknown key, did you mean docker?"], id="unknown section"),
        pytest.param("docker:\n  tiemout: 5s\n", ["2:3: docker.tiemout: unknown key, did you mean timeout?"], id="unknown key"),
        pytest.param("docker: {timeout: 5}\n", ["1:19: docker.timeout: not a duration: '5'; write it like 30s, 5m or 1h30m"], id="no unit"),
        pytest.param("docker: {timeout: 10ms}\n", ["1:19: docker.timeout: must be 1s or more"], id="too short"),
        pytest.param(
            "docker: {host: /var/run/docker.sock}\n",
            ["1:16: docker.host: '/var/run/docker.sock' is not an address of a Docker daemon; write it like unix:///var/run/docker.sock or tcp://127.0.0.1:2375"],
            id="a path is no address",
        ),
        pytest.param(
            'containers: {ignore: [ok, "a b"]}\n',
            ["1:27: containers.ignore[1]: 'a b' cannot match a container's name; write a name or a shell pattern such as ci-*"],
            id="a pattern that cannot match",
        ),
        pytest.param("collectors: {cgroups: {enabled: yes}}\n", ["1:33: collectors.cgroups.enabled: true or false is expected, not 'yes'"], id="yes is not true"),
        pytest.param("collectors: {cgroup: {}}\n", ["1:14: collectors.cgroup: unknown key, did you mean cgroups?"], id="unknown collector"),
        pytest.param(
            "docker: {timeout: x}\nhost: [1]\n",
            ["1:19: docker.timeout: not a duration: 'x'; write it like 30s, 5m or 1h30m", "2:7: host: a mapping (key: value lines) is expected here"],
            id="all mistakes at once",
        ),
    ],
)  # fmt: skip
def test_mistakes(tmp_path, text, messages):
    """Each mistake is told with file, line, column, key, fault and remedy."""
    path = tmp_path / "exporter.yml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read(path, {})
    assert sorted(str(caught.value).splitlines()) == sorted(f"{path}:{message}" for message in messages)


def test_a_named_file_that_is_missing(tmp_path):
    """A file that was asked for must be there."""
    with pytest.raises(ConfigError, match="no such file; check the path"):
        read(tmp_path / "none.yml", {})
