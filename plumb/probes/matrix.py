"""Matrix of all members: promises, and observations of real traffic.

    reach       between containers, the host and the world (`reachability`), and of published ports
                (`published_ports`)
    names       answers that containers get for each other's names (`dns_names`)
    claims      each address belongs to one interface alone (`duplicate_addresses`)
    services    connections to a service reach its tasks (`balancing`)

plumb tries broken promises once more with a longer timeout: on a busy machine an answer may be
late. An answer that must not come is final.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType

from plumb.address import IPAddress, IPInterface
from plumb.frozen import frozen
from plumb.probes.promises import remote_endpoints
from plumb.probes.promises.balancing import (
    ServiceOutcome,
    ServicePromise,
    Services,
    service_promises,
)
from plumb.probes.promises.dns_names import NameOutcome, NamePromise, QueryType, ask, name_promises
from plumb.probes.promises.duplicate_addresses import Claim, Claimed, claims_of, look
from plumb.probes.promises.promise import HOST, WORLD, Member, Promise, Protocol
from plumb.probes.promises.published_ports import PublishingHost, at_own_address, published
from plumb.probes.promises.reachability import BOTH, promises
from plumb.probes.promises.remote_endpoints import Remotes
from plumb.probes.promises.verdicts import Observation
from plumb.probes.promises.written import WrittenOutcome
from plumb.probes.traffic.balanced import balance
from plumb.probes.traffic.observe import try_out

CROWDED = 30
"""Members from which on plumb tries only a part of the name promises.

Up to this number, each member queries all names, in every form, by UDP and TCP. Above it, each
queries this many names that it must know and as many that it must not, by UDP, and the members
together query every name.
"""
AT_A_TIME = 2000
"""Queries for names that are under way together."""
MORE = 2.0
"""Factor of the second trial's timeout."""
AT_LEAST = 2.0
"""Seconds that it has at least, for a reply that a busy host sends late."""
Progress = Callable[[int], None]
Outcome = Observation | NameOutcome | Claimed | ServiceOutcome | WrittenOutcome


@frozen
class Outside:
    """Addresses and routes beyond the host's networks.

    Attributes:
        place: the namespace file from which the world sends probes; empty: it sends none.
        addresses: the world's, which the host reaches, one of each family at most.
        own: the host's own addresses that are outside plumb's networks.
        routed: the containers' addresses to which the world has a route by this host.
    """

    place: str = ""
    addresses: tuple[IPAddress, ...] = ()
    own: tuple[IPInterface, ...] = ()
    routed: frozenset[IPAddress] = frozenset()


@frozen
class Host:
    """Host settings that promises depend on.

    Attributes:
        proxy: the user-land proxy serves published ports.
        filtered: the address families in which the host forwards and has firewall rules.
        direct: routing straight to containers is allowed.
    """

    proxy: bool = True
    filtered: frozenset[int] = BOTH
    direct: bool = False


@dataclass
class Expected:
    """Promises, and the namespaces in which to try them.

    Attributes:
        members: all names, in the order of the tables.
        networks: the networks of each container, by name.
        places: the namespace file of each name that has one.
    """

    members: list[str]
    networks: Mapping[str, tuple[str, ...]]
    places: Mapping[str, str]
    reach: list[Promise]
    names: list[NamePromise]
    claims: list[Claim]
    services: list[ServicePromise] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Number of promises."""
        return len(self.reach) + len(self.names) + len(self.claims) + len(self.services)


@dataclass
class Matrix:
    """Observations of all promises.

    Attributes:
        written: those of promises that users have written; whoever tried them adds them.
    """

    members: list[str]
    reach: list[Observation] = field(default_factory=list)
    names: list[NameOutcome] = field(default_factory=list)
    claims: list[Claimed] = field(default_factory=list)
    services: list[ServiceOutcome] = field(default_factory=list)
    written: list[WrittenOutcome] = field(default_factory=list)

    @property
    def tried(self) -> int:
        """Number of promises that were tried."""
        return len(self._every)

    @property
    def differing(self) -> list[Outcome]:
        """Observations that break their promise, or do not show it."""
        return [each for each in self._every if not each.kept]

    @property
    def _every(self) -> list[Outcome]:
        return [*self.reach, *self.names, *self.claims, *self.services, *self.written]


def expected(
    members: Sequence[Member],
    places: Mapping[str, str],
    outside: Outside,
    host: Host,
    remotes: Remotes = MappingProxyType({}),
    services: Services = MappingProxyType({}),
) -> Expected:
    """Promises to and about these containers.

    Args:
        members: the running containers with their endpoints and networks.
        places: the namespace file of each container, and of HOST.
        remotes: the endpoints of their networks on other hosts.
        services: the cluster's services on this host's networks.
    """
    there = {**places, **({WORLD: outside.place} if outside.place else {})}
    promised = [
        promise
        for promise in promises(
            members,
            outside.addresses,
            routed_here=bool(outside.routed),
            own=outside.own,
            filtered=host.filtered,
        )
        if promise.source != WORLD or promise.address in outside.routed
    ]
    publishing = PublishingHost([ip.ip for ip in outside.own], host.proxy, host.filtered)
    promised += published(members, publishing)
    promised += [
        promise
        for promise in at_own_address(members, publishing, host.direct)
        if promise.address in outside.routed
    ]
    # A world that is an address alone sends no probes, and plumb knows of no listener on its ports.
    reach = [
        promise
        for promise in promised
        if promise.source in there
        and (promise.target in there or promise.protocol is Protocol.ICMP)
    ]
    reach += remote_endpoints.reached(members, remotes)
    names = name_promises(members, remotes, services)
    if len(members) > CROWDED:
        names = _sample(names, [box.name for box, _ in members])
    world = [WORLD] if outside.place or outside.addresses else []
    networks = {
        box.name: tuple(sorted(net.name for _, net in ends)) or (box.mode,) for box, ends in members
    }
    others = remote_endpoints.titles(remotes, members)
    return Expected(
        [*networks, *others, HOST, *world],
        networks,
        there,
        reach,
        names,
        claims_of(members),
        service_promises(members, services, outside.own, list(there)),
    )


def _sample(names: Sequence[NamePromise], members: Sequence[str]) -> list[NamePromise]:
    """Sample of the name promises of many members, CROWDED of each kind for each member.

    A member's sample begins with the members after it, so that all names have their turn.
    """
    order = {name: number for number, name in enumerate(members)}
    parts: dict[tuple[str, bool], list[NamePromise]] = {}
    for promise in names:
        if (
            promise.protocol is Protocol.UDP
            and promise.kind is QueryType.A
            and promise.name in order
        ):
            parts.setdefault((promise.source, bool(promise.means)), []).append(promise)
    return [
        promise
        for (source, _), part in parts.items()
        for promise in sorted(
            part, key=lambda each: (order[each.name] - order[source]) % len(order)
        )[:CROWDED]
    ]


def hold(wanted: Expected, seconds: float = 1.0, progress: Progress = lambda done: None) -> Matrix:
    """Try all promises.

    Args:
        seconds: the time to wait for answers that must not come.
        progress: called with the number of promises tried since the last call.
    """
    # Each thread enters namespaces by itself, so all three trials run at the same time.
    with ThreadPoolExecutor() as threads:
        names = threads.submit(_query_names, wanted, wanted.names, seconds)
        claims = threads.submit(look, wanted.claims, wanted.places)
        services = threads.submit(balance, wanted.services, wanted.places, seconds)
        found = Matrix(
            wanted.members,
            try_out(wanted.reach, wanted.places, seconds, progress),
            names.result(),
            claims.result(),
            services.result(),
        )
    progress(len(wanted.names) + len(wanted.claims) + len(wanted.services))
    _retry(found, wanted, max(seconds * MORE, AT_LEAST))
    return found


def _query_names(
    wanted: Expected, names: Sequence[NamePromise], seconds: float
) -> list[NameOutcome]:
    rest, found = iter(names), []
    while part := list(islice(rest, AT_A_TIME)):
        found += ask(part, wanted.places, seconds)
    return found


def _retry(found: Matrix, wanted: Expected, seconds: float) -> None:
    """Try again the promises whose answer did not come.

    The kept promises of the same clients and servers are tried with them: a silence counts beside
    answers only (`verdicts`).
    """
    late = [
        number
        for number, each in enumerate(found.reach)
        if not each.kept and (each.promise.reach or not each.reached)
    ]
    if late:
        missed = [found.reach[number].promise for number in late]
        concerned = {name for promise in missed for name in (promise.source, promise.target)}
        controls = [each.promise for each in found.reach if each.kept and each.reached]
        tried = try_out(
            missed
            + [promise for promise in controls if {promise.source, promise.target} & concerned],
            wanted.places,
            seconds,
        )
        for number, each in zip(late, tried, strict=False):
            found.reach[number] = each
    slow = [number for number, named in enumerate(found.names) if not named.kept]
    if slow:
        for number, name in zip(
            slow,
            ask([found.names[number].promise for number in slow], wanted.places, seconds),
            strict=True,
        ):
            found.names[number] = name
    lost = [number for number, claimed in enumerate(found.claims) if not claimed.found]
    for number, claim in zip(
        lost, look([found.claims[number].claim for number in lost], wanted.places), strict=True
    ):
        found.claims[number] = claim
    broken = [number for number, each in enumerate(found.services) if not each.kept]
    again = balance([found.services[number].promise for number in broken], wanted.places, seconds)
    for number, outcome in zip(broken, again, strict=True):
        found.services[number] = outcome
