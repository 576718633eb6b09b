"""Sysctls: /proc/sys, in the namespace of the calling thread.

Those that rtnetlink tells too are read with their links (`plumb.kernel.net.links`).
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path

from plumb.errors import KernelRefused, PlumbError, Unsupported
from plumb.kernel.features.table import FEATURES
from plumb.kernel.netns import proc_sys
from plumb.kernel.netns.proc_sys import PROC_SYS
from plumb.things import Thing
from plumb.things.layer3 import Sysctl

PING_GROUPS = "net/ipv4/ping_group_range"
LONGEST = 4096
"""Bytes that the kernel gives of a setting in one read: a page."""


def read(name: str) -> str | None:
    """Read a setting, its words parted by single blanks; None where the kernel has none."""
    return _read(f"{PROC_SYS}/{name}", None)


def _read(path: str, folder: int | None) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    try:
        return " ".join(os.read(descriptor, LONGEST).decode().split())
    except OSError:
        return None
    finally:
        os.close(descriptor)


def look(things: Sequence[Thing]) -> list[Thing | None]:
    """Read settings' present values; None for one that the kernel does not have."""
    settings = [thing for thing in things if isinstance(thing, Sysctl)]
    found: list[Thing | None] = []
    for folder, group in groupby(settings, key=_folder):
        with _opened(folder) as descriptor:
            found += [_look(each, folder, descriptor) for each in group]
    return found


def _look(setting: Sysctl, folder: str, descriptor: int | None) -> Sysctl | None:
    if descriptor is None:
        return None
    value = _read(setting.name.removeprefix(folder), descriptor)
    if value is None:
        return None
    if value != setting.value and setting.name == PING_GROUPS and value == _mapped(setting.value):
        value = setting.value
    return Sysctl(setting.name, value, setting.ns)


def _mapped(groups: str) -> str:
    """Leave of a range of groups, "0 2147483647", what is mapped in this user namespace.

    The kernel refuses groups that do not exist there; the range of all becomes that of all there.
    """
    first, _, last = groups.partition(" ")
    if not (first.isdecimal() and last.isdecimal()):
        return groups
    start, _outside, count = Path("/proc/self/gid_map").read_text().splitlines()[0].split()
    highest = int(start) + int(count) - 1
    return f"{min(int(first), highest)} {min(int(last), highest)}"


def _folder(setting: Sysctl) -> str:
    """First two words of a setting's name, with their slashes: "net/ipv4/"."""
    return "".join(f"{word}/" for word in setting.name.split("/")[:-1][:2])


@contextmanager
def _opened(folder: str) -> Iterator[int | None]:
    """Open a folder of settings for the length of a with block; None where there is none."""
    try:
        descriptor = proc_sys.opened(folder)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class NoSuchSetting(KernelRefused):
    """A setting that this kernel does not have."""

    def __init__(self, path: str) -> None:
        PlumbError.__init__(
            self,
            f"open {path}: no such file or directory",
            "this kernel has no such setting in a network namespace",
        )
        self.errno = errno.ENOENT


def write(setting: Sysctl) -> None:
    """Write a setting.

    The kernel has those of net/bridge with the module br_netfilter, which plumb loads if need be.

    Raises:
        Unsupported: this kernel has no br_netfilter.
        KernelRefused: the kernel has no such setting, or refuses the value.
    """
    path = f"{PROC_SYS}/{setting.name}"
    if setting.name.startswith("net/bridge/") and not os.path.exists(path):
        with suppress(OSError):  # without kmod there is no modprobe, nor are there modules
            subprocess.run(["modprobe", "-q", "br_netfilter"], check=False, capture_output=True)
        if not os.path.exists(path):
            raise Unsupported(f"cannot set {setting.name}", FEATURES["br_netfilter"].missing)
    try:
        value = _mapped(setting.value) if setting.name == PING_GROUPS else setting.value
        descriptor = proc_sys.opened(setting.name, os.O_WRONLY)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise NoSuchSetting(path) from error
    except OSError as error:
        raise KernelRefused(
            f"set sysctl {setting.name} to {setting.value!r}", error.errno or 0
        ) from error
