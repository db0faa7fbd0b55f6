"""The stream of changes: its text, and listeners that do not keep up."""

import re
from pathlib import Path

import pytest

from exporter.ticks import BACKLOG, Broadcaster, Tick, hello

DOCUMENT = Path(__file__).parents[2] / "docs" / "interfaces.md"
TICK = Tick(reason="die", name="shop-web-2", time_nano=1790000000123456789)


def test_the_documented_stream():
    """The example on the page is what the exporter sends, byte for byte."""
    example = re.search(r"```sse\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[1]
    assert hello("host-1") + TICK.to_sse() == example.encode() + b"\n"


@pytest.mark.parametrize(
    ("nano", "expected"),
    [
        (1790000000000000999, "2026-09-21T14:13:20.000000Z"),
        (1790000000999999999, "2026-09-21T14:13:20.999999Z"),
        (0, "1970-01-01T00:00:00.000000Z"),
    ],
)
def test_times(nano, expected):
    """Microseconds are cut off, never rounded into the next second."""
    assert f'"ts":"{expected}"' in Tick(reason="resync", time_nano=nano).to_sse().decode()


def test_no_container_no_name():
    """A tick about the daemon has no name."""
    assert b'"name"' not in Tick(reason="docker_down", time_nano=1).to_sse()


async def test_ticks_come_in_order():
    """Each listener gets every tick published since it began to listen."""
    ticks = Broadcaster()
    ticks.publish(TICK)
    first, second = ticks.subscribe(), ticks.subscribe()
    for number in range(3):
        ticks.publish(Tick(reason="start", time_nano=number))
    ticks.close()
    assert [tick.time_nano async for tick in first] == [0, 1, 2]
    assert [tick.time_nano async for tick in second] == [0, 1, 2]


async def test_one_that_does_not_keep_up_is_dropped():
    """A hundred ticks wait for a listener, then it is cut off; the others go on."""
    ticks, dropped = Broadcaster(), []
    slow = ticks.subscribe(on_drop=lambda: dropped.append("slow"))
    quick = ticks.subscribe()
    for number in range(BACKLOG + 5):
        ticks.publish(Tick(reason="start", time_nano=number))
        assert (await quick.next()).time_nano == number
    assert dropped == ["slow"]
    assert not slow.is_open
    assert len(ticks) == 1
    assert len([tick async for tick in slow]) == BACKLOG


async def test_unsubscribing():
    """Whoever left gets nothing more; leaving twice is leaving once."""
    ticks = Broadcaster()
    listener = ticks.subscribe()
    ticks.unsubscribe(listener)
    ticks.unsubscribe(listener)
    ticks.publish(TICK)
    listener.close()
    assert [tick async for tick in listener] == []
    assert await listener.next() is None
