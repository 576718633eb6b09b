"""How a packet is wrapped where it passes a link.

802.1Q    a tag of four bytes in the Ethernet header, with the number of a VLAN; the kernel takes it off and tells it beside the frame
VXLAN     (RFC 7348) the whole frame in a UDP datagram between two hosts, with the number of a network
ESP       (RFC 4303) encrypted, between two hosts; all that can be read is the SPI, the number of the agreement on the keys
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN

from plumb.kernel.netns.namespaces import entered
from plumb.model.net.packet import with_vlan_tag

ETH_P_ALL, ESP = 3, 50
SOL_PACKET, AUXDATA = 263, 8


@dataclass(frozen=True)
class Wrapped:
    """A packet as it is on a link.

    Attributes:
        vlans: the VLAN tags, the outer first.
        src, dst: of the outer IP header; empty where there is none.
        vni: VXLAN's network; None where it is not wrapped so.
        spi: ESP's; None likewise.
        inside: the innermost IP header that can be read: source, destination, protocol number.
    """

    vlans: tuple[int, ...]
    src: str
    dst: str
    vni: int | None = None
    spi: int | None = None
    inside: tuple[str, str, int] | None = None

    def __str__(self) -> str:
        """In words: "VLAN 10, VXLAN 4097 of 10.9.0.2 > 10.9.0.3, 192.0.2.51 > 192.0.2.52"."""
        words = [f"VLAN {number}" for number in self.vlans]
        if self.vni is not None:
            words.append(f"VXLAN {self.vni} of {self.src} > {self.dst}")
        if self.spi is not None:
            words.append(f"ESP spi {self.spi:#x} of {self.src} > {self.dst}")
        elif self.inside is not None:
            words.append(f"{self.inside[0]} > {self.inside[1]}")
        return ", ".join(words)


def wrapping(frame: bytes) -> Wrapped | None:
    """How a frame from its Ethernet header on is wrapped; None where it is no packet of IP's."""
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
    return Wrapped(vlans, outer.src, outer.dst, vni, spi, inside)


def _layers(packet: Any) -> Iterator[Any]:
    while packet:
        yield packet
        packet = packet.payload


class Tap:
    """A link that is listened to, for the length of a with block.

    Args:
        ns: the namespace's file, "" for the host's own.
        dev: the link.
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

    def seen(self, seconds: float = 0.0) -> list[Wrapped]:
        """What passes until so many seconds have gone, and what has passed before."""
        found: list[Wrapped] = []
        deadline = time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.0001))
            try:
                frame, ancillary, *_ = self.socket.recvmsg(1 << 16, 256)
            except TimeoutError:
                return found
            for level, what, data in ancillary:
                if (level, what) == (SOL_PACKET, AUXDATA):
                    frame = with_vlan_tag(frame, data)
            if (wrapped := wrapping(frame)) is not None:
                found.append(wrapped)
