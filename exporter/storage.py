"""The state file on disk: read once, replaced atomically.

Blocking; called in threads. What the text means is `exporter.memory`'s business.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from exporter.errors import StorageError
from exporter.memory import Memory, MemoryFormatError
from vakhta import logs

__all__ = ["FILE_NAME", "StateFile", "default_folder"]

FILE_NAME: Final = "exporter-state.json"
_log: Final = logs.get(__name__)


def default_folder(environ: Mapping[str, str], home: Path) -> Path:
    """Return where state belongs according to the XDG base directory specification."""
    base = environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else home / ".local" / "state") / "vakhta"


class StateFile:
    """The exporter's memory in a folder.

    Args:
        folder: Made when it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME

    def load(self) -> Memory:
        """Read the memory; an empty one, and a line in the log, when there is none that can be used."""
        try:
            return Memory.from_text(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            _log.info("no state file yet: counters start at 0", path=self.path)
        except (OSError, UnicodeDecodeError, MemoryFormatError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else str(exc)
            _log.warning("the state file cannot be used: counters start at 0", path=self.path, error=reason)
        return Memory()

    def save(self, text: str) -> None:
        """Replace the file, so that a reader or a crash meets the old text or the new one.

        Raises:
            StorageError: It cannot be written.
        """
        temporary = self.path.with_suffix(".tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        except OSError as exc:
            raise StorageError(
                f"cannot write {self.path}: {exc.strerror}; counters will start at 0 after a restart. Give this user write access, or "
                "name another directory with --storage.path"
            ) from exc
