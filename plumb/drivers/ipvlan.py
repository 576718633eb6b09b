"""ipvlan: containers on the LAN itself that share the host's MAC.

As with macvlan, a container's link is a second one on a parent link of the host. But all of them
have the parent's MAC, and what arrives is told apart by its IP address. So it works where a MAC of
one's own is not welcome: behind a switch port that allows one, on a wireless card, in most clouds.

The mode says on which layer the parent hands packets over:

    l2     as a switch: containers answer ARP with the parent's MAC, are in the LAN's subnet, and use its router
    l3     as a router: no ARP, no broadcast, no multicast. A container has no gateway: `default dev eth0` hands every packet to
           the host's IP layer, which sends it like one of its own, by its routing table and through its OUTPUT hook. Containers
           reach each other across subnets; the LAN's router needs a route to their subnets by way of the host. What arrives is
           handed over before any hook of the host, so that its connection tracking sees only one half of a conversation.
    l3s    as l3, but what arrives passes the host's INPUT hook, so that its firewall sees both halves ("s" for symmetric)

The flag says who of one parent's links reaches whom: bridge all, private nobody, vepa all by way of
the switch outside. Mode and flag belong to the parent, so that only one network can be on it. The
host and its own containers do not reach each other in l2.
"""

from __future__ import annotations

from collections.abc import Iterator

from plumb.drivers.parent_link import parent
from plumb.drivers.sandbox import interface
from plumb.model.cnm import Endpoint, Network
from plumb.model.settings import Settings
from plumb.things import Thing
from plumb.things.links import Ipvlan


def network(net: Network, settings: Settings) -> Iterator[Thing]:
    """An ipvlan network: its parent, where it is plumb that makes it."""
    yield from parent(net)


def endpoint(net: Network, end: Endpoint, ns: str, settings: Settings) -> Iterator[Thing]:
    """One container's link on the parent."""
    yield Ipvlan(end.ifname, net.link, ns, end.link, net.ipvlan.mode, net.ipvlan.flag)
    yield from interface(end, ns)
