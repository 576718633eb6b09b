"""Headers: captured frames, parsed as packets.

A trace needs a few fields only: addresses, protocol, ports, the kind of packet (a SYN, an echo
request, an error), the time to live, and the packet inside an ICMP error (RFC 792, RFC 4443).
"""

from __future__ import annotations

import struct
from dataclasses import replace
from enum import StrEnum

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.model.net.packet import (
    ECHO_TYPES,
    ETH_P_IP,
    ETH_P_IPV6,
    IP_DF,
    IP_OFFSET,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    ip_header,
    network_layer,
)
from plumb.model.observations import Flow

PROTOCOLS = {
    IPPROTO_ICMP: "icmp",
    IPPROTO_TCP: "tcp",
    IPPROTO_UDP: "udp",
    IPPROTO_ICMPV6: "icmp",
    IPPROTO_SCTP: "sctp",
}
EXTENSIONS = frozenset({0, 43, 60})
"""IPv6's headers between the first and the transport's.

Hop-by-hop options, routing, destination options (RFC 8200).
"""
FLAGS = ((0x02, "SYN"), (0x04, "RST"), (0x01, "FIN"), (0x08, "PSH"), (0x10, "ACK"))
CHUNKS = {
    0: "DATA",
    1: "INIT",
    2: "INIT ACK",
    6: "ABORT",
    7: "SHUTDOWN",
    10: "COOKIE ECHO",
    11: "COOKIE ACK",
}
"""Kinds of an SCTP packet's first chunk (RFC 9260)."""


class Direction(StrEnum):
    """Direction of a packet of a flow.

    THERE is the probe packet, BACK its reply or an ICMP error about it, COMPLAINT an ICMP error
    about the reply.
    """

    THERE = "there"
    BACK = "back"
    COMPLAINT = "complaint"


ERRORS4 = {
    (3, 0): "network unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): "fragmentation needed",
    (3, 9): "network prohibited",
    (3, 10): "host prohibited",
    (3, 13): "administratively prohibited",
    (11, 0): "time to live exceeded",
    (12, 0): "parameter problem",
}
ERRORS6 = {
    (1, 0): "no route to destination",
    (1, 1): "administratively prohibited",
    (1, 2): "beyond scope of source address",
    (1, 3): "address unreachable",
    (1, 4): "port unreachable",
    (1, 5): "source address failed policy",
    (1, 6): "reject route",
    (2, 0): "packet too big",
    (3, 0): "hop limit exceeded",
    (4, 0): "parameter problem",
}


@frozen
class Packet:
    """A packet.

    Attributes:
        version: 4 or 6.
        protocol: "tcp", "udp", "sctp", "icmp" (ICMPv6 as well), or "" for any other.
        src, dst: its addresses; sport, dport: its ports, for an echo both the identifier, else 0.
        kind: "SYN", "SYN ACK", "RST", "echo request", "port unreachable"; empty for a datagram.
        ttl: the time to live, or hop limit.
        length: bytes, with the IP header.
        whole: True if routers must not fragment it (DF, or IPv6).
        mac: the frame's source and destination, empty for a frame without an Ethernet header.
        about: the packet inside an ICMP error; mtu: the MTU that the error reports, or 0.
    """

    version: int
    protocol: str
    src: IPAddress
    dst: IPAddress
    sport: int = 0
    dport: int = 0
    kind: str = ""
    ttl: int = 0
    length: int = 0
    whole: bool = False
    mac: tuple[str, str] = ("", "")
    about: Packet | None = None
    mtu: int = 0

    @property
    def ends(self) -> str:
        """Source and destination, with ports where the protocol has them."""
        if self.protocol == "icmp":
            return f"{self.src} > {self.dst}"
        return f"{_at(self.src, self.sport)} > {_at(self.dst, self.dport)}"

    def __str__(self) -> str:
        return f"{self.ends}  {self.kind or self.protocol}"


def _at(ip: IPAddress, port: int) -> str:
    return f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"


def read(frame: bytes, ethernet: bool = True) -> Packet | None:
    """Parse a frame; None if it is neither IPv4 nor IPv6, or too short to tell.

    Args:
        ethernet: True if the frame begins with an Ethernet header, with VLAN tags or without (IEEE
            802.1Q).
    """
    if not ethernet:
        return _ip(frame)
    kind, packet = network_layer(frame)
    if kind not in (ETH_P_IP, ETH_P_IPV6):
        return None
    return _ip(packet, (frame[6:12].hex(":"), frame[:6].hex(":")))


def _ip(data: bytes, mac: tuple[str, str] = ("", "")) -> Packet | None:
    header = ip_header(data)
    if header is None:
        return None
    number, start = header.protocol, header.size
    while header.version == 6 and number in EXTENSIONS and len(data) >= start + 2:
        number, start = data[start], start + (data[start + 1] + 1) * 8
    found = Packet(
        header.version,
        PROTOCOLS.get(number, ""),
        header.src,
        header.dst,
        ttl=header.ttl,
        length=header.length,
        whole=header.version == 6 or bool(header.fragment & IP_DF),
        mac=mac,
    )
    first = not header.fragment & IP_OFFSET
    return _transport(found, data[start : header.length]) if first else found


def _transport(packet: Packet, data: bytes) -> Packet:
    if packet.protocol == "icmp":
        return _icmp(packet, data)
    if packet.protocol not in ("tcp", "udp", "sctp") or len(data) < 8:
        return packet
    sport, dport = struct.unpack_from("!HH", data)
    kind = ""
    if packet.protocol == "tcp" and len(data) >= 14:
        kind = " ".join(name for bit, name in FLAGS if data[13] & bit)
    elif packet.protocol == "sctp" and len(data) >= 13:
        kind = CHUNKS.get(data[12], "")
    return replace(packet, sport=sport, dport=dport, kind=kind)


def _icmp(packet: Packet, data: bytes) -> Packet:
    if len(data) < 8:
        return packet
    kind, code = data[0], data[1]
    echo = dict(zip(ECHO_TYPES[packet.version], ("echo request", "echo reply"), strict=True))
    if kind in echo:
        token = int.from_bytes(data[4:6], "big")
        return replace(packet, sport=token, dport=token, kind=echo[kind])
    errors = ERRORS4 if packet.version == 4 else ERRORS6
    if (kind, code) not in errors:
        return packet
    mtu = (
        int.from_bytes(data[6:8] if packet.version == 4 else data[4:8], "big")
        if (kind, code) in ((3, 4), (2, 0))
        else 0
    )
    return replace(packet, kind=errors[kind, code], about=_ip(data[8:]), mtu=mtu)


def way(packet: Packet, flow: Flow) -> Direction | None:
    """Direction of a packet of a flow.

    NAT leaves the client's port unchanged as a rule, so that port identifies the flow.

    Returns:
        None for a packet of another flow, and for packets after the first reply.
    """
    if packet.about is not None:
        about = way(packet.about, flow)
        return ABOUT.get(about) if about else None
    if packet.protocol != flow.protocol or packet.version != flow.version:
        return None
    if flow.protocol == "icmp":
        if packet.sport != flow.token:
            return None
        return {"echo request": Direction.THERE, "echo reply": Direction.BACK}.get(packet.kind)
    if packet.sport == flow.token:
        return Direction.THERE if packet.kind in FIRST.get(flow.protocol, {""}) else None
    if packet.dport == flow.token:
        return Direction.BACK if packet.kind in ANSWERS.get(flow.protocol, {""}) else None
    return None


ABOUT = {Direction.THERE: Direction.BACK, Direction.BACK: Direction.COMPLAINT}
FIRST = {"tcp": {"SYN"}, "sctp": {"INIT"}}
ANSWERS = {"tcp": {"SYN ACK", "RST", "RST ACK"}, "sctp": {"INIT ACK", "ABORT"}}
