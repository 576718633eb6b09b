"""Sysctls: /proc/sys, in the namespace of the calling thread."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

from plumb.errors import KernelRefused, Unsupported
from plumb.kernel.features.table import FEATURES
from plumb.things.layer3 import Sysctl

PROC_SYS = Path("/proc/sys")
LONGEST = 4096
"""Bytes that the kernel gives of a setting in one read: a page."""


def read(name: str) -> str | None:
    """Read a setting, its words parted by single blanks; None where the kernel has none."""
    try:
        descriptor = os.open(f"{PROC_SYS}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return " ".join(os.read(descriptor, LONGEST).decode().split())
    except OSError:
        return None
    finally:
        os.close(descriptor)


def look(setting: Sysctl) -> Sysctl | None:
    """Read a setting's present value; None where the kernel has no such setting."""
    value = read(setting.name)
    return None if value is None else Sysctl(setting.name, value, setting.ns)


def write(setting: Sysctl) -> None:
    """Write a setting.

    The kernel has those of net/bridge with the module br_netfilter, which plumb loads if need be.

    Raises:
        Unsupported: this kernel has no br_netfilter.
        KernelRefused: the kernel has no such setting, or refuses the value.
    """
    path = PROC_SYS / setting.name
    if setting.name.startswith("net/bridge/") and not path.exists():
        with suppress(OSError):  # without kmod there is no modprobe, nor are there modules
            subprocess.run(["modprobe", "-q", "br_netfilter"], check=False, capture_output=True)
        if not path.exists():
            raise Unsupported(f"cannot set {setting.name}", FEATURES["br_netfilter"].missing)
    try:
        path.write_text(setting.value)
    except OSError as error:
        raise KernelRefused(
            f"set sysctl {setting.name} to {setting.value!r}", error.errno or 0
        ) from error
