"""cAdvisor's families of the machine and of the scrape itself.

Values carry no timestamps: cAdvisor's are as old as a whole look-back of Prometheus, and its instant queries show gaps.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from exporter.families.labels import NO_LABELS, Labels, LabelSet
from exporter.families.model import Family, MetricType, Sample, World
from exporter.host.machine import MachineFacts

__all__ = ["FAMILIES"]

_NONE: Final[Labels] = ()


@lru_cache(maxsize=1)
def _identity(machine_id: str, system_uuid: str, boot_id: str) -> LabelSet:
    return LabelSet((("machine_id", machine_id), ("system_uuid", system_uuid), ("boot_id", boot_id)))


def _machine(read: Callable[[MachineFacts], int | None]) -> Callable[[World], Iterable[Sample]]:
    def samples(world: World) -> Iterable[Sample]:
        machine = world.machine
        if isinstance(machine, MachineFacts) and (value := read(machine)) is not None:
            yield _identity(machine.machine_id, machine.system_uuid, machine.boot_id), _NONE, value

    return samples


def _machine_error(world: World) -> Iterable[Sample]:
    if isinstance(world.machine, MachineFacts):
        yield NO_LABELS, _NONE, bool(world.machine.fault)


def _container_error(world: World) -> Iterable[Sample]:
    ok = {status.name: status.success for status in world.collectors}
    failed = any(
        not success and name.partition(":")[0] in ("cgroups", "network") for name, success in ok.items()
    )
    # Docker's stats API stands in for both.
    yield NO_LABELS, _NONE, failed and not ok.get("stats", False)


def _versions(world: World) -> Iterable[Sample]:
    if isinstance(world.machine, MachineFacts):
        info = world.daemon.info
        labels = (
            ("kernelVersion", world.machine.kernel),
            ("osVersion", world.machine.os),
            ("dockerVersion", info.version if info else ""),
            ("cadvisorVersion", f"vakhta-{world.version}"),
            ("cadvisorRevision", ""),
        )
        yield LabelSet(labels), _NONE, 1


FAMILIES: Final = tuple(
    Family(name=name, type=MetricType.GAUGE, help=help_, samples=samples)
    for name, help_, samples in (
        (
            "machine_cpu_cores",
            "Logical CPUs that are online.",
            _machine(lambda machine: machine.cpu_cores),
        ),
        (
            "machine_cpu_physical_cores",
            "Physical cores of all sockets.",
            _machine(lambda machine: machine.cpu_physical_cores),
        ),
        ("machine_cpu_sockets", "CPU sockets.", _machine(lambda machine: machine.cpu_sockets)),
        (
            "machine_memory_bytes",
            "Memory of the machine.",
            _machine(lambda machine: machine.memory_bytes),
        ),
        ("machine_swap_bytes", "Swap of the machine.", _machine(lambda machine: machine.swap_bytes)),
        (
            "machine_scrape_error",
            "Whether something about the machine cannot be read.",
            _machine_error,
        ),
        (
            "container_scrape_error",
            "Whether the usage of some container cannot be read.",
            _container_error,
        ),
        (
            "cadvisor_version_info",
            "What runs here, where cAdvisor would say so; cadvisorVersion is Vakhta's.",
            _versions,
        ),
    )
)
