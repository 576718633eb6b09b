"""macvlan: containers on the LAN itself, each with a MAC of its own.

The host's network card plays a switch. A macvlan link is a second card on the same wire: it has its
own MAC and its own address of the LAN's subnet, and lies in the container's namespace. To everybody
on the LAN the container is one more machine.

    container c1               container c2               host
    eth0 192.0.2.50            eth0 192.0.2.51            eth0 192.0.2.10
    02:42:…:01                 02:42:…:02                    │
       └────────── on ─────────────┴──────── its parent ─────┤
                                                             │ the wire: the LAN's router
                                                             │ 192.0.2.1, other machines

There is no bridge, no NAT and no firewall of the host in between, so no port needs to be published:
whoever reaches the LAN reaches all ports. The default gateway is the LAN's router, and only where
the user names it (`--gateway`).

The host and its own containers do not reach each other: what the host sends through eth0 goes out
on the wire, and the wire does not send it back; what arrives is handed to a macvlan link by its MAC
before the host sees it. (A macvlan link of the host's own on the same parent would be reached.) And
the LAN must bear it: a switch port that allows one MAC, a wireless access point, or a cloud's
network that drops what it has not handed out.

The mode says who of one parent's links reaches whom:

    bridge     all, within the host: the frame is handed over directly
    private    nobody, not even by way of a switch that sends frames back
    vepa       all, by way of the switch outside: it must send frames back to where they came from
               (802.1Qbg, "hairpin")
    passthru   there is only one: it gets all that arrives, and the parent takes its MAC
"""

from __future__ import annotations

from collections.abc import Iterator

from plumb.drivers import parent_link
from plumb.drivers.driver import Driver, HostView
from plumb.drivers.options import Keys, choice
from plumb.drivers.sandbox import interface
from plumb.errors import Conflict
from plumb.model.cnm import Endpoint, Network
from plumb.model.driver_options import MacvlanMode, MacvlanOptions
from plumb.model.settings import Settings
from plumb.things import Thing
from plumb.things.links import Macvlan


def network(net: Network, settings: Settings) -> Iterator[Thing]:
    """A macvlan network: its parent, where it is plumb that makes it."""
    yield from parent_link.parent(net)


def endpoint(net: Network, end: Endpoint, ns: str, settings: Settings) -> Iterator[Thing]:
    """Things of a container on the network: its link on the parent, and its interface."""
    yield Macvlan(end.ifname, net.link, ns, end.link, end.mac, net.macvlan.mode)
    yield from interface(end, ns)


def complete(net: Network, host: HostView) -> Network:
    """The network on its parent.

    A parent may have many macvlan networks, as long as none of them takes all of it.

    Raises:
        Invalid, NotFound, Conflict: there is no such parent, or it is not to be shared; in Docker's
        words.
    """
    for other in parent_link.beside(net, host):
        if net.macvlan.mode is MacvlanMode.PASSTHRU:
            raise Conflict(
                f"cannot use mode passthru, macvlan network {other.id} is already using parent "
                f"interface {net.parent}"
            )
        if other.macvlan.mode is MacvlanMode.PASSTHRU:
            raise Conflict(
                f"macvlan network {other.id} is already using parent interface {net.parent} in "
                "mode passthru"
            )
    return parent_link.complete(net, host)


KEYS: Keys = {
    "parent": ("parent", parent_link.parent_name("macvlan")),
    "macvlan_mode": (
        "mode",
        choice(
            MacvlanMode,
            "requested macvlan mode '{}' is not valid, 'bridge' mode is the macvlan driver default",
        ),
    ),
}

DRIVER = Driver(
    name="macvlan",
    stored="macvlan",
    keys=KEYS,
    defaults=MacvlanOptions(),
    link_prefix="dm-",
    on_lan=True,
    complete=complete,
    check_join=parent_link.check_join,
    network=network,
    endpoint=endpoint,
)
