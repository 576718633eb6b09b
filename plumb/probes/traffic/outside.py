"""Addresses beyond the networks, read from the host, and from the namespace of the world."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plumb.address import IPAddress
from plumb.kernel.net.neighbours import own_addresses
from plumb.kernel.net.route_lookup import RouteLookup
from plumb.kernel.netns import references
from plumb.kernel.netns.namespaces import entered
from plumb.model.cnm import Network
from plumb.model.observations import Netns
from plumb.probes.matrix import Outside
from plumb.probes.promises.promise import Member


def surroundings(
    members: Sequence[Member],
    networks: Sequence[Network],
    world: str | None,
    named: Sequence[IPAddress],
) -> Outside:
    """Find the host's and the world's addresses, and the world's routes.

    Args:
        members: the running containers.
        networks: all networks.
        world: the namespace of the world, by file or pid:N; None: there is none.
        named: addresses of the world that the user has named.

    Raises:
        NotFound: there is no such namespace.
    """
    ours = {net.link for net in networks if net.bridge_in_host}
    own = [ip for dev, ip in own_addresses() if dev not in ours]
    if world is None:
        return Outside("", tuple(_one_each(named)), tuple(own))
    place = Netns(*references.file_of(world))
    with RouteLookup(place) as routing, RouteLookup(Netns("host", "")) as here:
        reached = [ip for ip in own if not routing.route(ip.ip).error]
        theirs = [source for ip in reached if (source := routing.route(ip.ip).src) is not None]
        addresses = [*named, *(ip for ip in [*theirs, *_inside(place)] if not here.route(ip).error)]
        host = {ip.ip for ip in own}
        routed = [
            ip.ip
            for _, ends in members
            for end, net in ends
            for ip in end.ips
            if not (found := routing.route(ip.ip)).error
            and (found.via in host) is net.bridge_in_host
        ]
    return Outside(place.ns, tuple(_one_each(addresses)), tuple(reached), frozenset(routed))


def _inside(place: Netns) -> list[IPAddress]:
    with entered(place.ns):
        return [ip.ip for _, ip in own_addresses()]


def _one_each(addresses: Sequence[IPAddress]) -> Iterator[IPAddress]:
    """The first of each address family."""
    for version in (4, 6):
        yield from [ip for ip in addresses if ip.version == version][:1]
