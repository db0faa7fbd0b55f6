"""The machine is read in the background: how that goes is told."""

import asyncio
import threading

import pytest

from exporter.host.machine import MachineFacts
from exporter.machine import MachineWatch


def machine(fault=""):
    """Return facts of a machine."""
    return MachineFacts(
        cpu_cores=2,
        cpu_physical_cores=2,
        cpu_sockets=1,
        memory_bytes=1,
        swap_bytes=0,
        machine_id="",
        system_uuid="",
        boot_id="",
        kernel="6.1",
        os="",
        fault=fault,
    )


@pytest.mark.parametrize(("fault", "success"), [("", True), ("meminfo: no", False)])
async def test_what_was_read_is_there_and_its_fault_told(fault, success, caplog):
    """A fault is logged; the rest is there all the same."""
    watch = MachineWatch(lambda: machine(fault))
    assert (watch.status().success, watch.facts) == (False, None)
    await watch.look()
    assert (watch.status().name, watch.status().success, watch.facts) == ("machine", success, machine(fault))
    assert [record.facts["error"] for record in caplog.records] == [fault] * (not success)


async def test_a_read_that_hangs_does_not_hold_up_the_end():
    """Ending takes no longer than anything else; until then the collector fails."""
    loop, asked, go = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def hang():
        loop.call_soon_threadsafe(asked.set)
        assert go.wait(10)
        return machine()

    watch = MachineWatch(hang)
    try:
        async with asyncio.timeout(5):
            task = asyncio.create_task(watch.run())
            await asked.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert not watch.status().success
    finally:
        go.set()
