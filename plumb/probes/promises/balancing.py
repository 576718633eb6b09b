"""Promises of the cluster's services: virtual addresses, and ports published on every host.

    a client on the network          connections to the virtual address reach each task of this host
                                     that gets new ones, and none of the others; with `sh` they
                                     stay with one task
    the host and the world           the published port answers, whether this host has a task or not

Tasks on other hosts take their share, but nobody listens there for plumb: with a task here, what
is shown is that each of this host's is reached. A program that has a task's UDP port may never
answer what it does not understand: its silence shows nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from plumb.address import IPAddress, IPInterface
from plumb.frozen import frozen
from plumb.model.cnm import Network
from plumb.model.ports import ServicePort
from plumb.model.service.virtual import Backend, Balancing, Mechanism, Rules, VirtualService
from plumb.probes.promises.promise import HOST, WORLD, Member, Protocol
from plumb.probes.promises.verdicts import Verdict

Services = Mapping[str, Sequence[VirtualService]]
"""Services by the id of their network."""
REFUSED = "refused"


@frozen
class TaskHere:
    """A task on this host.

    Attributes:
        name: its container's.
        ip: the address at which it gets the service's connections.
        chosen: new connections go to it.
    """

    name: str
    ip: IPAddress
    chosen: bool


@frozen
class ServicePromise:
    """Connections of `source` to a service reach its tasks.

    Attributes:
        source: a container's name, HOST or WORLD.
        service: the service's name.
        address: its virtual address, or the host's own for a published port.
        port: the published one; 0: any that is free in the tasks.
        own_port: the tasks' own port; 0: the same as the client's.
        tasks: those on this host.
        slots: turns of all tasks, on this host and on others; 0: no new connection goes anywhere.
        sticky: all connections of one client go to one task.
        protocol: TCP, or UDP for a port of that.
    """

    source: str
    service: str
    address: IPAddress
    port: int
    own_port: int
    tasks: tuple[TaskHere, ...]
    slots: int
    sticky: bool
    why: str
    protocol: Protocol = Protocol.TCP

    @property
    def chosen(self) -> frozenset[str]:
        """Names of this host's tasks that get new connections."""
        return frozenset(task.name for task in self.tasks if task.chosen)

    @property
    def title(self) -> str:
        """Name of the service, with its port if it is published."""
        return f"{self.service}:{self.port}/{self.protocol}" if self.port else self.service


@dataclass
class ServiceOutcome:
    """A promise, and the tasks that its connections came to.

    Attributes:
        by_task: connections by the name of the task that answered.
        others: those that a program of a task's own answered, which does not tell its name.
        busy: tasks of this host in which such a program has the port.
        tried: connections in all.
        said: the error of the last one that failed, as text.
    """

    promise: ServicePromise
    by_task: Counter[str] = field(default_factory=Counter)
    others: int = 0
    busy: set[str] = field(default_factory=set)
    tried: int = 0
    said: str = ""

    @property
    def reached(self) -> bool:
        """True if a task has answered."""
        return bool(self.by_task or self.others)

    @property
    def missing(self) -> frozenset[str]:
        """Tasks that must be reached, and have not been."""
        unseen = self.promise.chosen - set(self.by_task)
        return unseen - self.busy if self.others or self.datagrams else unseen

    @property
    def datagrams(self) -> bool:
        """True for UDP, in which silence says nothing of a program."""
        return self.promise.protocol is Protocol.UDP

    @property
    def wrong(self) -> frozenset[str]:
        """Tasks that were reached, and must not be."""
        return frozenset(self.by_task) - self.promise.chosen

    @property
    def verdict(self) -> Verdict:
        """Verdict on the promise."""
        promise, answered = self.promise, self.reached
        if self.wrong or (not promise.slots and answered):
            return Verdict.BROKEN
        if not promise.slots:
            return Verdict.KEPT
        if promise.chosen and not promise.sticky and (self.missing or answered):
            return Verdict.BROKEN if self.missing else Verdict.KEPT
        if answered:
            return Verdict.KEPT
        if self.datagrams and (self.busy or promise.slots > len(promise.chosen)):
            return Verdict.NOT_SHOWN
        # The answer of a task on another host, in which no program has the port.
        elsewhere = promise.slots > len(promise.chosen) and self.said.startswith(REFUSED)
        if not elsewhere:
            return Verdict.BROKEN
        return Verdict.KEPT if promise.sticky else Verdict.NOT_SHOWN

    @property
    def kept(self) -> bool:
        """True if the promise was kept, and the traffic shows it."""
        return self.verdict is Verdict.KEPT

    @property
    def settled(self) -> bool:
        """True if more connections would show nothing more."""
        enough = self.tried >= 2 * self.promise.slots + 2
        silent = self.datagrams and self.verdict is Verdict.NOT_SHOWN
        return bool(self.wrong) or (enough and (self.kept or silent))

    @property
    def observed(self) -> str:
        """Outcome as text."""
        counts = [f"{name} {count}" for name, count in sorted(self.by_task.items())]
        if self.others:
            counts.append(f"programs of tasks {self.others}")
        return f"of {self.tried} connections: {', '.join(counts) or self.said or 'no answer'}"


def service_promises(
    members: Sequence[Member],
    services: Services,
    own: Sequence[IPInterface],
    sources: Sequence[str],
) -> list[ServicePromise]:
    """Promises about services on the networks of this host.

    Args:
        members: the running containers.
        own: the host's addresses outside plumb's networks, by which published ports are reached.
        sources: names that can send: of containers, HOST, WORLD.
    """
    nets = {net.id: net for _, ends in members for _, net in ends}
    made: list[ServicePromise] = []
    for network, found in services.items():
        for one in found:
            if one.ports:
                clients = [name for name in (HOST, WORLD) if name in sources]
                made += _published(one, members, own, clients)
            elif network in nets:
                made += _virtual(one, nets[network], members)
    return made


def _virtual(
    one: VirtualService, net: Network, members: Sequence[Member]
) -> Iterator[ServicePromise]:
    """Yield the promises of a service's virtual addresses."""
    direct = net.overlay.direct_return and one.mechanism is Mechanism.IPVS
    for vip in one.ips if one.serving and not net.overlay.ingress else ():
        tasks = _tasks(one, vip.version, members)
        heard = tuple(TaskHere(each.name, vip.ip, each.chosen) for each in tasks)
        named = {each.name for each in tasks}
        for box, ends in members:
            mine = any(on.id == net.id and end.address(vip.version) for end, on in ends)
            if box.shares or not mine or not tasks:
                continue
            past = direct and box.name not in named  # what a task asks is rewritten in the task
            if direct and not past and one.rules is Rules.NONE:
                continue  # it reaches itself alone
            yield ServicePromise(
                box.name,
                one.name,
                vip.ip,
                0,
                0,
                heard if past else tasks,
                len(one.slots),
                one.balancing is Balancing.SH,
                f"{one.name} has its virtual address on {net.name}",
            )


def _published(
    one: VirtualService,
    members: Sequence[Member],
    own: Sequence[IPInterface],
    clients: Sequence[str],
) -> Iterator[ServicePromise]:
    """Yield the promises of a service's published ports of TCP and UDP."""
    versions = (4, 6) if one.listens_v6 else (4,)
    tasks = _tasks(one, 4, members)  # the ingress network leads on by IPv4
    for port in one.ports if one.backends else ():
        for source in clients if port.protocol in (Protocol.TCP, Protocol.UDP) else ():
            for address in own:
                if address.version in versions:
                    yield _at(one, port, source, address.ip, tasks)


def _at(
    one: VirtualService,
    port: ServicePort,
    source: str,
    address: IPAddress,
    tasks: tuple[TaskHere, ...],
) -> ServicePromise:
    why = f"{one.name} publishes it on every host"
    sticky = one.balancing is Balancing.SH
    where = source, one.name, address, port.published, port.target
    protocol = Protocol(port.protocol)
    return ServicePromise(*where, tasks, len(one.slots), sticky, why, protocol)


def _tasks(one: VirtualService, version: int, members: Sequence[Member]) -> tuple[TaskHere, ...]:
    """A service's tasks on this host, by their addresses on its network."""
    here = {
        ip: box.name
        for box, ends in members
        for end, net in ends
        if net.id == one.network
        for ip in end.ips
    }
    return tuple(
        TaskHere(here[ip], ip.ip, end.weight > 0)
        for end in one.backends
        if (ip := _address(end, version)) in here
    )


def _address(end: Backend, version: int) -> IPInterface | None:
    return end.ip if version == 4 else end.ip6
