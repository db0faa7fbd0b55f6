"""The host's files in /proc."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.host import kernelfiles
from tests.exporter.host.hosts import DEBIAN, VM
from tests.size import examples

STAT = b"cpu  30 0 0 0 0 0 0 0 0 0\ncpu0 10 20 30 40 50 60 70 80 90 99\ncpu12 1 2 3 4 5 6 7 8\nbtime 1795455476\n"


def cpu_times(content):
    """Read CPU times with the usual hundred ticks a second."""
    return kernelfiles.cpu_times(content, ticks_per_second=100)


@pytest.mark.parametrize(
    ("host", "name", "value"),
    [
        pytest.param(DEBIAN, "MemTotal_bytes", 2026004 * 1024, id="in kilobytes"),
        pytest.param(VM, "Active_anon_bytes", None, id="parentheses become a suffix"),
        pytest.param(VM, "Committed_AS_bytes", None, id="underscores stay"),
        pytest.param(VM, "HugePages_Total", 0, id="a count has no unit"),
        pytest.param(VM, "Hugepagesize_bytes", 2048 * 1024, id="the size of a huge page"),
        pytest.param(VM, "DirectMap4k_bytes", None, id="digits in a name"),
    ],
)
def test_meminfo(host, name, value):
    """Names and units are node_exporter's."""
    found = kernelfiles.meminfo((host / "proc/meminfo").read_bytes())
    assert name in found
    assert value in (None, found[name])


def test_vmstat():
    """Seven counters of the hundreds there are."""
    found = kernelfiles.vmstat(b"nr_free_pages 9\npswpin 1\npswpout 2\npgmajfault 3\noom_kill 4\npgpgin 5\n")
    assert found == {"pswpin": 1, "pswpout": 2, "pgmajfault": 3, "oom_kill": 4, "pgpgin": 5}
    assert kernelfiles.vmstat((VM / "proc/vmstat").read_bytes()).keys() == set(kernelfiles.VMSTAT)


def test_load():
    """Three averages, then what does not concern us."""
    assert kernelfiles.load(b"1.53 1.33 12 6/218 14951\n") == (1.53, 1.33, 12.0)


def test_pressure():
    """Microseconds become seconds."""
    found = kernelfiles.pressure((VM / "proc/pressure/memory").read_bytes())
    text = (VM / "proc/pressure/memory").read_text()
    some, full = (int(line.rpartition("=")[2]) / 1e6 for line in text.splitlines())
    assert found == {"some": some, "full": full}


def test_cpu_times():
    """Every CPU by its number, eight modes each, in seconds; guests are in user time already."""
    found = cpu_times(STAT)
    assert found == {
        "0": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
        "12": (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08),
    }
    assert list(cpu_times((DEBIAN / "proc/stat").read_bytes())) == ["0", "1"]


def test_boot_time():
    """When the host was started."""
    assert kernelfiles.boot_time((DEBIAN / "proc/stat").read_bytes()) == 1795455476


READERS = [
    pytest.param(kernelfiles.meminfo, id="meminfo"),
    pytest.param(kernelfiles.vmstat, id="vmstat"),
    pytest.param(kernelfiles.load, id="load"),
    pytest.param(kernelfiles.pressure, id="pressure"),
    pytest.param(cpu_times, id="CPU times"),
    pytest.param(kernelfiles.boot_time, id="boot time"),
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x00\xff\n: kB\n", id="garbage"),
        pytest.param(b"MemTotal: x kB\npswpin x\nsome total=x\ncpu0 x\nbtime x\n", id="words for numbers"),
        pytest.param(
            b"cpu0 %(n)b\nbtime %(n)b\npswpin %(n)b\nsome total=%(n)b\nMemTotal: %(n)b kB\n"
            % {b"n": b"9" * 400},
            id="more digits than a float holds",
        ),
    ],
)
def test_not_what_it_should_be(reader, content):
    """A file that does not hold what it should is refused, not read as zeros."""
    with pytest.raises(ValueError, match=r"\w"):
        reader(content)


LINES = st.sampled_from([b"cpu0 ", b"cpu1 1 2 3 4 5 6 7 8\n", b"btime ", b"some avg10=0.00 total=", b"pswpin ", b"MemTotal: ", b"kB", b"\n",
                         b" ", b"17", b"-1", b"1.5", b"1_0", b"nan", b"inf", b"1e999", "٣".encode()])  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=examples(60))
@given(content=st.binary() | st.lists(LINES | st.binary(max_size=6), max_size=30).map(b"".join))
def test_any_bytes(reader, content):
    """Any bytes are read or refused with a ValueError, nothing else."""
    try:
        reader(content)
    except ValueError:
        return
