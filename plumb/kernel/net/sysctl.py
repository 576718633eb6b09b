"""Sysctls: /proc/sys, in the namespace of the calling thread.

/proc/sys/net/ipv4 and /proc/sys/net/ipv6 of all namespaces are entries of one name in one folder,
so the kernel keeps them in one hash chain of its dentry cache, and walks that chain for each path
that leads through them: 0.2 ms with a thousand namespaces. So plumb opens such a folder once for
all settings below it that it reads of a namespace.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path

from plumb.errors import KernelRefused, PlumbError, Unsupported
from plumb.kernel.features.table import FEATURES
from plumb.things import Thing
from plumb.things.layer3 import Sysctl

PROC_SYS = Path("/proc/sys")
OF_LINK = re.compile("net/ipv6/conf/(?!all/|default/)[^/]+/disable_ipv6")
"""Name of the setting that rtnetlink tells too."""
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
        inside = list(group)
        if len(inside) == 1 and OF_LINK.fullmatch(inside[0].name):
            found.append(_disable_ipv6(inside[0]))
            continue
        with _opened(folder) as descriptor:
            found += [_look(each, folder, descriptor) for each in inside]
    return found


def _disable_ipv6(setting: Sysctl) -> Sysctl | None:
    """Read net/ipv6/conf/LINK/disable_ipv6; None where there is no such link, or no IPv6 on it."""
    from plumb.kernel.net.namespace_state import NamespaceState  # who reads one setting needs none

    with NamespaceState() as state:
        value = state.disable_ipv6(setting.name.split("/")[-2])
    return Sysctl(setting.name, str(value), setting.ns) if value is not None else None


def _look(setting: Sysctl, folder: str, descriptor: int | None) -> Sysctl | None:
    if descriptor is None:
        return None
    value = _read(setting.name.removeprefix(folder), descriptor)
    if value is None:
        return None
    as_asked = setting.name == PING_GROUPS and value == _mapped(setting.value)
    return Sysctl(setting.name, setting.value if as_asked else value, setting.ns)


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
        descriptor = os.open(f"{PROC_SYS}/{folder}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
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
        with open(path, "wb", buffering=0) as file:
            file.write(value.encode())
    except FileNotFoundError as error:
        raise NoSuchSetting(path) from error
    except OSError as error:
        raise KernelRefused(
            f"set sysctl {setting.name} to {setting.value!r}", error.errno or 0
        ) from error
