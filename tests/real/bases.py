"""Makes what the project's image is built from: a Python base image and the wheels, kept beside the other components.

No image registry can be reached, so a minimal Debian with its own Python stands in for the Dockerfile's BASE_IMAGE. Both are
made once into the cache; from then on nothing is downloaded.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.real import debian
from tests.real.components import cache_folder, obtain

ROOT: Final = Path(__file__).resolve().parents[2]
_SUITE: Final = "bookworm"
_PYTHON: Final = "3.11"  # what the suite ships
# Nothing that a program needs: documentation, translations, and the lists and archives of apt.
_LEFT_OUT: Final = (
    "./dev/*",
    "./usr/share/doc/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
    "./var/cache/*",
    "./var/lib/apt/lists/*",
)


class BaseError(Exception):
    """Something could not be made; the text has the tool's own words."""


def python_base() -> Path:
    """Give the tar of a minimal Debian with Python, as ``docker import`` takes it; makes it the first time (1 min)."""
    return made(cache_folder() / "python-base" / _SUITE, _make_base) / "rootfs.tar"


def wheels() -> Path:
    """Give a folder with the wheels of requirements.lock for the base image's Python; one folder per lock file."""
    lock = (ROOT / "requirements.lock").read_bytes()
    name = f"{_PYTHON}-{hashlib.sha256(lock).hexdigest()[:16]}"
    return made(cache_folder() / "wheels" / name, _fetch_wheels)


def made(place: Path, make: Callable[[Path], None]) -> Path:
    """Return the folder, made beside its place and renamed into it, by one process at a time."""
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            with tempfile.TemporaryDirectory(dir=place.parent, prefix=".new-") as scratch:
                new = Path(scratch, "made")
                new.mkdir()
                make(new)
                new.rename(place)
    return place


def _make_base(folder: Path) -> None:
    program = obtain("debootstrap")["debootstrap"].program()
    tree = folder / "tree"
    include = "--include=python3,python3-venv,ca-certificates"
    execute(program, "--variant=minbase", include, _SUITE, str(tree), debian.machine_mirror())
    excluded = (f"--exclude={pattern}" for pattern in _LEFT_OUT)
    execute("tar", "-C", str(tree), *excluded, "-cf", str(folder / "rootfs.tar"), ".")
    shutil.rmtree(tree)


def _fetch_wheels(folder: Path) -> None:
    execute(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--require-hashes", "--only-binary=:all:", f"--python-version={_PYTHON}", "--no-deps"),
        *("--dest", str(folder), "--requirement", str(ROOT / "requirements.lock")),
    )


def execute(*command: str) -> None:
    """Run a command; say its last words if it fails.

    Raises:
        BaseError: It failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-10:])
        raise BaseError(f"{' '.join(command)}: exit {done.returncode}:\n{tail}")
