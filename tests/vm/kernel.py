"""Debian's kernels with all their modules, unpacked into folders.

Their packages are fetched, never installed.

`python -m tests.vm.kernel FOLDER` fetches the one that QEMU boots to FOLDER/kernel, and the one
that is a process itself, User-mode Linux, to FOLDER/user-mode. That is done before the tests, where
there is a network."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

USER_MODE = "user-mode-linux"
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


def user_mode_kernel(folder: Path) -> Kernel:
    """The kernel of User-mode Linux in a folder."""
    modules = next((folder / "usr/lib/uml/modules").iterdir())
    return Kernel(modules.name, folder / "usr/bin/linux.uml", modules)


def fetch(folder: Path) -> None:
    """Fetch Debian's kernels with apt and unpack them, where they are not there yet."""
    folder.mkdir(exist_ok=True)
    missing = {name for name in ("kernel", "user-mode") if not (folder / name).exists()}
    if missing and not _package():
        _run("apt-get", "update", "-qq")
    for name in missing:
        _unpack(_package() if name == "kernel" else USER_MODE, folder / name)


def _unpack(package: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        print(f"fetching {package}", flush=True)
        download = ("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package)
        _run(*download, cwd=made)
        unpacked = Path(made) / folder.name
        _run("dpkg", "-x", str(next(Path(made).glob("*.deb"))), str(unpacked))
        if (unpacked / "lib/modules").exists():
            # Which module answers to which name is found out at an installation, which this is not.
            _run("depmod", "-b", str(unpacked), next((unpacked / "lib/modules").iterdir()).name)
        unpacked.rename(folder)


def _package() -> str:
    """The package that has the kernel of the day."""
    said = _run("apt-cache", "depends", META).splitlines()
    return next((line.split()[-1] for line in said if "Depends: linux-image-" in line), "")


def _run(*argv: str, cwd: str | None = None) -> str:
    return subprocess.run(argv, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
