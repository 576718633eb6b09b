"""Tracer: sends a probe packet, captures it in all namespaces, and finds the cause of a failure.

    read       source, target and address; the links of all namespaces concerned (report, topology)
    run        packet sockets and rule traces in each of them; then the probe packet (run,
               probe_packet)
    assemble   captured frames and rule hits in order, with the rules' text and the routes
    repeat     only without a reply: the probe packet once more, with the kernel's drops recorded,
               and the state of each namespace read, to find the cause (collect_state, causes);
               where the packet still waits for a neighbour's MAC address, plumb waits too, and
               where it is nowhere without a cause, plumb sends one more and is patient

So a trace of a packet that arrives costs little more than the packet itself. A trace leaves nothing
behind, and takes no lock.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from plumb.engine.reader import Reader
from plumb.engine.targets import TargetResolver
from plumb.kernel.foreign import processes
from plumb.model.net.targets import Member
from plumb.model.netns_state import Listener
from plumb.model.observations import HOST, Netns
from plumb.things import HOST as OF_HOST
from plumb.things import Key, Thing
from plumb.trace import collect_state, foreign_ends, rule_steps
from plumb.trace.causes import by_neighbour, by_socket
from plumb.trace.causes.case import Case
from plumb.trace.causes.order import find, remarks
from plumb.trace.cluster import balancing
from plumb.trace.path import Ending, Story
from plumb.trace.probe_packet import ProbePacket
from plumb.trace.report import Report, RequestReader, TraceRequest, Wishes
from plumb.trace.run import Watched, watch
from plumb.trace.topology import Topology, TopologyReader

NEIGHBOURS = 16
"""Further containers of the same networks in which plumb captures the second time."""
RESOLUTION = 3.5
"""Seconds that the kernel asks for a neighbour: three times, a second apart (mcast_solicit)."""
BUSY = 5.0
"""Seconds more for a packet that is on no link yet, and has no reason not to be."""
SETTLED = (Ending.REFUSED, Ending.REJECTED)
"""Ends that explain themselves, and are not repeated: the kernel remembers a path's MTU."""


class Tracer:
    """Tracer of packets under one root.

    Args:
        reader: plumb's record.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._resolver = TargetResolver(reader)
        self._topology = TopologyReader(self._resolver)

    def trace(self, source: str, to: str, wishes: Wishes | None = None) -> Report:
        """Send a probe packet, and report its path.

        Args:
            source: a container, "host", or another namespace.
            to: TO[:PORT][/PROTOCOL].
            wishes: options of the trace.

        Raises:
            Conflict: a container is not running.
            Invalid: the request cannot be sent so.
            KernelRefused: the kernel refuses the packet, or the capture.
            NotFound: there is no such container, namespace or name.
        """
        request, topology = RequestReader(self._resolver, self._topology).request(
            source, to, wishes or Wishes()
        )
        return self._report(request, topology)

    def _report(self, request: TraceRequest, topology: Topology) -> Report:
        watched = self._watch(request, topology)
        if watched.story.end.good:
            return self._good(watched, request, topology)
        if _worth_repeating(watched.story, request):
            topology = self._wider(topology)
            watched = self._watch(request, topology, drops=True)
        case = _case(watched, request, topology)
        if (state := _resolved(case)) is not None:
            # Somebody answers after all: the packet that waited for that was not watched any more.
            if state not in by_neighbour.DEAD:
                watched = self._watch(request, topology, drops=True)
            case = _case(watched, request, topology)
        if not watched.frames and find(case) is None:
            # Nothing holds it back: the kernel had no processor for it yet.
            patient = replace(request, seconds=request.seconds + BUSY)
            watched = self._watch(patient, topology, drops=True)
            case = _case(watched, request, topology)
        if watched.story.end.good:
            return self._good(watched, request, topology)
        return Report(
            request,
            watched.story,
            topology,
            watched.frames,
            watched.missing,
            find(case),
            remarks(case),
            choice=balancing.choice(request.balanced, watched.story),
        )

    def _good(self, watched: Watched, request: TraceRequest, topology: Topology) -> Report:
        crossed = watched.story.crossings()
        at_host = bool(crossed) and crossed[-1].place.name == HOST and crossed[-1].inbound
        if at_host and self._resolver.foreign.containers:
            case = _case(watched, request, topology)
            if (by := by_socket.holder(case)) is not None:
                return self._held(watched, request, topology, case, by)
        notes = (
            remarks(_case(watched, request, topology))
            if request.published and request.question.protocol == "udp"
            else ()
        )
        return Report(
            request,
            watched.story,
            topology,
            watched.frames,
            watched.missing,
            remarks=notes,
            after=self._behind_proxy(watched.story, request, topology),
            choice=balancing.choice(request.balanced, watched.story),
        )

    def _held(
        self, watched: Watched, request: TraceRequest, topology: Topology, case: Case, by: Listener
    ) -> Report:
        """Report on an answer of the kernel's for a program that takes no connection."""
        published = request.published
        member = published.member if published else self._held_for(by)
        end = replace(watched.story.end, ending=Ending.HELD, place=Netns(HOST, ""))
        return Report(
            request,
            replace(watched.story, end=end),
            topology,
            watched.frames,
            watched.missing,
            by_socket.held(case, by, member.box if member else None),
        )

    def _held_for(self, by: Listener) -> Member | None:
        """The container whose first process a holder watches over."""
        pid = by.who.rpartition(" ")[2]
        for each in self._resolver.foreign.containers:
            own = processes.process(each.pid)
            if own is not None and str(own.parent) == pid:
                return each.member
        return None

    def _watch(self, request: TraceRequest, topology: Topology, drops: bool = False) -> Watched:
        return watch(
            request, topology, rule_steps.recorded(self._recorded), self._reader.layout.run, drops
        )

    def _recorded(self, key: Key) -> Thing | None:
        """Thing on record, in whatever namespace the caller's words name it."""
        kind, ns, *rest = key
        if ns in self._namespaces:
            return self._reader.store.thing(key)
        same = (self._reader.store.thing((kind, other, *rest)) for other in self._namespaces)
        return next((thing for thing in same if thing is not None), None)

    @cached_property
    def _namespaces(self) -> frozenset[str]:
        balancers = (
            self._resolver.balancer(net).ns for net in self._resolver.networks if net.multi_host
        )
        members = (member.place.ns for member in self._resolver.members)
        return frozenset({OF_HOST, *members, *balancers})

    def _behind_proxy(
        self, story: Story, request: TraceRequest, topology: Topology
    ) -> Report | None:
        """Trace the packet that the user-land proxy sends in the client's stead.

        None if the client's packet did not end at the proxy.
        """
        published, aim, crossed = request.published, request.aim, story.crossings()
        if (
            published is None
            or aim is None
            or aim.name == HOST
            or not crossed
            or crossed[-1].place.name != HOST
        ):
            return None
        port = published.port.port
        question = ProbePacket(
            Netns(HOST, ""), published.end.target(published.port), request.question.protocol, port
        )
        asked = (HOST, f"{published.member.box.name}:{port}/{question.protocol}")
        return self._report(TraceRequest(asked, question, aim, None, request.seconds), topology)

    def _wider(self, topology: Topology) -> Topology:
        """Read the topology with further containers of both ends' networks."""
        near = {
            net.id
            for member in self._resolver.members
            if member.place in topology.places
            for _, net in member.ends
        }
        others = [
            member.place
            for member in self._resolver.members
            if any(net.id in near for _, net in member.ends)
        ]
        wider = self._topology.read([*topology.places, *others[:NEIGHBOURS]], topology.beyond)
        return replace(wider, missing=topology.missing)


def _worth_repeating(story: Story, request: TraceRequest) -> bool:
    """Test for a trace that a repetition could explain better.

    With a port of the user's choice the repetition would be no new flow to connection tracking. A
    refusal that came in by a link is the work of a namespace that plumb has not watched yet.
    """
    end = story.end
    settled = end.ending in SETTLED and not (end.ending is Ending.REFUSED and end.inbound)
    return not (request.question.sport or end.line or settled)


def _resolved(case: Case) -> str | None:
    """Wait for the kernel's decision about the next hop, and return its entry's state.

    None where the cause is sure, or the kernel asks nobody that could answer.
    """
    known = None if case.end.good else by_neighbour.undecided(case)
    cause = find(case) if known is not None else None
    if known is None or (cause is not None and cause.sure):
        return None
    place = by_neighbour.next_hop(case).facts.place
    return collect_state.awaited(place, known, by_neighbour.ASKING, RESOLUTION)


def _case(watched: Watched, request: TraceRequest, topology: Topology) -> Case:
    """Case of a story, with the state of all namespaces of the topology."""
    asked, story = request.question, watched.story
    case = Case(
        story,
        asked.ip,
        asked.port,
        asked.protocol,
        {},
        topology.members,
        topology.networks,
        foreign_ends.published_by(topology.members, request.published),
        topology.wires,
        watched.neighbour_table,
        request.balanced,
        topology.engines,
    )
    return replace(
        case,
        facts={
            place.name: collect_state.facts(place, story, case.goal, topology.exits)
            for place in topology.places
        },
    )
