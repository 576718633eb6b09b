"""Everyone to everyone: what is promised, and what is so.

    promises    between containers, the host and the world (`promises`), of published ports (`published`)
    names       what containers call each other (`naming`)
    owners      that each address belongs to one alone (`owners`)

What is not as promised is asked once more with more patience: on a busy machine an answer may come
late. What came although it must not is not asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from plumb.address import IPAddress, IPInterface
from plumb.probes.promises.dns_names import NameOutcome, NamePromise, QueryType, ask, name_promises
from plumb.probes.promises.duplicate_addresses import Claim, Claimed, claims_of, look
from plumb.probes.promises.promise import HOST, WORLD, Member, Promise, Protocol
from plumb.probes.promises.published_ports import Outlook, published
from plumb.probes.promises.reachability import BOTH, promises
from plumb.probes.promises.verdicts import Observation
from plumb.probes.traffic.observe import try_out

CROWDED = 30
"""With more members than this, each of them asks for as many names that it must know and as many that it must not, by UDP; in all, every
name is asked for. With fewer, each asks for all names, in every form, by UDP and TCP."""
AT_A_TIME = 2000
"""Questions for names that are under way together."""
MORE = 2.0
"""How much longer an answer is waited for the second time."""
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Outside:
    """What is beyond the host.

    Attributes:
        place: the namespace file of the world: it asks from there; empty: it cannot.
        addresses: the world's, which the host reaches, one of each family at most.
        own: the host's own addresses that are outside plumb's networks.
        routed: the containers' addresses to which the world has a way that leads here.
    """

    place: str = ""
    addresses: tuple[IPAddress, ...] = ()
    own: tuple[IPInterface, ...] = ()
    routed: frozenset[IPAddress] = frozenset()


@dataclass(frozen=True)
class Host:
    """What of the host's settings bears upon promises.

    The user-land proxy, the families in which it forwards and has firewall rules.
    """

    proxy: bool = True
    walls: frozenset[int] = BOTH


@dataclass
class Expected:
    """All that is promised, and where to try it.

    Attributes:
        members: all names, in the order in which they are shown.
        networks: the networks of each container, by name.
        places: the namespace file of each name that has one.
    """

    members: list[str]
    networks: Mapping[str, tuple[str, ...]]
    places: Mapping[str, str]
    reach: list[Promise]
    names: list[NamePromise]
    claims: list[Claim]

    @property
    def total(self) -> int:
        """How many questions that is."""
        return len(self.reach) + len(self.names) + len(self.claims)


@dataclass
class Matrix:
    """What was promised, and what is so."""

    members: list[str]
    reach: list[Observation] = field(default_factory=list)
    names: list[NameOutcome] = field(default_factory=list)
    claims: list[Claimed] = field(default_factory=list)

    @property
    def tried(self) -> int:
        """How many promises were tried."""
        return len(self.reach) + len(self.names) + len(self.claims)

    @property
    def differing(self) -> list[Observation | NameOutcome | Claimed]:
        """What is not as promised, or was not shown to be."""
        every: list[Observation | NameOutcome | Claimed] = [*self.reach, *self.names, *self.claims]
        return [each for each in every if not each.kept]


def expected(
    members: Sequence[Member], places: Mapping[str, str], outside: Outside, host: Host
) -> Expected:
    """All that is promised to and of these containers.

    Args:
        members: the running containers with their endpoints and networks.
        places: the namespace file of each container, and of HOST.
    """
    there = {**places, **({WORLD: outside.place} if outside.place else {})}
    made = [
        promise
        for promise in promises(
            members,
            outside.addresses,
            routed_here=bool(outside.routed),
            own=outside.own,
            walls=host.walls,
        )
        if promise.source != WORLD or promise.address in outside.routed
    ]
    made += published(members, Outlook([ip.ip for ip in outside.own], host.proxy, host.walls))
    # A world that is an address alone asks nothing, and has no port of which it is known that
    # somebody listens there.
    reach = [
        promise
        for promise in made
        if promise.source in there
        and (promise.target in there or promise.protocol is Protocol.ICMP)
    ]
    names = name_promises(members)
    if len(members) > CROWDED:
        names = _some(names, [box.name for box, _ in members])
    world = [WORLD] if outside.place or outside.addresses else []
    networks = {
        box.name: tuple(sorted(net.name for _, net in ends)) or (box.mode,) for box, ends in members
    }
    return Expected([*networks, HOST, *world], networks, there, reach, names, claims_of(members))


def _some(names: Sequence[NamePromise], members: Sequence[str]) -> list[NamePromise]:
    """Of what a crowd must know of each other's names, and must not, as much for each as there is time for; each begins elsewhere."""
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
    """Try all that is promised.

    Args:
        seconds: how long to wait for what must not come.
        progress: is told how many more promises are tried, now and then.
    """
    with (
        ThreadPoolExecutor() as beside
    ):  # a thread is in a namespace by itself, so all three can go on together
        names = beside.submit(_asked, wanted, wanted.names, seconds)
        claims = beside.submit(look, wanted.claims, wanted.places)
        found = Matrix(
            wanted.members,
            try_out(wanted.reach, wanted.places, seconds, progress),
            names.result(),
            claims.result(),
        )
    progress(len(wanted.names) + len(wanted.claims))
    _again(found, wanted, seconds * MORE)
    return found


def _asked(wanted: Expected, names: Sequence[NamePromise], seconds: float) -> list[NameOutcome]:
    rest, found = iter(names), []
    while part := list(islice(rest, AT_A_TIME)):
        found += ask(part, wanted.places, seconds)
    return found


def _again(found: Matrix, wanted: Expected, seconds: float) -> None:
    """What did not come the first time.

    Who asks or is asked there, is asked by others again as well, so that silence is shown.
    """
    late = [
        number
        for number, each in enumerate(found.reach)
        if not each.kept and (each.promise.reach or not each.reached)
    ]
    if late:
        missed = [found.reach[number].promise for number in late]
        concerned = {name for promise in missed for name in (promise.source, promise.target)}
        beside = [each.promise for each in found.reach if each.kept and each.reached]
        tried = try_out(
            missed
            + [promise for promise in beside if {promise.source, promise.target} & concerned],
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
