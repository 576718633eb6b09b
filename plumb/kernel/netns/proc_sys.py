"""Settings of /proc/sys, and folders of it, opened in one network namespace after the other.

/proc/sys/net/ipv4 and /proc/sys/net/ipv6 of all namespaces are entries of one name in one folder,
so the kernel keeps them in one hash chain of its dentry cache, and walks that chain for each path
that leads through them: 0.1 ms with a thousand namespaces, 0.5 ms where little of the chain is in
the processor's cache. A proc that was just mounted has entries of its own (Linux 5.8), and none of
other namespaces: so plumb mounts a new one for every few namespaces that it reads or writes on its
way through many.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from plumb.kernel.netns.detached_mount import mounted

PROC_SYS = "/proc/sys"
MANY = 32
"""Namespaces from which on a mount, some 30 µs, costs less than the walks along the chain."""


class _Proc(threading.local):
    """Proc that a thread has mounted.

    Attributes:
        root: its descriptor; None without one.
        left: names that are still opened in it before the next is mounted; negative outside
        `renewed`, and where this process may not mount.
    """

    root: int | None = None
    left = -1


_PROC = _Proc()


@contextmanager
def renewed(namespaces: int) -> Iterator[None]:
    """Read and write settings of so many namespaces in a with block, of many by own mounts."""
    if namespaces < MANY or _PROC.left >= 0:
        yield
        return
    _PROC.left = 0
    try:
        yield
    finally:
        _PROC.left = -1
        _unmount()


def opened(name: str, flags: int = os.O_PATH | os.O_DIRECTORY) -> int:
    """Open a folder of settings, or a setting, in the calling thread's namespace: "net/ipv4/".

    Raises:
        OSError: there is none.
    """
    if _PROC.left == 0:
        _mount()
    if _PROC.root is None:
        return os.open(f"{PROC_SYS}/{name}", flags | os.O_CLOEXEC)
    _PROC.left -= 1
    return os.open(f"sys/{name}", flags | os.O_CLOEXEC, dir_fd=_PROC.root)


def _mount() -> None:
    _unmount()
    _PROC.left = -1
    with suppress(OSError):  # an older kernel, or a user namespace whose /proc is partly covered
        _PROC.root = mounted("proc")
        _PROC.left = MANY


def _unmount() -> None:
    if _PROC.root is not None:
        os.close(_PROC.root)
        _PROC.root = None
