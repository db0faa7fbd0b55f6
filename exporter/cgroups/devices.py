"""Names block devices by their numbers, as `/sys/block` has them."""

import os
from pathlib import Path
from typing import Final

__all__ = ["BlockDevices"]

# As cAdvisor: what is no disk has no name.
_NAMELESS: Final = ("loop", "ram", "sr")


class BlockDevices:
    """The whole disks of the host.

    Args:
        sysfs: Where `/sys` is; a container sees the host's block devices in its own.
    """

    def __init__(self, sysfs: Path) -> None:
        self._folder = str(sysfs / "block")
        self._listed: list[str] | None = None
        self._names: dict[bytes, str] = {}

    def refresh(self) -> None:
        """Look for disks that came or went: numbers of NVMe disks are given out again."""
        try:
            listed = os.listdir(self._folder)  # noqa: PTH208 - once per scrape, names only
        except OSError:
            listed = []
        if listed != self._listed:
            self._listed = listed
            self._names = {
                numbers: f"/dev/{name.replace('!', '/')}"
                for name in listed
                if not name.startswith(_NAMELESS) and (numbers := self._numbers(name))
            }

    def name(self, numbers: bytes) -> str:
        """Return `/dev/sda` for `8:0`; empty for what is no disk or not known."""
        return self._names.get(numbers, "")

    def _numbers(self, name: str) -> bytes:
        try:
            return Path(self._folder, name, "dev").read_bytes().strip()
        except OSError:
            return b""
