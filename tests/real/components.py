"""Fetches the real programs that tests, benchmarks and the demo run, and says where they are.

``python -m tests.real.components [NAME ...]`` prints the paths as JSON, ``--path NAME`` that of one program. What the table (``components.toml``) asks for
is unpacked once into ``${VAKHTA_CACHE:-~/.cache/vakhta}/<name>/<version>/``; from then on nothing is downloaded and
no package tool is called, whether or not there is a network. A half-written folder is never seen: it is built beside
its place and renamed into it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.real import debian

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TABLE = Path(__file__).with_name("components.toml")
_KEYS = {"suite", "packages", "minimum", "version", "programs", "system", "default"}


class ComponentError(Exception):
    """A component is unknown, cannot be fetched, or is too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One table of components.toml, which documents the fields."""

    name: str
    suite: str
    packages: tuple[str, ...]
    minimum: str
    version: tuple[str, ...]
    programs: Mapping[str, str]
    system: tuple[str, ...]
    default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A component that is ready to run: its upstream version, its folder and its programs' absolute paths."""

    name: str
    version: str
    path: Path
    programs: Mapping[str, Path]

    def program(self, name: str = "") -> str:
        """Give a program's path; without a name, the one called like the component."""
        return str(self.programs[name or self.name])


def read_table(text: str) -> dict[str, Wanted]:
    """Parse the table.

    Raises:
        ComponentError: a component has a key that the table does not know, or lacks one it needs.
    """
    wanted = {}
    for name, row in tomllib.loads(text).items():
        for key in row.keys() - _KEYS:
            raise ComponentError(
                f"components.toml: {name}.{key}: unknown key, known are {', '.join(sorted(_KEYS))}"
            )
        for key in {"suite", "packages", "minimum", "programs"} - row.keys():
            raise ComponentError(f"components.toml: {name}: {key} is missing")
        if not re.fullmatch(r"\d+(\.\d+)+", row["minimum"]):
            raise ComponentError(
                f"components.toml: {name}.minimum: {row['minimum']!r} is no version, write 100.0"
            )
        wanted[name] = Wanted(
            name=name,
            suite=row["suite"],
            packages=tuple(row["packages"]),
            minimum=row["minimum"],
            version=tuple(row.get("version", ())),
            programs=dict(row["programs"]),
            system=tuple(row.get("system", ())),
            default=row.get("default", False),
        )
    return wanted


def version_key(text: str) -> tuple[int, ...]:
    """Order versions by their leading dotted numbers: ``3.5.3+ds1`` is (3, 5, 3).

    Raises:
        ComponentError: there is no number in the text.
    """
    return tuple(int(part) for part in upstream_version(text).split("."))


def upstream_version(text: str) -> str:
    """Find the version in what a program prints about itself, or in a package's version, epoch dropped."""
    found = re.search(r"(?:(?<=\d:)|(?<![\d.]))\d+(?:\.\d+)+", text)
    if found is None:
        raise ComponentError(f"no version in {text[:200]!r}")
    return found[0]


def cache_folder() -> Path:
    """Say where components are kept."""
    return Path(os.environ.get("VAKHTA_CACHE") or "~/.cache/vakhta").expanduser().absolute()


@cache
def table() -> Mapping[str, Wanted]:
    """Read the project's table, once."""
    return read_table(TABLE.read_text())


def obtain(*names: str) -> dict[str, Component]:
    """Make components ready, fetching what is missing.

    Args:
        names: names of the table; none means those the tests need by default.

    Raises:
        ComponentError: see the class.
        debian.DebianError: apt could not give a package.
    """
    for name in names:
        if name not in table():
            raise ComponentError(f"{name}: no such component, there are {', '.join(table())}")
    wanted = [row for row in table().values() if (row.name in names if names else row.default)]
    ready = {row.name: _present(row) for row in wanted}
    if not all(ready.values()):
        with _locked(cache_folder()):
            ready = {row.name: _present(row) or _fetch(row) for row in wanted}
    return {name: component for name, component in ready.items() if component is not None}


def _present(row: Wanted) -> Component | None:
    """Find the newest cached version that satisfies the row."""
    if debian.missing(row.system):
        return None
    if row.suite == "venv":
        return _checked(row, Path(sys.prefix) / "bin", _asked_version(row, Path(sys.prefix) / "bin"))
    if row.suite == "installed":
        return (
            None if debian.missing(row.packages) else _checked(row, Path("/"), _asked_version(row, Path("/")))
        )
    home = cache_folder() / row.name
    versions = sorted((path.name for path in home.glob("[0-9]*")), key=version_key, reverse=True)
    if not versions or version_key(versions[0]) < version_key(row.minimum):
        return None
    if not all((home / versions[0] / place).exists() for place in row.programs.values()):
        return None  # fetched for an older table
    return _checked(row, home / versions[0], versions[0])


def _fetch(row: Wanted) -> Component:
    """Install or unpack a component; the caller holds the cache's lock."""
    debian.install(row.system)
    if row.suite == "installed":
        debian.install(row.packages)
        return _checked(row, Path("/"), _asked_version(row, Path("/")))
    home = cache_folder() / row.name
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".new-") as scratch:
        files, tree = Path(scratch, "debs"), Path(scratch, "tree")
        files.mkdir()
        tree.mkdir()
        private = cache_folder() / ".apt" / row.suite
        debs = debian.download(row.packages, suite=row.suite, private=private, into=files)
        for deb in debs:
            debian.unpack(deb, tree)
        packaged = upstream_version(debian.package_version(debs[0]))
        version = _asked_version(row, tree) if row.version else packaged
        _checked(row, tree, version)
        place = home / version
        if place.exists():  # it lacks a program, or it would have been used
            shutil.rmtree(place)
        tree.rename(place)
    print(f"{row.name} {version} ({row.suite})", file=sys.stderr)  # noqa: T201 - Debian sid moves: say what came
    return _checked(row, place, version)


def _checked(row: Wanted, path: Path, version: str) -> Component:
    if version_key(version) < version_key(row.minimum):
        raise ComponentError(f"{row.name} {version} from {row.suite}: the tests need {row.minimum} or newer")
    programs = {name: path / place for name, place in row.programs.items()}
    for name, program in programs.items():
        if not os.access(program, os.X_OK):
            raise ComponentError(
                f"{program}: no program {name} there: remove {path} and fetch {row.name} again"
            )
    return Component(name=row.name, version=version, path=path, programs=programs)


def _asked_version(row: Wanted, path: Path) -> str:
    name, *flags = row.version
    program = path / row.programs[name]
    try:
        said = subprocess.run([program, *flags], capture_output=True, text=True, check=False, timeout=30)
    except FileNotFoundError:
        remedy = "run  make dev" if row.suite == "venv" else f"look at the package {row.packages[0]}"
        raise ComponentError(f"{program}: {row.name} is not there: {remedy}") from None
    return upstream_version(said.stdout + said.stderr)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(names: Sequence[str]) -> int:
    """Fetch the named components and print where they are, as JSON; after ``--path``, one program's path alone."""
    alone = names[:1] == ["--path"]
    try:
        ready = obtain(*names[alone:])
    except (ComponentError, debian.DebianError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the command's answer
        return 1
    if alone:
        print(*(component.program() for component in ready.values()))  # noqa: T201 - the command's answer
        return 0
    shown = {
        name: {
            "version": component.version,
            "path": str(component.path),
            "programs": {key: str(path) for key, path in component.programs.items()},
        }
        for name, component in ready.items()
    }
    print(json.dumps(shown, indent=2))  # noqa: T201 - the command's answer
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
