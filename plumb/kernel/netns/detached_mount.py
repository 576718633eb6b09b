"""File systems mounted by file descriptor alone: fsopen(2), fsconfig(2), fsmount(2).

Such a mount appears in no mount table, and is gone with its descriptor.
"""

from __future__ import annotations

import ctypes
import os

from plumb.kernel.netns.setns import libc

# The numbers of these system calls are the same on all architectures (Linux 5.2).
FSOPEN, FSCONFIG, FSMOUNT = 430, 431, 432
CLOEXEC, CMD_CREATE = 1, 6


def mounted(kind: str) -> int:
    """Mount a file system without a device; a descriptor of its root.

    Args:
        kind: "proc", "tracefs".

    Raises:
        OSError: this kernel has none of that kind, or this process may not mount it.
    """
    context = _syscall(FSOPEN, kind.encode(), CLOEXEC)
    try:
        _syscall(FSCONFIG, context, CMD_CREATE, None, None, 0)
        return _syscall(FSMOUNT, context, CLOEXEC, 0)
    finally:
        os.close(context)


def _syscall(number: int, *args: object) -> int:
    libc.syscall.restype = ctypes.c_long
    found = int(libc.syscall(number, *args))
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found
