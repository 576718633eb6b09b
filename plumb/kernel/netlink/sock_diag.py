"""sock_diag: the sockets of a namespace, as the kernel lists them (what `ss` shows).

One request is for a family, a protocol and a set of states; the answer is one message for each
socket (linux/inet_diag.h).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Collection, Iterator
from ipaddress import ip_address
from typing import NamedTuple

from plumb.kernel.netlink.codec import DONE, DUMP, ERROR, HEADER, REQUEST, attributes
from plumb.model.cnm import IPAddress

SOCK_DIAG, BY_FAMILY = 4, 20  # NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY
ASKED = struct.Struct("=BBBBI48x")
TOLD = struct.Struct(
    ">BBBBHH16s16s"
)  # inet_diag_msg: family, state, timer, retransmissions; ports, addresses
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": socket.IPPROTO_SCTP}
STATES = {
    1: "ESTABLISHED",
    2: "SYN-SENT",
    3: "SYN-RECV",
    4: "FIN-WAIT-1",
    5: "FIN-WAIT-2",
    6: "TIME-WAIT",
    7: "CLOSED",
    8: "CLOSE-WAIT",
    9: "LAST-ACK",
    10: "LISTEN",
    11: "CLOSING",
    12: "SYN-RECV",
}
"""include/net/tcp_states.h; a UDP socket is ESTABLISHED when it is connected, else CLOSED."""
INODE, SIZE, V6ONLY = 68, 72, 11
"""Where in inet_diag_msg the inode stands, its size, and an attribute behind it.

INET_DIAG_SKV6ONLY.
"""


class Socket(NamedTuple):
    """A socket.

    Attributes:
        protocol, version: "tcp", "udp" or "sctp"; 4 or 6.
        state: as in STATES.
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
    mask = sum(1 << number for number, name in STATES.items() if not states or name in states)
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, SOCK_DIAG
    ) as asking:
        body = ASKED.pack(FAMILY[version], PROTOCOLS[protocol], 0, 0, mask)
        asking.send(HEADER.pack(HEADER.size + len(body), BY_FAMILY, REQUEST | DUMP, 1, 0) + body)
        while True:
            data, at = asking.recv(1 << 18), 0
            while at + HEADER.size <= len(data):
                length, kind, _, _, _ = HEADER.unpack_from(data, at)
                if kind == DONE:
                    return
                if kind == ERROR:
                    number = -struct.unpack_from("=i", data, at + HEADER.size)[0]
                    if (
                        number == 2
                    ):  # ENOENT: nobody has asked for that protocol yet, so it has no sockets
                        return
                    raise OSError(number, os.strerror(number))
                yield _socket(protocol, data[at + HEADER.size : at + length])
                at += (length + 3) & ~3


def _socket(protocol: str, told: bytes) -> Socket:
    family, state, _, _, port, peer_port, source, peer = TOLD.unpack_from(told)
    version, size = (4, 4) if family == socket.AF_INET else (6, 16)
    return Socket(
        protocol,
        version,
        STATES.get(state, str(state)),
        ip_address(source[:size]),
        port,
        ip_address(peer[:size]),
        peer_port,
        struct.unpack_from("=I", told, INODE)[0],
        attributes(told[SIZE:]).get(V6ONLY, b"\0") != b"\0",
    )
