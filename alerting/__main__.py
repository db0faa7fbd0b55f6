"""The command vakhta-alerting."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, tzinfo
from importlib.metadata import version
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from alerting.config import Config, exporter_target, read
from alerting.rules.load import expand, load_files
from alerting.rules.model import RuleGroup
from alerting.service import Alerting, Settings
from alerting.state import StateError
from alerting.telegram.announce import Chat
from alerting.telegram.sender import API_URL
from vakhta import logs, paths
from vakhta.secrets import Secret, SecretError, from_env
from vakhta.service import ExitCode, run
from vakhta.web import ListenError
from vakhta.yamlnodes import ConfigError, Problem

DEFAULT_LISTEN: Final = "127.0.0.1:9818"
DEFAULT_EXPORTER: Final = "http://127.0.0.1:9817"
_log = logs.get("alerting")


def main(argv: Sequence[str] | None = None) -> int:
    """Run vakhta-alerting; return its exit code."""
    flags = _flags(argv)
    logs.configure(level=flags.log_level, format=flags.log_format)
    try:
        config, groups, settings = prepare(flags, os.environ)
    except ConfigError as exc:
        print(exc, file=sys.stderr)  # noqa: T201 - a person reads this
        return ExitCode.CONFIGURATION
    except SecretError as exc:
        print(f"vakhta-alerting: {exc}", file=sys.stderr)  # noqa: T201 - same
        return ExitCode.CONFIGURATION

    async def serve(stop: asyncio.Event) -> int:
        service = Alerting(config, groups, settings)
        try:
            await service.start()
        except (StateError, ListenError) as exc:
            print(f"vakhta-alerting: {exc}", file=sys.stderr)  # noqa: T201 - same
            return ExitCode.CANNOT_START
        _log.info("listening", url=service.url, rules=sum(len(g.rules) for g in groups))
        ends = [asyncio.create_task(event.wait()) for event in (stop, service.failed)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in ends:
            task.cancel()
        await service.stop()
        _log.info("ended")
        return ExitCode.CANNOT_START if service.failed.is_set() else ExitCode.OK

    return run(serve)


def prepare(
    flags: argparse.Namespace, environ: Mapping[str, str]
) -> tuple[Config, tuple[RuleGroup, ...], Settings]:
    """Read configuration, rules, secrets and storage.

    Raises:
        ConfigError: A file has problems.
        SecretError: A secret is given in a way that cannot be used.
    """
    config = read(Path(flags.config_file)) if flags.config_file else Config()
    if not config.targets:
        config = replace(config, targets=(exporter_target(flags.exporter_url),))
    patterns, folder = (
        (config.rule_files, config.folder) if config.rule_files else (("*.yml",), paths.shipped("rules"))
    )
    groups = load_files(expand(patterns, folder), interval=config.evaluation_interval)
    if not any(group.rules for group in groups):
        text = f"no rules found in {', '.join(patterns)}; nobody would ever be told of anything"
        raise ConfigError(
            [Problem(file=flags.config_file or str(folder), line=1, column=1, key="rule_files", text=text)]
        )
    storage = Path(flags.storage_path) if flags.storage_path else paths.default_storage(environ)
    token = from_env("TELEGRAM_BOT_TOKEN", environ) or _config_token(config)
    settings = Settings(
        listen=flags.web_listen_address,
        storage=paths.ensure(storage),
        zone=_zone(config.timezone or environ.get("TZ", "")),
        token=token,
        chats=_chats(environ, token is not None and not config.receivers),
        api_url=config.telegram_api_url or environ.get("TELEGRAM_API_URL", "").rstrip("/") or API_URL,
        external_url=flags.web_external_url or f"http://{flags.web_listen_address}",
    )
    if token is None and (environ.get("TELEGRAM_CHAT_ID") or any(config.receivers.values())):
        _log.warning(
            "no bot token: alerts are printed here, not sent",
            remedy="set TELEGRAM_BOT_TOKEN or TELEGRAM_BOT_TOKEN_FILE",
        )
    return config, groups, settings


def _config_token(config: Config) -> Secret | None:
    if not config.telegram_token_file:
        return config.telegram_token
    variable = "global.telegram_bot_token_file"
    return from_env(variable, {f"{variable}_FILE": str(config.folder / config.telegram_token_file)})


def _chats(environ: Mapping[str, str], needed: bool) -> tuple[Chat, ...]:  # noqa: FBT001 - one caller, named there
    given = from_env("TELEGRAM_CHAT_ID", environ)
    text = given.reveal() if given is not None else ""
    if not text:
        if needed:
            raise SecretError(
                "TELEGRAM_BOT_TOKEN is set but TELEGRAM_CHAT_ID is not: set it to the chat that alerts go to "
                "(a group's id starts with -)"
            )
        return ()
    try:
        return (Chat(chat_id=int(text)),)
    except ValueError:
        raise SecretError(
            "TELEGRAM_CHAT_ID is not a chat id; it is a whole number, such as -1001234567890"
        ) from None


def _zone(name: str) -> tzinfo:
    if not name:
        return UTC
    try:
        return ZoneInfo(name.removeprefix(":"))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        _log.warning("no such time zone, using UTC", zone=name)
        return UTC


def _flags(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="vakhta-alerting",
        description="Evaluate Prometheus rules over the exporter's metrics and tell the on-call person on Telegram.",
        allow_abbrev=False,
    )
    flag = parser.add_argument
    flag(
        "--config.file",
        dest="config_file",
        default="",
        metavar="FILE",
        help="alerting.yml; without it defaults serve",
    )
    flag(
        "--exporter.url",
        dest="exporter_url",
        default=DEFAULT_EXPORTER,
        metavar="URL",
        help="exporter to scrape when no file names targets (default: %(default)s)",
    )
    flag(
        "--web.listen-address",
        dest="web_listen_address",
        default=DEFAULT_LISTEN,
        metavar="HOST:PORT",
        help="where to listen; :9818 means every interface (default: %(default)s)",
    )
    flag(
        "--web.external-url",
        dest="web_external_url",
        default="",
        metavar="URL",
        help="where people reach this service",
    )
    flag(
        "--storage.path",
        dest="storage_path",
        default="",
        metavar="DIR",
        help="where the state is kept (default: $XDG_STATE_HOME/vakhta or ~/.local/state/vakhta)",
    )
    flag(
        "--log.level",
        dest="log_level",
        default="info",
        choices=logs.LEVELS,
        help="lowest level logged (default: info)",
    )
    flag(
        "--log.format",
        dest="log_format",
        default="logfmt",
        choices=logs.FORMATS,
        help="form of log lines (default: logfmt)",
    )
    flag("--version", action="version", version=f"%(prog)s {version('vakhta')}")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
