"""Capabilities of this process, without which the kernel shows less than there is."""

from __future__ import annotations

import errno

from plumb.errors import KernelRefused

STATUS = "/proc/thread-self/status"
CAP_NET_ADMIN, CAP_SYS_ADMIN = 12, 21  # linux/capability.h


def require_root(act: str) -> None:
    """Refuse what only root can do: with NET_ADMIN, and SYS_ADMIN to enter other namespaces.

    Args:
        act: what needs them, for the message.

    Raises:
        KernelRefused: this process lacks one of them.
    """
    with open(STATUS, encoding="ascii") as file:
        have = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    if not have >> CAP_NET_ADMIN & have >> CAP_SYS_ADMIN & 1:
        raise KernelRefused(act, errno.EPERM)
