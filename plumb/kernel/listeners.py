"""Who waits for what comes in: listening sockets of a namespace, by sock_diag(7), and the programs that have them.

A program that listens at 127.0.0.1 inside a container hears nobody from outside of it; one that listens nowhere makes the kernel answer
with a RST. To tell these apart one needs no packet.

A socket does not know its program; a program's descriptors name their sockets, by inode. So the processes that are in the namespace are
searched first, and all others only for what was not found there: plumb's agent, for one, has sockets in its sandboxes' namespaces.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address

from plumb.errors import KernelRefused
from plumb.kernel.asking import attributes
from plumb.kernel.namespaces import SELF
from plumb.kernel.questions import Questions
from plumb.tracing.scene import Listener

# linux/sock_diag.h, linux/inet_diag.h, net/tcp_states.h; the numbers are the kernel's ABI.
SOCK_DIAG, BY_FAMILY = 4, 20
REQUEST = struct.Struct("=BBBxI48x")
MESSAGE = struct.Struct("=BBBB2s2s16s16sI8sIIIII")
V6ONLY = 11
PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
WAITING = {"tcp": 1 << 10, "udp": 1 << 7, "sctp": 1 << 10}
"""TCP_LISTEN; a UDP socket that is connected to nobody is in TCP_CLOSE."""


def all_of(protocol: str) -> list[Listener]:
    """The listening sockets of the calling thread's namespace, in order of port.

    Args:
        protocol: "tcp", "udp" or "sctp".

    Raises:
        KernelRefused: this kernel does not tell.
    """
    found: list[tuple[Listener, int]] = []
    questions = Questions(SOCK_DIAG)
    try:
        for family in (socket.AF_INET, socket.AF_INET6):
            body = REQUEST.pack(family, PROTOCOLS[protocol], 0, WAITING[protocol])
            found += [each for payload in questions.dump(BY_FAMILY, body) if (each := _listener(protocol, payload))[0].port]
    except OSError as error:
        raise KernelRefused(f"ask who listens ({protocol})", error.errno or 0) from error
    finally:
        questions.close()
    owners = _owners({inode for _, inode in found})
    return sorted((replace(each, who=owners.get(inode, "")) for each, inode in found), key=lambda each: (each.port, int(each.ip)))


def _listener(protocol: str, payload: bytes) -> tuple[Listener, int]:
    family, _, _, _, port, _, src, _, _, _, _, _, _, _, inode = MESSAGE.unpack_from(payload)
    ip = ip_address(src[:4] if family == socket.AF_INET else src)
    only = attributes(payload[MESSAGE.size:]).get(V6ONLY, b"\0") != b"\0"
    return Listener(protocol, ip, int.from_bytes(port, "big"), only), inode


def _owners(inodes: set[int]) -> dict[int, str]:
    """The programs that have these sockets: "nginx, pid 4711"."""
    here = os.stat(SELF)
    inside: list[int] = []
    others: list[int] = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                (inside if os.path.samestat(os.stat(f"/proc/{entry}/ns/net"), here) else others).append(int(entry))
    found: dict[int, str] = {}
    for pid in (*sorted(inside), *sorted(others)):
        if len(found) == len(inodes):
            break
        mine = inodes.intersection(_sockets(pid)) - found.keys()
        if mine:
            with suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                found.update(dict.fromkeys(mine, f"{file.read().strip()}, pid {pid}"))
    return found


def _sockets(pid: int) -> Iterator[int]:
    """The inodes of a process's sockets; none of one that has ended."""
    with suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{number}")
                if target.startswith("socket:["):
                    yield int(target[8:-1])
