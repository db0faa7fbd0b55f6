"""Logging as both processes do it: one line per record, an event and its facts, never a bot token.

The event is a constant sentence, values travel beside it as facts, so that a log can be searched by either. Records of foreign
libraries go through the same formatter; their message is the event.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

__all__ = ["FORMATS", "LEVELS", "Format", "Level", "Log", "configure", "get", "mask"]

Format = Literal["logfmt", "json"]
Level = Literal["debug", "info", "warning", "error"]

FORMATS: Final[tuple[Format, ...]] = ("logfmt", "json")
LEVELS: Final[tuple[Level, ...]] = ("debug", "info", "warning", "error")

# A bot token: the bot's numeric id, a colon, the secret. It is part of every Bot API URL, so it turns up in foreign messages,
# exceptions and tracebacks.
_TOKEN: Final = re.compile(r"(\d{6,}):[A-Za-z0-9_-]{30,}")

# These report each request, with its URL, at INFO or DEBUG.
_HELD_AT_WARNING: Final = ("httpx", "httpcore", "urllib3", "docker", "asyncio")

_NEEDS_QUOTES: Final = re.compile(r'[\s="\\\x00-\x1f\x7f]')
_RESERVED: Final = frozenset({"ts", "level", "logger", "event"})


def mask(text: str) -> str:
    """Return the text with the secret half of every bot token replaced by `<secret>`."""
    return _TOKEN.sub(r"\1:<secret>", text)


class Log:
    """A logger whose facts are keyword arguments: `log.info("container died", name=name, code=137)`."""

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, event: str, /, **facts: object) -> None:
        """Log what only someone searching for a fault wants to read."""
        self._write(logging.DEBUG, event, facts)

    def info(self, event: str, /, **facts: object) -> None:
        """Log a change of state."""
        self._write(logging.INFO, event, facts)

    def warning(self, event: str, /, **facts: object) -> None:
        """Log what failed and is tried again."""
        self._write(logging.WARNING, event, facts)

    def error(self, event: str, /, **facts: object) -> None:
        """Log lost work."""
        self._write(logging.ERROR, event, facts)

    def exception(self, event: str, /, **facts: object) -> None:
        """Log lost work with the traceback of the exception being handled."""
        self._write(logging.ERROR, event, facts, exc_info=True)

    def _write(self, level: int, event: str, facts: Mapping[str, object], *, exc_info: bool = False) -> None:
        self._logger.log(level, event, extra={"facts": facts}, exc_info=exc_info)


def get(name: str) -> Log:
    """Return the log of the module with this name."""
    return Log(logging.getLogger(name))


def configure(*, level: Level = "info", format: Format = "logfmt", stream: TextIO | None = None) -> None:  # noqa: A002 - the flag's name
    """Send every record of this process to one stream in one format.

    Replaces whatever was configured before, so calling it twice does not write lines twice.

    Args:
        level: The lowest level written.
        format: `logfmt` for people, `json` for machines.
        stream: Where lines go; standard error when absent.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Formatter(format))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    for name in _HELD_AT_WARNING:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class _Formatter(logging.Formatter):
    """Renders a record as one line.

    Tokens are masked in the finished line, not in its parts: message, arguments, facts, exception and stack all end up in it.
    """

    def __init__(self, format_: Format) -> None:
        super().__init__()
        self._render = _as_json if format_ == "json" else _as_logfmt

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, object] = {
            "ts": _timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        for key, value in getattr(record, "facts", {}).items():
            facts[f"fact_{key}" if key in _RESERVED else key] = value
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        elif record.exc_text:
            facts["exception"] = record.exc_text
        if record.stack_info:
            facts["stack"] = self.formatStack(record.stack_info)
        return mask(self._render(facts))


def _timestamp(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"


def _as_json(facts: Mapping[str, object]) -> str:
    return json.dumps({key: _plain(value) for key, value in facts.items()}, ensure_ascii=False)


def _as_logfmt(facts: Mapping[str, object]) -> str:
    return " ".join(f"{key}={_quoted(_plain(value))}" for key, value in facts.items())


def _plain(value: object) -> str | int | float | bool | None:
    match value:
        case None | bool() | int() | float():
            return value
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case _:
            return str(value)


def _quoted(value: str | float | None) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if not value or _NEEDS_QUOTES.search(value) else value
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value)
