"""Statistics of a sandbox: its interfaces' counters, its sockets, and its flows in conntrack.

/proc/net/dev       each link's counters since it was made: bytes, packets, errors, drops
sock_diag           the sandbox's own sockets and their states
conntrack           the flows that pass the host, by their states in connection tracking; flows
                    within a bridge are not among them, nor those that never pass the host's
                    netfilter (macvlan, ipvlan)
"""

from __future__ import annotations

import errno
from collections import Counter
from typing import NamedTuple

from plumb.errors import KernelRefused
from plumb.kernel.net import sysctl
from plumb.kernel.netlink.ctnetlink import Table
from plumb.kernel.netlink.sock_diag import PROTOCOLS, sockets
from plumb.kernel.netns.namespaces import entered


class Traffic(NamedTuple):
    """A link's counters since it was made.

    Drops are those by the link or for want of room, not those by the firewall.
    """

    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


def inside(ns: str) -> tuple[dict[str, Traffic], Counter[tuple[str, str]]]:
    """A namespace's traffic by link, and its number of sockets by protocol and state.

    Raises:
        KernelRefused: the namespace is not there.
    """
    with entered(ns):
        with open("/proc/thread-self/net/dev") as file:
            lines = file.read().splitlines()[2:]
        found = Counter(
            (each.protocol, each.state)
            for protocol in PROTOCOLS
            for version in (4, 6)
            for each in sockets(protocol, version)
        )
    return dict(map(_traffic, lines)), found


def _traffic(line: str) -> tuple[str, Traffic]:
    name, _, counters = line.partition(":")
    numbers = [int(word) for word in counters.split()]
    return name.strip(), Traffic(*numbers[0:4], *numbers[8:12])


def flows() -> Counter[tuple[bytes, str, str]]:
    """Count the flows that the calling thread's namespace tracks.

    Returns:
        Their number by packed address, protocol and state; a flow counts for each address in it.

    Raises:
        KernelRefused: connection tracking cannot be read.
    """
    found: Counter[tuple[bytes, str, str]] = Counter()
    if (sysctl.read("net/netfilter/nf_conntrack_count") or "0") == "0":
        return found  # a dump walks the whole table, which takes the kernel 9 ms
    try:
        with Table() as table:
            for flow in table.dump():
                for ip in {flow.way.src, flow.way.dst, flow.reply.src, flow.reply.dst}:
                    found[ip.packed, flow.protocol, flow.state] += 1
    except OSError as error:
        raise KernelRefused("read connection tracking", error.errno or errno.EIO) from error
    return found
