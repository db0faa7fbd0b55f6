"""Makes the virtual machine's disks: a Debian with cgroup v2, systemd and Docker, and the wheels that the exporter needs.

Both are made once into the cache, under a name made of what they are made from; from then on nothing is downloaded. The
machine is built in a folder, entered with mounts and process ids of its own, so that nothing of it outlives the build.
"""

from __future__ import annotations

import compileall
import hashlib
import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Final

from tests.real import bases, debian
from tests.real.components import cache_folder, obtain

_SUITE: Final = "bookworm"
_PYTHON: Final = (3, 11)  # what the suite ships
_DISK_SIZE: Final = "3G"
_PACKAGES: Final = (
    *("linux-image-cloud-amd64", "initramfs-tools", "systemd-sysv", "udev", "dbus", "kmod"),
    *("docker.io", "iptables", "iproute2", "busybox-static", "python3", "ca-certificates"),
)
# Of no use to a machine that lives for a minute, and a boot is that much shorter without them.
_MASKED: Final = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer", "man-db.timer"),
    *("e2scrub_all.timer", "e2scrub_reap.service", "systemd-timesyncd.service", "systemd-pstore.service"),
    *("getty@tty1.service", "serial-getty@ttyS0.service", "getty-static.service", "networking.service"),
    *("systemd-random-seed.service", "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service"),
    *("systemd-journal-flush.service", "systemd-binfmt.service", "containerd-prune.timer"),
)
_FILES: Final = {
    "etc/hostname": "cgroup2\n",
    "etc/hosts": "127.0.0.1 localhost cgroup2\n",
    "etc/fstab": "",
    "etc/resolv.conf": "",
    "etc/docker/daemon.json": '{"storage-driver": "overlay2", "log-driver": "json-file"}\n',
    # What makes an initial RAM disk of 30 MB by default is what takes an emulated machine seconds to unpack.
    "etc/initramfs-tools/initramfs.conf": "MODULES=list\nCOMPRESS=gzip\nBUSYBOX=n\n",
    "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
    "etc/modules": "virtio_net\noverlay\n",
    "etc/systemd/system/visits.service": """\
[Unit]
Description=What comes on the second disk
After=docker.service
Requires=docker.service

[Service]
ExecStart=/bin/sh /usr/local/sbin/visits
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0

[Install]
WantedBy=multi-user.target
""",
    # A disk without a superblock is none; after a visit it is made such a one. It is looked at past all caches: behind the machine's
    # back, while it was saved, another may have been put there.
    "usr/local/sbin/visits": """\
mkdir /visit
while :; do
  until dd if=/dev/vdb bs=1k skip=1 count=1 iflag=direct status=none | tr -d '\\0' | grep -q .; do sleep 0.5; done
  mount /dev/vdb /visit && cp /visit/run.sh /run && sh /run/run.sh
  umount /visit
  dd if=/dev/zero of=/dev/vdb bs=4k count=1 oflag=direct conv=fsync status=none
  sync
  echo the visit is over
done
""",
}
# Runs in the machine's folder, as root of it. Nothing may start while it is only a folder.
_INSTALL: Final = f"""\
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
mount -t proc proc /proc
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt-get -q update
apt-get -q install -y --no-install-recommends {" ".join(_PACKAGES)}
rm /usr/sbin/policy-rc.d
"""
_FINISH: Final = f"""\
set -eu
export LC_ALL=C.UTF-8
mount -t proc proc /proc
systemctl enable docker.service visits.service
systemctl mask {" ".join(_MASKED)}
update-initramfs -u
apt-get clean
rm -rf /var/lib/apt/lists /etc/apt/sources.list /etc/apt/apt.conf.d/90machine
rm -rf /usr/share/doc /usr/share/man /usr/share/locale /usr/share/info /usr/lib/python3/dist-packages/pip*
"""
# Enters a folder as its root, with mounts and process ids of its own: $1 the folder, $2 what its shell is to run.
_ENTER: Final = (
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--propagation",
    "private",
    "chroot",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The machine's own disk and what it is booted with."""

    disk: Path
    kernel: Path
    initrd: Path


def image() -> Image:
    """Give the machine, as it is before its first boot; makes it the first time (some minutes)."""
    recipe = (_SUITE, _DISK_SIZE, *_PACKAGES, *_MASKED, *_FILES.items(), _INSTALL, _FINISH)
    folder = made("debian", recipe, _make_image)
    return Image(disk=folder / "disk.img", kernel=folder / "vmlinuz", initrd=folder / "initrd.img")


def libraries() -> Path:
    """Give a disk with what the lock file names, as the machine's Python imports it."""
    lock = (bases.ROOT / "requirements.lock").read_text()
    return made("libraries", (_PYTHON, sys.version_info[:2], lock), _make_libraries) / "disk.img"


def pack(folder: Path, disk: Path, *, size: str) -> None:
    """Make a disk with a folder's content; a journal would only cost time."""
    mke2fs = obtain("qemu")["qemu"].program("mke2fs")
    bases.execute(
        mke2fs, "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", str(folder), str(disk), size
    )


def byte_compile(folder: Path) -> None:
    """Spare the machine the work, where this Python writes what that one reads."""
    if sys.version_info[:2] == _PYTHON:
        compileall.compile_dir(folder, quiet=2, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)


def made(name: str, recipe: object, make: Callable[[Path], None]) -> Path:
    """Give the folder that was made by a recipe, or make it: one of them at a time, and nobody sees it half made."""
    key = hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]
    return bases.made(cache_folder() / "cgroup2" / f"{name}-{key}", make)


def _make_image(folder: Path) -> None:
    obtain("qemu")  # what packs the disk comes with it
    program, tree = obtain("debootstrap")["debootstrap"].program(), folder / "tree"
    bases.execute(program, "--variant=minbase", _SUITE, str(tree), debian.machine_mirror())
    _connect(tree)
    _inside(tree, _INSTALL)
    for path, text in _FILES.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).unlink(missing_ok=True)
        (tree / path).write_text(text)
    _inside(tree, _FINISH)
    for kind in ("vmlinuz", "initrd.img"):
        (found,) = (tree / "boot").glob(f"{kind}-*")
        shutil.move(found, folder / kind)
    pack(tree, folder / "disk.img", size=_DISK_SIZE)
    shutil.rmtree(tree)


def _connect(tree: Path) -> None:
    """Give the folder what this machine reaches its mirror with."""
    for name in ("/etc/resolv.conf", "/etc/hosts"):
        shutil.copy(name, tree / name[1:])
    found = [
        path for path in (Path("/etc/apt/apt.conf"), *Path("/etc/apt/apt.conf.d").glob("*")) if path.is_file()
    ]
    settings = re.findall(r"(?m)^\s*Acquire::.*;", "\n".join(path.read_text() for path in found))
    (tree / "etc/apt/apt.conf.d/90machine").write_text("\n".join((*settings, "")))


def _inside(tree: Path, script: str) -> None:
    bases.execute(*_ENTER, str(tree), "/bin/sh", "-c", script)


def _make_libraries(folder: Path) -> None:
    site = folder / "site"
    for wheel in sorted(bases.wheels().glob("*.whl")):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(site)
    byte_compile(site)
    pack(site, folder / "disk.img", size="400M")
    shutil.rmtree(site)
