"""Mounts of a command that sees the host's files read-only (`run --read-only-host`).

All mounts in its mount namespace, /proc and /sys among them, become read-only, and device nodes on
them cannot be opened. Then these are mounted over the host's, in this order: the root of plumb is
empty, /tmp and /run are the command's own, and /dev has only devices that are safe to share. At
last /dev becomes read-only, since a device node that is made on it could be opened.
"""

from __future__ import annotations

from typing import NamedTuple


class Mount(NamedTuple):
    """`mount -t KIND -o FLAGS,DATA KIND PATH`.

    Attributes:
        flags: those of mount(2) by the names that mount(8) has for them.
        data: the file system's own options.
    """

    kind: str
    path: str
    flags: tuple[str, ...]
    data: str


def over_host(root: str) -> tuple[Mount, ...]:
    """Mounts over the host's, in order.

    Args:
        root: plumb's; it may lie below /tmp or /run.
    """
    return (
        Mount("tmpfs", root, ("ro", "nosuid", "nodev"), "mode=755"),
        Mount("tmpfs", "/tmp", ("nosuid", "nodev"), "mode=1777"),  # a mount point
        Mount("tmpfs", "/run", ("nosuid", "nodev"), "mode=755"),
        Mount("tmpfs", "/dev", ("nosuid",), "mode=755,size=64k"),
    )


OWN_PROC = Mount("proc", "/proc", ("ro", "nosuid", "nodev", "noexec"), "")
"""Mount of an isolated command, last of those over the host's: it shows its PID namespace."""

IN_DEV = (
    Mount("devpts", "/dev/pts", ("nosuid", "noexec"), "newinstance,ptmxmode=0666,mode=0620,gid=5"),
    Mount("tmpfs", "/dev/shm", ("nosuid", "nodev", "noexec"), "mode=1777"),
)
"""Mounts in the new /dev, on folders that are made for them."""

DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
"""Character devices in the new /dev, with their major and minor numbers (admin-guide/devices)."""

LINKS = {
    "fd": "../proc/self/fd",
    "stdin": "../proc/self/fd/0",
    "stdout": "../proc/self/fd/1",
    "stderr": "../proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
"""Symbolic links in the new /dev."""
