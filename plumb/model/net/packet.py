"""Packets: the headers of a frame, parsed as far as tests of a flow need, and an echo request.

Frames begin with an Ethernet header, perhaps with VLAN tags behind it (IEEE 802.1Q), unless their
link has none. A tag that the kernel has taken out of a frame comes beside it, as auxiliary data
(packet(7), PACKET_AUXDATA).
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

from plumb.address import IPAddress
from plumb.frozen import frozen

# linux/if_ether.h, linux/in.h, linux/in6.h
ETH_HLEN = 14
ETH_P_IP, ETH_P_ARP, ETH_P_8021Q, ETH_P_IPV6, ETH_P_8021AD = 0x0800, 0x0806, 0x8100, 0x86DD, 0x88A8
VLAN_TAGS = (ETH_P_8021Q, ETH_P_8021AD)
VLAN_HLEN = 4
IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6, IPPROTO_SCTP = 1, 6, 17, 58, 132
IP_DF, IP_OFFSET = 0x4000, 0x1FFF

# linux/icmp.h, linux/icmpv6.h
ICMP_ECHO, ICMP_ECHOREPLY = 8, 0
ICMPV6_ECHO_REQUEST, ICMPV6_ECHO_REPLY = 128, 129
ECHO_TYPES = {4: (ICMP_ECHO, ICMP_ECHOREPLY), 6: (ICMPV6_ECHO_REQUEST, ICMPV6_ECHO_REPLY)}
"""ICMP's types of echo request and reply, by IP version (RFC 792, RFC 4443)."""
ECHO_HEADER = struct.Struct("!BBHHH")

# linux/if_packet.h, struct tpacket_auxdata
TPACKET_AUXDATA = struct.Struct("=IIIHHHH")
TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 1 << 4, 1 << 6


@frozen
class IPHeader:
    """The fixed header of an IP packet (RFC 791, RFC 8200).

    Attributes:
        version: 4 or 6.
        src, dst: its addresses.
        protocol: the number of what comes next; for IPv6 perhaps of an extension header.
        ttl: how many routers it may still pass.
        size: bytes of this header; length: bytes of the whole packet, as the header says.
        fragment: IPv4's flags and fragment offset; 0 for IPv6.
    """

    version: int
    src: IPAddress
    dst: IPAddress
    protocol: int
    ttl: int
    size: int
    length: int
    fragment: int = 0


def ip_header(packet: bytes) -> IPHeader | None:
    """The IP header that a packet begins with; None for what is no IP, or is cut off within it."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        length, _, fragment, ttl, protocol = struct.unpack_from("!HHHBB", packet, 2)
        src, dst = IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
        return IPHeader(4, src, dst, protocol, ttl, (packet[0] & 15) * 4, length, fragment)
    if version == 6 and len(packet) >= 40:
        payload, protocol, ttl = struct.unpack_from("!HBB", packet, 4)
        src6, dst6 = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
        return IPHeader(6, src6, dst6, protocol, ttl, 40, payload + 40)
    return None


def network_layer(frame: bytes) -> tuple[int, bytes]:
    """EtherType behind a frame's VLAN tags, and the rest of the frame; 0 for a truncated one."""
    at = ETH_HLEN
    while int.from_bytes(frame[at - 2 : at], "big") in VLAN_TAGS:
        at += VLAN_HLEN
    return (int.from_bytes(frame[at - 2 : at], "big") if len(frame) >= at else 0), frame[at:]


def with_vlan_tag(frame: bytes, auxdata: bytes) -> bytes:
    """The frame with the VLAN tag that the kernel has taken out of it, if it has.

    Args:
        auxdata: the control message PACKET_AUXDATA that came with the frame.
    """
    status, _, _, _, _, tci, tpid = TPACKET_AUXDATA.unpack_from(auxdata)
    if not status & TP_STATUS_VLAN_VALID:
        return frame
    kind = tpid if status & TP_STATUS_VLAN_TPID_VALID else ETH_P_8021Q
    return frame[:12] + struct.pack("!HH", kind, tci) + frame[12:]


def internet_checksum(data: bytes) -> int:
    """The checksum of RFC 1071: the complement of the ones' complement sum of 16-bit words."""
    even = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(even) // 2}H", even))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def echo_request(version: int, identifier: int, sequence: int, data: bytes) -> bytes:
    """An ICMP echo request for a raw socket; the kernel fills in the checksum of ICMPv6 only.

    Args:
        version: 4 or 6.
        identifier, sequence: 16 bits each.
    """
    kind = ECHO_TYPES[version][0]
    blank = ECHO_HEADER.pack(kind, 0, 0, identifier, sequence) + data
    if version == 6:
        return blank
    return ECHO_HEADER.pack(kind, 0, internet_checksum(blank), identifier, sequence) + data
