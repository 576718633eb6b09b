"""Sockets that send a probe, opened in the client's namespace with the IP options of the probe."""

from __future__ import annotations

import errno
import socket

from plumb.address import family
from plumb.errors import KernelRefused, Unsupported
from plumb.kernel.netns.namespaces import entered
from plumb.model.net.packet import IPPROTO_SCTP
from plumb.model.observations import Netns

# linux/in.h, linux/in6.h
IP_MTU_DISCOVER, IP_RECVERR = 10, 11
IPV6_MTU_DISCOVER, IPV6_RECVERR = 23, 25
IP_PMTUDISC_DO, IP_PMTUDISC_PROBE = 2, 3
"""Do not fragment; the latter does not go by what was learnt of the path before either."""

MTU_DISCOVER = {
    4: (socket.IPPROTO_IP, IP_MTU_DISCOVER),
    6: (socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER),
}
RECVERR = {4: (socket.IPPROTO_IP, IP_RECVERR), 6: (socket.IPPROTO_IPV6, IPV6_RECVERR)}
"""ICMP errors are kept with the packet that they are about."""
TTL = {4: (socket.IPPROTO_IP, socket.IP_TTL), 6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)}
HEADERS = {4: 28, 6: 48}
"""Bytes of IP's and UDP's (or an echo's) headers together."""
ICMP = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}
UNKNOWN_PROTOCOL = (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EAFNOSUPPORT)


def open_probe_socket(place: Netns, version: int, protocol: str) -> socket.socket:
    """A socket of a namespace that does not block.

    Args:
        version: 4 or 6.
        protocol: "tcp", "udp", "sctp", or "icmp", for which it is a raw one.

    Raises:
        KernelRefused: it may not be opened there.
        Unsupported: this kernel does not have the protocol.
    """
    kind, number = {
        "tcp": (socket.SOCK_STREAM, 0),
        "udp": (socket.SOCK_DGRAM, 0),
        "sctp": (socket.SOCK_STREAM, IPPROTO_SCTP),
        "icmp": (socket.SOCK_RAW, ICMP[version]),
    }[protocol]
    try:
        with entered(place.ns):
            return socket.socket(
                family(version), kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, number
            )
    except OSError as error:
        if error.errno not in UNKNOWN_PROTOCOL:
            raise KernelRefused(f"ask by {protocol} from {place.name}", error.errno or 0) from error
        raise Unsupported(
            f"this kernel does not have {protocol} over IPv{version}", "see 'plumb env'"
        ) from error
