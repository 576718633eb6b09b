"""ipvlan: containers on the LAN itself that share the host's MAC.

As with macvlan, a container's link is a second one on a parent link of the host. But all of them
have the parent's MAC, and what arrives is told apart by its IP address. So it works where a MAC of
one's own is not welcome: behind a switch port that allows one, on a wireless card, in most clouds.

The mode says on which layer the parent hands packets over:

    l2     as a switch: containers answer ARP with the parent's MAC, are in the LAN's subnet, and
           use its router
    l3     as a router: no ARP, no broadcast, no multicast. A container has no gateway: `default dev
           eth0` hands every packet to the host's IP layer, which sends it like one of its own, by
           its routing table and through its OUTPUT hook. Containers reach each other across
           subnets; the LAN's router needs a route to their subnets by way of the host. What arrives
           is handed over before any hook of the host, so that its connection tracking sees only one
           half of a conversation.
    l3s    as l3, but what arrives passes the host's INPUT hook, so that its firewall sees both
           halves ("s" for symmetric)

The flag says who of one parent's links reaches whom: bridge all, private nobody, vepa all by way of
the switch outside. Mode and flag belong to the parent, so that only one network can be on it. The
host and its own containers do not reach each other in l2.
"""

from __future__ import annotations

from collections.abc import Iterator

from plumb.drivers import parent_link
from plumb.drivers.driver import Driver, HostView
from plumb.drivers.options import Keys, choice
from plumb.drivers.sandbox import interface
from plumb.errors import Conflict
from plumb.model.cnm import Endpoint, Network
from plumb.model.driver_options import IpvlanFlag, IpvlanMode, IpvlanOptions
from plumb.model.settings import Settings
from plumb.things import Thing
from plumb.things.links import Ipvlan


def network(net: Network, settings: Settings) -> Iterator[Thing]:
    """An ipvlan network: its parent, where it is plumb that makes it."""
    yield from parent_link.parent(net)


def endpoint(net: Network, end: Endpoint, ns: str, settings: Settings) -> Iterator[Thing]:
    """Things of a container on the network: its link on the parent, and its interface."""
    yield Ipvlan(end.ifname, net.link, ns, end.link, net.ipvlan.mode, net.ipvlan.flag)
    yield from interface(end, ns)


def complete(net: Network, host: HostView) -> Network:
    """The network on its parent, which no other can be on: mode and flag are the parent's.

    Raises:
        Invalid, NotFound, Conflict: there is no such parent, or it is not to be shared; in Docker's
        words.
    """
    for other in parent_link.beside(net, host):
        raise Conflict(
            f"network di-{other.id[:12]} is already using parent interface {net.parent}",
            f"it is the network {other.name}",
        )
    return parent_link.complete(net, host)


KEYS: Keys = {
    "parent": ("parent", parent_link.parent_name("ipvlan")),
    "ipvlan_mode": (
        "mode",
        choice(
            IpvlanMode,
            "requested ipvlan mode '{}' is not valid, 'l2' mode is the ipvlan driver default",
        ),
    ),
    "ipvlan_flag": (
        "flag",
        choice(
            IpvlanFlag,
            "requested ipvlan flag '{}' is not valid, 'bridge' is the ipvlan driver default",
        ),
    ),
}

DRIVER = Driver(
    name="ipvlan",
    stored="ipvlan",
    keys=KEYS,
    defaults=IpvlanOptions(),
    link_prefix="di-",
    on_lan=True,
    own_mac=False,
    complete=complete,
    check_join=parent_link.check_join,
    network=network,
    endpoint=endpoint,
)
