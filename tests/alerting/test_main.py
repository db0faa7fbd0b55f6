"""The command: flags, environment and files become a service, or a sentence and an exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from alerting.__main__ import _flags, main, prepare
from alerting.telegram.announce import Chat
from alerting.telegram.sender import API_URL
from vakhta.secrets import SecretError
from vakhta.yamlnodes import ConfigError

TOKEN = "123456:abcdefghijklmnopqrstuvwxyz0123456789"


def prepared(tmp_path, environ=None, *flags, config=None):
    """Return configuration, groups and settings."""
    given = [f"--storage.path={tmp_path / 'state'}", *flags]
    if config is not None:
        (tmp_path / "alerting.yml").write_text(config)
        given.append(f"--config.file={tmp_path / 'alerting.yml'}")
    return prepare(_flags(given), environ or {})


def test_without_anything_the_defaults_serve(tmp_path):
    """The local exporter, the shipped rules, alerts on the console, UTC."""
    config, groups, settings = prepared(tmp_path)
    assert [target.url for target in config.targets] == ["http://127.0.0.1:9817/metrics"]
    assert {rule.name for group in groups for rule in group.rules} >= {
        "ContainerDown",
        "ExporterDown",
        "Watchdog",
    }
    assert (settings.listen, settings.token, settings.chats) == ("127.0.0.1:9818", None, ())
    assert (settings.zone, settings.api_url) == (UTC, API_URL)
    assert settings.storage.is_dir()


def test_the_environment(tmp_path):
    """Token, chat, address of the API, zone."""
    environ = {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_CHAT_ID": "-100123", "TELEGRAM_API_URL": "http://x.example/", "TZ": ":Asia/Almaty"}  # fmt: skip
    _, _, settings = prepared(tmp_path, environ)
    assert (settings.token.reveal(), settings.chats) == (TOKEN, (Chat(chat_id=-100123),))
    assert (settings.api_url, settings.zone) == ("http://x.example", ZoneInfo("Asia/Almaty"))


def test_secrets_from_files(tmp_path):
    """The preferred way; the configuration's file is relative to the configuration."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "chat").write_text("777\n")
    environ = {
        "TELEGRAM_BOT_TOKEN_FILE": str(tmp_path / "token"),
        "TELEGRAM_CHAT_ID_FILE": str(tmp_path / "chat"),
    }
    _, _, settings = prepared(tmp_path, environ)
    assert (settings.token.reveal(), settings.chats) == (TOKEN, (Chat(chat_id=777),))
    config = (
        "global: {telegram_bot_token_file: token}\nreceivers: [{name: a, telegram_configs: [{chat_id: 1}]}]"
    )
    _, _, settings = prepared(tmp_path, config=config)
    assert settings.token.reveal() == TOKEN


def test_the_file_goes_before_the_environment_where_both_speak(tmp_path):
    """Zone and address; targets of the file replace the local exporter."""
    config = """
global: {timezone: Europe/Berlin, telegram_api_url: https://file.example}
scrape_configs: [{job_name: j, static_configs: [{targets: ["a:1"]}]}]
"""
    found, _, settings = prepared(
        tmp_path, {"TZ": "UTC", "TELEGRAM_API_URL": "https://env.example"}, config=config
    )
    assert (settings.zone, settings.api_url) == (ZoneInfo("Europe/Berlin"), "https://file.example")
    assert [target.instance for target in found.targets] == ["a:1"]


def test_a_zone_nobody_knows_is_utc(tmp_path, caplog):
    """TZ is often set to something odd; it is not worth an end."""
    _, _, settings = prepared(tmp_path, {"TZ": "Mars/Base"})
    assert settings.zone is UTC
    assert [record.getMessage() for record in caplog.records] == ["no such time zone, using UTC"]


def test_rule_files_of_the_configuration_replace_the_shipped_ones(tmp_path):
    """Relative to it."""
    (tmp_path / "own.yml").write_text("groups: [{name: g, rules: [{alert: A, expr: vector(1)}]}]")
    _, groups, _ = prepared(tmp_path, config="rule_files: [own.yml]")
    assert [(group.name, group.interval.total_seconds()) for group in groups] == [("g", 5)]


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        pytest.param(
            {"TELEGRAM_BOT_TOKEN": TOKEN},
            "TELEGRAM_BOT_TOKEN is set but TELEGRAM_CHAT_ID is not: set it to the chat that alerts go to "
            "(a group's id starts with -)", id="a token and nobody to tell",
        ),
        pytest.param(
            {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_CHAT_ID": "@ops"},
            "TELEGRAM_CHAT_ID is not a chat id; it is a whole number, such as -1001234567890", id="a chat's name",
        ),
        pytest.param(
            {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_CHAT_ID": "--1"},
            "TELEGRAM_CHAT_ID is not a chat id; it is a whole number, such as -1001234567890", id="two signs",
        ),
        pytest.param(
            {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_CHAT_ID": "²"},
            "TELEGRAM_CHAT_ID is not a chat id; it is a whole number, such as -1001234567890", id="a digit that is no number",
        ),
        pytest.param(
            {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_BOT_TOKEN_FILE": "/x", "TELEGRAM_CHAT_ID": "1"},
            "TELEGRAM_BOT_TOKEN and TELEGRAM_BOT_TOKEN_FILE are both set: unset one of them", id="two tokens",
        ),
    ],
)  # fmt: skip
def test_secrets_that_cannot_be_used(tmp_path, environ, message):
    """Variable, fault, remedy."""
    with pytest.raises(SecretError) as caught:
        prepared(tmp_path, environ)
    assert str(caught.value) == message


def test_an_empty_variable_is_an_absent_one(tmp_path):
    """Compose passes ${NAME:-} as an empty one."""
    _, _, settings = prepared(tmp_path, {"TELEGRAM_BOT_TOKEN": "", "TELEGRAM_CHAT_ID": "", "TZ": ""})
    assert (settings.token, settings.chats) == (None, ())


def test_rules_that_are_wrong_are_a_configuration_error(tmp_path):
    """With their place."""
    (tmp_path / "own.yml").write_text("groups: [{name: g, rules: [{alert: A, expr: 'up =='}]}]")
    with pytest.raises(ConfigError, match=r"own\.yml:1:\d+: "):
        prepared(tmp_path, config="rule_files: [own.yml]")


@pytest.mark.usefixtures("root_logger")
def test_a_wrong_file_is_told_and_exits_1(tmp_path, capsys, monkeypatch):
    """On standard error, without a traceback."""
    monkeypatch.delenv("TELEGRAM_BOT_TOKEN", raising=False)
    (tmp_path / "alerting.yml").write_text("rout: {}")
    assert main([f"--config.file={tmp_path / 'alerting.yml'}", f"--storage.path={tmp_path}"]) == 1
    assert capsys.readouterr().err == f"{tmp_path}/alerting.yml:1:1: rout: unknown key, did you mean route?\n"


@pytest.mark.usefixtures("root_logger")
def test_a_wrong_secret_is_told_and_exits_1(tmp_path, capsys, monkeypatch):
    """Named by the program; never its value."""
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", TOKEN)
    monkeypatch.delenv("TELEGRAM_CHAT_ID", raising=False)
    assert main([f"--storage.path={tmp_path}"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("vakhta-alerting: TELEGRAM_BOT_TOKEN is set but TELEGRAM_CHAT_ID is not")
    assert TOKEN not in err


@pytest.mark.parametrize("flag", ["--nonsense", "--log.level=loud", "--config"])
def test_a_wrong_flag_exits_2(flag, capsys):
    """As argparse does; nothing is abbreviated."""
    with pytest.raises(SystemExit) as caught:
        main([flag])
    assert caught.value.code == 2
    assert "usage: vakhta-alerting" in capsys.readouterr().err


def test_the_process_ends_on_sigterm(tmp_path):
    """Started as it is shipped, against an exporter that is not there; exit code 0."""
    environ = {
        key: value for key, value in os.environ.items() if not key.startswith(("TELEGRAM_", "VAKHTA_"))
    }
    command = [sys.executable, "-m", "alerting", "--web.listen-address=127.0.0.1:0", "--exporter.url=http://127.0.0.1:9",
               f"--storage.path={tmp_path}"]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "event=listening" in line:
                process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    assert any("event=ended" in line for line in lines)
    assert (tmp_path / "alerting.db").exists()


def test_a_storage_that_cannot_be_used_exits_2(tmp_path):
    """The other program's file is named."""
    (tmp_path / "alerting.db").write_bytes(b"no database" * 1000)
    environ = {
        key: value for key, value in os.environ.items() if not key.startswith(("TELEGRAM_", "VAKHTA_"))
    }
    command = [
        sys.executable,
        "-m",
        "alerting",
        "--web.listen-address=127.0.0.1:0",
        f"--storage.path={tmp_path}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=20, check=False)
    assert done.returncode == 2
    assert f"vakhta-alerting: {tmp_path}/alerting.db: " in done.stderr
    assert "Traceback" not in done.stderr
