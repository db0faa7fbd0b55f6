"""Talks to apt and dpkg: packages of any suite into a folder, packages of the running system in place.

It knows suites, packages and the machine's own mirror; what they are good for is the table's business. The mirror is
read from the machine's apt sources each time, so that no address is written down here.
"""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ONE_LINE = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<parts>.+)$")


class DebianError(Exception):
    """A package could not be had; the text says which, why and what to do."""


def mirror(texts: Iterable[str], codename: str) -> str:
    """Find the address that serves the running release, which serves its other suites too.

    Args:
        texts: contents of apt's source files, either form (one line per source, or paragraphs).
        codename: the running release (``bookworm``); its ``-security`` and ``-updates`` suites do not count.

    Raises:
        DebianError: no enabled source has the release's ``main``.
    """
    for text in texts:
        for paragraph in re.split(r"\n\s*\n", text):
            lines = [line for line in paragraph.splitlines() if not line.lstrip().startswith("#")]
            for line in lines:
                found = _ONE_LINE.match(line.strip())
                if found and found["suite"] == codename and "main" in found["parts"].split():
                    return found["uri"]
            fields = {key.lower(): value.split() for key, _, value in (line.partition(":") for line in lines)}
            if (
                codename in fields.get("suites", [])
                and "main" in fields.get("components", [])
                and fields.get("uris")
                and fields.get("enabled") != ["no"]
            ):
                return fields["uris"][0]
    raise DebianError(
        f"/etc/apt: no source has '{codename} main': add the Debian mirror to /etc/apt/sources.list"
    )


def machine_mirror() -> str:
    """Read this machine's mirror (see `mirror`)."""
    release = Path("/etc/os-release").read_text()
    codename = re.search(r"^VERSION_CODENAME=(\S+)$", release, re.MULTILINE)
    if codename is None:
        raise DebianError("/etc/os-release: no VERSION_CODENAME: the real components need a Debian release")
    apt = Path("/etc/apt")
    parts = sorted(apt.glob("sources.list.d/*.list")) + sorted(apt.glob("sources.list.d/*.sources"))
    files = [path for path in (apt / "sources.list", *parts) if path.exists()]
    return mirror([path.read_text() for path in files], codename[1])


def download(packages: Sequence[str], *, suite: str, private: Path, into: Path) -> list[Path]:
    """Download the packages of another suite, verified by apt, without touching the system's own lists.

    Args:
        packages: package names; their files come back in the same order.
        suite: Debian suite (``sid``).
        private: folder for this suite's lists; kept between calls, one caller at a time.
        into: existing folder for the ``.deb`` files.
    """
    environment = _private_lists(suite, private.resolve())
    for package in packages:
        _run(["apt-get", "-q", "download", f"{package}/{suite}"], environment=environment, folder=into)
    return [next(into.glob(f"{package}_*.deb")) for package in packages]


@cache
def _private_lists(suite: str, private: Path) -> dict[str, str]:
    """Refresh a suite's lists, once per process; gives the environment in which apt uses them."""
    for folder in ("lists/partial", "cache/archives/partial"):
        (private / folder).mkdir(parents=True, exist_ok=True)
    (private / "sources.list").write_text(f"deb {machine_mirror()} {suite} main\n")
    (private / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{private}/sources.list";\n'
        'Dir::Etc::sourceparts "-";\n'
        f'Dir::State::Lists "{private}/lists";\n'
        f'Dir::Cache "{private}/cache";\n'
        'Acquire::Languages "none";\n'
        'APT::Sandbox::User "root";\n'  # the _apt user may not enter a cache in root's home
    )
    environment = {**os.environ, "APT_CONFIG": str(private / "apt.conf"), "LC_ALL": "C"}
    _run(["apt-get", "-q", "update"], environment=environment)
    return environment


def unpack(deb: Path, into: Path) -> None:
    """Unpack the files of one package; none of its scripts run."""
    _run(["dpkg-deb", "-x", str(deb), str(into)])


def package_version(deb: Path) -> str:
    """Read a package's version from its control data."""
    return _run(["dpkg-deb", "-f", str(deb), "Version"]).strip()


def missing(packages: Iterable[str]) -> list[str]:
    """Name the packages that the running system lacks, in the given order."""
    return [package for package in packages if not _installed(package)]


def install(packages: Sequence[str]) -> None:
    """Install what the running system lacks of the packages; no network if it lacks nothing.

    Raises:
        DebianError: something is missing and we are not root, or apt failed.
    """
    lacking = missing(packages)
    if not lacking:
        return
    if os.geteuid() != 0:
        raise DebianError(
            f"{' '.join(lacking)}: not installed: run  sudo apt-get install -y {' '.join(lacking)}"
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    _run(["apt-get", "-q", "update"], environment=environment)
    _run(["apt-get", "-q", "install", "-y", "--no-install-recommends", *lacking], environment=environment)


def _installed(package: str) -> bool:
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f=${db:Status-Status}", package], capture_output=True, text=True, check=False
    )
    return asked.stdout == "installed"


def _run(
    command: Sequence[str], *, environment: dict[str, str] | None = None, folder: Path | None = None
) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise DebianError(f"{' '.join(command)}: exit {done.returncode}:\n{tail}")
    return done.stdout
