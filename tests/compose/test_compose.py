"""The Compose stack as the real Compose reads it: it is complete, hardened, and opens no more than it should."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from exporter.slow.facts import SIZE_SECONDS, VOLUMES_SECONDS

ROOT: Final = Path(__file__).resolve().parents[2]
COMPOSE: Final = ROOT / "compose"
BY_PROFILE: Final = {
    None: {"alerting", "exporter", "socket-proxy", "traefik"},
    "metrics": {"grafana", "prometheus"},
    "logs": {"dozzle"},
}
SERVICES: Final = sorted(set().union(*BY_PROFILE.values()))
OURS: Final = {"alerting", "exporter"}


def compose(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the real Compose; it needs no daemon to read its files."""
    program = Path(sys.prefix) / "bin/docker-compose"
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    return subprocess.run(
        [program, *args], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of compose/ with .env as the README says: the example, copied."""
    copied = tmp_path_factory.mktemp("checkout") / "compose"
    shutil.copytree(COMPOSE, copied, ignore=shutil.ignore_patterns(".env", "secrets"))
    shutil.copy(copied / ".env.example", copied / ".env")
    return copied


@pytest.fixture(scope="module")
def project(folder: Path) -> dict[str, Any]:
    """The whole project, all profiles, everything filled in."""
    said = compose(folder, "--profile", "*", "config", "--format", "json")
    assert said.returncode == 0, said.stderr
    loaded: dict[str, Any] = json.loads(said.stdout)
    return loaded


def read(folder: Path, *variables: str) -> dict[str, Any]:
    """Read the project with lines added to the example's .env."""
    given = folder / "given.env"
    given.write_text("\n".join(((folder / ".env.example").read_text(), *variables, "")))
    said = compose(folder, "--env-file", str(given), "--profile", "*", "config", "--format", "json")
    assert (said.returncode, said.stderr) == (0, "")
    loaded: dict[str, Any] = json.loads(said.stdout)
    return loaded


class TestConfiguration:
    """.env and profiles."""

    def test_the_example_is_complete(self, folder: Path) -> None:
        """Copied as it is, Compose has nothing to say."""
        said = compose(folder, "--profile", "*", "config", "-q")
        assert (said.returncode, said.stdout, said.stderr) == (0, "", "")

    def test_without_env_the_remedy_is_named(self, tmp_path: Path) -> None:
        """Somebody who skipped the copy is told to make it."""
        shutil.copy(COMPOSE / "compose.yml", tmp_path)
        said = compose(tmp_path, "config", "-q")
        assert said.returncode != 0
        assert "copy .env.example to .env" in said.stderr

    def test_every_variable_is_in_the_example_and_used(self) -> None:
        """Nobody sets one in vain, and none has to be found in compose.yml."""
        used = set(re.findall(r"\$\{([A-Z_]+)", (COMPOSE / "compose.yml").read_text()))
        offered = set(re.findall(r"^([A-Z_]+)=", (COMPOSE / ".env.example").read_text(), re.MULTILINE))
        assert used == offered

    @pytest.mark.parametrize("profile", BY_PROFILE, ids=lambda profile: profile or "by default")
    def test_profiles(self, project: dict[str, Any], profile: str | None) -> None:
        """What starts without a profile suffices to be told; the rest is asked for by name."""
        found = {
            name
            for name, service in project["services"].items()
            if service.get("profiles", [None]) == [profile]
        }
        assert found == BY_PROFILE[profile]

    @pytest.mark.parametrize("name", sorted(set(SERVICES) - OURS))
    def test_foreign_images_are_pinned(self, project: dict[str, Any], name: str) -> None:
        """To a full version, so that the same .env starts the same programs."""
        assert re.search(r":v?\d+\.\d+\.\d+(-\w+)?$", project["services"][name]["image"])

    def test_files_that_are_mounted_exist(self, project: dict[str, Any], folder: Path) -> None:
        """Docker would make an empty folder of a path that is not there."""
        for service in project["services"].values():
            for volume in service["volumes"]:
                source = Path(volume["source"])
                if volume["type"] == "bind" and source.is_relative_to(folder.parent):
                    assert (ROOT / source.relative_to(folder.parent)).exists(), source


class TestToken:
    """The bot's token reaches one container, and only as a file."""

    def test_none(self, project: dict[str, Any]) -> None:
        """Without one, alerting is told of no file, and prints."""
        environment = project["services"]["alerting"]["environment"]
        assert (environment["TELEGRAM_BOT_TOKEN_FILE"], environment["TELEGRAM_CHAT_ID"]) == ("", "")

    def test_one(self, folder: Path) -> None:
        """The file on the host becomes a secret of alerting's, and of nobody else's."""
        project = read(folder, "TELEGRAM_BOT_TOKEN_FILE=./secrets/token", "TELEGRAM_CHAT_ID=-100")
        environment = project["services"]["alerting"]["environment"]
        assert environment["TELEGRAM_BOT_TOKEN_FILE"] == "/run/secrets/telegram_bot_token"
        assert project["secrets"]["telegram_bot_token"]["file"] == str(folder / "secrets/token")
        assert {name for name, service in project["services"].items() if service.get("secrets")} == {
            "alerting"
        }


@pytest.mark.parametrize("name", SERVICES)
class TestEveryService:
    """Hardening, the same for all."""

    def test_it_cannot_change_its_image_or_gain_anything(self, project: dict[str, Any], name: str) -> None:
        """Read-only root, no capabilities, no new privileges, no namespace of the host's but the exporter's cgroups."""
        service = project["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not {"cap_add", "privileged", "network_mode", "pid", "ipc", "devices"} & service.keys()
        assert service.get("cgroup", "") == ("host" if name == "exporter" else "")

    def test_it_cannot_use_up_the_host(self, project: dict[str, Any], name: str) -> None:
        """Memory, processes and logs are limited."""
        service = project["services"][name]
        assert 0 < int(service["mem_limit"]) <= 512 << 20
        assert service["pids_limit"] == 256
        assert service["logging"] == {
            "driver": "json-file",
            "options": {"max-size": "10m", "max-file": "3"},
        }

    def test_it_comes_back_and_is_checked(self, project: dict[str, Any], name: str) -> None:
        """Restarted unless stopped; with a health check of its own or of our image."""
        service = project["services"][name]
        assert service["restart"] == "unless-stopped"
        if name in OURS:
            assert "\nHEALTHCHECK " in (ROOT / "Dockerfile").read_text()
        else:
            assert service["healthcheck"]["test"][0] == "CMD"

    def test_only_traefik_is_open_to_others(self, project: dict[str, Any], name: str) -> None:
        """Every other published port is this host's own."""
        for port in project["services"][name].get("ports", ()):
            assert port.get("host_ip") == (None if name == "traefik" else "127.0.0.1")

    def test_who_has_the_socket(self, project: dict[str, Any], name: str) -> None:
        """The proxy, and nobody else."""
        targets = [volume["target"] for volume in project["services"][name]["volumes"]]
        assert ("/var/run/docker.sock" in targets) == (name == "socket-proxy")

    def test_mounts_of_the_host_are_read_only(self, project: dict[str, Any], name: str) -> None:
        """Only the socket must be written to, to be asked anything."""
        for volume in project["services"][name]["volumes"]:
            writable = volume["type"] == "bind" and not volume.get("read_only")
            assert writable == (volume["target"] == "/var/run/docker.sock")


class TestNetworks:
    """Who meets whom."""

    def members(self, project: dict[str, Any], network: str) -> set[str]:
        """The services on a network."""
        return {name for name, service in project["services"].items() if network in service["networks"]}

    @pytest.mark.parametrize("client", ["exporter", "traefik", "dozzle"])
    def test_a_client_of_the_proxy_meets_only_the_proxy(self, project: dict[str, Any], client: str) -> None:
        """On a network of their own, without a way out, under the name that its list is bound to."""
        network = f"docker-{client}"
        assert self.members(project, network) == {client, "socket-proxy"}
        assert project["networks"][network]["internal"] is True
        alias = project["services"]["socket-proxy"]["networks"][network]["aliases"]
        assert alias == [f"{client}.socket-proxy"]
        lists = (COMPOSE / "socket-proxy/haproxy.cfg").read_text()
        assert f"frontend {client}\n    bind {alias[0]}:2375\n" in lists

    def test_what_sees_the_host_has_no_way_out(self, project: dict[str, Any]) -> None:
        """Exporter and socket proxy are on internal networks only."""
        for name in ("exporter", "socket-proxy"):
            networks = project["services"][name]["networks"]
            assert all(project["networks"][network].get("internal") for network in networks), name

    def test_sites_meet_traefik_alone(self, project: dict[str, Any]) -> None:
        """The network that sites join has none of ours but Traefik."""
        assert self.members(project, "edge") == {"traefik"}
        assert project["networks"]["edge"]["name"] == "edge"
        assert "--providers.docker.network=edge" in project["services"]["traefik"]["command"]

    def test_prometheus_reaches_its_targets(self, project: dict[str, Any]) -> None:
        """Each target is a service that shares a network with it; all three jobs are there, and the rules."""
        config = yaml.safe_load((COMPOSE / "prometheus/prometheus.yml").read_text())
        own = set(project["services"]["prometheus"]["networks"])
        jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
        assert jobs == {
            "vakhta-exporter": ["exporter:9817"],
            "vakhta-alerting": ["alerting:9818"],
            "traefik": ["traefik:8082"],
        }
        for (target,) in jobs.values():
            service, _, port = target.partition(":")
            assert own & set(project["services"][service]["networks"])
            assert any(f"address=:{port}" in word for word in project["services"][service]["command"])
        assert config["rule_files"] == ["rules/*.yml"]


class TestPatience:
    """How long the proxy waits for the daemon."""

    def waits(self, backend: str) -> float:
        """Return the seconds of a backend, or those that hold where it says nothing."""
        text = (COMPOSE / "socket-proxy/haproxy.cfg").read_text()
        parts = dict(re.findall(r"^(defaults|backend \w+)\n((?:[ #].*\n|\n)*)", text, re.MULTILINE))
        said = [
            re.search(r"timeout server (\d+)([smd])", parts[name])
            for name in (f"backend {backend}", "defaults")
        ]
        number, unit = next(found for found in said if found).groups()
        return float(number) * {"s": 1, "m": 60, "d": 86_400}[unit]

    def test_measurements_are_not_cut_short(self) -> None:
        """The exporter, not the proxy, gives up on a daemon that reads every file of a layer or a volume; other answers are quick."""
        assert self.waits("measurements") > max(SIZE_SECONDS, VOLUMES_SECONDS) > self.waits("docker")

    def test_what_is_measured_is_asked_there(self) -> None:
        """Only the exporter's questions of that kind; a list that is not the exporter's has none."""
        text = (COMPOSE / "socket-proxy/haproxy.cfg").read_text()
        exporter, _, others = text.partition("\nfrontend traefik\n")
        rule = "use_backend measurements if { path_end /system/df } || { path_end /json } { url_param(size) -m found }"
        assert f"\n    {rule}\n" in exporter
        assert "use_backend measurements" not in others


def test_grafana_finds_what_is_provisioned(project: dict[str, Any]) -> None:
    """The data source leads to Prometheus and has the uid of the dashboards' default; the dashboards lie where the provider looks."""
    provisioning = ROOT / "grafana_dashboards/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/vakhta.yml").read_text())["providers"]
    mounts = {volume["target"]: volume["source"] for volume in project["services"]["grafana"]["volumes"]}
    assert source["url"] == "http://prometheus:9090"
    assert mounts[provider["options"]["path"]].endswith("/grafana_dashboards")
    assert mounts["/etc/grafana/provisioning"].endswith("/grafana_dashboards/provisioning")


def test_the_image_needs_no_buildkit() -> None:
    """The classic builder, which old engines have, builds it."""
    text = (ROOT / "Dockerfile").read_text()
    assert not re.search(r"^# *syntax=|--mount=|<<|COPY --(chmod|link)", text, re.MULTILINE)
