"""IPVS: the kernel's own balancer (`ipvsadm`), which sends each new connection to one of several.

A service is told by a firewall's mark here: whatever has it belongs to the service, whatever its
port. A scheduler chooses the destination of a new connection; its later packets are found in a
table of connections and follow it there.

    masq    the packet's destination is rewritten, and the answer's source on its way back
    route   the packet goes to the destination's MAC address as it is; the answer goes past IPVS

A destination of weight 0 gets no new connection, and keeps those that it has.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import ClassVar

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.things import InNamespace, Key, Stage


class Forward(StrEnum):
    """Way of a packet to its destination (IP_VS_CONN_F_FWD_MASK), by ipvsadm's long options."""

    MASQ = "masquerading"
    ROUTE = "gatewaying"


@frozen
class IpvsTimeouts(InNamespace):
    """`ipvsadm --set TCP TCPFIN UDP`: seconds for which a connection without a packet is known."""

    stage: ClassVar = Stage.ADDRESS
    permanent: ClassVar = True
    tcp: int
    tcp_fin: int
    udp: int
    ns: str

    @cached_property
    def key(self) -> Key:
        return ("ipvs timeouts", self.ns)

    def __str__(self) -> str:
        return f"ipvs timeouts {self.tcp} {self.tcp_fin} {self.udp}"


@frozen
class IpvsService(InNamespace):
    """`ipvsadm -A -f MARK -s SCHEDULER`.

    Attributes:
        mark: firewall mark of its packets; version: their IP version.
    """

    stage: ClassVar = Stage.ROUTE
    mark: int
    version: int
    scheduler: str
    ns: str

    @cached_property
    def key(self) -> Key:
        return ("ipvs service", self.ns, str(self.version), str(self.mark))

    def __str__(self) -> str:
        return f"ipvs service of mark {self.mark}, {self.scheduler}"


@frozen
class IpvsDestination(InNamespace):
    """`ipvsadm -a -f MARK -r IP:0 -m|-g -w WEIGHT`: port 0 leaves a packet's port as it is."""

    stage: ClassVar = Stage.ROUTE
    mark: int
    ip: IPAddress
    forward: Forward
    weight: int
    ns: str

    @property
    def service(self) -> Key:
        """Key of its service."""
        return ("ipvs service", self.ns, str(self.ip.version), str(self.mark))

    @cached_property
    def key(self) -> Key:
        return ("ipvs destination", *self.service[1:], str(self.ip))

    @property
    def uses(self) -> tuple[Key, ...]:
        return (self.service, *super().uses)

    def __str__(self) -> str:
        return f"ipvs destination {self.ip} of mark {self.mark}, weight {self.weight}"
