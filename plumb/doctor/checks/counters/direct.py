"""Direct routing: packets to containers' own addresses from elsewhere, which an engine drops.

Docker has done so since its version 28, for networks in gateway mode nat.
"""

from __future__ import annotations

from collections.abc import Iterator

from plumb.doctor import remedies
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.snapshot import ChainState, NetworkState, RuleState, Snapshot
from plumb.things.iptables import waiting

CHAINS = (("raw", "PREROUTING"), ("docker-bridges", "raw-PREROUTING"))
"""Tables and chains of the rules; plumb's own table has a name like Docker's."""
FEW = 3
"""Packets that are passed over: a connection that is tried sends its first one more often."""


def dropped(snapshot: Snapshot) -> Iterator[Finding]:
    """Find networks whose containers somebody asked by their own addresses, in vain."""
    for net in snapshot.bridges:
        own = {
            str(ip.ip) for _, end, other in snapshot.ends() if other.id == net.id for ip in end.ips
        }
        rules = [
            (chain, rule)
            for chain in snapshot.host.chains
            if (chain.table.replace("plumb", "docker"), chain.name) in CHAINS
            for rule in chain.rules
            if rule.packets and _is_of(rule, net, own)
        ]
        if sum(rule.packets for _, rule in rules) > FEW:
            yield _dropped(net, rules)


def _is_of(rule: RuleState, net: NetworkState, own: set[str]) -> bool:
    """True for the rule of one of a network's containers: to its address, not by its bridge."""
    by_key = {key: (values, negated) for key, values, negated in rule.conditions}
    links, elsewhere = by_key.pop("iifname", ((), False))
    to, others = by_key.pop("daddr", ((), False))
    here = len(to) == 1 and to[0].partition("/")[0] in own and not others
    return (
        rule.verdict == "drop"
        and here
        and elsewhere
        and net.link in links
        and not by_key.keys() - {"nfproto"}
    )


def _dropped(net: NetworkState, rules: list[tuple[ChainState, RuleState]]) -> Finding:
    count = sum(rule.packets for _, rule in rules)
    shown = sorted(rules, key=lambda each: -each[1].packets)[:3]
    chains = {(chain.tool, chain.table, chain.name): chain for chain, _ in rules}
    words = f"{remedies.words_of(net.engine)} network create -o com.docker.network.bridge"
    return Finding(
        "direct-access-dropped",
        Grade.HINT,
        Severity.WARNING,
        f"{count} packets to containers of {net.name} by their own addresses were dropped",
        (net.name,),
        tuple(
            f"{chain.tool}, table {chain.table}, chain {chain.name}: {rule.packets} packets:"
            f" {rule.words}"
            for chain, rule in shown
        ),
        "A container's own address is for its bridge and this host alone; what comes in by another"
        " link is dropped before it is routed. Somebody on the LAN, in a VPN or on another network"
        " of this host has tried; the published ports are open to him.",
        (
            f"{words}.trusted_host_interfaces=LINK …, if who comes in by that link may",
            f"{words}.gateway_mode_ipv4=routed …, if everybody may",
            *(_from_zero(chain) for chain in chains.values()),
        ),
    )


def _from_zero(chain: ChainState) -> str:
    """Words on how the counters begin anew, where nobody was to be let in; others may read them."""
    if chain.tool == "nft":
        return "nothing, if nobody was to be let in: the counter goes with the rules"
    words = f"{waiting(chain.tool)} -t {chain.table} -Z {chain.name}"
    return f"nothing, if nobody was to be let in; {words} sets the counters of all its rules to 0"
