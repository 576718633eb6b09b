"""ctnetlink: connection tracking's entries as netlink messages (linux/netfilter/nfnetlink_conntrack.h).

An entry is two tuples, of addresses, protocol and ports: the original way, and the way of the
answers, from which one sees what NAT has rewritten. A dump can have a filter since Linux 5.8: one
tuple of values, and flags which of them count; what does not match does not come through the
socket. Before, the kernel does not look at it, and all come.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple, Self

from plumb.kernel.netlink.codec import (
    ACK,
    ATTRIBUTE,
    DONE,
    DUMP,
    ERROR,
    HEADER,
    KIND,
    NESTED,
    REQUEST,
    attribute,
    attributes,
    nest,
)

# linux/netfilter/nfnetlink.h, nfnetlink_conntrack.h and linux/netlink.h; the numbers are the
# kernel's ABI.
NETLINK_NETFILTER = 12
GET, DELETE = (1 << 8) | 1, (1 << 8) | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_*
TUPLE_ORIG, TUPLE_REPLY, STATUS, PROTOINFO, ID, ZONE, FILTER = 1, 2, 3, 4, 12, 18, 25
PROTOINFO_TCP, TCP_STATE = 1, 1
TCP, SEEN_REPLY, ASSURED = 6, 0x2, 0x4  # IPPROTO_TCP; IPS_SEEN_REPLY, IPS_ASSURED
TCP_STATES = (
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
)
TUPLE_IP, TUPLE_PROTO = 1, 2
IP_SRC, IP_DST = {4: 1, 6: 3}, {4: 2, 6: 4}
PROTO_NUM, PROTO_SRC_PORT, PROTO_DST_PORT = 1, 2, 3
FILTER_ORIG_FLAGS, FILTER_REPLY_FLAGS = 1, 2
BY_IP_SRC, BY_IP_DST, BY_PROTO_NUM, BY_DST_PORT = 0x1, 0x2, 0x8, 0x20
GENERIC = struct.Struct("=BBH")
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}

SECONDS = 2.0
"""How long the kernel may take for one answer."""
BATCH = 64
"""Deletions in one send; their answers must fit the socket's receive buffer."""


class ConnTuple(NamedTuple):
    """A tuple: where packets of one direction come from and go to.

    Ports are 0 where the protocol has none.
    """

    src: bytes
    dst: bytes
    protocol: int
    src_port: int
    dst_port: int

    @property
    def version(self) -> int:
        """4 or 6."""
        return 4 if len(self.dst) == 4 else 6


class ConntrackEntry(NamedTuple):
    """An entry: the way its packets come in, the way of the answers, and the message that it was read from."""

    way: ConnTuple
    reply: ConnTuple
    message: bytes

    @property
    def name(self) -> bytes:
        """The attributes that name it to the kernel."""
        found = attributes(self.message[GENERIC.size :])
        return b"".join(
            attribute(kind | (NESTED if kind == TUPLE_ORIG else 0), found[kind])
            for kind in (TUPLE_ORIG, ID, ZONE)
            if kind in found
        )

    @property
    def state(self) -> str:
        """TCP's state as connection tracking sees it.

        Of other protocols, whether there was an answer, and whether it is kept for long.
        """
        found = attributes(self.message[GENERIC.size :])
        if self.way.protocol == TCP and PROTOINFO in found:
            tcp = attributes(attributes(found[PROTOINFO]).get(PROTOINFO_TCP, b"")).get(
                TCP_STATE, b"\0"
            )
            return TCP_STATES[tcp[0]] if tcp[0] < len(TCP_STATES) else str(tcp[0])
        status = int.from_bytes(found.get(STATUS, b""), "big")
        return "ASSURED" if status & ASSURED else "REPLIED" if status & SEEN_REPLY else "UNREPLIED"

    def __str__(self) -> str:
        return " ".join(
            f"{ip_address(way.src)}:{way.src_port} > {ip_address(way.dst)}:{way.dst_port}"
            for way in self[:2]
        )


class Table:
    """A ctnetlink socket of the namespace that the calling thread is in when it is made."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER
        )
        self._socket.settimeout(SECONDS)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def dump(self, family: int = socket.AF_UNSPEC, wanted: bytes = b"") -> Iterator[ConntrackEntry]:
        """The flows of a family that a filter selects.

        Raises:
            OSError: the kernel refused, or did not answer in time.
        """
        self._socket.send(self._message(GET, DUMP, family, wanted))
        asked = self._sequence
        while True:
            for kind, sequence, payload in self._receive():
                if sequence != asked:
                    continue
                if kind == ERROR:
                    raise _refusal(payload)
                if kind == DONE:
                    return
                flow = _flow(payload)
                if flow is not None:
                    yield flow

    def delete(self, flows: list[ConntrackEntry]) -> None:
        """Forget flows; those that have ended meanwhile count as forgotten.

        Raises:
            OSError: the kernel refused one, the others are forgotten; or it did not answer in time.
        """
        refused: OSError | None = None
        for start in range(0, len(flows), BATCH):
            first = self._sequence + 1
            part = flows[start : start + BATCH]
            self._socket.send(
                b"".join(
                    self._message(DELETE, ACK, FAMILY[flow.way.version], flow.name) for flow in part
                )
            )
            left = len(part)
            while left:
                for kind, sequence, payload in self._receive():
                    if kind == ERROR and sequence >= first:
                        left -= 1
                        said = _refusal(payload)
                        refused = refused if said.errno in (0, errno.ENOENT) else said
        if refused is not None:
            raise refused

    def _message(self, kind: int, flags: int, family: int, attributes: bytes) -> bytes:
        self._sequence += 1
        body = GENERIC.pack(family, 0, 0) + attributes
        return HEADER.pack(HEADER.size + len(body), kind, flags | REQUEST, self._sequence, 0) + body

    def _receive(self) -> Iterator[tuple[int, int, bytes]]:
        data = self._socket.recv(1 << 18)
        at = 0
        while at + HEADER.size <= len(data):
            length, kind, _, sequence, _ = HEADER.unpack_from(data, at)
            yield kind, sequence, data[at + HEADER.size : at + length]
            at += (length + 3) & ~3


# -- filters, flows ---------------------------------------------------------------


def came_in_for(version: int, protocol: int, port: int, ip: bytes | None) -> bytes:
    """A dump's filter.

    The original destination is this port, at this address or, where it is None, any.
    """
    address = nest(TUPLE_IP, attribute(IP_DST[version], ip)) if ip else b""
    proto = nest(
        TUPLE_PROTO,
        attribute(PROTO_NUM, bytes([protocol])),
        attribute(PROTO_DST_PORT, struct.pack(">H", port)),
    )
    flags = BY_PROTO_NUM | BY_DST_PORT | (BY_IP_DST if ip else 0)
    return _filter(FILTER_ORIG_FLAGS, flags) + nest(TUPLE_ORIG, address, proto)


def answered_from(version: int, ip: bytes) -> bytes:
    """A dump's filter: answers come from this address."""
    return _filter(FILTER_REPLY_FLAGS, BY_IP_SRC) + nest(
        TUPLE_REPLY, nest(TUPLE_IP, attribute(IP_SRC[version], ip))
    )


def _filter(which: int, flags: int) -> bytes:
    return nest(FILTER, attribute(which, struct.pack("=I", flags)))


def _flow(message: bytes) -> ConntrackEntry | None:
    """A message of a dump; None for what is neither IPv4 nor IPv6."""
    if message[0] not in FAMILY.values():
        return None
    ways: dict[int, ConnTuple] = {}
    at = GENERIC.size
    while len(ways) < 2:  # the tuples are the first attributes; the rest is not looked at
        length, kind = ATTRIBUTE.unpack_from(message, at)
        if kind & KIND in (TUPLE_ORIG, TUPLE_REPLY):
            ways[kind & KIND] = _way(message, at + ATTRIBUTE.size, at + length)
        at += (length + 3) & ~3
    return ConntrackEntry(ways[TUPLE_ORIG], ways[TUPLE_REPLY], message)


def _way(message: bytes, at: int, end: int) -> ConnTuple:
    """A tuple: IPv4's and IPv6's addresses have numbers of their own, 1 and 2, 3 and 4."""
    src = dst = b""
    proto = [0, 0, 0, 0]
    while at < end:
        length, kind = ATTRIBUTE.unpack_from(message, at)
        inner, kind = at + ATTRIBUTE.size, kind & KIND
        while kind in (TUPLE_IP, TUPLE_PROTO) and inner < at + length:
            size, number = ATTRIBUTE.unpack_from(message, inner)
            value = message[inner + ATTRIBUTE.size : inner + size]
            if kind == TUPLE_PROTO:
                proto[number if number in (PROTO_NUM, PROTO_SRC_PORT, PROTO_DST_PORT) else 0] = (
                    int.from_bytes(value, "big")
                )
            elif number in IP_SRC.values():
                src = value
            else:
                dst = value
            inner += (size + 3) & ~3
        at += (length + 3) & ~3
    return ConnTuple(src, dst, *proto[1:])


def _refusal(payload: bytes) -> OSError:
    number = -struct.unpack_from("=i", payload)[0]
    return OSError(number, os.strerror(number))
