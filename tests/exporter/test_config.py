"""exporter.yml: what it may hold, and how mistakes are told."""

from datetime import timedelta

import pytest

from exporter.config import ON, Config, VariableError, read
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


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "docker:\ncontainers:\n",
        "collectors: {cgroups: {}}\n",
        (
            "host: {name: }\ndocker: {host: , timeout: , resync_interval: }\ncontainers: {ignore: , label_allow: }\n"
            "collectors: {size: {enabled: , interval: }}\napi: {token_file: , logs: }\n"
        ),
    ],
)
def test_empty_files(tmp_path, text):
    """Everything in the file is optional, and a key without a value is as good as none."""
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
        ({"DOCKER_HOST": " "}, "unix:///var/run/docker.sock"),
        ({"DOCKER_HOST": "unix:///x"}, "unix:///x"),
        ({"DOCKER_HOST": "tcp://socket-proxy:2375"}, "tcp://socket-proxy:2375"),
        ({"DOCKER_HOST": "https://[::1]:2376"}, "https://[::1]:2376"),
    ],
)
def test_docker_host(tmp_path, environ, host):
    """DOCKER_HOST is obeyed, with a file that names no address too; an empty one is none."""
    (tmp_path / "exporter.yml").write_text("docker: {timeout: 2s}\n")
    assert read(None, environ).docker_host == host
    assert read(tmp_path / "exporter.yml", environ).docker_host == host


NO_ADDRESSES = [
    pytest.param("ssh://u@h", id="ssh"),
    pytest.param("/var/run/docker.sock", id="a path"),
    pytest.param("unix://", id="no path"),
    pytest.param("unix:///", id="the root"),
    pytest.param("unix://rel", id="a relative path"),
    pytest.param("tcp://", id="no host"),
    pytest.param("tcp://h", id="no port"),
    pytest.param("tcp://h:port", id="a port that is no number"),
    pytest.param("npipe:////./pipe/docker_engine", id="another system's"),
]


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_no_address_in_the_environment(tmp_path, address):
    """Variable, fault and remedy; what the file names wins, so the variable does not matter then."""
    with pytest.raises(VariableError) as caught:
        read(None, {"DOCKER_HOST": address})
    assert str(caught.value) == (
        f"DOCKER_HOST: {address!r} is not an address of a Docker daemon; write it like unix:///var/run/docker.sock or tcp://127.0.0.1:2375, "
        "or name another address with docker.host"
    )
    (tmp_path / "exporter.yml").write_text("docker: {host: 'tcp://h:1'}\n")
    assert read(tmp_path / "exporter.yml", {"DOCKER_HOST": address}).docker_host == "tcp://h:1"


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_no_address_in_the_file(tmp_path, address):
    """The same forms are refused there."""
    (tmp_path / "exporter.yml").write_text(f"docker: {{host: '{address}'}}\n")
    with pytest.raises(
        ConfigError, match=r":1:16: docker\.host: '.*' is not an address of a Docker daemon; write it"
    ):
        read(tmp_path / "exporter.yml", {})


def test_logs_with_a_token_of_the_environment(tmp_path):
    """Where the token comes from does not matter."""
    (tmp_path / "exporter.yml").write_text("api: {logs: true, token_file: }\n")
    config = read(tmp_path / "exporter.yml", {"VAKHTA_API_TOKEN": "hush"})
    assert (config.logs, config.token) == (True, Secret("hush"))


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
        pytest.param("collectors: {size: {interval: 0s}}\n", ["1:31: collectors.size.interval: must be 1s or more"], id="no interval"),
        pytest.param("api: {token_file: ''}\n", ["1:19: api.token_file: name a file that holds the token, or drop this key"], id="no file's name"),
        pytest.param(
            "api: {token_file: [a], logs: true}\n",
            ["1:19: api.token_file: a single value is expected here, not a list or mapping"],
            id="a list of files: one fault, told once",
        ),
        pytest.param(
            "api: {logs: true}\n",
            [
                ("1:13: api.logs: without a token nobody can read logs: add api.token_file, set VAKHTA_API_TOKEN or VAKHTA_API_TOKEN_FILE, "
                "or drop this key")
            ],
            id="logs without a token",
        ),
        pytest.param("docker: {host: [a]}\n", ["1:16: docker.host: a single value is expected here, not a list or mapping"], id="a list of addresses"),
        pytest.param(
            "containers: {label_allow: ['', null, [a], ok]}\n",
            [
                "1:28: containers.label_allow[0]: the key of a container's label is expected, such as org.label-schema.group",
                "1:32: containers.label_allow[1]: the key of a container's label is expected, such as org.label-schema.group",
                "1:38: containers.label_allow[2]: a single value is expected here, not a list or mapping",
            ],
            id="labels without a key",
        ),
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
