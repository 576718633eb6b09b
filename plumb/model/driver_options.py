"""Options of the drivers that are built in, as values: they are stored with a network.

A network has one of these, that of its driver (`cnm.Network.own`); each driver's file has the
labels (`-o`) that they are made of.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from plumb.address import IPAddress
from plumb.frozen import frozen


@frozen
class DriverOptions:
    """Questions that any driver's options answer; these are the answers of a driver without any."""

    @property
    def link(self) -> str:
        """The name that was asked for its link in the host, or empty."""
        return ""

    @property
    def parent(self) -> str:
        """The link of the host that containers' links are made on, as asked for, or empty."""
        return ""

    @property
    def iface_prefix(self) -> str:
        """The beginning of interface names in containers."""
        return "eth"

    @property
    def icc(self) -> bool:
        """True if the network's containers may reach each other."""
        return True

    @property
    def layer3(self) -> bool:
        """True if containers have no neighbours, and give all packets just to their link."""
        return False

    @property
    def sharing(self) -> str:
        """Rule of which links of a parent reach each other: bridge, private, vepa, passthru.

        Empty where there is no parent.
        """
        return ""

    @property
    def sharing_option(self) -> str:
        """Name of the option (`-o`) that sets `sharing`; empty where there is no parent."""
        return ""

    @property
    def takes_parent(self) -> bool:
        """True if the parent is taken away from the host as a whole."""
        return False


class GatewayMode(StrEnum):
    """Translation and filtering between a bridge network and the outside, per address family."""

    NAT = "nat"
    NAT_UNPROTECTED = "nat-unprotected"
    ROUTED = "routed"
    ISOLATED = "isolated"


@frozen
class BridgeOptions(DriverOptions):
    """The bridge driver's options (`-o com.docker.network.…`), parsed."""

    name: str = ""
    masquerade: bool = True
    icc: bool = True
    mode4: GatewayMode = GatewayMode.NAT
    mode6: GatewayMode = GatewayMode.NAT
    host_binding: IPAddress | None = None
    inhibit_ipv4: bool = False
    trusted: tuple[str, ...] = ()
    mtu: int | None = None
    iface_prefix: str = "eth"
    host_ipv4: IPv4Address | None = None
    host_ipv6: IPv6Address | None = None

    @property
    def link(self) -> str:
        """The bridge's name, as asked for."""
        return self.name

    def mode(self, version: int) -> GatewayMode:
        """The gateway mode of one address family."""
        return self.mode4 if version == 4 else self.mode6


@frozen
class ParentOptions(DriverOptions):
    """The options of a driver whose networks stand on a link of the host.

    Attributes:
        parent: that link, empty for a dummy of the network's own.
    """

    parent: str = ""

    @property
    def link(self) -> str:
        """The parent, as asked for."""
        return self.parent


class MacvlanMode(StrEnum):
    """Reachability between a parent's macvlan links."""

    BRIDGE = "bridge"
    PRIVATE = "private"
    VEPA = "vepa"
    PASSTHRU = "passthru"


@frozen
class MacvlanOptions(ParentOptions):
    """The macvlan driver's options, parsed."""

    mode: MacvlanMode = MacvlanMode.BRIDGE

    @property
    def sharing(self) -> str:
        """The mode."""
        return self.mode

    @property
    def sharing_option(self) -> str:
        """The mode's option."""
        return "macvlan_mode"

    @property
    def takes_parent(self) -> bool:
        """True if the one link gets all that arrives."""
        return self.mode is MacvlanMode.PASSTHRU


class IpvlanMode(StrEnum):
    """Layer on which a parent hands packets to its ipvlan links."""

    L2 = "l2"
    L3 = "l3"
    L3S = "l3s"


class IpvlanFlag(StrEnum):
    """Reachability between a parent's ipvlan links."""

    BRIDGE = "bridge"
    PRIVATE = "private"
    VEPA = "vepa"


@frozen
class IpvlanOptions(ParentOptions):
    """The ipvlan driver's options, parsed."""

    mode: IpvlanMode = IpvlanMode.L2
    flag: IpvlanFlag = IpvlanFlag.BRIDGE

    @property
    def layer3(self) -> bool:
        """True if the parent hands packets over as a router (l3 and l3s)."""
        return self.mode is not IpvlanMode.L2

    @property
    def sharing(self) -> str:
        """The flag."""
        return self.flag

    @property
    def sharing_option(self) -> str:
        """The flag's option; `ipvlan_mode` sets the layer."""
        return "ipvlan_flag"


@frozen
class OverlayOptions(DriverOptions):
    """The overlay driver's options, parsed, and what the cluster has allotted to the network.

    Attributes:
        vnis: VXLAN network identifiers, one for each subnet, in their order.
        mtu: the MTU of the underlay, from which the encapsulation is subtracted; None: that of the
            link which leads to the other nodes.
        encrypted: ESP carries the VXLAN packets between nodes.
        direct_return: tasks answer a client past the balancer (`--opt dsr`).
        preserve_source: tasks see the clients of published ports
            (`-o plumb.ingress.source=preserve`).
        ingress: it is the network by which published ports are reached on any node.
        port: UDP port of VXLAN, the cluster's data path port.
        netns: path of the network's namespace on this node, while a member of it is here.
        node: this node's id; vtep: its end of the tunnels.
        mac: MAC address of the first of the network's bridges on this node; each host has its own.
        thresholds: values to which plumb raises the kernel's limits of neighbours (gc_thresh1 to
            gc_thresh3), 0 for one that is high enough or that the namespace does not have.
    """

    vnis: tuple[int, ...] = ()
    mtu: int | None = None
    encrypted: bool = False
    direct_return: bool = False
    preserve_source: bool = False
    ingress: bool = False
    port: int = 4789
    netns: str = ""
    node: str = ""
    vtep: IPAddress | None = None
    mac: str = ""
    thresholds: tuple[int, int, int] = (0, 0, 0)
