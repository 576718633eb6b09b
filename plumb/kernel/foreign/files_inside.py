"""Files inside a folder that somebody else writes, read without leaving it.

A container may put a symbolic link, a FIFO or a file without an end where plumb expects its
resolv.conf. So plumb has the kernel resolve the path as if the folder were the root of all
(RESOLVE_IN_ROOT, openat2(2)), opens without waiting, and reads a regular file's beginning only.
"""

from __future__ import annotations

import ctypes
import os
import re
import stat
import struct

from plumb.kernel.netns.setns import libc

SYS_OPENAT2 = 437
RESOLVE_NO_MAGICLINKS, RESOLVE_IN_ROOT = 0x02, 0x10  # linux/openat2.h
LONGEST = 1 << 20
"""Bytes of a file at most."""
OF_PROCESS = re.compile(r"(/proc/\d+/root)/(.*)")


def root_of(path: str) -> tuple[str, str] | None:
    """Split a path into the root of a process and what lies in it; None for any other path."""
    found = OF_PROCESS.fullmatch(path)
    return (found[1], found[2]) if found else None


def read(folder: str, path: str, longest: int = LONGEST) -> str:
    """Read a file inside a folder; empty where there is none, or none that may be read.

    Args:
        folder: the folder that no symbolic link in `path` leads out of.
        path: the file's path from there.
        longest: bytes to read at most.
    """
    try:
        root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        descriptor = _opened(root, path)
    finally:
        os.close(root)
    if descriptor < 0:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return ""
        return file.read(longest).decode("utf-8", "replace")


def _opened(root: int, path: str) -> int:
    """Open a path as if `root` were "/"; negative where the kernel refuses."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    how = struct.pack("=QQQ", flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    return int(libc.syscall(SYS_OPENAT2, root, os.fsencode(path), ctypes.c_char_p(how), len(how)))
