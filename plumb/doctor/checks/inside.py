"""Rules of a firewall in a container's own namespace: what its program, or somebody, has made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network
from typing import NamedTuple

from plumb.doctor import firewalls, remedies
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.remedy import Advice, joined
from plumb.model.diagnosis.snapshot import (
    ChainState,
    ContainerState,
    EndState,
    NamespaceState,
    Snapshot,
)
from plumb.model.foreign_firewall import ForeignFirewall, Traffic, TrafficKind
from plumb.things.iptables import waiting

ANYBODY = ip_network("0.0.0.0/0")
WORDS = {"input": "what comes to it", "output": "what it sends"}
FIREWALL_INSIDE = (
    "A container has a firewall of its own, beside the host's, in its network namespace. Whoever"
    " may change it there, with NET_ADMIN or from the host, keeps packets from its program."
)


Published = tuple[EndState, int, str]
"""A place in a network, a port of the container, and its protocol."""


class Inside(NamedTuple):
    """A container's namespace, with those of its base chains that can drop packets."""

    space: NamespaceState
    chains: tuple[tuple[ChainState, ForeignFirewall], ...]


def blocked(snapshot: Snapshot) -> Iterator[Finding]:
    """Find containers whose own rules drop what comes to them, or what they send.

    That packets for a published port are dropped contradicts that it is published; anything else
    may be meant.
    """
    places = {box.place: _inside(snapshot, box) for box in snapshot.containers}
    reported = set()
    for box in snapshot.containers:
        ports = [(end, each.port, str(each.protocol)) for end in box.ends for each in end.ports]
        for finding in _dropped(box, places[box.place], ports):
            reported.add((box.place, "input"))
            yield finding
    for box in snapshot.containers:
        for _, chain in places[box.place].chains:
            where = (box.place, chain.hook)
            if chain.hook in WORDS and where not in reported and chain.stands:
                reported.add(where)
                yield _stands(box, chain)


def port_dropped(
    snapshot: Snapshot, box: ContainerState, end: EndState, port: int, protocol: str
) -> Iterator[Finding]:
    """Find rules of a container that drop a client's first packet to a port."""
    yield from _dropped(box, _inside(snapshot, box), [(end, port, protocol)])


def _inside(snapshot: Snapshot, box: ContainerState) -> Inside:
    space = snapshot.space(box)
    if space is None or box.place == "host":
        return Inside(NamespaceState(box.place), ())
    chains = (
        (each, firewalls.firewall(space, each))
        for each in space.chains
        if each.hook and not each.nat and each.table not in firewalls.OWN_TABLES
    )
    return Inside(space, tuple(chains))


def _dropped(box: ContainerState, inside: Inside, ports: Sequence[Published]) -> Iterator[Finding]:
    """Yield a finding for each chain that drops a client's first packet to some of the ports."""
    for state, chain in inside.chains:
        dropped: dict[tuple[int, str], Traffic] = {}
        for end, port, protocol in ports if chain.hook == "input" and chain.concerns(4) else ():
            link = inside.space.link_with(end.ip.ip) if end.ip is not None else None
            if link is not None:
                links = frozenset({link.name})
                packets = Traffic(TrafficKind.PROXIED, "", ANYBODY, links, protocol, port)
                if firewalls.certain(chain, packets):
                    dropped.setdefault((port, protocol), packets)
        if dropped:
            yield _ports(box, inside.space, state, chain, dropped)


def _ports(
    box: ContainerState,
    space: NamespaceState,
    state: ChainState,
    chain: ForeignFirewall,
    dropped: dict[tuple[int, str], Traffic],
) -> Finding:
    every = dropped.values()
    why = firewalls.decision(state, chain, next(iter(every)))
    rewritten = next(filter(None, (firewalls.rewriting(space, each) for each in every)), "")
    names = ", ".join(f"{port}/{protocol}" for port, protocol in dropped)
    return Finding(
        "port-dropped-inside",
        Grade.LIKELY if rewritten else Grade.PROVEN,
        Severity.PROBLEM,
        f"{box.name} itself drops what comes to its port{'s' * (len(dropped) > 1)} {names}: {why}",
        (box.name,),
        (
            f"{box.name}: {firewalls.listing(chain, why)}",
            *([f"{box.name}: may go to another port before: {rewritten}"] if rewritten else ()),
        ),
        FIREWALL_INSIDE,
        (_accepting(box, chain, dropped),),
    )


def _stands(box: ContainerState, chain: ForeignFirewall) -> Finding:
    return Finding(
        "firewall-inside",
        Grade.HINT,
        Severity.WARNING,
        f"{box.name} itself drops {WORDS[chain.hook]}, but for what its rules accept",
        (box.name,),
        (f"{box.name}: {firewalls.listing(chain)}",),
        FIREWALL_INSIDE,
        (_listing(box, chain),),
    )


def _start(chain: ForeignFirewall) -> tuple[str, ...]:
    return (*waiting(chain.tool).split(), "-t", chain.table)


def _accepting(
    box: ContainerState, chain: ForeignFirewall, ports: Iterable[tuple[int, str]]
) -> Advice:
    """The commands that let packets to ports through, and to no others."""
    if chain.tool == "nft":
        return _listing(box, chain)
    rules = [("-p", protocol, "--dport", str(port), "-j", "ACCEPT") for port, protocol in ports]
    return joined(
        [
            remedies.inside(
                box.engine,
                box.name,
                box.place,
                (*_start(chain), "-I", chain.chain, *rule),
                (*_start(chain), "-D", chain.chain, *rule),
            )
            for rule in rules
        ]
    )


def _listing(box: ContainerState, chain: ForeignFirewall) -> str:
    """The command that shows the rules to whoever decides."""
    words: tuple[str, ...] = (*_start(chain), "-S", chain.chain)
    if chain.tool == "nft":
        words = remedies.nft_listing((chain.family, chain.table, chain.chain))
    return remedies.inside_words(box.engine, box.name, words)
