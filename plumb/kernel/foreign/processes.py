"""Processes of other programs by their network namespaces, as /proc has them."""

from __future__ import annotations

import os

from plumb.kernel.netns.setns import SELF


def namespace_file(pid: int) -> str:
    """Return the file of a process's network namespace."""
    return f"/proc/{pid}/ns/net"


def etc_folder(pid: int) -> str:
    """Return the folder /etc as a process sees it."""
    return f"/proc/{pid}/root/etc"


def in_this_namespace(pid: int) -> bool | None:
    """Test for a process in the calling thread's network namespace; None if it has ended."""
    try:
        return os.path.samestat(os.stat(namespace_file(pid)), os.stat(SELF))
    except OSError:
        return None
