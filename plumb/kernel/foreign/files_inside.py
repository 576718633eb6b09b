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
from collections.abc import Iterator
from contextlib import contextmanager

from plumb.kernel.netns.setns import libc

SYS_OPENAT2 = 437
RESOLVE_NO_MAGICLINKS, RESOLVE_IN_ROOT = 0x02, 0x10  # linux/openat2.h
READING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
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
        descriptor = _opened(root, path, READING)
    finally:
        os.close(root)
    if descriptor < 0:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return ""
        return file.read(longest).decode("utf-8", "replace")


@contextmanager
def reached(path: str) -> Iterator[str]:
    """Give a path by which a file is reached that may lie in the root of a process.

    No symbolic link in such a root leads out of it, as it would by /proc/PID/root.

    Raises:
        OSError: there is no such file in that root.
    """
    inside = root_of(path)
    if inside is None:
        yield path
        return
    root = os.open(inside[0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = _opened(root, inside[1], os.O_PATH | os.O_CLOEXEC)
        if descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(root)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _opened(root: int, path: str, flags: int) -> int:
    """Open a path as if `root` were "/"; negative where the kernel refuses."""
    how = struct.pack("=QQQ", flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    return int(libc.syscall(SYS_OPENAT2, root, os.fsencode(path), ctypes.c_char_p(how), len(how)))
