"""Rules of NAT that lead a published port elsewhere, and stand before its container's own.

An engine that was killed does not take its rules back. Where it adds new ones behind them, the
first that fits decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_network

from plumb.address import IPAddress, IPInterface
from plumb.doctor import firewalls
from plumb.doctor.checks import nat
from plumb.foreign import fields
from plumb.frozen import replace
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.snapshot import ChainState, ContainerState, RuleState, Snapshot
from plumb.model.foreign_firewall import Traffic, TrafficKind

ANYBODY = ip_network("0.0.0.0/0")
OWN = re.compile(r"DOCKER|CNI-(?:HOSTPORT-DNAT|DN-\w+)|NETAVARK-(?:HOSTPORT-DNAT|DN-\w+)")
"""Chains in which engines rewrite published ports; plumb's own are held against its record."""
TO = re.compile(r"--to-destination (\d+(?:\.\d+){3})(?::\d+)?")
Port = tuple[str, int]


def stale(snapshot: Snapshot) -> Iterator[Finding]:
    """Find published ports whose first rule leads to an address that is not their container's."""
    published: dict[Port, list[ContainerState]] = {}
    for box, end, net in snapshot.ends():
        for port in end.ports if net.bridged and net.engine != "plumb" else ():
            if port.host_port and port.host_ip.version == 4 and end.ip is not None:
                published.setdefault((str(port.protocol), port.host_port), []).append(box)
    chains = [
        each
        for each in snapshot.host.chains
        if each.table == "nat" and each.family == "ip" and OWN.fullmatch(each.name)
    ]
    for chain in chains if published else ():
        yield from _in_chain(snapshot, chain, published)


def _in_chain(
    snapshot: Snapshot, chain: ChainState, published: Mapping[Port, list[ContainerState]]
) -> Iterator[Finding]:
    """Find the stale rules of a chain: the first rule for each port is the one that counts."""
    uplinks = firewalls.uplinks(snapshot, 4)
    decided: set[Port] = set()
    for number, rule in enumerate(chain.rules, 1):
        target = TO.search(firewalls.without_comment(rule))
        if target is None:
            continue
        leads_to = fields.address(target[1])
        for port in firewalls.named_ports(rule):
            packets = Traffic(TrafficKind.PROXIED, "", ANYBODY, uplinks, *port)
            takes = firewalls.matches(_from_outside(rule, uplinks), packets)
            if port in decided or port not in published or not takes:
                continue
            decided.add(port)
            boxes = published[port]
            if leads_to is not None and not any(_has(box, leads_to) for box in boxes):
                yield _stale(snapshot, chain, number, boxes[0], port, leads_to)


def _from_outside(rule: RuleState, uplinks: frozenset[str]) -> RuleState:
    """A rule without its condition that packets come in by no bridge: those from outside do not."""
    kept = tuple(
        each
        for each in rule.conditions
        if each[0] != "iifname" or not each[2] or uplinks & {*each[1]}
    )
    return replace(rule, conditions=kept)


def _has(box: ContainerState, ip: IPAddress) -> bool:
    return any(own.ip == ip for end in box.ends for own in end.ips)


def _stale(
    snapshot: Snapshot,
    chain: ChainState,
    number: int,
    box: ContainerState,
    port: Port,
    leads_to: IPAddress,
) -> Finding:
    rule: RuleState = chain.rules[number - 1]
    name = f"{port[1]}/{port[0]}"
    other = next((each.name for each in snapshot.containers if _has(each, leads_to)), "")
    return Finding(
        "port-rule-stale",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"port {name} of {box.name} leads to {leads_to}, "
        + (f"which is {other}'s" if other else "which no container has"),
        (box.name, "host"),
        (
            f"{chain.tool} -t nat -S {chain.name}: rule {number}: {rule.words}",
            f"{box.name}: -p {port[1]}, {', '.join(str(own.ip) for own in _ips(box))}",
        ),
        "The first rule that fits a connection decides, and this one is of a container that was"
        " there before. An engine that was killed has not taken it back.",
        (nat.without(chain, number),),
    )


def _ips(box: ContainerState) -> list[IPInterface]:
    return [own for end in box.ends for own in end.ips]
