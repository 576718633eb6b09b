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
from collections.abc import Collection
from contextlib import suppress
from ipaddress import ip_address, ip_interface
from pathlib import Path

from plumb.address import IPAddress, IPInterface, family
from plumb.errors import KernelRefused
from plumb.kernel.net import sysctl
from plumb.kernel.netlink.codec import Request, attribute, attributes
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_ROUTE
from plumb.kernel.netlink.uapi.linux_rtnetlink import (
    IFA_ADDRESS,
    IFA_LOCAL,
    IFADDRMSG,
    NDA_DST,
    NDMSG,
    NUD_NOARP,
    NUD_PERMANENT,
    RT_SCOPE_UNIVERSE,
    RTM_DELNEIGH,
    RTM_GETADDR,
    RTM_GETNEIGH,
)
from plumb.kernel.netns.namespaces import entered
from plumb.model.netns_state import NeighbourTable


def own_addresses() -> list[tuple[str, IPInterface]]:
    """The namespace's global addresses, each with its link, in the kernel's order."""
    found = []
    with Connection(NETLINK_ROUTE) as kernel:
        for payload in kernel.dump(RTM_GETADDR, IFADDRMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
            _, prefix, _, scope, index = IFADDRMSG.unpack_from(payload)
            if scope == RT_SCOPE_UNIVERSE:
                said = attributes(payload, IFADDRMSG.size)
                ip = ip_address(said.get(IFA_LOCAL) or said[IFA_ADDRESS])
                found.append((socket.if_indextoname(index), ip_interface(f"{ip}/{prefix}")))
    return found


def forget_neighbours(addresses: Collection[IPAddress]) -> int:
    """Let the kernel forget those of these addresses that it has learnt; how many it had.

    Those that somebody wrote down stay.
    """
    with Connection(NETLINK_ROUTE) as kernel:
        known = [
            Request(RTM_DELNEIGH, 0, named)
            for version in {ip.version for ip in addresses}
            for named, ip in _learnt(kernel, version)
            if ip in addresses
        ]
        kernel.send(known)  # one that is gone meanwhile is forgotten as well
        return len(known)


def table(version: int) -> NeighbourTable | None:
    """State of the kernel's neighbour table; None where its statistics are not readable.

    The kernel shows them in the first namespace alone: a line for each processor, in hexadecimal,
    after a line of names.
    """
    file = "/proc/1/net/stat/" + ("arp_cache" if version == 4 else "ndisc_cache")
    try:
        names, *lines = Path(file).read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    rows = [dict(zip(names.split(), line.split(), strict=False)) for line in lines]
    if not rows:
        return None
    fulls = sum(int(row.get("table_fulls", "0"), 16) for row in rows)
    return NeighbourTable(file, int(rows[0].get("entries", "0"), 16), fulls, _limit(version))


def _limit(version: int) -> int:
    """Limit of the neighbour table; 0 where the first namespace cannot be entered."""
    with suppress(KernelRefused), entered("/proc/1/ns/net"):
        return int(sysctl.read(f"net/ipv{version}/neigh/default/gc_thresh3") or 0)
    return 0


def _learnt(kernel: Connection, version: int) -> list[tuple[bytes, IPAddress]]:
    """Neighbours that the kernel has learnt: the body of a message that names each, its address."""
    found: list[tuple[bytes, IPAddress]] = []
    for payload in kernel.dump(RTM_GETNEIGH, NDMSG.pack(family(version), 0, 0, 0, 0)):
        _, index, state, _, _ = NDMSG.unpack_from(payload)
        packed = attributes(payload, NDMSG.size).get(NDA_DST, b"")
        if packed and not state & (NUD_PERMANENT | NUD_NOARP):
            named = NDMSG.pack(family(version), index, 0, 0, 0) + attribute(NDA_DST, packed)
            found.append((named, ip_address(packed)))
    return found
