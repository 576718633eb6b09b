"""A case: a story that did not end well, and all that was read of the places that it went through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from plumb.address import IPAddress
from plumb.model.cnm import Endpoint, Network
from plumb.model.net.targets import Member, Published
from plumb.model.netns_state import Facts, Link
from plumb.model.observations import HOST, Netns
from plumb.trace.headers import Direction, Packet
from plumb.trace.link_labels import Spot
from plumb.trace.path import Crossing, End, Ending, Story


@dataclass(frozen=True)
class Cause:
    """Why a story ended as it did.

    Attributes:
        id: a word for it.
        says: the explanation, in a sentence.
        evidence: what was read, each with where it was read.
        remedies: commands, or other things to do, of which one is enough.
        sure: it was observed, rather than concluded from what stands there.
    """

    id: str
    says: str
    evidence: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    sure: bool = True


@dataclass(frozen=True)
class Case:
    """What a cause is found in.

    Attributes:
        ip, port, protocol: what was asked for.
        facts: what was read in each place, by its name.
        members, networks: plumb's own; published: the published port that was knocked at.
        wires: the other ends of links.
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

    @property
    def end(self) -> End:
        """How the story ended."""
        return self.story.end

    @property
    def source(self) -> Netns:
        """Who asked."""
        return self.story.source

    @property
    def host(self) -> Facts:
        """What was read on the host."""
        return self.of(Netns(HOST, ""))

    def of(self, place: Netns | None) -> Facts:
        """What was read in a place; nothing where nobody looked."""
        return self.facts.get(place.name, Facts(place)) if place else Facts(Netns("", ""))

    @property
    def last(self) -> Crossing | None:
        """The last sighting of what was lost."""
        crossed = self.story.crossings(self.end.way)
        return crossed[-1] if crossed else None

    @property
    def packet(self) -> Packet | None:
        """What was lost, as it was when it was lost."""
        return self.end.packet or (self.last.packet if self.last else None)

    @property
    def goal(self) -> IPAddress:
        """Where what was lost was going, after NAT."""
        if self.packet is not None:
            return self.packet.dst
        rewrites = any(line.rewrites for line in self.story.lines())
        return (
            self.published.end.target(self.published.port)
            if rewrites and self.published
            else self.ip
        )

    @property
    def gone(self) -> bool:
        """Whether it disappeared, rather than being refused or dropped by a rule."""
        return (
            self.end.ending in (Ending.LOST, Ending.SILENT, Ending.UNSENT, Ending.DROPPED)
            and self.end.line is None
        )

    def holder(self, ip: IPAddress) -> tuple[Member, Endpoint, Network] | None:
        """The container that an address belongs to, and by which endpoint."""
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
        """The network that an address lies in."""
        return next((net for net in self.networks for pool in net.pools if ip in pool.subnet), None)

    def bridge(self, net: Network) -> Link | None:
        """A bridge network's bridge, as it is."""
        return self.host.link(net.link)

    def was_seen(self, place: str, dev: str, way: Direction = Direction.THERE) -> bool:
        """Whether it was seen at a link."""
        return any(
            each.place.name == place and each.dev == dev for each in self.story.crossings(way)
        )
