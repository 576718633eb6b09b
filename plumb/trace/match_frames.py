"""Matching: captured frames and rule hits of one flow, sorted by direction.

Only the probe packet, the first packet of the reply, and ICMP errors about them count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from plumb.model.observations import CapturedFrame, Flow, Netns, RuleHit
from plumb.trace import headers
from plumb.trace.headers import Direction
from plumb.trace.path import Crossing

Wires = Mapping[tuple[str, str], tuple[str, str]]
"""The other ends of links, by namespace and name."""


def crossings(
    frames: Iterable[CapturedFrame], flow: Flow
) -> tuple[int, dict[Direction, list[Crossing]]]:
    """Match captured frames to a flow.

    Returns:
        The time of the probe packet's first frame (nanoseconds since the epoch, 0 for none), and
        the crossings of each direction in order of time, without retransmissions.
    """
    found: dict[Direction, list[Crossing]] = {way: [] for way in Direction}
    known: set[tuple[object, ...]] = set()
    begin = 0
    for one in sorted(frames, key=lambda each: each.time):
        packet = headers.read(one.frame, one.ethernet)
        way = headers.way(packet, flow) if packet else None
        if packet is None or way is None:
            continue
        begin = begin or one.time
        which = (way, one.place.name, one.dev, one.inbound, packet.ttl, packet.kind)
        if which not in known:
            known.add(which)
            found[way].append(Crossing(one.place, one.dev, one.inbound, packet, one.time - begin))
    return begin, found


def until(crossed: Sequence[Crossing], goal: Netns | None) -> list[Crossing]:
    """Crossings up to the packet's arrival in its target.

    The copy of a frame for a macvlan link that the parent captures may have a later time.
    """
    arrived = next(
        (i for i, each in enumerate(crossed) if each.inbound and each.place == goal), len(crossed)
    )
    return [*crossed[:arrived], *(each for each in crossed[arrived:] if each.place == goal)]


def gathered(
    crossed: Sequence[Crossing],
    goal: Netns | None,
    wires: Wires,
    exits: Collection[tuple[str, str]] = (),
) -> list[Crossing]:
    """Merge the crossings of a flood into one, by the port that leads to the target.

    A bridge that has no forwarding entry for a MAC address sends its frame out by all ports. To a
    target that is behind none of them the frame goes by a tunnel, or by the port of an uplink.

    Args:
        exits: links whose other end no watched namespace has.
    """
    found: list[Crossing] = []
    aside: set[str] = set()
    for _, group in groupby(crossed, key=lambda each: (each.place.name, each.inbound)):
        same = [each for each in group if each.place.name not in aside]
        routed = not found or found[-1].packet.ttl != (same[0].packet.ttl if same else 0)
        head, ports = (same[:1], same[1:]) if routed else ([], same)
        if len(ports) < 2 or ports[0].inbound:
            found += same
            continue
        shown = next(
            (
                each
                for each in ports
                if goal and wires.get((each.place.name, each.dev), ("", ""))[0] == goal.name
            ),
            next((each for each in ports if _leads_on(each, wires, exits)), ports[0]),
        )
        others = [each for each in ports if each is not shown]
        aside |= {
            wires[each.place.name, each.dev][0]
            for each in others
            if (each.place.name, each.dev) in wires
        }
        found += [*head, replace(shown, also=tuple(each.dev for each in others))]
    return found


def _leads_on(port: Crossing, wires: Wires, exits: Collection[tuple[str, str]]) -> bool:
    """Test for a port that is no end of a veth pair; a tunnel has a link below it."""
    spot = port.place.name, port.dev
    other = wires.get(spot)
    return spot not in exits and (other is None or wires.get(other) != spot)


def by_way(ruled: Iterable[RuleHit], flow: Flow) -> dict[Direction, list[RuleHit]]:
    """Sort rule hits by the direction of their packets."""
    found: dict[Direction, list[RuleHit]] = {way: [] for way in Direction}
    walks: dict[tuple[str, int], Direction | None] = {}
    for step in ruled:
        walk = (step.place.name, step.id)
        packet = headers.read(step.packet, ethernet=False) if step.packet else None
        if packet is not None:
            walks[walk] = headers.way(packet, flow)
        if (way := walks.get(walk)) is not None:
            found[way].append(step)
    return found
