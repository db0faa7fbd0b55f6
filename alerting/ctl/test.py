"""``alertctl test``: does a message reach the phone? Through the running service, or directly when there is none."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from alerting.__main__ import DEFAULT_EXPORTER, DEFAULT_LISTEN, prepare
from alerting.console import ConsoleSender
from alerting.ctl import direct, remote
from alerting.ctl.output import CannotRunError, Output
from alerting.service import telegram_receivers
from alerting.telegram.announce import Chat
from alerting.telegram.draft import Kind
from alerting.telegram.sample import (
    SEVERITIES,
    Order,
    OrderError,
    destinations,
    firing,
    is_silent,
    resolved,
    sample,
)
from alerting.telegram.sender import Operation
from alerting.telegram.shot import Pace, Report, Stage
from alerting.telegram.trial import NoBotError
from vakhta.secrets import SecretError
from vakhta.yamlnodes import ConfigError

SUMMARY: Final = "send a sample alert and its end to the real chats, and say what arrived"
DETAILS: Final = (
    "The running vakhta-alerting sends it, through its own queue and limits; when none runs, alertctl sends it with the same "
    "configuration and environment. Silences do not hold it back. Exit code: 0 Telegram confirmed every message, 1 it did "
    "not, 2 the test could not run."
)
_EXAMPLE_CHAT: Final = -1001234567890


@dataclass(frozen=True, slots=True, kw_only=True)
class Tempo:
    """How long the test and the service may take."""

    pace: Pace = field(default_factory=Pace)
    patience: remote.Patience = field(default_factory=remote.Patience)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("--rule", default="", metavar="NAME", help="borrow the texts of this alerting rule")
    parser.add_argument(
        "--severity", default="", metavar="|".join(SEVERITIES), help="instead of the rule's own"
    )
    parser.add_argument(
        "--receiver", default="", metavar="NAME", help="tell only this receiver (default: all)"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the messages, send nothing")
    parser.add_argument(
        "--alerting.url",
        dest="url",
        default=f"http://{DEFAULT_LISTEN}",
        metavar="URL",
        help="the running service (%(default)s)",
    )
    parser.add_argument(
        "--config.file",
        dest="config_file",
        default="",
        metavar="FILE",
        help="alerting.yml, when no service runs and for --dry-run",
    )
    parser.add_argument(
        "--storage.path",
        dest="storage_path",
        default="",
        metavar="DIR",
        help="the service's state folder, when none runs",
    )


async def run(flags: argparse.Namespace, environ: Mapping[str, str], output: Output, tempo: Tempo) -> int:
    """Run the command; return its exit code.

    Raises:
        CannotRunError: The test could not run.
    """
    order = Order(rule=flags.rule, severity=flags.severity, receiver=flags.receiver)
    if flags.dry_run:
        await _show(_prepare(flags, environ, output), order, output)
        return 0
    try:
        ok = await remote.fire(flags.url, order, lambda report: tell(report, output), tempo.patience)
    except remote.NotRunningError:
        output.note(f"No vakhta-alerting runs at {flags.url}: the test is sent directly.")
        prepared = _prepare(flags, environ, output)
        try:
            ok = await direct.fire(prepared, order, lambda report: tell(report, output), tempo.pace)
        except (OrderError, NoBotError) as exc:
            raise CannotRunError(str(exc)) from exc
    return 0 if ok else 1


def tell(report: Report, output: Output) -> None:
    """Write the line of one message."""
    topic = f", topic {report.thread_id}" if report.thread_id is not None else ""
    place = f"{report.receiver}: chat {report.chat_id}{topic}"
    done = "delivered" if report.stage is Stage.FIRING else "resolved"
    number = f" as message {report.message_id}" if report.message_id is not None else ""
    took = f" in {report.seconds:.2f} s" if report.seconds is not None else ""
    if report.ok:
        output.good(f"{place}: {done}{number}{took}")
    elif report.message_id is not None:
        output.bad(f"{place}: {done}{number}{took}, but {report.error}")
    else:
        output.bad(f"{place}: not {done}: {report.error}")


def _prepare(flags: argparse.Namespace, environ: Mapping[str, str], output: Output) -> direct.Prepared:
    """Read what the service would read.

    Raises:
        CannotRunError: It would refuse to start.
    """
    given = argparse.Namespace(
        config_file=flags.config_file,
        storage_path=flags.storage_path,
        exporter_url=DEFAULT_EXPORTER,
        web_listen_address=DEFAULT_LISTEN,
        web_external_url="",
    )
    try:
        config, groups, settings = prepare(given, environ)
    except ConfigError as exc:  # several lines, each of which starts with its place
        raise CannotRunError(f"the configuration cannot be used:\n{exc}") from exc
    except SecretError as exc:
        raise CannotRunError(str(exc)) from exc
    output.hide(settings.token)
    return direct.Prepared(config=config, groups=groups, settings=settings)


async def _show(prepared: direct.Prepared, order: Order, output: Output) -> None:
    """Print both messages of each chat as a person would see them."""
    now = datetime.now(UTC)
    receivers = telegram_receivers(prepared.config, prepared.settings)
    if not any(receivers.values()):
        output.note("No chat is configured yet: shown for an example chat.")
        receivers = dict.fromkeys(receivers, (Chat(chat_id=_EXAMPLE_CHAT),))
    try:
        alert = sample(prepared.groups, order, now)
        places = destinations(receivers, order, prepared.settings.zone)
    except OrderError as exc:
        raise CannotRunError(str(exc)) from exc
    for where in places:
        output.say(str(where))
        screen = ConsoleSender()
        first, last = firing(alert, where), resolved(alert, where, now + Pace().settle, None)
        silent = is_silent(alert, where)
        await screen.send(Operation(kind=Kind.SEND, chat_id=where.chat_id, text=first.html, silent=silent))
        await screen.send(Operation(kind=Kind.EDIT, chat_id=where.chat_id, text=last.html, message_id=1))
