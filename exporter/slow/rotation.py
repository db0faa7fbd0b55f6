"""Whether a container's log can fill the disk, judged from its log driver: needs no access to any file. Pure."""

from collections.abc import Mapping
from typing import Final

__all__ = ["rotates"]

# The one driver of Docker that writes a file of its own which grows for ever unless told otherwise.
_UNBOUNDED: Final = "json-file"


def rotates(driver: str, options: Mapping[str, str]) -> bool | None:
    """Whether the space this log takes is bounded by Docker or is not Docker's to bound; None when the driver is not known yet.

    - `json-file` is bounded by `max-size` only: `max-file` alone does nothing, and alone `max-size` keeps one file that begins anew.
      The daemon's own default options are part of what a container's inspect says.
    - `local` rotates by itself (five files of 20 MB).
    - `none` writes nothing. `journald`, `syslog` and the drivers that send (gelf, fluentd, awslogs, splunk, ...) hand each line on, and
      whoever receives it has limits of its own; what Docker keeps of them for `docker logs` rotates as `local` does. A plugin's log
      is no file of Docker's either.
    """
    if not driver:
        return None
    if driver != _UNBOUNDED:
        return True
    return options.get("max-size", "").strip().startswith(tuple("123456789"))
