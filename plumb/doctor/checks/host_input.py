"""The host's own firewall, of packets that are for the host itself: chains at the hook input."""

from __future__ import annotations

from collections.abc import Iterator

from plumb.address import IPAddress, IPNetwork
from plumb.doctor import firewalls, remedies
from plumb.doctor.checks.names import servers
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.remedy import Advice
from plumb.model.diagnosis.snapshot import NetworkState, Snapshot
from plumb.model.foreign_firewall import ForeignFirewall, Traffic, TrafficKind


def _chains(snapshot: Snapshot) -> Iterator[ForeignFirewall]:
    """The base chains that packets to the host pass."""
    for chain in snapshot.host.chains:
        if chain.hook == "input" and chain.table not in ("nat", *firewalls.OWN_TABLES):
            yield firewalls.firewall(snapshot.host, chain)


def _to_host(links: frozenset[str], subnet: IPNetwork, protocol: str, port: int) -> Traffic:
    """Packets that come in by some links, to a port of the host."""
    return Traffic(TrafficKind.PROXIED, "", subnet, links, protocol, port)


def dns_blocked(snapshot: Snapshot) -> Iterator[Finding]:
    """Find containers whose name server is the host, whose firewall drops their questions."""
    own = {ip.ip for _, ip in snapshot.host.addresses if not ip.ip.is_loopback}
    reported = set()
    for box, end, net in snapshot.ends():
        space = snapshot.space(box)
        asked = [ip for ip in servers(space) if ip in own] if space is not None else []
        for ip in asked if net.bridged and end.ip is not None else ():
            chain = _dropping(snapshot, net, ip)
            if chain is not None and (net.link, ip) not in reported:
                reported.add((net.link, ip))
                yield _blocked(box.name, net, ip, chain)


def _dropping(snapshot: Snapshot, net: NetworkState, ip: IPAddress) -> ForeignFirewall | None:
    for subnet in net.subnets:
        questions = _to_host(frozenset({net.link}), subnet, "udp", 53)
        for chain in _chains(snapshot) if subnet.version == ip.version else ():
            if chain.concerns(ip.version) and chain.refuses(questions):
                return chain
    return None


def _blocked(name: str, net: NetworkState, ip: IPAddress, chain: ForeignFirewall) -> Finding:
    return Finding(
        "dns-blocked",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"the host drops {name}'s questions to its name server {ip}",
        (name, net.name, "host"),
        (f"{name}: resolv.conf: nameserver {ip}, an address of the host", f"{chain}: drops them"),
        "The server runs on the host, so the questions pass the hook input there, as any packet to"
        " a service of the host. The firewall was made without the containers in mind.",
        (_accepting(chain, net.link),),
    )


def _accepting(chain: ForeignFirewall, link: str) -> Advice:
    """The command that lets questions from a bridge in."""
    plain = remedies.plain((chain.tool, chain.table, chain.chain, link))
    if chain.tool == "nft" or not plain:
        return f"have {chain} accept UDP and TCP port 53 from {link}"
    return remedies.iptables(
        *(chain.tool, chain.table, chain.chain),
        *("-i", link, "-p", "udp", "--dport", "53", "-j", "ACCEPT"),
        head=True,
    )
