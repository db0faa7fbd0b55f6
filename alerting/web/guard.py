"""Who may write: until there are users, a person on this machine who talks to us directly.

A page in that person's browser may not (it cannot send JSON here without asking first, and a name it made resolve to
127.0.0.1 is not a loopback name), nor may whoever comes through a proxy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web

from vakhta.web import error_response, split_address

# Decides about one request: the refusal to send, or None.
Guard = Callable[[web.Request], web.Response | None]


def guard(listen: str) -> Guard:
    """Return the guard of a server that listens there."""
    host, _ = split_address(listen)
    open_to_others = not is_loopback(host or "")

    def check(request: web.Request) -> web.Response | None:
        fault = _fault(request, open_to_others=open_to_others)
        return None if fault is None else error_response(HTTPStatus.FORBIDDEN, fault)

    return check


def is_loopback(host: str) -> bool:
    """Tell whether a host, as it stands in a URL or an address, is this machine's loopback."""
    bare = host.removeprefix("[").removesuffix("]")
    if bare.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _fault(request: web.Request, *, open_to_others: bool) -> str | None:
    if open_to_others:
        return "writing is off, because other machines reach this address and there are no users: listen on 127.0.0.1"
    if not is_loopback(request.remote or ""):
        return "writing is for this machine only: run the command on the host itself"
    if any(
        name.lower() == "forwarded" or name.lower().startswith("x-forwarded-") for name in request.headers
    ):
        return "writing through a proxy is off: ask vakhta-alerting directly, on 127.0.0.1"
    if not is_loopback(_host_name(request.headers.get("Host", ""))):
        return "writing takes a loopback Host, such as 127.0.0.1 or localhost: use one in the URL"
    if request.content_type != "application/json":
        return "writing takes a JSON body: send Content-Type: application/json"
    return None


def _host_name(header: str) -> str:
    """Return the host of a ``Host`` header, without its port."""
    if header.startswith("["):
        return header.partition("]")[0]
    return header.partition(":")[0]
