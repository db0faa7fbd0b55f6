"""What the machine is."""

import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.host.machine import MachineFacts, MachineReader, cpu_list, topology_from_cpuinfo
from tests.exporter.host.hosts import DEBIAN, copy_of

# Two sockets of two cores, each core with two threads; the cores have the same numbers on both.
TWO_SOCKETS = "".join(
    f"processor\t: {cpu}\nphysical id\t: {cpu // 4}\ncore id\t\t: {cpu // 2 % 2}\n\n" for cpu in range(8)
)


@pytest.fixture
def host(tmp_path):
    """A recorded host with what a recording has not: sysfs and files of its own."""
    made = copy_of(DEBIAN, tmp_path)
    for name, content in {
        "sys/devices/system/cpu/online": "0-1\n",
        "sys/class/dmi/id/product_uuid": "4c4c4544-0042\n",
        "proc/sys/kernel/random/boot_id": "882c4335-c92f\n",
        "etc/machine-id": "3d1219c7\n",
        "etc/os-release": 'NAME="Debian GNU/Linux"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    }.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(content)
    return made


def read(host):
    """Read a host's facts."""
    return MachineReader(procfs=host / "proc", sysfs=host / "sys", rootfs=host).read()


def test_recorded_host(host):
    """Everything there is to say of a small virtual machine."""
    found = read(host)
    assert found == MachineFacts(
        cpu_cores=2,
        cpu_physical_cores=2,
        cpu_sockets=1,
        memory_bytes=2026004 * 1024,
        swap_bytes=0,
        machine_id="3d1219c7",
        system_uuid="4c4c4544-0042",
        boot_id="882c4335-c92f",
        kernel=found.kernel,
        os="Debian GNU/Linux 12 (bookworm)",
    )
    assert found.kernel


def test_cores_of_two_sockets(host):
    """Equal core numbers on different sockets are different cores."""
    (host / "proc/cpuinfo").write_text(TWO_SOCKETS)
    (host / "sys/devices/system/cpu/online").write_text("0-7\n")
    found = read(host)
    assert (found.cpu_cores, found.cpu_physical_cores, found.cpu_sockets) == (8, 4, 2)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        pytest.param({0: (0, 0), 1: (0, 1)}, (2, 1), id="two cores"),
        pytest.param({0: (0, 0), 1: (0, 0)}, (1, 1), id="two threads of one"),
        pytest.param({}, (None, None), id="not said there either"),
    ],
)
def test_cpuinfo_without_cores(host, named, expected):
    """Where /proc/cpuinfo does not know sockets (ARM), sysfs is asked; where nobody does, nothing is published."""
    (host / "proc/cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 50.00\n\nprocessor\t: 1\n")
    for cpu, (socket, core) in named.items():
        folder = host / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text(f"{socket}\n")
        (folder / "core_id").write_text(f"{core}\n")
    found = read(host)
    assert (found.cpu_cores, found.cpu_physical_cores, found.cpu_sockets) == (2, *expected)
    assert found.fault == ""


def test_without_sysfs(host):
    """CPUs are counted in /proc/stat then."""
    shutil.rmtree(host / "sys")
    assert (read(host).cpu_cores, read(host).fault) == (2, "")


def test_identity_unreadable(host):
    """A mainboard's number that only root may read is left out; one that does not exist is the machine's id, as with cAdvisor."""
    path = host / "sys/class/dmi/id/product_uuid"
    path.unlink()
    assert read(host).system_uuid == "3d1219c7"
    # Nobody reads a folder as a file.
    path.mkdir()
    assert read(host).system_uuid == ""
    (host / "etc/machine-id").unlink()
    assert read(host).machine_id == ""


def test_nothing_there(tmp_path):
    """A host of which nothing can be read costs no exception; the fault says what to mount."""
    found = read(tmp_path)
    assert (found.cpu_cores, found.memory_bytes, found.boot_id, found.os) == (None, None, "", "")
    assert found.fault == (
        f"{tmp_path}/proc/meminfo: No such file or directory;"
        " mount the host's /proc and /sys and say where with --path.procfs and --path.sysfs"
    )


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        pytest.param(b"0\n", (0,), id="one"),
        pytest.param(b"0-3,6,8-9\n", (0, 1, 2, 3, 6, 8, 9), id="with holes"),
    ],
)
def test_cpu_list(text, cpus):
    """A list of CPUs as the kernel writes it."""
    assert cpu_list(text) == cpus


@pytest.mark.parametrize("text", [b"", b"-", b"0-", b"x", b"0-99999999", b"9" * 400])
def test_no_cpu_list(text):
    """What is no such list, or names more CPUs than there can be, is refused."""
    with pytest.raises(ValueError, match="CPUs"):
        cpu_list(text)


@given(st.binary())
def test_any_bytes(content):
    """Any bytes are read or refused with a ValueError, nothing else."""
    topology_from_cpuinfo(content)
    try:
        cpu_list(content)
    except ValueError:
        return


def test_this_machine():
    """The machine the test runs on has CPUs and memory, and no fault."""
    found = MachineReader().read()
    assert found.cpu_cores >= 1
    assert found.memory_bytes > 0
    assert found.boot_id
    assert found.fault == ""
