"""Memory that was needed for a moment does not stay with the process."""

import subprocess
import sys

SCRIPT = """\
import sys, threading
from vakhta.allocator import return_freed_memory

def pages():
    return int(open("/proc/self/statm").read().split()[1])

def need():
    pieces = [b"x" * 100_000 for _ in range(400)]
    keep.append(b"y" * 100_000)  # stays, at the end of the heap
    del pieces

if "with" in sys.argv:
    assert return_freed_memory()
keep = []
before = pages()
for _ in range(6):
    threads = [threading.Thread(target=need) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
print((pages() - before) * 4096)
"""


def kept(*args):
    """Return how many bytes a process keeps after threads needed them."""
    command = [sys.executable, "-c", SCRIPT, *args]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_less_is_kept():
    """Threads that come and go leave less behind than they do without."""
    assert kept("with") < kept()
