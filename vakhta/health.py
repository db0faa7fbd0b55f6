"""The container's health check: does the process beside me answer?

``python -m vakhta.health [HOST:PORT ...]`` asks ``/-/healthy`` of each address until one answers 200, and exits 0 then, else 1.
Without an address it asks where the two processes listen by default: a container runs one of them.

Docker starts this anew every few seconds, so it imports nothing that takes long: no HTTP client, nothing of the programs.
"""

import socket
import sys
from collections.abc import Sequence
from typing import Final

__all__ = ["DEFAULT", "main"]

DEFAULT: Final = ("127.0.0.1:9817", "127.0.0.1:9818")
# Shorter than the image's --timeout, so that the reason is still seen in `docker inspect`.
_SECONDS: Final = 2.0
_STATUS_LINE_BYTES: Final = 512


def main(argv: Sequence[str]) -> int:
    """Ask; print what is wrong with each address if none answers well."""
    complaints = []
    for address in argv or DEFAULT:
        complaint = _complaint(address)
        if not complaint:
            return 0
        complaints.append(f"{address}: {complaint}\n")
    sys.stderr.write("".join(complaints))
    return 1


def _complaint(address: str) -> str:
    """Say what is wrong with an address; empty: nothing."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        return "not host:port, such as 127.0.0.1:9817"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS) as peer:
            peer.sendall(f"GET /-/healthy HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
            words = peer.makefile("rb").readline(_STATUS_LINE_BYTES).decode("latin-1").split(maxsplit=2)
    except OSError as exc:
        return str(exc)
    if len(words) < 2 or not words[0].startswith("HTTP/"):
        return "answered, but not as a web server does"
    return "" if words[1] == "200" else f"/-/healthy answered {words[1]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
