"""Path: the story of a probe packet and of its reply, as values.

A packet's path is a sequence of crossings: out by one end of a link, in by the other. Between a
crossing in and a crossing out, a namespace decides: its firewall, hook by hook, NAT, routing.
Crossings come from packet sockets, with the kernel's timestamps; rule hits come in their order, but
without a time; NAT is the difference between two crossings of one packet. So plumb assembles a
story by namespace: rule hits stand between the last crossing into their namespace and the first one
out of it.

    lan     out by port0        192.0.2.1:40000 > 192.0.2.10:8080
    host    in by eth0
              hook prerouting   the rules that fitted; the destination is rewritten
              route             which link it leaves by
              hook forward      the rules that fitted
              hook postrouting  …; the source is rewritten
            out by br-…         192.0.2.1:40000 > 172.20.0.2:80
            out by veth…
    c1      in by eth0

The path of the reply is assembled in the same manner. For a packet without a reply, the story's end
names the last namespace and link; `causes` finds the reason.

    match_frames.py    crossings and rule hits of the flow
    nat.py             rewritten addresses
    assemble.py        all steps in order
    outcome.py         the story's end
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.model.observations import CapturedFrame, Flow, KernelDrop, Netns, RuleHit
from plumb.trace.headers import Direction, Packet
from plumb.trace.rule_steps import NO_RECORD, RuleLine, RulesetListing, Why


@frozen
class Crossing:
    """Packet at a link.

    Attributes:
        after: nanoseconds since the first captured frame of the probe packet.
        also: further links that the same frame left by: a bridge without a forwarding entry for
            the MAC address floods all ports.
    """

    place: Netns
    dev: str
    inbound: bool
    packet: Packet
    after: int
    also: tuple[str, ...] = ()


@frozen
class Rewritten:
    """Address that NAT rewrote.

    Attributes:
        what: "destination" or "source".
        before, now: address and port, before NAT and after it.
    """

    place: Netns
    what: str
    before: str
    now: str


@frozen
class Routed:
    """Route that a namespace has for the packet, in the form of `ip route get`.

    Attributes:
        error: the errno's name where it has none, or takes nothing from that source by that link.
    """

    place: Netns
    text: str
    dev: str = ""
    error: str = ""


@frozen
class Tunnelled:
    """Packet in a VXLAN packet between this host and another one.

    Attributes:
        dev: the VXLAN link; uplink: the host's link that leads to the other host.
        vni: the VXLAN network identifier; port: the UDP port.
        mac: the inner destination's MAC address.
        src, dst: the outer addresses; dst is None if the FDB has no entry of that MAC address.
        inbound: it came from the other host.
        spi: in ESP, by the state of that SPI; 0 where it is the other host's to know; None: in the
            clear.
    """

    place: Netns
    dev: str
    uplink: str
    vni: int
    port: int
    mac: str
    src: IPAddress | None
    dst: IPAddress | None
    inbound: bool
    spi: int | None = None


Step = Crossing | RuleLine | Rewritten | Routed | Tunnelled


class Ending(StrEnum):
    """Kinds of ends of a story."""

    ANSWERED = "answered"
    ARRIVED = "arrived"  # at a socket that need not reply
    REFUSED = "refused"  # by a RST, or an ICMP error: no socket has that port
    REJECTED = "rejected"  # by an ICMP error of a router on the path
    DROPPED = "dropped"  # by a rule, or by the kernel with a reason
    BEYOND = "beyond"  # dropped by the kernel, beyond the last watched link
    LOST = "lost"  # after the last crossing
    SILENT = "silent"  # it arrived, and nothing came back
    UNSENT = "unsent"  # it did not leave its sender
    HELD = "held"  # answered by the kernel, for a program that takes no connection


@frozen
class End:
    """End of a story.

    Attributes:
        way: the direction of the packet that ended the story.
        place, dev: the namespace and link of the last crossing; or of the refusal's sender.
        packet: the packet, with the addresses that it had then.
        line: the rule that dropped it.
        error: the kind of an ICMP error, the errno's name for a packet that was not sent, or the
            kernel's drop reason.
        function: the kernel's function that dropped it.
    """

    ending: Ending
    way: Direction = Direction.THERE
    place: Netns | None = None
    dev: str = ""
    inbound: bool = True
    packet: Packet | None = None
    line: RuleLine | None = None
    error: str = ""
    function: str = ""

    @property
    def good(self) -> bool:
        """True if a reply came, or the packet arrived and needs none."""
        return self.ending in (Ending.ANSWERED, Ending.ARRIVED)


@frozen
class TraceOutcome:
    """Outcome at the client's socket.

    Attributes:
        answered: True if a reply came.
        error: the name of the errno that sending or waiting ended with.
        accepts: True for a datagram that needs no reply, so that its arrival is a success.
    """

    answered: bool = False
    error: str = ""
    accepts: bool = False


@frozen
class Story:
    """Probe packet, its path, the path of its reply, and the end.

    Attributes:
        source: the namespace that sent the probe packet.
        target: the namespace that it should reach.
        ways: the steps of each direction.
        begin: the time of the probe packet's first frame, nanoseconds since the epoch.
        dropped: drops that the kernel reported.
    """

    flow: Flow
    source: Netns
    target: Netns | None
    ways: Mapping[Direction, tuple[Step, ...]]
    end: End
    begin: int = 0
    dropped: tuple[KernelDrop, ...] = ()

    def crossings(self, way: Direction = Direction.THERE) -> tuple[Crossing, ...]:
        """Crossings of one direction."""
        return tuple(step for step in self.ways[way] if isinstance(step, Crossing))

    def lines(self, way: Direction = Direction.THERE) -> tuple[RuleLine, ...]:
        """Rule hits of one direction."""
        return tuple(step for step in self.ways[way] if isinstance(step, RuleLine))

    def rewritten(self, what: str, place: str) -> tuple[Rewritten, ...]:
        """Rewritten destinations, or sources, of the probe packet in a namespace."""
        return tuple(
            step
            for step in self.ways[Direction.THERE]
            if isinstance(step, Rewritten) and (step.what, step.place.name) == (what, place)
        )

    def packet(self, place: Netns, way: Direction) -> Packet | None:
        """Packet with the addresses that it last had in a namespace."""
        if self.end.packet is not None and (self.end.place, self.end.way) == (place, way):
            return self.end.packet
        return next(
            (each.packet for each in reversed(self.crossings(way)) if each.place == place), None
        )

    @property
    def took(self) -> int:
        """Nanoseconds from the first crossing to the last."""
        return max((each.after for way in Direction for each in self.crossings(way)), default=0)


@dataclass
class Material:
    """Material of a story.

    Attributes:
        frames, ruled, dropped: captured frames, rule hits, and drops that the kernel reported.
        listings: the rules of each namespace, by its name; reasons: the reasons of plumb's own.
        routes: the route of the packet, by namespace and direction.
        proxies: namespaces in which a proxy accepts the packet in the target's stead.
        wires: the other ends of links; exits: links whose other end no watched namespace has.
        tunnels: links by which packets leave for another host, inside of others.
    """

    flow: Flow
    source: Netns
    target: Netns | None
    outcome: TraceOutcome
    frames: Sequence[CapturedFrame] = ()
    ruled: Sequence[RuleHit] = ()
    dropped: Sequence[KernelDrop] = ()
    listings: Mapping[str, RulesetListing] = field(default_factory=dict)
    reasons: Why = NO_RECORD
    routes: Mapping[tuple[str, Direction], Routed] = field(default_factory=dict)
    proxies: tuple[Netns, ...] = ()
    wires: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    exits: frozenset[tuple[str, str]] = frozenset()
    tunnels: frozenset[tuple[str, str]] = frozenset()
