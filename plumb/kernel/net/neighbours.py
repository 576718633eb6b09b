"""Vicinity: what a namespace's own stack knows of itself and of its neighbours.

The kernel keeps one table of neighbours (IPv4: ARP, IPv6: ND) for all namespaces together, and no
more than net.ipv4.neigh.default.gc_thresh3 of them, 1024 by default; younger than five seconds,
none is given up for another. So where everybody asks everybody, forty hosts on one segment fill it,
and who asks then is told nothing at all. Who has asked that many lets the kernel forget what it has
learnt by it.

All is about the calling thread's namespace.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection
from ipaddress import ip_address, ip_interface
from typing import Any

from plumb.kernel.netlink import rtnetlink as nl
from plumb.kernel.netlink.codec import attribute, attributes
from plumb.kernel.netlink.rtnetlink import RouteSocket
from plumb.model.cnm import IPAddress, IPInterface

DELNEIGH, GETNEIGH = 29, 30
NDA_DST = 1
NUD_PERMANENT, NUD_NOARP = 0x80, 0x40
SCOPE_GLOBAL = 0
NDMSG = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type


def own_addresses() -> list[tuple[str, IPInterface]]:
    """The namespace's global addresses, each with its link, in the kernel's order."""
    with RouteSocket() as kernel:
        return [
            (socket.if_indextoname(found["index"]), _interface(found))
            for found in kernel.get(nl.GETADDR, nl.ifaddrmsg(), dump=True)
            if found["scope"] == SCOPE_GLOBAL
        ]


def _interface(found: Any) -> IPInterface:
    return ip_interface(
        f"{found.get_attr('IFA_LOCAL') or found.get_attr('IFA_ADDRESS')}/{found['prefixlen']}"
    )


def forget_neighbours(addresses: Collection[IPAddress]) -> int:
    """Let the kernel forget those of these addresses that it has learnt; how many it had.

    Those that somebody wrote down stay.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as kernel:
        kernel.bind((0, 0))
        known = [
            message
            for version in {ip.version for ip in addresses}
            for message, ip in _neighbours(kernel, version)
            if ip in addresses
        ]
        if known:
            kernel.send(b"".join(_message(DELNEIGH, 0, body) for body in known))
        return len(known)


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return nl.HEADER.pack(nl.HEADER.size + len(body), kind, nl.REQUEST | flags, 0, 0) + body


def _neighbours(kernel: socket.socket, version: int) -> list[tuple[bytes, IPAddress]]:
    """What the kernel has learnt: each as the body of a message that names it, and its address."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    kernel.send(_message(GETNEIGH, nl.DUMP, NDMSG.pack(family, 0, 0, 0, 0)))
    found: list[tuple[bytes, IPAddress]] = []
    while True:
        data, at = kernel.recv(1 << 18), 0
        while at + nl.HEADER.size <= len(data):
            length, kind, *_ = nl.HEADER.unpack_from(data, at)
            if kind in (nl.DONE, nl.ERROR):
                return found
            body, at = data[at + nl.HEADER.size : at + length], at + ((length + 3) & ~3)
            index, state = NDMSG.unpack_from(body)[1:3]
            raw = attributes(body[NDMSG.size :]).get(NDA_DST, b"")
            if raw and not state & (NUD_PERMANENT | NUD_NOARP):
                named = NDMSG.pack(family, index, 0, 0, 0) + attribute(NDA_DST, raw)
                found.append((named, ip_address(raw)))
