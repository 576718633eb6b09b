"""The tracer: sends a question, watches it everywhere, and has its story told.

    look     who asks whom, by which address; the links of all places concerned (errands, ground)
    watch    taps and rules' traces, armed in each of them; then the question, with a real socket (watching, probe)
    tell     the records put into order, with the rules' words and what the routing says (telling)
    again    only if it did not arrive: the question once more, with the kernel's drops watched as well, and all that is worth
             knowing of each place read, so that the cause can be found (gather, causes)

So a trace of what works costs little more than the question itself. Nothing is left behind, and
nothing is locked.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from plumb.engine.reader import Reader
from plumb.engine.targets import TargetResolver
from plumb.model.observations import HOST, Netns
from plumb.things.iptables import Policy, Rule
from plumb.things.nftables import NftRule
from plumb.trace import collect_state, rule_steps
from plumb.trace.causes.case import Case
from plumb.trace.causes.order import find, remarks
from plumb.trace.path import Ending, Story
from plumb.trace.probe_packet import ProbePacket
from plumb.trace.report import Report, RequestReader, TraceRequest, Wishes
from plumb.trace.rule_steps import Whys
from plumb.trace.run import Watched, watch
from plumb.trace.topology import Topology, TopologyReader

NEIGHBOURS = 16
"""Containers of the same networks that are watched as well when the question was not answered."""
SETTLED = (Ending.REFUSED, Ending.REJECTED)
"""Who ended it so has said why; to ask again would be of no use, and a path's MTU is remembered."""


class Tracer:
    """Traces under one root.

    Args:
        reader: plumb's record.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._resolver = TargetResolver(reader)
        self._topology = TopologyReader(self._resolver)

    def trace(self, source: str, to: str, wishes: Wishes | None = None) -> Report:
        """Ask, and tell what became of it.

        Args:
            source: a container, "host", or another namespace.
            to: TO[:PORT][/PROTOCOL].
            wishes: how it is asked.

        Raises:
            Conflict: a container is not running.
            Invalid: it cannot be asked so.
            KernelRefused: it may not be asked, or not be watched.
            NotFound: there is no such container, place or name.
        """
        errand, ground = RequestReader(self._resolver, self._topology).request(
            source, to, wishes or Wishes()
        )
        return self._report(errand, ground)

    def _report(self, errand: TraceRequest, ground: Topology) -> Report:
        watched = self._watch(errand, ground)
        if watched.story.end.good:
            notes = (
                remarks(_case(watched.story, errand, ground))
                if errand.published and errand.question.protocol == "udp"
                else ()
            )
            return Report(
                errand,
                watched.story,
                ground,
                watched.seen,
                watched.missing,
                remarks=notes,
                after=self._behind(watched.story, errand, ground),
            )
        if _worth_repeating(watched.story, errand):
            ground = self._wider(ground)
            watched = self._watch(errand, ground, drops=True)
        case = _case(watched.story, errand, ground)
        return Report(
            errand, watched.story, ground, watched.seen, watched.missing, find(case), remarks(case)
        )

    def _watch(self, errand: TraceRequest, ground: Topology, drops: bool = False) -> Watched:
        return watch(errand, ground, self._reasons, self._reader.layout.run, drops)

    @cached_property
    def _reasons(self) -> Whys:
        """Why plumb's own rules exist."""
        return rule_steps.whys(
            thing
            for kind in (Rule, NftRule, Policy)
            for thing in self._reader.store.things_of(kind)
        )

    def _behind(self, story: Story, errand: TraceRequest, ground: Topology) -> Report | None:
        """What becomes of the question that the user-land proxy asks in the client's stead, where it was the proxy that answered."""
        hole, aim, crossed = errand.published, errand.aim, story.crossings()
        if (
            hole is None
            or aim is None
            or aim.name == HOST
            or not crossed
            or crossed[-1].place.name != HOST
        ):
            return None
        question = ProbePacket(
            Netns(HOST, ""), hole.end.target(hole.port), errand.question.protocol, hole.port.port
        )
        asked = (HOST, f"{hole.member.box.name}:{hole.port.port}/{question.protocol}")
        return self._report(TraceRequest(asked, question, aim, None, errand.seconds), ground)

    def _wider(self, ground: Topology) -> Topology:
        """The ground with all who are on the networks of both ends."""
        near = {
            net.id
            for member in self._resolver.members
            if member.place in ground.places
            for _, net in member.ends
        }
        others = [
            member.place
            for member in self._resolver.members
            if any(net.id in near for _, net in member.ends)
        ]
        return self._topology.ground([*ground.places, *others[:NEIGHBOURS]])


def _worth_repeating(story: Story, errand: TraceRequest) -> bool:
    """Whether a second look could tell more.

    A client's port that was asked for is remembered by connection tracking.
    """
    return not (errand.question.sport or story.end.line or story.end.ending in SETTLED)


def _case(story: Story, errand: TraceRequest, ground: Topology) -> Case:
    """The story, with all that is worth knowing of the places where it was."""
    asked = errand.question
    case = Case(
        story,
        asked.ip,
        asked.port,
        asked.protocol,
        {},
        ground.members,
        ground.networks,
        errand.published,
        ground.wires,
    )
    return replace(
        case,
        facts={place.name: collect_state.facts(place, story, case.goal) for place in ground.places},
    )
