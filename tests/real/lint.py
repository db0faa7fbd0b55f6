"""What `promtool check metrics` says of an exposition, without what is allowed by name."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import CompletedProcess

LIST = Path(__file__).parents[1] / "promtool-allowed.txt"


def complaints(promtool: Callable[..., CompletedProcess[str]], exposition: str) -> list[str]:
    """Return the lines promtool says about families that tests/promtool-allowed.txt does not name."""
    checked = promtool("check", "metrics", stdin=exposition)
    # 3 is "there are complaints"; anything else, and what is said then, is about the text itself.
    assert checked.returncode in (0, 3), checked.stderr
    lines = LIST.read_text().splitlines()
    allowed = [line.partition(": ")[0] for line in lines if not line.startswith("#")]
    said = (checked.stdout + checked.stderr).splitlines()
    return [line for line in said if not any(fnmatchcase(line.split()[0], name) for name in allowed)]
