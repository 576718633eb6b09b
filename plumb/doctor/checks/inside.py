"""Rules of a firewall in a container's own namespace: what its program, or somebody, has made."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from plumb.doctor import firewalls, remedies
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.remedy import Advice
from plumb.model.diagnosis.snapshot import ContainerState, EndState, NamespaceState, Snapshot
from plumb.model.foreign_firewall import ForeignFirewall, Traffic, TrafficKind
from plumb.things.iptables import waiting

ANYBODY = ip_network("0.0.0.0/0")
WORDS = {"input": "what comes to it", "output": "what it sends"}
FIREWALL_INSIDE = (
    "A container has a firewall of its own, beside the host's, in its network namespace. Whoever"
    " may change it there, with NET_ADMIN or from the host, keeps packets from its program."
)


def blocked(snapshot: Snapshot) -> Iterator[Finding]:
    """Find containers whose own rules drop what comes to them, or what they send.

    That packets for a published port are dropped contradicts that it is published; anything else
    may be meant.
    """
    reported = set()
    for box, end, _ in snapshot.ends():
        for port in end.ports:
            finding = port_dropped(snapshot, box, end, port.port, port.protocol)
            if finding is not None and (box.name, port.port) not in reported:
                reported |= {(box.name, port.port), (box.place, "input")}
                yield finding
    for box in snapshot.containers:
        space = snapshot.space(box)
        for chain in _chains(space) if space is not None and box.place != "host" else ():
            where = (box.place, chain.hook)
            if chain.hook in WORDS and where not in reported and chain.stands:
                reported.add(where)
                yield _stands(box, chain)


def port_dropped(
    snapshot: Snapshot, box: ContainerState, end: EndState, port: int, protocol: str
) -> Finding | None:
    """Find rules of a container that drop a client's first packet to a port; None without any."""
    space = snapshot.space(box)
    link = None if space is None or end.ip is None else space.link_with(end.ip.ip)
    if space is None or link is None or box.place == "host":
        return None
    packets = Traffic(TrafficKind.PROXIED, "", ANYBODY, frozenset({link.name}), str(protocol), port)
    for chain in _chains(space):
        if chain.hook == "input" and chain.concerns(4) and firewalls.certain(chain, packets):
            return Finding(
                "port-dropped-inside",
                Grade.PROVEN,
                Severity.PROBLEM,
                f"{box.name} itself drops what comes to its port {port}/{protocol}: {chain.why}",
                (box.name,),
                (f"{box.name}: {firewalls.listing(chain)}",),
                FIREWALL_INSIDE,
                (_remedy(box, chain),),
            )
    return None


def _chains(space: NamespaceState) -> Iterator[ForeignFirewall]:
    for chain in space.chains:
        if chain.hook and chain.table not in ("nat", *firewalls.OWN_TABLES):
            yield firewalls.firewall(space, chain)


def _stands(box: ContainerState, chain: ForeignFirewall) -> Finding:
    return Finding(
        "firewall-inside",
        Grade.HINT,
        Severity.WARNING,
        f"{box.name} itself drops {WORDS[chain.hook]}, but for what its rules accept",
        (box.name,),
        (f"{box.name}: {firewalls.listing(chain)}",),
        FIREWALL_INSIDE,
        (_remedy(box, chain),),
    )


def _remedy(box: ContainerState, chain: ForeignFirewall) -> Advice:
    """The command that lets packets through again, or shows the rules to whoever decides."""
    if chain.tool == "nft":
        words = ("nft", "list", "chain", chain.family, chain.table, chain.chain)
        return remedies.inside_words(box.engine, box.name, words)
    start = (*waiting(chain.tool).split(), "-t", chain.table)
    if chain.policy == "drop":
        policy = (*start, "-P", chain.chain)
        undo = (*policy, "DROP")
        return remedies.inside(box.engine, box.name, box.place, (*policy, "ACCEPT"), undo)
    return remedies.inside_words(box.engine, box.name, (*start, "-S", chain.chain))
