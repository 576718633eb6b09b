"""Watching: a question is sent while all places are watched, and what was seen of it becomes a story."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from plumb.kernel.capture.collector import Collector, Records
from plumb.kernel.capture.drops import Drops
from plumb.kernel.net.route_lookup import RouteLookup
from plumb.kernel.netfilter import ruleset
from plumb.model.netns_state import Link
from plumb.model.observations import HOST, CapturedFrame, Netns
from plumb.trace import rule_steps
from plumb.trace.assemble import tell
from plumb.trace.headers import Direction
from plumb.trace.path import Crossing, Material, Routed, Story
from plumb.trace.probe_packet import Probe
from plumb.trace.report import TraceRequest
from plumb.trace.rule_steps import RulesetListing, Whys
from plumb.trace.topology import Topology

SLICE = 0.02
"""Seconds between two looks at the client's socket."""
SETTLE = 0.01
"""Seconds for which what follows a drop is waited for: an error that a rule sends."""


@dataclass(frozen=True)
class Watched:
    """What was seen of a question, and its story.

    Attributes:
        missing: what could not be watched, in words.
    """

    story: Story
    seen: tuple[CapturedFrame, ...]
    missing: tuple[str, ...]


def watch(
    errand: TraceRequest, ground: Topology, reasons: Whys, memory: str, drops: bool = False
) -> Watched:
    """Send a question, and watch it.

    Args:
        reasons: why plumb's own rules exist.
        memory: the folder where is noted what must be put back should the process be killed.
        drops: watch what the kernel drops as well: some 50 ms more.

    Raises:
        KernelRefused: it may not be asked, or not be watched.
    """
    question = errand.question
    with ExitStack() as stack:
        probe = stack.enter_context(Probe(question))
        kernel = (
            stack.enter_context(Drops(probe.flow, ground.places, memory=memory)) if drops else None
        )
        bridging = [
            place
            for place in ground.places
            if any(link.kind == "bridge" for link in ground.links[place.name])
        ]
        trace = stack.enter_context(
            Collector(ground.places, probe.flow, memory=memory, bridges=bridging)
        )
        probe.send()
        records = _collect(trace, probe, errand.seconds)
        dropped = kernel.read(records.frames) if kernel else []
        missing = (*trace.missing, *([kernel.missing] if kernel and kernel.missing else []))
        outcome = probe.outcome()
    books = {
        place.name: _book(place, records)
        for place in ground.places
        if any(step.place == place for step in records.ruled)
    }
    doors = (Netns(HOST, ""),) if errand.published else ()
    material = Material(
        probe.flow,
        question.place,
        errand.aim,
        outcome,
        records.frames,
        records.ruled,
        dropped,
        books,
        reasons,
        doors=doors,
        wires=ground.wires,
    )
    # Where the packet was, and as what, is the story's to say; only then can the routing be asked
    # about it.
    return Watched(
        tell(replace(material, routes=_routes(tell(material), ground))), records.frames, missing
    )


def _collect(trace: Collector, probe: Probe, seconds: float) -> Records:
    """Collect until the client knows, or a rule has dropped the question; at most that long."""
    deadline = time.monotonic() + seconds
    while True:
        left = max(deadline - time.monotonic(), 0)
        records = trace.collect(
            min(SLICE, left), lambda records: probe.settled or _dropped(records)
        )
        if probe.settled or left <= 0:
            return trace.collect(0)
        if _dropped(records):
            return trace.collect(min(SETTLE, left))


def _dropped(records: Records) -> bool:
    """Whether a rule has dropped the question, or the answer; the legacy tables do not say so."""
    return any(step.verdict == "drop" for step in records.ruled)


def _book(place: Netns, records: Records) -> RulesetListing:
    found = ruleset.listing(place, records.ruled)
    return replace(rule_steps.listed(found.nft), handles=found.handles, saved=found.saved)


def _routes(story: Story, ground: Topology) -> dict[tuple[str, Direction], Routed]:
    """What the routing of each place says about the packet as it was there.

    Not where it was at home, or on a bridge's ports alone.
    """
    found: dict[tuple[str, Direction], Routed] = {}
    for way in Direction:
        for place in ground.places:
            mine = [each for each in story.crossings(way) if each.place == place]
            packet = story.packet(place, way)
            if packet is None or not mine or _on_ports(mine, ground.links[place.name]):
                continue
            came = [each for each in mine if each.inbound] if mine[0].inbound else []
            with RouteLookup(place) as oracle:
                answer = oracle.route(
                    packet.dst, came[0].packet.src if came else None, came[-1].dev if came else ""
                )
            if way is Direction.THERE or answer.type != "local":
                found[place.name, way] = Routed(place, str(answer), answer.dev)
    return found


def _on_ports(crossed: Sequence[Crossing], links: Sequence[Link]) -> bool:
    """Whether a packet was seen nowhere in a place but at ports of a bridge."""
    ports = {link.name for link in links if link.port is not None}
    return all(each.dev in ports for each in crossed)
