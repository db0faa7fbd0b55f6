"""Boots the virtual machine, has it visited, and reads what was written.

Everything is emulated, so it runs wherever qemu does, and slowly: power-on and the start of ten containers take minutes. So the machine
is saved once, containers running, as a laptop is that is closed; every later run goes on from there. The disks that are kept are never
written again: what the machine changes on them is thrown away. It has no network but its own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from tests.real import bases, images
from tests.real.cgroup2 import image
from tests.real.components import obtain

_HERE: Final = Path(__file__).parent
_INSIDE: Final = (_HERE / "containers.py", *sorted((_HERE / "inside").glob("*.py")))
# On an idle machine with two cores 115 and 60.
_FIRST_SECONDS: Final = 600.0
_VISIT_SECONDS: Final = 240.0
_CONSOLE_LINES: Final = 40
_OVER: Final = "the visit is over"
_VISIT_SIZE: Final = "64M"
_SWAP_BYTES: Final = 128 << 20
_PREPARE: Final = """\
ip address add 10.0.2.15/24 dev eth0
ip link set eth0 up
mkswap /dev/vdd >/dev/null && swapon /dev/vdd
cd /visit && python3 prepare.py /visit && echo prepared
cd /
"""
_VISIT: Final = """\
mkdir /libraries
mount -o ro /dev/vdc /libraries
echo 0 >/proc/sys/vm/dirty_writeback_centisecs
cd /visit && timeout 220 python3 visit.py /visit
cd / && umount /visit && sync
systemctl poweroff -ff
"""
_KERNEL_FLAGS: Final = (
    "root=/dev/vda rw rootfstype=ext4 console=ttyS0 loglevel=4 apparmor=0 selinux=0 net.ifnames=0 mitigations=off nokaslr "
    "random.trust_cpu=on systemd.show_status=0"
)
_DEVICES: Final = (
    *("-accel", "tcg,thread=multi,tb-size=256", "-machine", "q35"),
    # A processor of few words is emulated a quarter faster than `max`.
    *("-cpu", "Nehalem", "-smp", "2", "-m", "1024"),
    *("-nodefaults", "-display", "none", "-no-reboot", "-device", "virtio-rng-pci"),
    # Alone on its network, but for the gateway, which answers to ping.
    *("-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile="),
)


class MachineError(Exception):
    """The machine did not boot, did not end, or wrote nothing; the text has the end of its console."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Saved:
    """The machine after its first visit: its disks, as they were then, and its memory."""

    disk: Path
    swap: Path
    memory: Path


def visit(folder: Path) -> dict[str, Any]:
    """Wake the machine, have it visited, and see it power off; give what `inside/visit.py` wrote.

    Args:
        folder: Empty; takes the visitor's disk and the console's output.

    Raises:
        MachineError: See the class.
    """
    saved = _saved()
    console, disk = folder / "console.log", folder / "visit.img"
    payload = _payload(folder / "payload", _VISIT)
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("exporter", "vakhta"):
        shutil.copytree(bases.ROOT / name, payload / name, ignore=ignored)
    image.byte_compile(payload)
    image.pack(payload, disk, size=_VISIT_SIZE)
    with _Running(
        *("-drive", _drive(saved.disk, "snapshot=on"), "-drive", _drive(disk)),
        *("-drive", _drive(image.libraries(), "readonly=on"), "-drive", _drive(saved.swap, "snapshot=on")),
        *("-incoming", f"exec:cat '{saved.memory}'"),
        folder=folder,
        console=console,
    ) as machine:
        machine.wait(lambda: machine.ended, _VISIT_SECONDS, "it did not power off")
    return _result(folder, console)


def _saved() -> _Saved:
    """Give the machine after its first visit; makes it the first time (some minutes)."""
    qemu = obtain("qemu")["qemu"]
    machine = image.image()
    image.libraries()  # here and not below, where the cache's lock is held
    written = [path.read_text() for path in _INSIDE if path.name != "visit.py"]
    recipe = (
        qemu.version,
        machine.disk.parent.name,
        _DEVICES,
        _KERNEL_FLAGS,
        _PREPARE,
        _VISIT_SIZE,
        _SWAP_BYTES,
        *written,
    )
    folder = image.made("saved", recipe, _save)
    return _Saved(disk=folder / "disk.img", swap=folder / "swap.img", memory=folder / "memory")


def _save(folder: Path) -> None:
    machine = image.image()
    saved = _Saved(disk=folder / "disk.img", swap=folder / "swap.img", memory=folder / "memory")
    disk, console = folder / "visit.img", folder / "console.log"
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", machine.disk, saved.disk], check=True)
    with saved.swap.open("wb") as swap:
        swap.truncate(_SWAP_BYTES)
    payload = _payload(folder / "payload", _PREPARE)
    (payload / "busybox.tar").write_bytes(images.busybox("1.35"))
    image.pack(payload, disk, size=_VISIT_SIZE)
    with _Running(
        *("-drive", _drive(saved.disk), "-drive", _drive(disk)),
        *("-drive", _drive(image.libraries(), "readonly=on"), "-drive", _drive(saved.swap)),
        *("-kernel", str(machine.kernel), "-initrd", str(machine.initrd), "-append", _KERNEL_FLAGS),
        folder=folder,
        console=console,
    ) as running:
        running.wait(
            lambda: _OVER in console.read_text(errors="replace"),
            _FIRST_SECONDS,
            "the first visit did not end",
        )
        if "\nprepared" not in console.read_text(errors="replace").replace("\r", ""):
            raise MachineError(f"the first visit failed{_end_of(console)}")
        running.save(saved.memory)
    shutil.rmtree(payload)
    disk.unlink()


class _Running:
    """A machine that runs, until the block ends at the latest."""

    def __init__(self, *arguments: str, folder: Path, console: Path) -> None:
        self._console = console
        self._log = folder / "qemu.log"
        console.touch()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL"),  # it does not outlive us, however we end
                    *(obtain("qemu")["qemu"].program(), *_DEVICES, *arguments),
                    *("-serial", f"file:{console}", "-qmp", "stdio"),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={"PATH": "/usr/bin:/bin", "TMPDIR": str(folder)},
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def ended(self) -> bool:
        """Whether it has powered off."""
        code = self._process.poll()
        if code:
            raise MachineError(f"qemu: exit {code}: {self._log.read_text()}{_end_of(self._console)}")
        return code is not None

    def wait(self, holds: Callable[[], bool], seconds: float, otherwise: str) -> None:
        """Wait until something holds.

        Raises:
            MachineError: It does not in time, or qemu fails.
        """
        end = time.monotonic() + seconds
        while not holds():
            if self.ended:
                raise MachineError(f"it powered off: {otherwise}{_end_of(self._console)}")
            if time.monotonic() > end:
                raise MachineError(f"{otherwise} within {seconds:g} s{_end_of(self._console)}")
            time.sleep(0.1)

    def save(self, memory: Path) -> None:
        """Write everything down that is not on the disks, and end."""
        self._ask("qmp_capabilities")
        self._ask("migrate-set-parameters", {"max-bandwidth": 1 << 34, "downtime-limit": 5000})
        self._ask("migrate", {"uri": f"exec:cat >'{memory}'"})
        self.wait(self._is_saved, 60, "it was not saved")
        self._ask("quit")
        self._process.wait(30)

    def _is_saved(self) -> bool:
        status = self._ask("query-migrate").get("status")
        if status == "failed":
            raise MachineError(f"it cannot be saved: {self._log.read_text()}")
        return bool(status == "completed")

    def _ask(self, command: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"execute": command, **({"arguments": arguments} if arguments else {})}
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            answer = json.loads(line)
            if "error" in answer:
                raise MachineError(f"qemu: {command}: {answer['error']}")
            if "return" in answer:
                return dict(answer["return"])
        raise MachineError(f"qemu ended: {self._log.read_text()}{_end_of(self._console)}")


def _payload(payload: Path, script: str) -> Path:
    payload.mkdir()
    for path in _INSIDE:
        shutil.copy(path, payload)
    (payload / "run.sh").write_text(script)
    return payload


def _drive(path: Path, *settings: str) -> str:
    return ",".join(("if=virtio", "format=raw", "cache=unsafe", f"file={path}", *settings))


def _result(folder: Path, console: Path) -> dict[str, Any]:
    debugfs, written = obtain("qemu")["qemu"].program("debugfs"), folder / "result.json"
    dump = [debugfs, "-R", f"dump /result.json {written}", str(folder / "visit.img")]
    subprocess.run(dump, capture_output=True, check=False)
    try:
        result: dict[str, Any] = json.loads(written.read_text())
    except (OSError, ValueError) as error:
        raise MachineError(f"it wrote no result: {error}{_end_of(console)}") from None
    if "error" in result:
        raise MachineError(f"{result['error']}\n{result['logs']}{_end_of(console)}")
    return result


def _end_of(console: Path) -> str:
    lines = console.read_text(errors="replace").splitlines()[-_CONSOLE_LINES:]
    return "\nThe end of its console:\n" + "\n".join(lines)
