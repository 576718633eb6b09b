"""Request and report of a trace: a packet with its destination, and the story of that packet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from plumb.address import IPAddress, IPInterface
from plumb.engine.targets import Destination, ResolvedTarget, TargetResolver, without_address
from plumb.foreign import overlays as foreign_overlays
from plumb.frozen import frozen, replace
from plumb.model.cnm import Network
from plumb.model.net.targets import Balanced, Member, ProbeKind, Published, Target, TargetGrammar
from plumb.model.observations import HOST, CapturedFrame, Netns
from plumb.trace import link_labels
from plumb.trace.causes.case import Cause
from plumb.trace.cluster import overlay
from plumb.trace.cluster.overlay import OtherHost
from plumb.trace.path import Story
from plumb.trace.probe_packet import ProbePacket
from plumb.trace.topology import Topology, TopologyReader

TRACE_GRAMMAR = TargetGrammar(
    "trace to", (ProbeKind.TCP, ProbeKind.UDP, ProbeKind.SCTP, ProbeKind.ICMP)
)

TASKS = 16
"""Tasks of a service on this host in which plumb captures."""


@frozen
class Wishes:
    """Options of a trace.

    Attributes:
        version: the address family, 4 or 6; 0: any, IPv4 first.
        seconds: the time limit for a reply.
        sport, size, ttl: as in `probe_packet.ProbePacket`.
        also: further namespaces to capture in, by name.
        everywhere: True to capture in all containers.
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
        """Address families, the preferred first."""
        return (self.version,) if self.version else (4, 6)


@frozen
class TraceRequest:
    """Probe packet, with the target that it should reach.

    Attributes:
        asked: source and target, as they are printed.
        question: the probe packet.
        aim: the namespace that it should reach; None if no known namespace has the address.
        published: the published port that the destination is.
        seconds: the time limit for a reply.
        balanced: the service of the cluster that the destination is.
    """

    asked: tuple[str, str]
    question: ProbePacket
    aim: Netns | None
    published: Published | None
    seconds: float
    balanced: Balanced | None = None


@frozen
class Report:
    """Result of a trace.

    Attributes:
        request: the request.
        story: the path of the packet and of its reply.
        topology: the namespaces and links.
        frames: the captured frames.
        missing: sentences on what plumb could not capture.
        cause: the cause of a missing reply, if it is known.
        remarks: sentences on other faults.
        choice: the task that a service's connection went to, and why, in sentences.
        after: the report on the packet that the user-land proxy sends in the client's stead.
    """

    request: TraceRequest
    story: Story
    topology: Topology
    frames: tuple[CapturedFrame, ...] = ()
    missing: tuple[str, ...] = ()
    cause: Cause | None = None
    remarks: tuple[str, ...] = ()
    after: Report | None = None
    choice: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """True if the packet arrived and was answered, behind a proxy too."""
        return self.story.end.good and (self.after is None or self.after.good)


class RequestReader:
    """Reader of requests: resolves names with plumb's record.

    Args:
        resolver: finds namespaces by their names.
        topology: reads their links.
    """

    def __init__(self, resolver: TargetResolver, topology: TopologyReader) -> None:
        self._resolver = resolver
        self._topology = topology

    def request(self, source: str, to: str, wishes: Wishes) -> tuple[TraceRequest, Topology]:
        """Read a request, and the topology of all namespaces concerned.

        Those are both ends, the host, and further ones that the options name.

        Args:
            source: a container, "host", or another namespace.
            to: TO[:PORT][/PROTOCOL].

        Raises:
            Conflict: a container is not running.
            Invalid: the request cannot be sent so.
            NotFound: there is no such container, namespace or name.
        """
        target, place = TRACE_GRAMMAR.read(to), self._resolver.place(source)
        files = self._resolver.name_files(source, place)
        found = self._resolver.resolve(target.name, place, files, wishes.versions)
        further = [self._resolver.place(name) for name in wishes.also]
        topology = self._topology.read(_present(place, found.place, Netns(HOST, "")))
        ip = found.addresses[0] if found.addresses else _address(topology, place, found, wishes)
        aim = self._destination(topology, place, found, ip, target)
        containers = [each.place for each in self._resolver.members] if wishes.everywhere else []
        nets = self._resolver.located(overlays(self._resolver.members, place, ip))
        segments = [each for net in nets for each in _of_overlay(net)]
        beyond = self._beyond(nets, ip)
        balanced = self._resolver.balanced(
            ip, target.port, target.protocol, of_host=topology.has(Netns(HOST, ""), ip)
        )
        there = beyond.places(ip) if beyond else []
        concerned = _present(
            place, Netns(HOST, ""), aim.place, *segments, *there, *further, *containers
        )
        concerned += _of_service(balanced) if balanced else []
        if set(concerned) - set(topology.places):
            topology = self._topology.read(concerned, beyond)
        unseen = tuple(_unseen(net) for net in nets if not net.overlay.netns)
        topology = replace(topology, missing=unseen) if unseen else topology
        if beyond and (member := beyond.member(ip)):
            aim = Destination(member.place)
        packet = ProbePacket(
            place, ip, target.protocol, target.port, wishes.sport, wishes.size, wishes.ttl
        )
        words = (place.name, _written(to, target, found))
        request = TraceRequest(words, packet, aim.place, aim.published, wishes.seconds, balanced)
        return request, topology

    def _beyond(self, nets: Iterable[Network], ip: IPAddress) -> OtherHost | None:
        """Host that has an overlay's address, if it is another one on this machine."""
        vteps = (self._resolver.vtep(net, ip) for net in nets)
        vtep = next((each for each in vteps if each is not None), None)
        return overlay.other_host(vtep) if vtep is not None else None

    def _destination(
        self,
        topology: Topology,
        source: Netns,
        found: ResolvedTarget,
        ip: IPAddress,
        target: Target,
    ) -> Destination:
        host = Netns(HOST, "")
        if ip.is_loopback and source != host:
            return Destination(source)
        of_host = topology.has(host, ip)
        destination = self._resolver.destination(
            ip, target.port, target.protocol, of_host=of_host, named=found.place
        )
        return destination if destination.place else Destination(topology.having(ip))


def _of_overlay(net: Network) -> Iterator[Netns]:
    """Namespaces of an overlay network on this host: its own, and that of Docker's balancer."""
    if net.overlay.netns:
        yield link_labels.place_of(net)
        if not net.overlay.node and (file := foreign_overlays.balancer(net)):
            yield Netns(f"balancer {net.name}", file)


def _unseen(net: Network) -> str:
    return (
        f"the namespace of {net.name}: none of the folders in which Docker keeps such has it, so"
        " that packets are seen at the containers alone"
    )


def _of_service(balanced: Balanced) -> list[Netns]:
    """Namespaces in which a service's connections can be seen."""
    tasks = [member.place for member in balanced.tasks[:TASKS]]
    return [balanced.place, link_labels.place_of(balanced.net), *tasks]


def overlays(members: Iterable[Member], source: Netns, ip: IPAddress) -> list[Network]:
    """Overlay networks of the source that an address is in."""
    return [
        net
        for member in members
        if member.place == source
        for _, net in member.ends
        if net.multi_host and any(ip in pool.subnet for pool in net.pools)
    ]


def _present(*places: Netns | None) -> list[Netns]:
    return [place for place in places if place is not None]


def _written(to: str, target: Target, found: ResolvedTarget) -> str:
    """Target as it was typed, with the name of a namespace in place of its path or process."""
    if found.place is not None and ("/" in target.name or target.name.startswith("pid:")):
        return to.replace(target.name, found.place.name)
    return to


def _address(topology: Topology, source: Netns, found: ResolvedTarget, wishes: Wishes) -> IPAddress:
    """Choose the address of a namespace."""
    assert found.place is not None
    best = best_address(topology.ips(found.place), topology.ips(source), wishes.versions)
    if best is None:
        raise without_address(found.place.name, wishes.version)
    return best


def best_address(
    theirs: Iterable[IPInterface], local: Sequence[IPInterface], versions: Iterable[int]
) -> IPAddress | None:
    """Choose the best of a namespace's addresses, for a given source.

    That is an address in a subnet of the source, else the first that is neither a loopback nor a
    link-local one.

    Args:
        theirs: addresses, in order of preference.
        local: the addresses of the source namespace.
        versions: the address families, the preferred first.
    """
    known = [ip for ip in theirs if not ip.ip.is_loopback and not ip.ip.is_link_local]
    for version in versions:
        fitting = [ip for ip in known if ip.version == version]
        near = (ip for ip in fitting if any(ip.ip in each.network for each in local))
        if fitting:
            return next(near, fitting[0]).ip
    return None
