"""The containers of the virtual machine: each is there for what its name says. Read inside the machine and by the tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

IMAGE: Final = "busybox:1.35"
MIB: Final = 1 << 20
FOREVER: Final = "sleep 100000"
COMPOSE: Final = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One container.

    Attributes:
        script: What its shell runs.
        limits: Its HostConfig, as the Engine API takes it.
        then: What is done to it once it runs: `pause`; empty: nothing.
    """

    script: str = FOREVER
    limits: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    then: str = ""


# In the order in which they are started: the busiest last.
CONTAINERS: Final[Mapping[str, Wanted]] = {
    "idle": Wanted(),
    "sliced": Wanted(limits={"CgroupParent": "vakhta-test.slice", "PidsLimit": 50}),
    "hosted": Wanted(script="exec ping -q 10.0.2.2", limits={"NetworkMode": "host"}),
    "talker": Wanted(script="exec ping -q -s 1000 $(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p')"),
    # What it writes to /g stays in memory: the machine has been told to write nothing by itself.
    "writer": Wanted(
        script="while :; do cat /f; dd if=/dev/zero of=/g bs=64k count=64 conv=notrunc; dd if=/dev/zero of=/f bs=64k count=16 conv=notrunc,fsync; sleep 2; done "
        ">/dev/null 2>&1",
        limits={"Memory": 128 * MIB},
    ),
    # Holds it, as nobody takes it; the kernel is asked to swap some of it out.
    "memory": Wanted(
        script=f"dd if=/dev/zero bs=40M count=1 | {FOREVER}",
        limits={"Memory": 64 * MIB, "MemoryReservation": 32 * MIB, "MemorySwap": 96 * MIB},
    ),
    # A child is killed again and again, the shell lives on.
    "oom": Wanted(
        script="while :; do dd if=/dev/zero of=/dev/null bs=24M count=1; sleep 5; done",
        limits={"Memory": 16 * MIB, "MemorySwap": 16 * MIB},
    ),
    "paused": Wanted(script="while :; do :; done", limits={"NanoCpus": 200_000_000}, then="pause"),
    "limited": Wanted(
        script="while :; do :; done",
        limits={"NanoCpus": 250_000_000, "CpuShares": 512},
        labels=COMPOSE,
    ),
    "stopped": Wanted(script="exit 3"),
}
RUNNING: Final = tuple(name for name in CONTAINERS if name != "stopped")
"""Those with processes, the paused one too."""
