"""The command alertctl."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final, NoReturn

from alerting.ctl import test
from alerting.ctl.output import CannotRunError, Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a command is for, in a line and in full, its flags, and what it does."""

    summary: str
    details: str
    add_flags: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Mapping[str, str], Output, test.Tempo], Awaitable[int]]


COMMANDS: Final[Mapping[str, Command]] = {
    "test": Command(summary=test.SUMMARY, details=test.DETAILS, add_flags=test.add_flags, run=test.run),
}
_CANNOT_RUN: Final = 2


class _Parser(argparse.ArgumentParser):
    """Leaves saying what is wrong to us: a person's slip may quote the token."""

    def error(self, message: str) -> NoReturn:
        raise CannotRunError(f"{message}; {self.prog} --help lists what there is")


def main(argv: Sequence[str] | None = None) -> int:
    """Run alertctl; return its exit code."""
    try:
        return asyncio.run(run(sys.argv[1:] if argv is None else argv, os.environ))
    except KeyboardInterrupt:
        sys.stderr.write("alertctl: interrupted\n")
    except BrokenPipeError:  # whoever read our output has gone; nothing more may be written, at exit neither
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _CANNOT_RUN


async def run(
    argv: Sequence[str],
    environ: Mapping[str, str],
    tempo: test.Tempo | None = None,
    commands: Mapping[str, Command] = COMMANDS,
) -> int:
    """Run a command; return the exit code: 0 clean, 1 problems found, 2 could not run."""
    output = Output(environ)
    # What the libraries log is not for this reader: every fault has its sentence.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        parser = _parser(commands)
        if not argv:
            parser.print_help()
            return _CANNOT_RUN
        flags = parser.parse_args(argv)
        return await commands[flags.command].run(flags, environ, output, tempo or test.Tempo())
    except SystemExit as exc:  # argparse, after --help or --version
        return int(exc.code or 0)
    except CannotRunError as exc:
        output.bad(f"alertctl: {exc}")
    except BrokenPipeError:
        raise
    except Exception as exc:  # noqa: BLE001 - the top of the program: a person gets a sentence, never a traceback
        output.bad(f"alertctl: {type(exc).__name__}: {exc}; this is a bug, please report it")
    return _CANNOT_RUN


def _parser(known: Mapping[str, Command]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="alertctl", description="The tool of the person who runs Vakhta.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"alertctl {version('vakhta')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    for name, command in known.items():
        command.add_flags(
            commands.add_parser(name, help=command.summary, description=command.details, allow_abbrev=False)
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
