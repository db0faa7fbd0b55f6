"""The table of network interfaces."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.host.netdev import InterfaceCounters, interfaces
from tests.exporter.host.hosts import DEBIAN
from tests.size import examples

HEAD = b"""Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
"""


def row(name, *numbers):
    """Return a line of the table."""
    return name + b":" + b" ".join(b"%d" % number for number in numbers) + b"\n"


def test_recorded_table():
    """Of a host with four containers only its uplink is left: not loopback, docker0, or the containers' other ends."""
    found = interfaces((DEBIAN / "proc/1/net/dev").read_bytes())
    assert found == (
        InterfaceCounters(
            interface="ens3",
            receive_bytes=1290,
            receive_packets=3,
            receive_errors=0,
            receive_dropped=0,
            transmit_bytes=1460,
            transmit_packets=11,
            transmit_errors=0,
            transmit_dropped=0,
        ),
    )


def test_every_column_has_its_place():
    """Errors and drops of both directions are not mixed up with what stands between them."""
    (found,) = interfaces(HEAD + row(b"eth0", *range(1, 17)))
    assert (found.receive_bytes, found.receive_packets, found.receive_errors, found.receive_dropped) == (
        1,
        2,
        3,
        4,
    )
    assert (found.transmit_bytes, found.transmit_packets, found.transmit_errors, found.transmit_dropped) == (
        9,
        10,
        11,
        12,
    )


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        pytest.param(b"lo", False, id="loopback"),
        pytest.param(b"veth087953f", False, id="a container's other end"),
        pytest.param(b"Docker_gwbridge", False, id="docker's bridges, in any case"),
        pytest.param(b"nerdctl0", False, id="nerdctl's bridge"),
        pytest.param(b"br-0a1b2c3d4e5f", True, id="the bridge of a Compose network"),
        pytest.param(b"wg0", True, id="a tunnel"),
        pytest.param("ünï".encode(), True, id="a name that is no ASCII"),
        pytest.param(b"\xff\xfe", True, id="a name that is no text"),
    ],
)
def test_which_interfaces_count(name, kept):
    """Interfaces are left out as cAdvisor leaves them out; every name can be written."""
    found = interfaces(HEAD + row(name, *[1] * 16))
    assert bool(found) is kept
    for counters in found:
        assert counters.interface.encode()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"one line", id="something else"),
        pytest.param(HEAD + row(b"eth0", *[1] * 15), id="a column missing"),
        pytest.param(HEAD + b"eth0 1 2 3\n", id="no colon"),
        pytest.param(HEAD + b"eth0: " + b"x " * 16, id="no numbers"),
    ],
)
def test_no_table(content):
    """What is no such table is refused, not read as zeros."""
    with pytest.raises(ValueError, match=r"\w"):
        interfaces(content)


@settings(max_examples=examples(100))
@given(st.binary() | st.binary().map(lambda tail: HEAD + tail))
def test_any_bytes(content):
    """Any bytes are read or refused with a ValueError, nothing else."""
    try:
        found = interfaces(content)
    except ValueError:
        return
    for counters in found:
        assert counters.interface.encode()
