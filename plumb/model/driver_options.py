"""What the drivers can be told, as values: their modes and options.

A network has one of these, that of its driver (`cnm.Network`); the labels that they are made of are
in `network_options`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address


class GatewayMode(StrEnum):
    """How a bridge network meets the rest of the world, per address family."""

    NAT = "nat"
    NAT_UNPROTECTED = "nat-unprotected"
    ROUTED = "routed"
    ISOLATED = "isolated"


@dataclass(frozen=True)
class BridgeOptions:
    """The bridge driver's options (`-o com.docker.network.…`), parsed."""

    name: str = ""
    masquerade: bool = True
    icc: bool = True
    mode4: GatewayMode = GatewayMode.NAT
    mode6: GatewayMode = GatewayMode.NAT
    host_binding: IPv4Address | None = None
    inhibit_ipv4: bool = False
    trusted: tuple[str, ...] = ()
    mtu: int | None = None
    iface_prefix: str = "eth"
    host_ipv4: IPv4Address | None = None
    host_ipv6: IPv6Address | None = None

    def mode(self, version: int) -> GatewayMode:
        """The gateway mode of one address family."""
        return self.mode4 if version == 4 else self.mode6


class MacvlanMode(StrEnum):
    """Who of a parent's macvlan links reaches whom."""

    BRIDGE = "bridge"
    PRIVATE = "private"
    VEPA = "vepa"
    PASSTHRU = "passthru"


@dataclass(frozen=True)
class MacvlanOptions:
    """The macvlan driver's options, parsed.

    Parent: the host's link, empty for a dummy of the network's own.
    """

    parent: str = ""
    mode: MacvlanMode = MacvlanMode.BRIDGE


class IpvlanMode(StrEnum):
    """On which layer a parent hands packets to its ipvlan links."""

    L2 = "l2"
    L3 = "l3"
    L3S = "l3s"


class IpvlanFlag(StrEnum):
    """Who of a parent's ipvlan links reaches whom."""

    BRIDGE = "bridge"
    PRIVATE = "private"
    VEPA = "vepa"


@dataclass(frozen=True)
class IpvlanOptions:
    """The ipvlan driver's options, parsed.

    Parent: the host's link, empty for a dummy of the network's own.
    """

    parent: str = ""
    mode: IpvlanMode = IpvlanMode.L2
    flag: IpvlanFlag = IpvlanFlag.BRIDGE
