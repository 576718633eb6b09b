"""What the guest has on its disk, which is memory.

Only what the tests execute, a tenth of a Debian.

system     the essential packages, the networking tools, and the libraries that they are linked with
python     the interpreter, its library without what tests never import, and the virtual environment
modules    the kernel modules that have to do with networks, and those that reach the host
checkout   every file that git knows of or would add, and what Python has compiled of them
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import sysconfig
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

PACKAGES = (
    "iproute2",
    "iptables",
    "iputils-ping",
    "kmod",
    "libc6",
    "libtinfo6",
    "mawk",
    "mount",
    "nftables",
    "procps",
    "netbase",
    "dnsperf",
)
CONFIGURATION = (
    "/etc/passwd",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/hostname",
    "/etc/hosts",
)
LEFT_OUT = (
    "/usr/share/doc/",
    "/usr/share/man/",
    "/usr/share/locale/",
    "/usr/share/info/",
    "/usr/share/lintian/",
    "/usr/share/bash-completion/",
    "/usr/share/zoneinfo/",
    "/usr/lib/x86_64-linux-gnu/gconv/",
    "/var/",
)
WITHOUT = {"mypy", "ruff", "pip"}  # distributions that would be half of the archive
UNUSED = {
    "test",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "lib2to3",
    "site-packages",
    "dist-packages",
}
MODULES = (
    "net",
    "crypto",
    "lib",
    "arch",
    "drivers/virtio",
    "drivers/char/virtio_console.ko",
    "drivers/net/ipvlan",
    "drivers/net/vxlan",
    "drivers/net/*.ko",
    "fs/overlayfs",
)
ELF = b"\x7fELF"


def system() -> set[Path]:
    """Files of the essential packages and of PACKAGES, and what belongs to them on any Debian."""
    essential = _said("dpkg-query", "-W", "-f", "${Essential} ${Package}\n")
    packages = [line.split()[1] for line in essential if line.startswith("yes ")]
    there = {
        line.split()[0].partition(":")[0]
        for line in _said("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n")
        if line.endswith(" installed")
    }
    listed = _said("dpkg-query", "-L", *packages, *(name for name in PACKAGES if name in there))
    found = {
        Path(name)
        for name in {*listed, *CONFIGURATION}
        if name.startswith("/") and not name.startswith(LEFT_OUT)
    }
    files = {path for path in found if path.is_symlink() or path.is_file()}
    return files | set(_alternatives({os.path.realpath(path) for path in files})) | set(_merged())


def _alternatives(targets: Container[str]) -> Iterator[Path]:
    """The links of update-alternatives to one of the targets.

    No package lists them: iptables is one.
    """
    for folder in (Path("/usr/bin"), Path("/usr/sbin")):
        yield from (
            path
            for path in folder.iterdir()
            if path.is_symlink()
            and os.readlink(path).startswith("/etc/alternatives/")
            and os.path.realpath(path) in targets
        )


def _merged() -> Iterator[Path]:
    """/bin, /sbin, /lib, /lib64: links into /usr on a Debian of today."""
    yield from (
        path
        for path in Path("/").iterdir()
        if path.is_symlink() and os.readlink(path).startswith("usr/")
    )


def python() -> set[Path]:
    """The interpreter that runs this, its library, and its virtual environment."""
    library = Path(sysconfig.get_path("stdlib"))
    found = {
        path
        for path in _below(library)
        if UNUSED.isdisjoint(path.relative_to(library).parts[:1])
        and path.suffix != ".a"
        and ".opt-" not in path.name
        and not path.name.startswith("_tkinter")
    }
    environment, base = Path(sys.prefix), Path(sys.base_prefix)
    found |= {
        path
        for path in (environment / "bin").iterdir()
        if path.name.startswith(("python", "plumb"))
    }
    found |= {
        environment / "pyvenv.cfg",
        Path(os.path.realpath(sys.executable)),
        *(base / "lib").glob("libpython3*.so*"),
    }
    for distribution in importlib.metadata.distributions(path=[sysconfig.get_path("purelib")]):
        if distribution.metadata["Name"] not in WITHOUT:
            found |= {
                Path(os.path.normpath(str(distribution.locate_file(file))))
                for file in distribution.files or ()
            }
    return {path for path in found if path.exists()}


def modules(tree: Path) -> set[Path]:
    """Kernel modules out of a package's tree (…/lib/modules/VERSION)."""
    found = {
        path
        for part in MODULES
        for top in (tree / "kernel").glob(part)
        for path in ([top] if top.is_file() else _below(top))
    }
    return found | set(tree.glob("modules.*"))


def checkout(repository: Path) -> set[Path]:
    """What git knows of or would add, and what is compiled of it already."""
    listed = _said(
        "git", "-C", str(repository), "ls-files", "--cached", "--others", "--exclude-standard"
    )
    sources = {path for name in listed if (path := repository / name).is_file()}
    compiled = {
        path
        for folder in {source.parent for source in sources}
        for path in (folder / "__pycache__").glob("*.pyc")
    }
    return sources | compiled


def complete(files: Iterable[Path]) -> set[Path]:
    """The files by their real folders, with what links lead to and with the libraries that programs
    are linked with."""
    found = _with_targets(files)
    programs = sorted(
        str(path) for path in found if not path.is_symlink() and path.is_file() and _is_elf(path)
    )
    linked = subprocess.run(
        ["ldd", *programs], capture_output=True, text=True, check=False
    ).stdout.split()
    return found | _with_targets(
        Path(word) for word in set(linked) if word.startswith("/") and not word.endswith(":")
    )


def _with_targets(files: Iterable[Path]) -> set[Path]:
    found: set[Path] = set()
    waiting = list(files)
    while waiting:
        path = waiting.pop()
        path = Path(os.path.realpath(path.parent)) / path.name
        if path not in found and (path.exists() or path.is_symlink()):
            found.add(path)
            if path.is_symlink():
                waiting.append(path.parent / os.readlink(path))
    return found


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == ELF


def _below(folder: Path) -> set[Path]:
    return {Path(where) / name for where, _, names in os.walk(folder) for name in names}


def _said(*argv: str) -> list[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
