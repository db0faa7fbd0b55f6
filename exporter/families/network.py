"""cAdvisor's network families: `container_network_*`, of every container that owns a network namespace, and of the host."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from exporter.families.labels import HOST, LabelSet
from exporter.families.model import Family, MetricType, Sample, World
from exporter.host.netdev import InterfaceCounters
from exporter.host.network import NetworkReadings

__all__ = ["FAMILIES"]


@lru_cache(maxsize=1)
def _host_labels(_interfaces: tuple[str, ...]) -> LabelSet:
    """Return the labels of the host's series; another set when the interfaces change: every Compose project brings a bridge of its own."""
    return LabelSet(HOST.labels)


def _samples(read: Callable[[InterfaceCounters], int]) -> Callable[[World], Iterable[Sample]]:
    def samples(world: World) -> Iterable[Sample]:
        network = world.network
        if not isinstance(network, NetworkReadings):
            return
        if network.host:
            labels = _host_labels(tuple(counters.interface for counters in network.host))
            for counters in network.host:
                yield labels, (("interface", counters.interface),), read(counters)
        for known in world.running:
            for counters in network.by_container.get(known.view.id, ()):
                yield known.cadvisor, (("interface", counters.interface),), read(counters)

    return samples


FAMILIES: Final = tuple(
    Family(
        name=f"container_network_{name}_total", type=MetricType.COUNTER, help=help_, samples=_samples(read)
    )
    for name, help_, read in (
        ("receive_bytes", "Bytes received.", lambda counters: counters.receive_bytes),
        ("receive_packets", "Packets received.", lambda counters: counters.receive_packets),
        ("receive_errors", "Errors while receiving.", lambda counters: counters.receive_errors),
        (
            "receive_packets_dropped",
            "Packets dropped while receiving.",
            lambda counters: counters.receive_dropped,
        ),
        ("transmit_bytes", "Bytes transmitted.", lambda counters: counters.transmit_bytes),
        ("transmit_packets", "Packets transmitted.", lambda counters: counters.transmit_packets),
        ("transmit_errors", "Errors while transmitting.", lambda counters: counters.transmit_errors),
        (
            "transmit_packets_dropped",
            "Packets dropped while transmitting.",
            lambda counters: counters.transmit_dropped,
        ),
    )
)
