"""The tracer: sends a question, watches it everywhere, and has its story told.

    look     who asks whom, by which address; the links of all places concerned
    watch    taps and rules' traces, armed in each of them; then the question, with a real socket
    tell     the records put into order, with the rules' words and what the routing says
    again    only if it did not arrive: the question once more, with the kernel's drops watched as well, and all that is worth
             knowing of each place read, so that the cause can be found

So a trace of what works costs little more than the question itself. Nothing is left behind, and nothing is locked.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from plumb.engine.reading import Reader
from plumb.errors import Invalid, NotFound
from plumb.kernel import resolve, rule_book
from plumb.kernel.collecting import Collector, Records
from plumb.kernel.drops import Drops
from plumb.kernel.oracle import Oracle
from plumb.things.netfilter import Policy, Rule
from plumb.things.nftables import NftRule
from plumb.tracing import asking, gather, path, rules
from plumb.tracing.asking import IPAddress, Target
from plumb.tracing.causes.case import Case, Cause
from plumb.tracing.causes.finding import find, remarks
from plumb.tracing.frames import Way
from plumb.tracing.ground import Ground, Surveyor
from plumb.tracing.path import HOST, Published
from plumb.tracing.probe import Probe, Question
from plumb.tracing.records import Flow, Place, Seen
from plumb.tracing.rules import Book, Whys
from plumb.tracing.scene import Link
from plumb.tracing.story import Crossing, Ending, Material, Routed, Story
from plumb.tracing.telling import tell

SLICE = 0.02
"""Seconds between two looks at the client's socket."""
NEIGHBOURS = 16
"""Containers of the same networks that are watched as well when the question was not answered."""
SETTLED = (Ending.REFUSED, Ending.REJECTED)
"""Who ended it so has said why; to ask again would be of no use, and a path's MTU is remembered."""
SETTLE = 0.01
"""Seconds for which what follows a drop is waited for: an error that a rule sends."""


@dataclass(frozen=True)
class Wishes:
    """How a question is asked.

    Attributes:
        version: 4 or 6; 0: what there is, IPv4 first.
        seconds: how long an answer is waited for.
        sport, size, ttl: as in `probe.Question`.
        also: further places to watch, by name; everywhere: all containers.
    """

    version: int = 0
    seconds: float = 1.0
    sport: int = 0
    size: int = 0
    ttl: int = 0
    also: tuple[str, ...] = ()
    everywhere: bool = False

    @property
    def versions(self) -> tuple[int, ...]:
        """The address families that may be taken, the preferred first."""
        return (self.version,) if self.version else (4, 6)


@dataclass(frozen=True)
class Report:
    """What became of a question.

    Attributes:
        asked: the words that it was asked with: from and to.
        published: the published port that was knocked at.
        story: how it went; ground: where; seen: the frames that it is told of.
        missing: what could not be watched, in words.
        cause: why it ended short of an answer, where that is known; remarks: what else was noticed.
        after: what became of the question that a proxy asked in its stead.
    """

    asked: tuple[str, str]
    question: Question
    published: Published | None
    story: Story
    ground: Ground
    seen: tuple[Seen, ...] = ()
    missing: tuple[str, ...] = ()
    cause: Cause | None = None
    remarks: tuple[str, ...] = ()
    after: Report | None = None

    @property
    def good(self) -> bool:
        """Whether it arrived and was answered."""
        return self.story.end.good and (self.after is None or self.after.good)


class Tracer:
    """Traces under one root.

    Args:
        reader: plumb's record.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._surveyor = Surveyor(reader)

    def trace(self, source: str, to: str, wishes: Wishes) -> Report:
        """Ask, and tell what became of it.

        Args:
            source: a container, "host", or another namespace.
            to: TO[:PORT][/PROTOCOL].

        Raises:
            Invalid: it cannot be asked so.
            NotFound: there is no such container, place or name.
        """
        target = asking.target(to)
        place = self._surveyor.place(source)
        named = self._named(target.name)
        words = (place.name, to.replace(target.name, named.name) if named and "/" in target.name else to)
        further = [self._surveyor.place(name) for name in wishes.also]
        ip = asking.literal(target.name)
        if ip is None and named is None:
            ip = self._resolved(target, place, wishes)
        ground = self._surveyor.ground([place, *([named] if named else []), Place(HOST, "")])
        if ip is None:
            assert named is not None
            ip = self._address(ground, place, named, wishes)
        ours = ip in _own(ground, HOST) or (ip.is_loopback and place.name == HOST)
        hole = path.published(self._surveyor.members, ip, target.port, target.protocol) if ours else None
        member = hole.member if hole else path.holder(self._surveyor.members, ip)
        aim = hole.member.place if hole else named or (member.place if member else _having(ground, ip))
        everybody = [each.place for each in self._surveyor.members] if wishes.everywhere else []
        concerned = dict.fromkeys([place, Place(HOST, ""), *([aim] if aim else []), *further, *everybody])
        if set(concerned) - set(ground.places):
            ground = self._surveyor.ground(concerned)
        question = Question(place, ip, target.protocol, target.port, wishes.sport, wishes.size, wishes.ttl)
        return self._report(words, question, aim, hole, ground, wishes)

    def _report(self, asked: tuple[str, str], question: Question, aim: Place | None, hole: Published | None, ground: Ground,
                wishes: Wishes) -> Report:
        story, records, missing = self._ask(question, aim, hole, ground, wishes)
        if story.end.good:
            after = self._behind(story, question, aim, hole, ground, wishes)
            notes = remarks(self._case(story, question, hole, ground)) if hole and question.protocol == "udp" else ()
            return Report(asked, question, hole, story, ground, records.seen, missing, remarks=notes, after=after)
        if not (question.sport or story.end.line or story.end.ending in SETTLED):
            ground = self._wider(ground, question)
            story, records, missing = self._ask(question, aim, hole, ground, wishes, drops=True)
        case = self._case(story, question, hole, ground)
        return Report(asked, question, hole, story, ground, records.seen, missing, find(case), remarks(case))

    def _behind(self, story: Story, question: Question, aim: Place | None, hole: Published | None, ground: Ground,
                wishes: Wishes) -> Report | None:
        """What becomes of the question that the user-land proxy asks in the client's stead, where it was the proxy that answered."""
        crossed = story.crossings()
        if hole is None or aim is None or aim.name == HOST or not crossed or crossed[-1].place.name != HOST:
            return None
        behind = Question(Place(HOST, ""), hole.end.target(hole.port), question.protocol, hole.port.port)
        return self._report((HOST, f"{hole.member.box.name}:{hole.port.port}/{question.protocol}"), behind, aim, None, ground, wishes)

    def _wider(self, ground: Ground, question: Question) -> Ground:
        """The ground with all who are on the networks of both ends."""
        near = {net.id for member in self._surveyor.members if member.place in ground.places for _, net in member.ends}
        others = [member.place for member in self._surveyor.members if any(net.id in near for _, net in member.ends)]
        wider = tuple(dict.fromkeys([*ground.places, *others[:NEIGHBOURS]]))
        return self._surveyor.ground(wider)

    def _case(self, story: Story, question: Question, hole: Published | None, ground: Ground) -> Case:
        case = Case(story, question.ip, question.port, question.protocol, {}, ground.members, ground.networks, hole, ground.wires)
        return replace(case, facts={place.name: gather.facts(place, story, case.goal) for place in ground.places})

    # -- who is meant ---------------------------------------------------------------

    def _named(self, name: str) -> Place | None:
        """The place of that name, None for an address or a host name."""
        if asking.literal(name) is not None:
            return None
        try:
            return self._surveyor.place(name)
        except NotFound:
            if "/" in name or name.startswith("pid:"):
                raise
            return None

    def _resolved(self, target: Target, place: Place, wishes: Wishes) -> IPAddress:
        """What a host name means to who asks."""
        member = next((each for each in self._surveyor.members if each.place == place and place.name != HOST), None)
        folder = self._reader.layout.container(member.box.id) if member else "/etc"
        found = resolve.addresses(target.name, place.ns, folder, wishes.versions)
        if not found:
            raise NotFound(f"{place.name} does not know {target.name}: no container, no namespace, and no name that resolves there",
                           "'plumb ps' shows the containers")
        return found[0]

    def _address(self, ground: Ground, place: Place, named: Place, wishes: Wishes) -> IPAddress:
        found = asking.address(ground.ips(named), ground.ips(place), wishes.versions)
        if found is None:
            family = f"IPv{wishes.version} " if wishes.version else ""
            raise Invalid(f"{named.name} has no {family}address that could be asked",
                          f"'plumb network connect NETWORK {named.name}' gives it one")
        return found

    # -- asking ---------------------------------------------------------------

    def _ask(self, question: Question, aim: Place | None, hole: Published | None, ground: Ground, wishes: Wishes,
             drops: bool = False) -> tuple[Story, Records, tuple[str, ...]]:
        memory = self._reader.layout.run
        with ExitStack() as stack:
            probe = stack.enter_context(Probe(question))
            watch = stack.enter_context(Drops(probe.flow, ground.places, memory=memory)) if drops else None
            trace = stack.enter_context(Collector(ground.places, probe.flow, memory=memory, bridges=_bridging(ground)))
            probe.send()
            records = _watch(trace, probe, wishes.seconds)
            dropped = watch.read(records.seen) if watch else []
            missing = (*trace.missing, *([watch.missing] if watch and watch.missing else []))
            outcome = probe.outcome()
        books = {place.name: _book(place, records) for place in ground.places if any(step.place == place for step in records.ruled)}
        material = Material(probe.flow, question.place, aim, outcome, records.seen, records.ruled, dropped, books, self._whys(records),
                            doors=(Place(HOST, ""),) if hole else (), wires=ground.wires)
        story = tell(material)
        return tell(replace(material, routes=routes(story, ground))), records, missing

    def _whys(self, records: Records) -> Whys:
        if not records.ruled:
            return {}
        store = self._reader.store
        return rules.whys(thing for kind in (Rule, NftRule, Policy) for thing in store.things_of(kind))


def _own(ground: Ground, name: str) -> set[IPAddress]:
    return {ip.ip for _, ip in ground.addresses.get(name, ())}


def _having(ground: Ground, ip: IPAddress) -> Place | None:
    """The place that has an address."""
    return next((place for place in ground.places if ip in _own(ground, place.name)), None)


def _bridging(ground: Ground) -> list[Place]:
    """The places that have bridges."""
    return [place for place in ground.places if any(link.kind == "bridge" for link in ground.links[place.name])]


def _watch(trace: Collector, probe: Probe, seconds: float) -> Records:
    """Collect until the client knows, or a rule has dropped the question; at most that long."""
    deadline = time.monotonic() + seconds
    while True:
        left = max(deadline - time.monotonic(), 0)
        records = trace.collect(min(SLICE, left), lambda records: probe.settled or _dropped(records, probe.flow))
        if probe.settled or left <= 0:
            return trace.collect(0)
        if _dropped(records, probe.flow):
            return trace.collect(min(SETTLE, left))


def _dropped(records: Records, flow: Flow) -> bool:
    """Whether a rule has dropped the question, or the answer."""
    return any(step.verdict == "drop" for step in records.ruled)


def _book(place: Place, records: Records) -> Book:
    found = rule_book.listing(place, records.ruled)
    return replace(rules.listed(found.nft), handles=found.handles, saved=found.saved)


def routes(story: Story, ground: Ground) -> dict[tuple[str, Way], Routed]:
    """What the routing of each place says about the packet as it was there; not where it was at home, or on a bridge's ports alone."""
    found: dict[tuple[str, Way], Routed] = {}
    for way in Way:
        for place in ground.places:
            mine = [each for each in story.crossings(way) if each.place == place]
            packet = story.packet(place, way)
            if packet is None or not mine or _on_ports(mine, ground.links[place.name]):
                continue
            came = mine[0].packet.src if mine[0].inbound else None
            with Oracle(place) as oracle:
                answer = oracle.route(packet.dst, came, _incoming(mine) if came else "")
            if way is Way.THERE or answer.type != "local":
                found[place.name, way] = Routed(place, str(answer), answer.dev)
    return found


def _on_ports(crossed: Sequence[Crossing], links: Sequence[Link]) -> bool:
    """Whether a packet was seen nowhere in a place but at ports of a bridge."""
    ports = {link.name for link in links if link.port is not None}
    return all(each.dev in ports for each in crossed)


def _incoming(crossed: Sequence[Crossing]) -> str:
    came = [each for each in crossed if each.inbound]
    return came[-1].dev if came else ""
