"""Case: a story without a reply, and the state of the namespaces that the packet passed through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from plumb.address import IPAddress
from plumb.foreign.values import Engine
from plumb.frozen import frozen
from plumb.model.cnm import Endpoint, Network
from plumb.model.net.targets import Balanced, Member, Published
from plumb.model.netns_state import Facts, Link, NeighbourTable
from plumb.model.observations import HOST, Netns
from plumb.trace.headers import Direction, Packet
from plumb.trace.link_labels import Spot
from plumb.trace.path import Crossing, End, Ending, Story

VANISHED = (Ending.LOST, Ending.DROPPED, Ending.BEYOND)


@frozen
class Cause:
    """Explanation of a story's end.

    Attributes:
        id: a word for it, for programs.
        says: the explanation, a sentence without a full stop.
        evidence: observations, each with the namespace that it was made in.
        remedies: commands, or other actions, of which one is enough.
        sure: True if it was observed, rather than concluded from the state of the namespaces.
    """

    id: str
    says: str
    evidence: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    sure: bool = True


@frozen
class Case:
    """Material for finding a cause.

    Attributes:
        ip, port, protocol: the probe packet's destination.
        facts: the state of each namespace, by its name.
        members, networks: plumb's running containers and networks.
        published: the published port that the destination is.
        wires: the other ends of links.
        neighbour_table: the kernel's neighbour table of the packet's family; None if it could not
            be read.
        balanced: the service of the cluster that the destination is.
        engines: the engines of containers and networks that are not plumb's own, by id.
    """

    story: Story
    ip: IPAddress
    port: int
    protocol: str
    facts: Mapping[str, Facts]
    members: Sequence[Member] = ()
    networks: Sequence[Network] = ()
    published: Published | None = None
    wires: Mapping[Spot, Spot] = field(default_factory=dict)
    neighbour_table: NeighbourTable | None = None
    balanced: Balanced | None = None
    engines: Mapping[str, Engine] = field(default_factory=dict)

    @property
    def end(self) -> End:
        """The story's end."""
        return self.story.end

    @property
    def source(self) -> Netns:
        """Namespace that sent the probe packet."""
        return self.story.source

    @property
    def host(self) -> Facts:
        """State of the host."""
        return self.of(Netns(HOST, ""))

    def of(self, place: Netns | None) -> Facts:
        """State of a namespace; empty if it was not read."""
        return self.facts.get(place.name, Facts(place)) if place else Facts(Netns("", ""))

    @property
    def last(self) -> Crossing | None:
        """The last crossing, in the direction of the story's end."""
        crossed = self.story.crossings(self.end.way)
        return crossed[-1] if crossed else None

    @property
    def packet(self) -> Packet | None:
        """The packet at the story's end, with the addresses that it had then."""
        return self.end.packet or (self.last.packet if self.last else None)

    @property
    def goal(self) -> IPAddress:
        """Destination of the packet at the story's end, or of the one that an error is about."""
        if self.packet is not None:
            return (self.packet.about or self.packet).dst
        rewrites = any(line.rewrites for line in self.story.lines())
        return (
            self.published.end.target(self.published.port)
            if rewrites and self.published
            else self.ip
        )

    @property
    def gone(self) -> bool:
        """True if the packet disappeared, rather than being refused or dropped by a rule."""
        return (
            self.end.ending in (*VANISHED, Ending.SILENT, Ending.UNSENT) and self.end.line is None
        )

    def holder(self, ip: IPAddress) -> tuple[Member, Endpoint, Network] | None:
        """Container that has an address, with the endpoint and its network."""
        return next(
            (
                (member, end, net)
                for member in self.members
                for end, net in member.ends
                for own in end.ips
                if own.ip == ip
            ),
            None,
        )

    def network_of(self, ip: IPAddress) -> Network | None:
        """Network with a subnet that contains an address."""
        return next((net for net in self.networks for pool in net.pools if ip in pool.subnet), None)

    def bridge(self, net: Network) -> Link | None:
        """State of a bridge network's bridge; None if the host has none."""
        return self.host.link(net.link)

    def crossed(self, place: str, dev: str, way: Direction = Direction.THERE) -> bool:
        """Test for a crossing of a link."""
        return any(
            each.place.name == place and each.dev == dev for each in self.story.crossings(way)
        )
