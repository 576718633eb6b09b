"""Encapsulation of packets on a link.

802.1Q    a tag of four bytes in the Ethernet header, with the VLAN's number; the kernel strips it
          and passes it beside the frame (PACKET_AUXDATA)
VXLAN     (RFC 7348) the whole frame in a UDP datagram between two hosts, with the network's number
          (VNI)
ESP       (RFC 4303) encrypted, between two hosts; only the SPI can be read, the number of the
          security association, which holds the keys
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any, Self

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN

from plumb.frozen import frozen
from plumb.kernel.netns.namespaces import entered
from plumb.model.net.packet import with_vlan_tag

ETH_P_ALL, ESP = 3, 50
SOL_PACKET, AUXDATA = 263, 8


@frozen
class EncapsulatedPacket:
    """A packet as a link carries it.

    Attributes:
        vlans: the VLAN tags, the outer first.
        src, dst: addresses of the outer IP header.
        vni: VXLAN's network number; None without VXLAN.
        spi: the number of ESP's security association; None without ESP.
        inside: the innermost IP header that can be read: source, destination, protocol number.
    """

    vlans: tuple[int, ...]
    src: str
    dst: str
    vni: int | None = None
    spi: int | None = None
    inside: tuple[str, str, int] | None = None

    def __str__(self) -> str:
        """Text form: "VLAN 10, VXLAN 4097 of 10.9.0.2 > 10.9.0.3, 192.0.2.51 > 192.0.2.52"."""
        words = [f"VLAN {number}" for number in self.vlans]
        if self.vni is not None:
            words.append(f"VXLAN {self.vni} of {self.src} > {self.dst}")
        if self.spi is not None:
            words.append(f"ESP spi {self.spi:#x} of {self.src} > {self.dst}")
        elif self.inside is not None:
            words.append(f"{self.inside[0]} > {self.inside[1]}")
        return ", ".join(words)


def parse_frame(frame: bytes) -> EncapsulatedPacket | None:
    """Read the encapsulation of an Ethernet frame; None if it carries no IP packet."""
    packet: Any = Ether(frame)
    vlans = tuple(layer.vlan for layer in _layers(packet) if isinstance(layer, Dot1Q | Dot1AD))
    outer = next((layer for layer in _layers(packet) if isinstance(layer, IP | IPv6)), None)
    if outer is None:
        return None
    vni = packet[VXLAN].vni if VXLAN in packet else None
    protocol = outer.proto if isinstance(outer, IP) else outer.nh
    spi = int.from_bytes(bytes(outer.payload)[:4]) if protocol == ESP else None
    inner = (
        next((layer for layer in _layers(packet[VXLAN]) if isinstance(layer, IP | IPv6)), None)
        if vni is not None
        else outer
    )
    inside = (
        None
        if inner is None
        else (inner.src, inner.dst, inner.proto if isinstance(inner, IP) else inner.nh)
    )
    return EncapsulatedPacket(vlans, outer.src, outer.dst, vni, spi, inside)


def _layers(packet: Any) -> Iterator[Any]:
    while packet:
        yield packet
        packet = packet.payload


class Tap:
    """A packet socket that captures on a link, until the with block ends.

    Args:
        ns: the namespace's file, "" for the host's own.
        dev: the link's name.
    """

    def __init__(self, ns: str, dev: str) -> None:
        with entered(ns):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.socket.setsockopt(SOL_PACKET, AUXDATA, 1)
            self.socket.bind((dev, ETH_P_ALL))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def packets(self, seconds: float = 0.0) -> list[EncapsulatedPacket]:
        """Packets since the socket was opened, and those of so many seconds more."""
        found: list[EncapsulatedPacket] = []
        deadline = time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.0001))
            try:
                frame, ancillary, *_ = self.socket.recvmsg(1 << 16, 256)
            except TimeoutError:
                return found
            for level, kind, data in ancillary:
                if (level, kind) == (SOL_PACKET, AUXDATA):
                    frame = with_vlan_tag(frame, data)
            if (packet := parse_frame(frame)) is not None:
                found.append(packet)
