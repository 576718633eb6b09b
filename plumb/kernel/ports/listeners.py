"""Listening sockets of a namespace, by sock_diag(7), and the programs that have them.

A program that listens at 127.0.0.1 inside a container gets no packet from outside; where no program
listens, the kernel replies with a RST. The socket table tells these cases apart without a packet.

A socket does not name its program; a program's file descriptors name their sockets, by inode. So
plumb searches the processes in the namespace first, and all others only for what it did not find:
plumb's agent, for example, has sockets in its sandboxes' namespaces.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from plumb.errors import KernelRefused
from plumb.kernel.netlink.sock_diag import sockets
from plumb.kernel.netns.setns import SELF
from plumb.model.netns_state import Listener

WAITING = {"tcp": "LISTEN", "udp": "CLOSED", "sctp": "LISTEN"}
"""Socket state that means waiting for packets; the kernel calls an unconnected UDP socket CLOSED.
"""


def all_of(protocol: str) -> list[Listener]:
    """List the listening sockets of the calling thread's namespace, in order of port.

    Args:
        protocol: "tcp", "udp" or "sctp".

    Raises:
        KernelRefused: this kernel has no sock_diag for it.
    """
    try:
        found = [
            each
            for version in (4, 6)
            for each in sockets(protocol, version, (WAITING[protocol],))
            if each.port
        ]
    except OSError as error:
        raise KernelRefused(f"ask who listens ({protocol})", error.errno or 0) from error
    owners = _owners({each.inode for each in found})
    made = [
        Listener(protocol, each.ip, each.port, each.v6only, owners.get(each.inode, ""))
        for each in found
    ]
    return sorted(made, key=lambda each: (each.port, int(each.ip)))


def _owners(inodes: set[int]) -> dict[int, str]:
    """Find the programs that have these sockets: "nginx, pid 4711"."""
    here = os.stat(SELF)
    inside: list[int] = []
    others: list[int] = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                (
                    inside if os.path.samestat(os.stat(f"/proc/{entry}/ns/net"), here) else others
                ).append(int(entry))
    found: dict[int, str] = {}
    for pid in (*sorted(inside), *sorted(others)):
        if len(found) == len(inodes):
            break
        mine = inodes.intersection(sockets_of(pid)) - found.keys()
        if mine:
            with (
                suppress(OSError),
                open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file,
            ):
                found.update(dict.fromkeys(mine, f"{file.read().strip()}, pid {pid}"))
    return found


def sockets_of(pid: int) -> Iterator[int]:
    """Iterate over the inodes of a process's sockets; none if it has ended."""
    with suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{number}")
                if target.startswith("socket:["):
                    yield int(target[8:-1])
