"""Metric families: one row per family, read from an immutable world.

A new metric is a row in one of the tables; docs/interfaces.md lists them all.
"""

from exporter.families import cadvisor, containers, host, machine, network, node, slow
from exporter.families.labels import LabelSets
from exporter.families.model import CollectorStatus, Family, MetricType, Sample, World, world

__all__ = ["ALL", "CollectorStatus", "Family", "LabelSets", "MetricType", "Sample", "World", "world"]

ALL: tuple[Family, ...] = (
    *containers.FAMILIES,
    *cadvisor.FAMILIES,
    *network.FAMILIES,
    *slow.FAMILIES,
    *machine.FAMILIES,
    *node.FAMILIES,
    *host.FAMILIES,
)
