"""Topology: namespaces, links and addresses, read once before the probe packet is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from functools import cached_property

from plumb.address import IPAddress, IPInterface
from plumb.engine.targets import TargetResolver
from plumb.foreign.values import Engine
from plumb.frozen import frozen
from plumb.kernel.net import inventory
from plumb.kernel.net.inventory import LinkInventory
from plumb.model.cnm import Network
from plumb.model.net.gateways import GATEWAY_NETWORK, gateway_order
from plumb.model.net.targets import Member
from plumb.model.netns_state import Link
from plumb.model.observations import HOST, Netns
from plumb.trace import foreign_ends, link_labels
from plumb.trace.cluster.overlay import OtherHost
from plumb.trace.link_labels import Spot


@frozen
class Topology:
    """Namespaces of a trace, with their links and addresses.

    Attributes:
        members: the running containers; networks: all of them.
        places: the namespaces in which plumb captures.
        links, addresses: those of each namespace, by its name.
        wires: the other ends of links, as far as these namespaces have them.
        beyond: the host at the other end of an overlay's tunnel, if it is on this machine; its
            containers and networks are among the members and networks.
        engines: the engines of other containers and networks than plumb's own, by id.
        missing: sentences on namespaces that the packet may cross and that plumb did not find.
    """

    members: tuple[Member, ...]
    networks: tuple[Network, ...]
    places: tuple[Netns, ...]
    links: Mapping[str, tuple[Link, ...]]
    addresses: Mapping[str, tuple[tuple[str, IPInterface], ...]]
    wires: Mapping[Spot, Spot]
    beyond: OtherHost | None = None
    engines: Mapping[str, Engine] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @cached_property
    def titles(self) -> dict[Spot, str]:
        """Labels of links, by namespace and name."""
        return link_labels.titles(self.members, self.networks, self.links, self.wires)

    @property
    def exits(self) -> frozenset[Spot]:
        """Ends of veth pairs whose other end none of these namespaces has."""
        return frozenset(
            (place, link.name)
            for place, own in self.links.items()
            for link in own
            if link.kind == "veth" and (place, link.name) not in self.wires
        )

    @property
    def tunnels(self) -> frozenset[Spot]:
        """VXLAN links, by which packets leave for another host."""
        return frozenset(
            (place, link.name)
            for place, own in self.links.items()
            for link in own
            if link.kind == "vxlan"
        )

    def has(self, place: Netns, ip: IPAddress) -> bool:
        """Test for an address of a namespace."""
        return any(own.ip == ip for _, own in self.addresses.get(place.name, ()))

    def having(self, ip: IPAddress) -> Netns | None:
        """Namespace that has an address."""
        return next((place for place in self.places if self.has(place, ip)), None)

    def ips(self, place: Netns) -> list[IPInterface]:
        """Addresses of a namespace; a container's in the order of its gateways' priority."""
        own = [ip for _, ip in self.addresses.get(place.name, ())]
        member = next(
            (each for each in self.members if each.place == place and place.name != HOST), None
        )
        ends = gateway_order(list(member.ends)) if member else []
        # Its containers do not reach each other by the network for the way out.
        ends = sorted(ends, key=lambda each: each[1].name == GATEWAY_NETWORK)
        first = [ip for end, _ in ends for ip in end.ips]
        return [*first, *(ip for ip in own if ip not in first)]


class TopologyReader:
    """Reader of links and addresses.

    Args:
        resolver: the containers and networks of the record.
    """

    def __init__(self, resolver: TargetResolver) -> None:
        self._resolver = resolver
        self._engines = resolver.foreign.engines

    def read(self, concerned: Iterable[Netns], beyond: OtherHost | None = None) -> Topology:
        """Read the links and addresses of these namespaces.

        Args:
            beyond: another host that some of them are of.
        """
        return self.of([LinkInventory(place) for place in dict.fromkeys(concerned)], beyond)

    def of(self, opened: Sequence[LinkInventory], beyond: OtherHost | None = None) -> Topology:
        """Read the links and addresses of these namespaces, and close them."""
        try:
            links = {each.place.name: each.links() for each in opened}
            addresses = {each.place.name: each.addresses(links[each.place.name]) for each in opened}
            wires = link_labels.wired(links, inventory.numbers(opened, links))
        finally:
            for each in opened:
                each.close()
        other = beyond or OtherHost(Netns(HOST, ""))
        members = (*self._resolver.members, *other.members)
        networks = (*self._resolver.networks, *other.networks)
        members = foreign_ends.completed(members, links, addresses, wires)
        places = tuple(each.place for each in opened)
        return Topology(members, networks, places, links, addresses, wires, beyond, self._engines)
