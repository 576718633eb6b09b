"""ctnetlink: connection tracking's entries (linux/netfilter/nfnetlink_conntrack.h).

An entry is two tuples, of addresses, protocol and ports: the original way, and the way of the
answers, from which one sees what NAT has rewritten. A dump can have a filter since Linux 5.8: one
tuple of values, and flags which of them count; what does not match does not come through the
socket. Before, the kernel does not look at it, and all come.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Self

from plumb.address import IPAddress
from plumb.kernel.netlink.codec import (
    Request,
    attribute,
    attribute_be16,
    attribute_be32,
    attribute_u8,
    attribute_u32,
    attributes,
    be_number,
    nest,
)
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi.linux_netfilter import (
    CTA_FILTER,
    CTA_FILTER_F_CTA_IP_DST,
    CTA_FILTER_F_CTA_IP_SRC,
    CTA_FILTER_F_CTA_PROTO_DST_PORT,
    CTA_FILTER_F_CTA_PROTO_NUM,
    CTA_FILTER_ORIG_FLAGS,
    CTA_FILTER_REPLY_FLAGS,
    CTA_ID,
    CTA_IP_V4_DST,
    CTA_IP_V4_SRC,
    CTA_IP_V6_DST,
    CTA_IP_V6_SRC,
    CTA_PROTO_DST_PORT,
    CTA_PROTO_ICMP_ID,
    CTA_PROTO_ICMPV6_ID,
    CTA_PROTO_NUM,
    CTA_PROTO_SRC_PORT,
    CTA_PROTOINFO,
    CTA_PROTOINFO_TCP,
    CTA_PROTOINFO_TCP_STATE,
    CTA_STATUS,
    CTA_STATUS_MASK,
    CTA_TUPLE_IP,
    CTA_TUPLE_ORIG,
    CTA_TUPLE_PROTO,
    CTA_TUPLE_REPLY,
    CTA_ZONE,
    IPCTNL_MSG_CT_DELETE,
    IPCTNL_MSG_CT_GET,
    IPS_ASSURED,
    IPS_DST_NAT,
    IPS_SEEN_REPLY,
    NFGENMSG,
    NFNETLINK_V0,
    NFNL_SUBSYS_CTNETLINK,
    TCP_CONNTRACK,
)
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_NETFILTER
from plumb.model.netns_state import ConntrackEntry, ConnTuple

GET = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET
DELETE = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
FAMILIES = frozenset(FAMILY.values())
IP_SRC = {4: CTA_IP_V4_SRC, 6: CTA_IP_V6_SRC}
IP_DST = {4: CTA_IP_V4_DST, 6: CTA_IP_V6_DST}
PROTOCOLS = {
    socket.IPPROTO_ICMP: "icmp",
    socket.IPPROTO_TCP: "tcp",
    socket.IPPROTO_UDP: "udp",
    socket.IPPROTO_ICMPV6: "icmp6",
    socket.IPPROTO_SCTP: "sctp",
}
NUMBERS = {name: int(number) for number, name in PROTOCOLS.items()}


class Table:
    """Connection tracking's table of the calling thread's namespace."""

    def __init__(self) -> None:
        self._connection = Connection(NETLINK_NETFILTER)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def dump(self, family: int = socket.AF_UNSPEC, wanted: bytes = b"") -> Iterator[ConntrackEntry]:
        """The entries of a family that a filter selects, one after the other as they come.

        Raises:
            OSError: the kernel refused, or did not answer in time.
        """
        head = NFGENMSG.pack(family, NFNETLINK_V0, 0)
        for payload in self._connection.stream(GET, head + wanted):
            if payload[0] in FAMILIES:
                yield entry(payload)

    def flush(self, family: int, wanted: bytes) -> None:
        """Forget the entries of a family that a filter selects, by one message.

        The kernel takes no lock for an empty bucket then, and walks its table in a tenth of the
        time of a dump. Linux 6.11 is the first that reads a filter here; one that knows no filters
        would forget all entries.

        Raises:
            OSError: the kernel refused.
        """
        head = NFGENMSG.pack(family, NFNETLINK_V0, 0)
        self._connection.change(DELETE, 0, head + wanted)

    def delete(self, entries: Sequence[ConntrackEntry]) -> None:
        """Forget entries; those that have ended meanwhile count as forgotten.

        Raises:
            OSError: the kernel refused one, the others are forgotten; or it did not answer in time.
        """
        requests = [
            Request(DELETE, 0, NFGENMSG.pack(FAMILY[each.version], NFNETLINK_V0, 0) + each.handle)
            for each in entries
        ]
        for ack in self._connection.send(requests):
            if ack.errno not in (0, errno.ENOENT):
                raise ack.error()


# -- filters ------------------------------------------------------------------


def came_in_for(protocol: str, port: int, ip: IPAddress | None, version: int) -> bytes:
    """A dump's filter: the original destination is a port, at an address.

    Args:
        protocol: "udp", …; port: its port.
        ip: the address, None for any; version: 4 or 6.
    """
    address = nest(CTA_TUPLE_IP, attribute(IP_DST[version], ip.packed)) if ip else b""
    proto = nest(
        CTA_TUPLE_PROTO,
        attribute_u8(CTA_PROTO_NUM, NUMBERS[protocol]),
        attribute_be16(CTA_PROTO_DST_PORT, port),
    )
    flags = CTA_FILTER_F_CTA_PROTO_NUM | CTA_FILTER_F_CTA_PROTO_DST_PORT
    flags |= CTA_FILTER_F_CTA_IP_DST if ip else 0
    return _filter(CTA_FILTER_ORIG_FLAGS, flags) + nest(CTA_TUPLE_ORIG, address, proto)


def answered_from(ip: IPAddress) -> bytes:
    """A dump's filter: answers come from this address."""
    return _filter(CTA_FILTER_REPLY_FLAGS, CTA_FILTER_F_CTA_IP_SRC) + nest(
        CTA_TUPLE_REPLY, nest(CTA_TUPLE_IP, attribute(IP_SRC[ip.version], ip.packed))
    )


def rewritten() -> bytes:
    """Attributes of a filter besides: the destination was rewritten."""
    bit = IPS_DST_NAT
    return attribute_be32(CTA_STATUS, bit) + attribute_be32(CTA_STATUS_MASK, bit)


def _filter(which: int, flags: int) -> bytes:
    return nest(CTA_FILTER, attribute_u32(which, flags))


# -- entries ------------------------------------------------------------------


def entry(message: bytes) -> ConntrackEntry:
    """A message of a dump, with its struct nfgenmsg, as an entry."""
    found = attributes(message, NFGENMSG.size)
    protocol, way = _tuple(found[CTA_TUPLE_ORIG])
    status = be_number(found.get(CTA_STATUS, b""))
    return ConntrackEntry(
        PROTOCOLS.get(protocol, str(protocol)),
        way,
        _tuple(found[CTA_TUPLE_REPLY])[1],
        bool(status & IPS_SEEN_REPLY),
        _state(protocol, status, found),
        _handle(found),
    )


def _tuple(data: bytes) -> tuple[int, ConnTuple]:
    """The number of a tuple's protocol, and its addresses and ports."""
    parts = attributes(data)
    ip, proto = attributes(parts[CTA_TUPLE_IP]), attributes(parts[CTA_TUPLE_PROTO])
    return be_number(proto[CTA_PROTO_NUM]), ConnTuple(
        _address(ip.get(CTA_IP_V4_SRC) or ip[CTA_IP_V6_SRC]),
        _address(ip.get(CTA_IP_V4_DST) or ip[CTA_IP_V6_DST]),
        be_number(proto.get(CTA_PROTO_SRC_PORT, b"")),
        be_number(proto.get(CTA_PROTO_DST_PORT, b"")),
        be_number(proto.get(CTA_PROTO_ICMP_ID) or proto.get(CTA_PROTO_ICMPV6_ID, b"")),
    )


@lru_cache(maxsize=4096)
def _address(packed: bytes) -> IPAddress:
    return ip_address(packed)


def _state(protocol: int, status: int, found: dict[int, bytes]) -> str:
    if protocol == socket.IPPROTO_TCP and CTA_PROTOINFO in found:
        tcp = attributes(attributes(found[CTA_PROTOINFO]).get(CTA_PROTOINFO_TCP, b""))
        state = be_number(tcp.get(CTA_PROTOINFO_TCP_STATE, b""))
        return TCP_CONNTRACK[state] if state < len(TCP_CONNTRACK) else str(state)
    return (
        "ASSURED" if status & IPS_ASSURED else "REPLIED" if status & IPS_SEEN_REPLY else "UNREPLIED"
    )


def _handle(found: dict[int, bytes]) -> bytes:
    """The attributes that name an entry to the kernel: its way, its id, its zone."""
    named = [attribute(kind, found[kind]) for kind in (CTA_ID, CTA_ZONE) if kind in found]
    return nest(CTA_TUPLE_ORIG, found[CTA_TUPLE_ORIG]) + b"".join(named)
