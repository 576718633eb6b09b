"""Packets between two hosts, observed on this host's links (AF_PACKET).

A packet that leaves is observed after this host's firewall, one that arrives before it: so what a
firewall of this host drops is told from what is lost between the hosts.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.model.net.packet import ip_header

ETH_P_ALL = 0x0003
PACKET_OUTGOING = 4
"""Packet type of a frame that this host sends (linux/if_packet.h)."""
IPPROTO_ESP = 50
UDP_HEADER, VNI_AT = 8, slice(12, 15)
"""VXLAN's header follows UDP's; its VNI is three bytes from its fifth on (RFC 7348)."""


@frozen
class Observed:
    """Packet between the two hosts.

    Attributes:
        leaves: it was sent by this host.
        esp: it is ESP; else it is UDP.
        port: UDP's destination port; vni: the number where VXLAN's has its place.
    """

    leaves: bool
    esp: bool
    port: int = 0
    vni: int = 0


class PacketTap:
    """Socket that receives the packets between two hosts, in the namespace of this process.

    Args:
        own, peer: the ends of the tunnel.

    Raises:
        OSError: it may not be opened.
    """

    def __init__(self, own: IPAddress, peer: IPAddress) -> None:
        self._ends = {own, peer}
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        """Do nothing: it receives already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self._socket.close()

    def read(self) -> list[Observed]:
        """List what has come since the last call."""
        return list(self._read())

    def _read(self) -> Iterator[Observed]:
        with suppress(BlockingIOError):
            while True:
                packet, address = self._socket.recvfrom(2048)
                found = self._parsed(packet, address[2] == PACKET_OUTGOING)
                if found is not None:
                    yield found

    def _parsed(self, packet: bytes, leaves: bool) -> Observed | None:
        header = ip_header(packet)
        if header is None or {header.src, header.dst} != self._ends:
            return None
        if header.protocol == IPPROTO_ESP:
            return Observed(leaves, esp=True)
        udp = packet[header.size :]
        if header.protocol != socket.IPPROTO_UDP or len(udp) < UDP_HEADER * 2:
            return None
        port, vni = int.from_bytes(udp[2:4], "big"), int.from_bytes(udp[VNI_AT], "big")
        return Observed(leaves, esp=False, port=port, vni=vni)
