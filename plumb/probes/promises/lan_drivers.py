"""What macvlan and ipvlan promise.

Their containers are machines of the parent's segment, not of the host.

    on the same network       macvlan bridge and passthru, ipvlan bridge: reached; private: never
                              vepa: what the switch outside makes of it
                              ipvlan l3: also across subnets; l2 and macvlan: only by a router between them
    the host                  does not reach its own containers of macvlan and ipvlan l2 that are in a subnet of its own, nor they it; to
                              others there may be a way by a router, which sends the packet back to the wire
    passthru                  takes the whole parent: by that link the host itself reaches nobody
    a network without a parent, or an internal one   is reached by its own containers alone
    the world                 is reached by way of the router that was named, which knows the segment; and so is the container

Which of the host's links leads where, and who routes l3's subnets, is not in the intent: nothing is
promised of that.
"""

from __future__ import annotations

from collections.abc import Iterable

from plumb.address import IPInterface
from plumb.model.cnm import Network

Verdict = tuple[bool, str]


def siblings(net: Network, mine: IPInterface, other: IPInterface) -> Verdict | None:
    """Whether a container of a network reaches another one of it.

    None where nothing is promised.
    """
    if net.own.sharing == "private":
        return False, f"{net.name} is private"
    if net.own.sharing == "vepa" or (mine.network != other.network and not net.layer3):
        return None
    return True, f"both are on {net.name}"


def host(net: Network, ip: IPInterface, own: Iterable[IPInterface]) -> Verdict | None:
    """Whether the host reaches a container of the network.

    Args:
        own: the host's addresses.
    """
    if net.closed:
        return False, f"nothing leads into {net.name}"
    if net.layer3 or not any(ip.ip in address.network for address in own):
        return None
    return (
        False,
        f"what the host sends through {net.link} goes out on the wire, not to its own {net.driver} links",
    )


def seizes(net: Network) -> bool:
    """Whether the network takes its parent away from the host, so that the host itself has no use of that link any more (passthru)."""
    return net.own.takes_parent and not net.closed


def to_host(net: Network, ip: IPInterface, own: Iterable[IPInterface]) -> Verdict | None:
    """Whether a container that has this address on the network reaches the host by an address in the same subnet."""
    if net.closed:
        return False, f"nothing leads out of {net.name}"
    if host(net, ip, own) is None:
        return None
    return (
        False,
        f"what its {net.driver} link sends goes out on the wire, not to the host whose link {net.link} is",
    )


def outside(net: Network, ip: IPInterface) -> Verdict | None:
    """Whether a container reaches the world, where this network is its way out."""
    if net.router(ip) is not None:
        return True, f"{net.name} has a router"
    if net.layer3 or ip.version == 6:
        return (
            None  # the LAN must know the way back; a router may make itself known by advertisements
        )
    return False, f"no gateway of {net.name} was named"


def inside(net: Network, ip: IPInterface) -> Verdict | None:
    """Whether the world reaches a container that answers by this network, where it routes the network's subnets here."""
    if net.closed:
        return False, f"nothing leads into {net.name}"
    if net.layer3 or net.router(ip) is not None:
        return True, f"{net.name} is a part of the LAN"
    return None
