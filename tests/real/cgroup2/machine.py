"""Boots the virtual machine once, lets it work and reads what it wrote.

Everything is emulated, so it runs wherever qemu does, and slowly. The disks that are kept are never written: what the machine changes on
them is thrown away. It has no network but its own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from tests.real import bases, images
from tests.real.cgroup2 import image
from tests.real.components import obtain

_HERE: Final = Path(__file__).parent
_BOOT_SECONDS: Final = 240.0
_CONSOLE_LINES: Final = 40
_RUN: Final = """\
set -u
cd /visit
mkdir /libraries
mount -o ro /dev/vdc /libraries
mkswap /dev/vdd >/dev/null && swapon /dev/vdd
ip address add 10.0.2.15/24 dev eth0
ip link set eth0 up
timeout 220 python3 guest.py /visit
echo "guest.py: exit $?"
"""
_KERNEL_FLAGS: Final = (
    "root=/dev/vda rw rootfstype=ext4 console=ttyS0 loglevel=4 apparmor=0 net.ifnames=0 mitigations=off nokaslr "
    "random.trust_cpu=on systemd.show_status=0 systemd.journald.forward_to_console=0"
)


class MachineError(Exception):
    """The machine did not boot, did not end, or wrote nothing; the text has the end of its console."""


def visit(folder: Path) -> dict[str, Any]:
    """Boot, work, power off; give what `guest.py` wrote.

    Args:
        folder: Empty; takes the disks and the console's output.

    Raises:
        MachineError: See the class.
    """
    disks = image.image(), image.libraries()
    payload, console = folder / "payload", folder / "console.log"
    _fill(payload)
    image.pack(payload, folder / "visit.img", size="64M")
    with (folder / "swap.img").open("wb") as swap:
        swap.truncate(128 << 20)
    command = _command(*disks, folder, console)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_BOOT_SECONDS,
            env={"PATH": "/usr/bin:/bin", "TMPDIR": str(folder)},
        )
    except subprocess.TimeoutExpired:
        raise MachineError(f"it did not end within {_BOOT_SECONDS:g} s{_end_of(console)}") from None
    if done.returncode:
        raise MachineError(f"qemu: exit {done.returncode}: {done.stderr}{_end_of(console)}")
    return _result(folder, console)


def _fill(payload: Path) -> None:
    payload.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("exporter", "vakhta"):
        shutil.copytree(bases.ROOT / name, payload / name, ignore=ignored)
    for name in ("guest.py", "containers.py"):
        shutil.copy(_HERE / name, payload)
    image.byte_compile(payload)
    (payload / "run.sh").write_text(_RUN)
    (payload / "busybox.tar").write_bytes(images.busybox("1.35"))


def _command(machine: image.Image, libraries: Path, folder: Path, console: Path) -> list[str]:
    drive = "if=virtio,format=raw,cache=unsafe,file="
    return [
        *(obtain("qemu")["qemu"].program(), "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max"),
        *("-machine", "q35", "-smp", "2", "-m", "1536", "-nodefaults", "-display", "none", "-no-reboot"),
        *("-serial", f"file:{console}", "-device", "virtio-rng-pci"),
        *("-kernel", str(machine.kernel), "-initrd", str(machine.initrd), "-append", _KERNEL_FLAGS),
        *("-drive", f"{drive}{machine.disk},snapshot=on"),
        *("-drive", f"{drive}{folder / 'visit.img'}"),
        *("-drive", f"{drive}{libraries},readonly=on"),
        *("-drive", f"{drive}{folder / 'swap.img'}"),
        # Alone on its network, but for the gateway, which answers to ping.
        *("-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile="),
    ]


def _result(folder: Path, console: Path) -> dict[str, Any]:
    debugfs, written = obtain("qemu")["qemu"].program("debugfs"), folder / "result.json"
    subprocess.run(
        [debugfs, "-R", f"dump /result.json {written}", str(folder / "visit.img")], capture_output=True, check=False
    )
    try:
        result: dict[str, Any] = json.loads(written.read_text())
    except (OSError, ValueError) as error:
        raise MachineError(f"it wrote no result: {error}{_end_of(console)}") from None
    if "error" in result:
        raise MachineError(f"{result['error']}\n{result['logs']}{_end_of(console)}")
    return result


def _end_of(console: Path) -> str:
    if not console.exists():
        return "\nThere is no console: qemu did not start."
    lines = console.read_text(errors="replace").splitlines()[-_CONSOLE_LINES:]
    return "\nThe end of its console:\n" + "\n".join(lines)
