"""Run of a trace: sends the probe packet, captures in all namespaces, assembles the story."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from plumb.frozen import frozen
from plumb.kernel.capture.collector import Collector, Records
from plumb.kernel.capture.drops import Drops
from plumb.kernel.net import neighbours
from plumb.kernel.net.route_lookup import RouteLookup
from plumb.kernel.netfilter import ruleset
from plumb.model.netns_state import Link, NeighbourTable
from plumb.model.observations import HOST, CapturedFrame, Netns
from plumb.trace import rule_steps
from plumb.trace.assemble import assemble
from plumb.trace.cluster.overlay import Tunnels
from plumb.trace.headers import Direction
from plumb.trace.path import Crossing, Material, Routed, Story
from plumb.trace.probe_packet import Probe
from plumb.trace.report import TraceRequest
from plumb.trace.rule_steps import RulesetListing, Why
from plumb.trace.topology import Topology

SLICE = 0.02
"""Seconds between two reads of the client's socket."""
SETTLE = 0.01
"""Seconds to wait after a drop, for an ICMP error or RST that the rule sends."""


@frozen
class Watched:
    """Story of a probe packet, with its captured frames.

    Attributes:
        missing: sentences on what plumb could not capture.
        neighbour_table: the kernel's neighbour table, with its refusals since the packet was sent.
    """

    story: Story
    frames: tuple[CapturedFrame, ...]
    missing: tuple[str, ...]
    neighbour_table: NeighbourTable | None = None


def watch(
    request: TraceRequest, topology: Topology, reasons: Why, memory: str, drops: bool = False
) -> Watched:
    """Send a probe packet, and capture it in all namespaces of the topology.

    Args:
        reasons: the reasons of plumb's own rules.
        memory: the folder of notes on what the next command must restore if this one is killed.
        drops: True to record the kernel's drops as well, which takes some 50 ms more.

    Raises:
        KernelRefused: the kernel refuses the packet, or the capture.
    """
    question = request.question
    with ExitStack() as stack:
        probe = stack.enter_context(Probe(question))
        kernel = (
            stack.enter_context(Drops(probe.flow, topology.places, memory=memory))
            if drops
            else None
        )
        bridging = [
            place
            for place in topology.places
            if any(link.kind == "bridge" for link in topology.links[place.name])
        ]
        trace = stack.enter_context(
            Collector(topology.places, probe.flow, memory=memory, bridges=bridging)
        )
        before = neighbours.table(question.ip.version)
        probe.send()
        records = _collect(trace, probe, request.seconds)
        dropped = kernel.read(records.frames) if kernel else []
        lost = (*topology.missing, *trace.missing)
        missing = (*lost, *([kernel.missing] if kernel and kernel.missing else []))
        outcome = probe.outcome()
        after = neighbours.table(question.ip.version)
    listings = {
        place.name: _listing(place, records)
        for place in topology.places
        if any(step.place == place for step in records.ruled)
    }
    proxies = (Netns(HOST, ""),) if request.published else ()
    material = Material(
        probe.flow,
        question.place,
        request.aim,
        outcome,
        records.frames,
        records.ruled,
        dropped,
        listings,
        reasons,
        proxies=proxies,
        wires=topology.wires,
        exits=topology.exits,
        tunnels=topology.tunnels,
    )
    # A route lookup needs the packet's addresses and inbound link, which the story has.
    routes = _routes(assemble(material), topology)
    tunnels = Tunnels(topology.networks, topology.links, topology.beyond)
    return Watched(
        tunnels.beside(assemble(replace(material, routes=routes))),
        records.frames,
        missing,
        after.since(before) if after and before else None,
    )


def _collect(trace: Collector, probe: Probe, seconds: float) -> Records:
    """Collect until the client has a reply, a rule has dropped a packet, or the time is over."""
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
    """Test for a drop by a rule; hits of the legacy tables have no verdict."""
    return any(step.verdict == "drop" for step in records.ruled)


def _listing(place: Netns, records: Records) -> RulesetListing:
    found = ruleset.listing(place, records.ruled)
    return replace(rule_steps.listed(found.nft), handles=found.handles, saved=found.saved)


def _routes(story: Story, topology: Topology) -> dict[tuple[str, Direction], Routed]:
    """Look up the packet's route in each namespace that it crossed.

    There is none for a reply that arrived, nor where only a bridge's ports were crossed.
    """
    found: dict[tuple[str, Direction], Routed] = {}
    for way in Direction:
        for place in topology.places:
            mine = [each for each in story.crossings(way) if each.place == place]
            packet = story.packet(place, way)
            if packet is None or not mine or _on_ports(mine, topology.links[place.name]):
                continue
            came = [each for each in mine if each.inbound] if mine[0].inbound else []
            with RouteLookup(place) as lookup:
                answer = lookup.route(
                    packet.dst, came[0].packet.src if came else None, came[-1].dev if came else ""
                )
            if way is Direction.THERE or answer.type != "local":
                found[place.name, way] = Routed(place, str(answer), answer.dev, answer.error)
    return found


def _on_ports(crossed: Sequence[Crossing], links: Sequence[Link]) -> bool:
    """Test for crossings that are all at ports of a bridge."""
    ports = {link.name for link in links if link.port is not None}
    return all(each.dev in ports for each in crossed)
