"""vakhta-exporter: flags in, exit code out."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from exporter import config
from exporter.service import Exporter, Settings, own_version
from exporter.storage import default_folder
from vakhta import logs, service
from vakhta.allocator import return_freed_memory
from vakhta.secrets import SecretError
from vakhta.service import ExitCode
from vakhta.web import ListenError
from vakhta.yamlnodes import ConfigError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the exporter until SIGTERM or SIGINT; see docs/interfaces.md, section 5, for the exit codes."""
    flags = _parser().parse_args(argv)
    logs.configure(level=flags.log_level, format=flags.log_format)
    return_freed_memory()
    try:
        settings = Settings(
            config=_switched(config.read(flags.config_file, os.environ), flags),
            listen=flags.listen,
            procfs=flags.procfs,
            cgroupfs=flags.cgroupfs,
            sysfs=flags.sysfs,
            rootfs=flags.rootfs,
            storage=flags.storage or default_folder(os.environ, Path.home()),
        )
    except ConfigError as exc:
        sys.stderr.write(f"{exc}\n")
        return ExitCode.CONFIGURATION
    except (SecretError, config.VariableError) as exc:
        sys.stderr.write(f"vakhta-exporter: {exc}\n")
        return ExitCode.CONFIGURATION
    return service.run(lambda stop: _run(settings, stop))


def _switched(found: config.Config, flags: argparse.Namespace) -> config.Config:
    """Return the configuration with the collectors that flags switch on or off."""
    said = {name: getattr(flags, f"collector_{name}") for name in config.COLLECTORS}
    enabled = {
        name for name in config.COLLECTORS if (name in found.enabled if said[name] is None else said[name])
    }
    return replace(found, enabled=frozenset(enabled))


async def _run(settings: Settings, stop: asyncio.Event) -> int:
    exporter = Exporter(settings)
    try:
        await exporter.start()
    except ListenError as exc:
        sys.stderr.write(f"vakhta-exporter: {exc}\n")
        return ExitCode.CANNOT_START
    await stop.wait()
    await exporter.stop()
    return ExitCode.OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vakhta-exporter",
        description="Watches a Docker host: cAdvisor-compatible metrics on /metrics, changes as they happen on /events.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--config.file",
        dest="config_file",
        type=Path,
        metavar="FILE",
        help="exporter.yml; everything in it is optional",
    )
    add(
        "--web.listen-address",
        dest="listen",
        default="127.0.0.1:9817",
        metavar="HOST:PORT",
        help="where to listen; :9817 means every interface (default: %(default)s)",
    )
    add(
        "--log.level",
        dest="log_level",
        choices=logs.LEVELS,
        default="info",
        help="lowest level logged (default: %(default)s)",
    )
    add(
        "--log.format",
        dest="log_format",
        choices=logs.FORMATS,
        default="logfmt",
        help="form of log lines (default: %(default)s)",
    )
    add(
        "--path.procfs",
        dest="procfs",
        type=Path,
        default=Path("/proc"),
        metavar="DIR",
        help="the host's /proc (default: %(default)s)",
    )
    add(
        "--path.cgroupfs",
        dest="cgroupfs",
        type=Path,
        default=Path("/sys/fs/cgroup"),
        metavar="DIR",
        help="the host's cgroup file system (default: %(default)s)",
    )
    add(
        "--path.sysfs",
        dest="sysfs",
        type=Path,
        default=Path("/sys"),
        metavar="DIR",
        help="the host's /sys (default: %(default)s)",
    )
    add(
        "--path.rootfs",
        dest="rootfs",
        type=Path,
        default=Path("/"),
        metavar="DIR",
        help="the host's root directory (default: %(default)s)",
    )
    for name in config.COLLECTORS:
        add(
            f"--collector.{name}",
            dest=f"collector_{name}",
            action=argparse.BooleanOptionalAction,
            default=None,
            help=f"run the {name} collector, or not (default: {'yes' if name in config.ON else 'no'})",
        )
    add(
        "--storage.path",
        dest="storage",
        type=Path,
        metavar="DIR",
        help="where counters are kept over restarts (default: $XDG_STATE_HOME/vakhta or ~/.local/state/vakhta)",
    )
    add("--version", action="version", version=f"vakhta-exporter {own_version()}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
