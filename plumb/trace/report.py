"""Request and report of a trace: a packet and its destination, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from plumb.address import IPAddress, IPInterface
from plumb.engine.targets import Destination, ResolvedTarget, TargetResolver, without_address
from plumb.model.net.targets import ProbeKind, Published, Target, TargetGrammar
from plumb.model.observations import HOST, CapturedFrame, Netns
from plumb.trace.causes.case import Cause
from plumb.trace.path import Story
from plumb.trace.probe_packet import ProbePacket
from plumb.trace.topology import Topology, TopologyReader

TRACE_GRAMMAR = TargetGrammar(
    "trace to", (ProbeKind.TCP, ProbeKind.UDP, ProbeKind.SCTP, ProbeKind.ICMP)
)


@dataclass(frozen=True)
class Wishes:
    """How a question is asked.

    Attributes:
        version: 4 or 6; 0: what there is, IPv4 first.
        seconds: how long an answer is waited for.
        sport, size, ttl: as in `probe_packet.ProbePacket`.
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
class TraceRequest:
    """A question, and what is meant by it.

    Attributes:
        asked: the words for it: from and to.
        aim: the place that it should reach; None where that is nobody's that is known.
        published: the published port that it knocks at.
        seconds: how long an answer is waited for.
    """

    asked: tuple[str, str]
    question: ProbePacket
    aim: Netns | None
    published: Published | None
    seconds: float


@dataclass(frozen=True)
class Report:
    """What became of a question.

    Attributes:
        errand: what was asked.
        story: how it went; ground: where; seen: the frames that it is told of.
        missing: what could not be watched, in words.
        cause: why it ended short of an answer, where that is known; remarks: what else was noticed.
        after: what became of the question that a proxy asked in its stead.
    """

    errand: TraceRequest
    story: Story
    ground: Topology
    seen: tuple[CapturedFrame, ...] = ()
    missing: tuple[str, ...] = ()
    cause: Cause | None = None
    remarks: tuple[str, ...] = ()
    after: Report | None = None

    @property
    def good(self) -> bool:
        """Whether it arrived and was answered."""
        return self.story.end.good and (self.after is None or self.after.good)


class RequestReader:
    """Understands words by plumb's record.

    Args:
        resolver: finds namespaces by their names.
        topology: reads their links.
    """

    def __init__(self, resolver: TargetResolver, topology: TopologyReader) -> None:
        self._resolver = resolver
        self._topology = topology

    def request(self, source: str, to: str, wishes: Wishes) -> tuple[TraceRequest, Topology]:
        """Read a request, and the topology of all places concerned.

        Both ends and the host, and what else shall be watched.

        Args:
            source: a container, "host", or another namespace.
            to: TO[:PORT][/PROTOCOL].

        Raises:
            Conflict: a container is not running.
            Invalid: it cannot be asked so.
            NotFound: there is no such container, place or name.
        """
        target, place = TRACE_GRAMMAR.read(to), self._resolver.place(source)
        files = self._resolver.name_files(source, place)
        found = self._resolver.resolve(target.name, place, files, wishes.versions)
        further = [self._resolver.place(name) for name in wishes.also]
        topology = self._topology.ground(_present(place, found.place, Netns(HOST, "")))
        ip = found.addresses[0] if found.addresses else _address(topology, place, found, wishes)
        aim = self._destination(topology, place, found, ip, target)
        everybody = [each.place for each in self._resolver.members] if wishes.everywhere else []
        concerned = _present(place, Netns(HOST, ""), aim.place, *further, *everybody)
        if set(concerned) - set(topology.places):
            topology = self._topology.ground(concerned)
        packet = ProbePacket(
            place, ip, target.protocol, target.port, wishes.sport, wishes.size, wishes.ttl
        )
        words = (place.name, _written(to, target, found))
        return TraceRequest(words, packet, aim.place, aim.published, wishes.seconds), topology

    def _destination(
        self,
        topology: Topology,
        source: Netns,
        found: ResolvedTarget,
        ip: IPAddress,
        target: Target,
    ) -> Destination:
        host = Netns(HOST, "")
        of_host = topology.has(host, ip) and not (ip.is_loopback and source != host)
        destination = self._resolver.destination(
            ip, target.port, target.protocol, of_host=of_host, named=found.place
        )
        return destination if destination.place else Destination(topology.having(ip))


def _present(*places: Netns | None) -> list[Netns]:
    return [place for place in places if place is not None]


def _written(to: str, target: Target, found: ResolvedTarget) -> str:
    """The target as it was written, but for the path of a namespace, which its name stands for."""
    if found.place is not None and "/" in target.name:
        return to.replace(target.name, found.place.name)
    return to


def _address(topology: Topology, source: Netns, found: ResolvedTarget, wishes: Wishes) -> IPAddress:
    """The address at which a place is asked."""
    assert found.place is not None
    best = best_address(topology.ips(found.place), topology.ips(source), wishes.versions)
    if best is None:
        raise without_address(found.place.name, wishes.version)
    return best


def best_address(
    theirs: Iterable[IPInterface], local: Sequence[IPInterface], versions: Iterable[int]
) -> IPAddress | None:
    """The address at which a namespace is best asked.

    One of a subnet of the asker's own, else the first that leads anywhere.

    Args:
        theirs: in the order in which they are preferred.
        local: the asker's own.
        versions: the address families that may be taken, the preferred first.
    """
    known = [ip for ip in theirs if not ip.ip.is_loopback and not ip.ip.is_link_local]
    for version in versions:
        fitting = [ip for ip in known if ip.version == version]
        near = (ip for ip in fitting if any(ip.ip in each.network for each in local))
        if fitting:
            return next(near, fitting[0]).ip
    return None
