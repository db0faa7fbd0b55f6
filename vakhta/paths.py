"""Where things are kept: the storage folder, and the data files that ship with the package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vakhta.yamlnodes import ConfigError, Problem


def default_storage(environ: Mapping[str, str]) -> Path:
    """Return the folder for state when no flag names one: ``$XDG_STATE_HOME/vakhta`` or ``~/.local/state/vakhta``."""
    base = environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "state") / "vakhta"


def ensure(folder: Path) -> Path:
    """Create a storage folder if need be and return it.

    Raises:
        ConfigError: It cannot be created.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        text = f"cannot be created: {exc.strerror}; name another with --storage.path"
        raise ConfigError([Problem(file=str(folder), line=1, column=1, key="", text=text)]) from exc
    return folder


def shipped(name: str) -> Path:
    """Return a folder of shipped data: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "_data" / name
    return installed if installed.is_dir() else package.parent / name
