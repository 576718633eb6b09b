"""The story of a question and of its answer, as values.

A packet's way is a row of crossings: out by one end of a link, in by the other. Between coming in
and going out a namespace decides:
its firewall, hook by hook, NAT, routing. Taps tell the crossings, with the kernel's own time; the
firewall tells its steps in their order, but not when they were; NAT is what differs between two
sightings of one packet. So the story is made by place: what a firewall said stands between the last
crossing into its namespace and the first one out of it.

    lan     out by port0        192.0.2.1:40000 > 192.0.2.10:8080
    host    in by eth0
              hook prerouting   the rules that fitted; the destination is rewritten
              route             which link it leaves by
              hook forward      the rules that fitted
              hook postrouting  …; the source is rewritten
            out by br-…         192.0.2.1:40000 > 172.20.0.2:80
            out by veth…
    c1      in by eth0

The answer's way back is made in the same manner. Where the story ends short of an answer, its end
says where, and what was last seen; why that is so, is what `causes` is for.

    sightings.py    whose packets taps and rules have seen
    rewriting.py    what NAT made of them
    telling.py      all of it in order
    endings.py      how it ended
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from plumb.model.observations import CapturedFrame, Flow, KernelDrop, Netns, RuleHit
from plumb.trace.headers import Direction, Packet
from plumb.trace.rule_steps import RuleLine, RulesetListing, Whys


@dataclass(frozen=True)
class Crossing:
    """A packet at a link.

    Attributes:
        after: nanoseconds since the question was first seen.
        also: further links that the same frame left by at the same time: a bridge that does not
        know whose it is asks them all.
    """

    place: Netns
    dev: str
    inbound: bool
    packet: Packet
    after: int
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rewritten:
    """NAT: the packet is another one from here on.

    Attributes:
        what: "destination" or "source"; before, now: address and port.
    """

    place: Netns
    what: str
    before: str
    now: str


@dataclass(frozen=True)
class Routed:
    """What the routing of a place says about the packet: its words, as `ip route get` has them."""

    place: Netns
    text: str
    dev: str = ""


Step = Crossing | RuleLine | Rewritten | Routed


class Ending(StrEnum):
    """How a story can end."""

    ANSWERED = "answered"
    ARRIVED = "arrived"  # at a socket that need not answer
    REFUSED = "refused"  # by a RST, or an ICMP error: nobody is at that port
    REJECTED = "rejected"  # by an ICMP error of somebody on the way
    DROPPED = "dropped"  # by a rule, or by the kernel with a reason
    LOST = "lost"  # after the last place where it was seen
    SILENT = "silent"  # it arrived, and nothing came back
    UNSENT = "unsent"  # it did not leave its sender


@dataclass(frozen=True)
class End:
    """How and where a story ends.

    Attributes:
        way: whether it was the question or the answer that ended.
        place, dev: where it was last seen; or who refused it.
        packet: as it was then.
        line: the rule that dropped it.
        error: the ICMP error's kind, the errno's name where it was not sent, or the kernel's reason
        for a drop.
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
        """Whether that is what was hoped for."""
        return self.ending in (Ending.ANSWERED, Ending.ARRIVED)


@dataclass(frozen=True)
class TraceOutcome:
    """What the client's own socket has to say.

    Attributes:
        answered: an answer came.
        error: the errno's name that sending or waiting ended with.
        accepts: the datagram is one that need not be answered, so that its arrival is all that can
        be hoped for.
    """

    answered: bool = False
    error: str = ""
    accepts: bool = False


@dataclass(frozen=True)
class Story:
    """A question, its way there, the answer's way back, and how it ended.

    Attributes:
        target: the place that it was meant to reach.
        ways: the steps of the question, of the answer, and of an error about the answer.
        begin: when the question was first seen, nanoseconds since the epoch.
        dropped: what the kernel said that it let go of.
    """

    flow: Flow
    source: Netns
    target: Netns | None
    ways: Mapping[Direction, tuple[Step, ...]]
    end: End
    begin: int = 0
    dropped: tuple[KernelDrop, ...] = ()

    def crossings(self, way: Direction = Direction.THERE) -> tuple[Crossing, ...]:
        """The links that it crossed."""
        return tuple(step for step in self.ways[way] if isinstance(step, Crossing))

    def lines(self, way: Direction = Direction.THERE) -> tuple[RuleLine, ...]:
        """What firewalls said."""
        return tuple(step for step in self.ways[way] if isinstance(step, RuleLine))

    def rewritten(self, what: str, place: str) -> tuple[Rewritten, ...]:
        """What NAT made of the question's destination, or source, in a place."""
        return tuple(
            step
            for step in self.ways[Direction.THERE]
            if isinstance(step, Rewritten) and (step.what, step.place.name) == (what, place)
        )

    def packet(self, place: Netns, way: Direction) -> Packet | None:
        """A packet as it was when a place last had it."""
        if self.end.packet is not None and (self.end.place, self.end.way) == (place, way):
            return self.end.packet
        return next(
            (each.packet for each in reversed(self.crossings(way)) if each.place == place), None
        )

    @property
    def took(self) -> int:
        """Nanoseconds from the first sighting to the last."""
        return max((each.after for way in Direction for each in self.crossings(way)), default=0)


@dataclass
class Material:
    """What a story is made of.

    Attributes:
        books: the rules of each place, by its name; reasons: why plumb's own exist.
        routes: what the routing of a place says, by its name and the way.
        doors: places where somebody takes the question in the target's stead.
        wires: the other ends of links.
    """

    flow: Flow
    source: Netns
    target: Netns | None
    outcome: TraceOutcome
    seen: Sequence[CapturedFrame] = ()
    ruled: Sequence[RuleHit] = ()
    dropped: Sequence[KernelDrop] = ()
    books: Mapping[str, RulesetListing] = field(default_factory=dict)
    reasons: Whys = field(default_factory=dict)
    routes: Mapping[tuple[str, Direction], Routed] = field(default_factory=dict)
    doors: tuple[Netns, ...] = ()
    wires: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
