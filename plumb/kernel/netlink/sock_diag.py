"""sock_diag: the sockets of a namespace, as the kernel lists them (what `ss` shows).

One request is for a family, a protocol and a set of states; the answer is one message for each
socket (linux/inet_diag.h).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Collection, Iterator
from ipaddress import ip_address
from typing import NamedTuple

from plumb.address import IPAddress
from plumb.kernel.netlink.codec import attributes
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi.linux_inet_diag import (
    INET_DIAG_MSG,
    INET_DIAG_MSG_INODE,
    INET_DIAG_MSG_SIZE,
    INET_DIAG_REQ_V2,
    INET_DIAG_SKV6ONLY,
    SOCK_DIAG_BY_FAMILY,
    TCP_STATES,
)
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_SOCK_DIAG

FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": socket.IPPROTO_SCTP}


class Socket(NamedTuple):
    """A socket.

    Attributes:
        protocol, version: "tcp", "udp" or "sctp"; 4 or 6.
        state: as in TCP_STATES; a UDP socket is ESTABLISHED when it is connected, else CLOSED.
        ip, port: its own end; peer, peer_port: the other, unspecified and 0 where there is none.
        inode: by which /proc tells whose it is.
        v6only: one of IPv6 that hears nothing of IPv4.
    """

    protocol: str
    version: int
    state: str
    ip: IPAddress
    port: int
    peer: IPAddress
    peer_port: int
    inode: int
    v6only: bool


def sockets(protocol: str, version: int, states: Collection[str] = ()) -> Iterator[Socket]:
    """The sockets of the calling thread's namespace.

    Args:
        protocol, version: "tcp", "udp" or "sctp"; 4 or 6. The kernel has none of a protocol that it
        does not know.
        states: only these; all without any.

    Raises:
        OSError: the kernel refused.
    """
    mask = sum(1 << number for number, name in TCP_STATES.items() if not states or name in states)
    body = INET_DIAG_REQ_V2.pack(FAMILY[version], PROTOCOLS[protocol], 0, 0, mask)
    with Connection(NETLINK_SOCK_DIAG) as kernel:
        try:
            for payload in kernel.dump(SOCK_DIAG_BY_FAMILY, body):
                yield _socket(protocol, payload)
        except OSError as error:
            if error.errno != errno.ENOENT:  # nobody has used that protocol yet: no sockets
                raise


def _socket(protocol: str, payload: bytes) -> Socket:
    family, state, _, _, port, peer_port, source, peer = INET_DIAG_MSG.unpack_from(payload)
    version, size = (4, 4) if family == socket.AF_INET else (6, 16)
    return Socket(
        protocol,
        version,
        TCP_STATES.get(state, str(state)),
        ip_address(source[:size]),
        port,
        ip_address(peer[:size]),
        peer_port,
        struct.unpack_from("=I", payload, INET_DIAG_MSG_INODE)[0],
        attributes(payload, INET_DIAG_MSG_SIZE).get(INET_DIAG_SKV6ONLY, b"\0") != b"\0",
    )
