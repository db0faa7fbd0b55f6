"""The host itself: its network counters and its containers', the machine's facts, and what node_exporter would say.

Readers block and are meant to run in a thread; each says in a sentence what it could not read, and never raises.
"""

from exporter.host.filesystems import Filesystem, FilesystemProber, Space
from exporter.host.machine import MachineFacts, MachineReader
from exporter.host.netdev import InterfaceCounters
from exporter.host.network import NetworkCollector, NetworkReadings
from exporter.host.node import NodeCollector, NodeReadings, Part

__all__ = [
    "Filesystem",
    "FilesystemProber",
    "InterfaceCounters",
    "MachineFacts",
    "MachineReader",
    "NetworkCollector",
    "NetworkReadings",
    "NodeCollector",
    "NodeReadings",
    "Part",
    "Space",
]
