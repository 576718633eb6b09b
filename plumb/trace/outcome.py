"""Outcome: the end of a story, from the last crossings, rule hits and the client's socket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from plumb.model.observations import KernelDrop, Netns, RuleHit
from plumb.trace import headers, nat
from plumb.trace.headers import Direction
from plumb.trace.path import Crossing, End, Ending, Material, Step
from plumb.trace.rule_steps import RuleLine

NOBODY = ("port unreachable", "protocol unreachable")
"""ICMP errors of a namespace that received the packet, and has no socket for it."""
REFUSALS = ("RST", "RST ACK", "ABORT")
"""Replies that refuse a connection."""
NOT_FOR_US = "OTHERHOST"
"""The kernel's reason for a frame to another MAC address, which a bridge's flood also delivers."""


def end(
    of: Material,
    crossed: Mapping[Direction, Sequence[Crossing]],
    ruled: Mapping[Direction, Sequence[RuleHit]],
    ways: Mapping[Direction, Sequence[Step]],
) -> End:
    """Find the end of a story."""
    if of.outcome.answered:
        return End(Ending.ANSWERED, Direction.BACK, of.source)
    replies = crossed[Direction.BACK]
    for way in (Direction.THERE, Direction.BACK):
        line = next((step for step in ways[way] if isinstance(step, RuleLine) and step.drops), None)
        if line is not None:
            error = replies[0].packet.kind if replies and line.rejects else ""
            last = _last(crossed[way], line.place)
            packet = nat.since(last, ruled[way], ways[way]) if last else None
            ending, dev = Ending.REJECTED if error else Ending.DROPPED, last.dev if last else ""
            return End(ending, way, line.place, dev, packet=packet, line=line, error=error)
    answers = [each for each in replies if each.packet.about is None]
    if answers:
        return _answer(
            answers, ruled[Direction.BACK], crossed[Direction.COMPLAINT], ways[Direction.BACK], of
        )
    if replies:
        return _refused(replies[0])
    return _question(crossed[Direction.THERE], ruled[Direction.THERE], ways[Direction.THERE], of)


def _last(crossed: Sequence[Crossing], place: Netns) -> Crossing | None:
    return next((each for each in reversed(crossed) if each.place == place), None)


def _answer(
    answers: Sequence[Crossing],
    ruled: Sequence[RuleHit],
    complaints: Sequence[Crossing],
    steps: Sequence[Step],
    of: Material,
) -> End:
    """End of a story with a captured reply: refused, or lost on the way back."""
    first, last = answers[0], answers[-1]
    refuses = of.outcome.error or first.packet.kind in REFUSALS
    if last.place == of.source and refuses and (last.inbound or first.place == last.place):
        return End(
            Ending.REFUSED,
            Direction.BACK,
            first.place,
            first.dev,
            first.inbound,
            first.packet,
            error=of.outcome.error,
        )
    packet, error = nat.since(last, ruled, steps), complaints[0].packet.kind if complaints else ""
    return _kernel(
        of,
        End(Ending.LOST, Direction.BACK, last.place, last.dev, last.inbound, packet, error=error),
    )


def _refused(error: Crossing) -> End:
    """End of a story with an ICMP error, by its sender and kind."""
    ending = Ending.REFUSED if error.packet.kind in NOBODY else Ending.REJECTED
    return End(
        ending,
        Direction.BACK,
        error.place,
        error.dev,
        error.inbound,
        error.packet,
        error=error.packet.kind,
    )


def _question(
    crossed: Sequence[Crossing], ruled: Sequence[RuleHit], steps: Sequence[Step], of: Material
) -> End:
    if not crossed:
        return _kernel(of, End(Ending.UNSENT, place=of.source, error=of.outcome.error))
    last = crossed[-1]
    at = End(
        Ending.LOST,
        Direction.THERE,
        last.place,
        last.dev,
        last.inbound,
        nat.since(last, ruled, steps),
    )
    if last.place == of.target and last.inbound:
        arrived = of.outcome.accepts and not _unwanted(of, last.place)
        return _kernel(of, replace(at, ending=Ending.ARRIVED if arrived else Ending.SILENT))
    if (
        last.place in of.proxies
        and last.inbound
        and of.outcome.accepts
        and not _unwanted(of, last.place)
        and at.packet == last.packet
    ):
        return replace(at, ending=Ending.ARRIVED)
    return _kernel(of, at)


def _unwanted(of: Material, place: Netns) -> bool:
    """Test for a packet that routing does not take in: its source is not reached by that link.

    No socket gets it then, and the kernel sends no ICMP error.
    """
    route = of.routes.get((place.name, Direction.THERE))
    return route is not None and bool(route.error)


def _kernel(of: Material, found: End) -> End:
    """Add the kernel's drop reason to an end, if the kernel reported one for this packet.

    The kernel reports drops of the whole machine. The tap of a link sees a packet when it is on its
    way to the other end: where no watched namespace has that end, the drop is beyond the link.
    """
    drop = next((drop for drop in of.dropped if drop.sure and _ends(drop, found, of)), None)
    if drop is None or found.ending is Ending.ARRIVED:
        return found
    if found.ending is not Ending.UNSENT:
        found = replace(found, ending=Ending.BEYOND if _leaves(found, of) else Ending.DROPPED)
    return replace(found, error=drop.reason, function=drop.function)


def _ends(drop: KernelDrop, found: End, of: Material) -> bool:
    """Test for a drop of this end's packet, in its namespace or in one that is not known."""
    packet = headers.read(drop.packet, ethernet=False) if drop.packet else None
    way = headers.way(packet, of.flow) if packet else found.way
    if drop.place is None:
        return way in (None, found.way) and drop.reason != NOT_FOR_US
    return way in (None, found.way) and drop.place == found.place


def _leaves(found: End, of: Material) -> bool:
    """Test for a last crossing out by a link whose other end no watched namespace has."""
    if found.place is None or found.inbound:
        return False
    spot = (found.place.name, found.dev)
    return spot in of.exits or spot in of.tunnels
