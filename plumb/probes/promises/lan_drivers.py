"""Promises of macvlan and ipvlan.

Their containers are machines of the parent's segment, not of the host.

    on the same network       macvlan bridge and passthru, ipvlan bridge: reached; private: never
                              vepa: as the switch outside forwards
                              ipvlan l3: also across subnets; l2 and macvlan: only by a router
                              between the subnets
    the host                  does not reach its own containers of macvlan and ipvlan l2 that are
                              in a subnet of its own, nor they it; to others there may be a route
                              by a router, which sends the packet back to the segment
    passthru                  takes the whole parent: the host itself has no use of that link
    without a parent, or internal   the network's own containers alone reach each other
    the world                 is reached by the named router, which is on the segment; by the same
                              router the world reaches the container

The intent does not say to which segments the host's links belong, nor which machine routes l3's
subnets: nothing is promised of either.
"""

from __future__ import annotations

from collections.abc import Iterable

from plumb.address import IPInterface
from plumb.model.cnm import Network

Verdict = tuple[bool, str]


def siblings(net: Network, mine: IPInterface, other: IPInterface) -> Verdict | None:
    """Verdict for two containers of one network; None where nothing is promised."""
    if net.own.sharing == "private":
        return False, f"{net.name} is private"
    if net.own.sharing == "vepa" or (mine.network != other.network and not net.layer3):
        return None
    return True, f"both are on {net.name}"


def host(net: Network, ip: IPInterface, own: Iterable[IPInterface]) -> Verdict | None:
    """Verdict for the host towards a container of the network.

    Args:
        own: the host's addresses.
    """
    if net.closed:
        return False, f"nothing leads into {net.name}"
    if net.layer3 or not any(ip.ip in address.network for address in own):
        return None
    return (
        False,
        (
            f"what the host sends through {net.link} goes out on the wire,"
            f" not to its own {net.driver} links"
        ),
    )


def takes_parent(net: Network) -> bool:
    """Test for passthru, which takes the parent: the host itself has no use of that link then."""
    return net.own.takes_parent and not net.closed


def to_host(net: Network, ip: IPInterface, own: Iterable[IPInterface]) -> Verdict | None:
    """Verdict for a container with this address towards the host, by one in the same subnet."""
    if net.closed:
        return False, f"nothing leads out of {net.name}"
    if host(net, ip, own) is None:
        return None
    return (
        False,
        (
            f"what its {net.driver} link sends goes out on the wire,"
            f" not to the host whose link {net.link} is"
        ),
    )


def outside(net: Network, ip: IPInterface) -> Verdict | None:
    """Verdict for a container towards the world, if this network has its default route."""
    if net.router(ip) is not None:
        return True, f"{net.name} has a router"
    if net.layer3 or ip.version == 6:
        return None  # the LAN must have a route back; IPv6 routers advertise themselves
    return False, f"no gateway of {net.name} was named"


def inside(net: Network, ip: IPInterface) -> Verdict | None:
    """Verdict for the world towards a container that replies by this network.

    The world routes the network's subnets here.
    """
    if net.closed:
        return False, f"nothing leads into {net.name}"
    if net.layer3 or net.router(ip) is not None:
        return True, f"{net.name} is a part of the LAN"
    return None
