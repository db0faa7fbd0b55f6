"""Readings in which every number is its own, and of which no family lacks its part."""

from dataclasses import fields

from exporter.cgroups.usage import CpuUsage, DeviceIo, Limits, MemoryUsage, Pids, Pressure, Usage
from exporter.host.machine import MachineFacts


def numbered(type_, start, **given):
    """Return a record whose every number is its own, so that no two can be mistaken for each other."""
    numbers = {field.name: start + place for place, field in enumerate(fields(type_))}
    return type_(**{**numbers, **given})


DISK = DeviceIo(
    device="/dev/vda",
    major=254,
    minor=16,
    read_bytes=401,
    written_bytes=402,
    reads=403,
    writes=404,
    operations=(("Read", 405), ("Write", 406), ("Discard", 407)),
)
FULL = Usage(
    cpu=numbered(CpuUsage, 100),
    memory=numbered(MemoryUsage, 200),
    io=(DISK,),
    pressure=numbered(Pressure, 300),
    limits=numbered(Limits, 500),
    pids=numbered(Pids, 600),
)
MACHINE = MachineFacts(
    cpu_cores=4, cpu_physical_cores=2, cpu_sockets=1, memory_bytes=8_000_000, swap_bytes=2_000_000
)
