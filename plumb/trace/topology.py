"""The ground: who and what there is between two ends, read once before the question is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from plumb.address import IPAddress, IPInterface
from plumb.engine.targets import TargetResolver
from plumb.kernel.net import inventory
from plumb.kernel.net.inventory import LinkInventory
from plumb.model.cnm import Network
from plumb.model.net.gateways import gateway_order
from plumb.model.net.targets import Member
from plumb.model.netns_state import Link
from plumb.model.observations import HOST, Netns
from plumb.trace import link_labels
from plumb.trace.link_labels import Spot


@dataclass(frozen=True)
class Topology:
    """What there is.

    Attributes:
        members: the running containers; networks: all of them.
        places: the namespaces that are watched.
        links, addresses: those of each place, by its name.
        wires: the other ends of links, as far as they lie in these places.
    """

    members: tuple[Member, ...]
    networks: tuple[Network, ...]
    places: tuple[Netns, ...]
    links: Mapping[str, tuple[Link, ...]]
    addresses: Mapping[str, tuple[tuple[str, IPInterface], ...]]
    wires: Mapping[Spot, Spot]

    @cached_property
    def titles(self) -> dict[Spot, str]:
        """What links are to people."""
        return link_labels.titles(self.members, self.networks, self.links, self.wires)

    def has(self, place: Netns, ip: IPAddress) -> bool:
        """Whether an address is a place's own."""
        return any(own.ip == ip for _, own in self.addresses.get(place.name, ()))

    def having(self, ip: IPAddress) -> Netns | None:
        """The place that has an address."""
        return next((place for place in self.places if self.has(place, ip)), None)

    def ips(self, place: Netns) -> list[IPInterface]:
        """A place's addresses, a container's in the order in which its networks lead out."""
        own = [ip for _, ip in self.addresses.get(place.name, ())]
        member = next(
            (each for each in self.members if each.place == place and place.name != HOST), None
        )
        first = (
            [ip for end, _ in gateway_order(list(member.ends)) for ip in end.ips] if member else []
        )
        return [*first, *(ip for ip in own if ip not in first)]


class TopologyReader:
    """Reads the links and addresses of namespaces.

    Args:
        resolver: the containers and networks of the record.
    """

    def __init__(self, resolver: TargetResolver) -> None:
        self._resolver = resolver

    def ground(self, concerned: Iterable[Netns]) -> Topology:
        """Read the links and addresses of these places."""
        watched = tuple(dict.fromkeys(concerned))
        opened = [LinkInventory(place) for place in watched]
        try:
            links = {each.place.name: each.links() for each in opened}
            addresses = {each.place.name: each.addresses(links[each.place.name]) for each in opened}
            wires = link_labels.wired(links, inventory.numbers(opened))
        finally:
            for each in opened:
                each.close()
        return Topology(
            self._resolver.members, self._resolver.networks, watched, links, addresses, wires
        )
