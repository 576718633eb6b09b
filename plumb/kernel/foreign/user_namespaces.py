"""User namespaces of other programs' processes, and who has made them (ioctl_ns(2))."""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress

NS_GET_OWNER_UID = 0xB704  # linux/nsfs.h
SELF = "/proc/self/ns/user"


def maker(pid: int) -> int | None:
    """Return the uid of whoever made a process's user namespace.

    None for plumb's own namespace, and for a process that has ended.
    """
    with suppress(OSError):
        file = f"/proc/{pid}/ns/user"
        if os.path.samefile(file, SELF):
            return None
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = fcntl.ioctl(descriptor, NS_GET_OWNER_UID, bytes(4))
        finally:
            os.close(descriptor)
        return int(struct.unpack("I", found)[0])
    return None
