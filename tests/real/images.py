"""Makes the images that the tests run; there is no image registry to pull from."""

from __future__ import annotations

import io
import subprocess
import tarfile

from tests.real.components import obtain


def busybox(version: str) -> bytes:
    """Pack the tar of an image: every applet of the real busybox, and /etc/version, which tells images apart."""
    program = obtain("busybox")["busybox"].program()
    applets = subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout.split()
    texts = {
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        "etc/group": "root:x:0:\nnogroup:x:65534:\n",
        "etc/version": f"{version}\n",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        archive.add(program, "bin/busybox")
        for applet in applets:
            if applet != "busybox":
                entry = tarfile.TarInfo(f"bin/{applet}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(entry)
        for name, text in texts.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()
