"""Signals end a process, whatever its threads do. Run as real processes: signals are not to be had otherwise."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

PRELUDE = "import asyncio, sys, threading, time\nfrom vakhta import service\n"


def start(body):
    """Start a program that prints "up" once it runs."""
    program = PRELUDE + textwrap.dedent(body)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout.readline() == "up\n"
    return process


def finish(process):
    """Wait for its exit code."""
    try:
        return process.wait(timeout=10)
    finally:
        process.kill()
        process.stdout.close()


WAITS = """
    async def main(stop):
        print("up", flush=True)
        await stop.wait()
        return 0
    sys.exit(service.run(main))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(number):
    """SIGTERM and SIGINT both let the program finish and exit 0."""
    process = start(WAITS)
    process.send_signal(number)
    assert finish(process) == 0


def test_the_exit_code_is_the_programs():
    """What the coroutine returns is the exit code."""
    process = start("""
        async def main(stop):
            print("up", flush=True)
            return 2
        sys.exit(service.run(main))
    """)
    assert finish(process) == 2


def test_a_second_signal_ends_it_at_once():
    """A person who presses Ctrl-C twice does not wait for a clean-up that hangs."""
    process = start("""
        async def main(stop):
            print("up", flush=True)
            await stop.wait()
            print("cleaning", flush=True)
            await asyncio.sleep(60)
        sys.exit(service.run(main))
    """)
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(signal.SIGINT)
    assert finish(process) == 128 + signal.SIGINT


def test_a_stuck_thread_does_not_outlast_the_grace_period():
    """A thread that never returns is left behind once the grace period is over, and the exit code is still 0."""
    process = start("""
        async def main(stop):
            asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)
            print("up", flush=True)
            await stop.wait()
            return 0
        sys.exit(service.run(main, grace_seconds=0.3))
    """)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert finish(process) == 0
    assert time.monotonic() - began < 5
