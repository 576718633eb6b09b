"""State of overlay networks' parts on this host, each in a network namespace of its own."""

from __future__ import annotations

from plumb.address import IPAddress
from plumb.frozen import frozen

MANAGER_PORT, GOSSIP_PORT, TUNNEL_PORT = 2377, 7946, 4789
"""Ports of a node: TCP of its managers, TCP and UDP of Docker's gossip, UDP of the tunnels."""


@frozen
class VxlanState:
    """State of a VXLAN link.

    Attributes:
        name, up: of the link; mtu: of the frames that it carries, bytes.
        vni, port: its network identifier, and the UDP port of its tunnels.
        vteps: the other nodes that its forwarding table leads to.
    """

    name: str
    up: bool = True
    mtu: int = 1450
    vni: int = 0
    port: int = 4789
    vteps: tuple[IPAddress, ...] = ()


@frozen
class OverlayState:
    """State of an overlay network's part on this host.

    Attributes:
        network: the network's id.
        netns: the file of its namespace.
        links: its VXLAN links.
    """

    network: str
    netns: str
    links: tuple[VxlanState, ...] = ()
