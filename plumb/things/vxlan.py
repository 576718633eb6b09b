"""VXLAN: Ethernet frames between hosts in UDP packets (RFC 7348), and who is at which host.

    inner frame                 what a container sends
    VXLAN header, 8 bytes       its VNI, the number of the segment
    UDP, 8 bytes                to port 4789 of the other host
    outer IP, 20 bytes          from this host's end of the tunnel (VTEP) to the other's

A VXLAN link finds out by itself, by flooding, which MAC address is behind which VTEP; that needs
multicast, or a list of all VTEPs. Where a control plane knows all members, as here, it writes them
down instead: an `FdbEntry` says to which VTEP frames for a MAC address go, and a `Neighbour` which
MAC address an IP address has. The link answers ARP and neighbour solicitations for those itself
(`proxy`), so that a broadcast need never leave the host, and none does.
"""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.things import Key, OnLink, Stage, Thing
from plumb.things.links import Moved

TABLE = "plumb-overlay"
"""nftables' table of the rules about packets between hosts."""


@frozen
class Vxlan(Moved):
    """`ip link add BORN mtu MTU netns NS type vxlan id ID dstport PORT learning proxy …`.

    Docker sets these flags, and checksums of the outer UDP packets.

    It is created in the host, for good: its UDP socket, so the outer packets, stay in the netns in
    which it was created, wherever the link itself is moved to.

    The host has one VXLAN link for a VNI and a port, whatever netns that is in.

    Attributes:
        id: the VNI; port: the UDP port.
        ipv6: True if the VTEPs have IPv6 addresses; then its group is ::, which stands for no group
            at all and makes the socket an IPv6 one.
    """

    kind: ClassVar = "vxlan"
    name: str
    ns: str
    born: str
    id: int
    port: int
    mtu: int
    ipv6: bool = False

    def replaces(self, before: Thing) -> bool:
        return isinstance(before, Vxlan) and (before.id, before.port, before.ipv6) != (
            self.id,
            self.port,
            self.ipv6,
        )

    def __str__(self) -> str:
        return f"vxlan {self.name}, VNI {self.id}"


@frozen
class FdbEntry(OnLink):
    """`bridge fdb replace MAC dev DEV dst VTEP self permanent`.

    An entry that the link has learnt from a packet gives way to it.
    """

    stage: ClassVar = Stage.ROUTE
    dev: str
    mac: str
    vtep: IPAddress
    ns: str

    @cached_property
    def key(self) -> Key:
        return ("fdb", self.ns, self.dev, self.mac)

    def __str__(self) -> str:
        return f"fdb entry {self.mac} on {self.dev} to {self.vtep}"


@frozen
class Neighbour(OnLink):
    """`ip neigh replace IP lladdr MAC dev DEV nud permanent`."""

    stage: ClassVar = Stage.ROUTE
    dev: str
    ip: IPAddress
    mac: str
    ns: str

    @cached_property
    def key(self) -> Key:
        return ("neighbour", self.ns, self.dev, str(self.ip))

    def __str__(self) -> str:
        return f"neighbour {self.ip} on {self.dev} at {self.mac}"
