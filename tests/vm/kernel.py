"""Debian's kernel with all its modules, unpacked into a folder.

Its package is fetched, never installed.

`python -m tests.vm.kernel FOLDER` fetches it. That is done before the tests, where there is a
network."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

META = "linux-image-amd64"  # depends on the package that has the kernel: linux-image-6.1.0-NN-amd64


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel.

    Attributes:
        release: what `uname -r` says under it.
        image: what boots; modules: the tree that belongs in /lib/modules.
    """

    release: str
    image: Path
    modules: Path


def kernel(folder: Path) -> Kernel:
    """The kernel in a folder."""
    image = next((folder / "boot").glob("vmlinuz-*"))
    release = image.name.removeprefix("vmlinuz-")
    return Kernel(release, image, folder / "lib/modules" / release)


def fetch(folder: Path) -> None:
    """Fetch Debian's kernel with apt and unpack it, if it is not there yet."""
    if folder.exists():
        return
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        if not (package := _package()):
            _run("apt-get", "update", "-qq")
            package = _package()
        print(f"fetching {package}", flush=True)
        _run("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package, cwd=made)
        unpacked = Path(made) / "kernel"
        _run("dpkg", "-x", str(next(Path(made).glob("*.deb"))), str(unpacked))
        release = next((unpacked / "lib/modules").iterdir()).name
        _run(
            "depmod", "-b", str(unpacked), release
        )  # which module answers to which name; nobody installs it, so nobody did
        unpacked.rename(folder)


def _package() -> str:
    said = _run("apt-cache", "depends", META).splitlines()
    return next((line.split()[-1] for line in said if "Depends: linux-image-" in line), "")


def _run(*argv: str, cwd: str | None = None) -> str:
    return subprocess.run(argv, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
