"""The demo's table: what happened, what was said, after how long."""

from __future__ import annotations

from demo.phone import Paint
from demo.summary import Measured, table

ROWS = [
    Measured(
        event="a replica dies", message="🟠 shop/web: 1 of 3 replicas down — killed (exit 137)", seconds=0.27
    ),
    Measured(
        event="Docker hangs",
        message="🔴 Docker does not answer",
        seconds=14.0,
        waits="the rule's own 10 s, rounds of 5 s, and more of it",
    ),
    Measured(event="it runs again", message="✅ shop/web is back", seconds=0.04),
    Measured(event="the check has failed", message="🔴 shop/api is unhealthy", seconds=0.6),
]


def test_table():
    """What waits on purpose stands apart, with its reason, and does not count in median and maximum."""
    assert table(ROWS, Paint(on=False)) == [
        "  what happened             what the phone said                            sec",
        "  a replica dies            🟠 shop/web: 1 of 3 replicas down — killed…   0.27",
        "  it runs again             ✅ shop/web is back                           0.04",
        "  the check has failed      🔴 shop/api is unhealthy                      0.60",
        "",
        "  p50 0.27 s · max 0.60 s",
        "  from Docker's event to the request at Telegram",
        "",
        "  Later on purpose",
        "  Docker hangs              🔴 Docker does not answer                    14.00",
        "                            the rule's own 10 s, rounds of 5 s, and more",
        "                            of it",
    ]


def test_nothing_measured():
    """A run that measured nothing has a table without numbers."""
    assert table([], Paint(on=False)) == [
        "  what happened             what the phone said                            sec"
    ]
