"""Chains of a snapshot as firewalls that can be asked what becomes of some traffic."""

from __future__ import annotations

import re
import shlex
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from plumb.address import IPNetwork
from plumb.doctor import remedies
from plumb.foreign.fields import printable
from plumb.frozen import replace
from plumb.model.diagnosis.snapshot import (
    ChainState,
    NamespaceState,
    NetworkState,
    RuleState,
    Snapshot,
)
from plumb.model.foreign_firewall import (
    Condition,
    FirewallRule,
    Fit,
    ForeignFirewall,
    Traffic,
    TrafficKind,
)

OWN_TABLES = frozenset({"plumb-bridges", "docker-bridges", "docker-overlay", "netavark"})
"""Tables of nft that engines make for their networks, and that drop what these forbid."""
ENGINES = re.compile("DOCKER|PLUMB|NETAVARK|CNI-")
"""Beginnings of the names of engines' chains."""
ANY_PORT = ""
NOBODY_S = re.compile("(?!)")
OF_ENGINE = {
    "plumb": (re.compile("PLUMB"), re.compile("plumb-")),
    "docker": (re.compile("DOCKER"), re.compile("docker-bridges")),
    "podman": (re.compile("NETAVARK|CNI-"), re.compile("netavark")),
    "containerd": (re.compile("CNI-"), NOBODY_S),
}
"""Beginnings of the names of each engine's chains of iptables, and of its tables of nft."""
HOOKS = ("forward", "prerouting", "postrouting")
OWN_JUMP = re.compile(r"-j (?:DOCKER|PLUMB|NETAVARK|CNI)[-_]\w+")
REWRITES = re.compile(r"\b(?:DNAT|REDIRECT|dnat|redirect)\b")
NAT = re.compile(r"\b(?:MASQUERADE|SNAT|masquerade|snat)\b")
COMMENT = re.compile(r'\bcomment (?:--comment )?(?:"(?:[^"\\]|\\.)*"|\S+)')
"""A rule's comment, which may have any words."""


def without_comment(rule: RuleState) -> str:
    """Words of a rule that do something: all but its comment."""
    return COMMENT.sub("", rule.words)


def forwarding(snapshot: Snapshot) -> Iterator[ForeignFirewall]:
    """Yield the base chains that forwarded packets pass, engines' own tables of nft left out."""
    for chain in snapshot.host.chains:
        own = chain.tool == "nft" and chain.table in OWN_TABLES
        if chain.hook in HOOKS and chain.table != "nat" and not own:
            yield firewall(snapshot.host, chain)


def firewall(space: NamespaceState, chain: ChainState) -> ForeignFirewall:
    """Make a firewall of a base chain of a namespace, and the chains of its table."""
    lines = {
        each.name: tuple(map(_rule, each.rules))
        for each in space.chains
        if (each.tool, each.family, each.table) == (chain.tool, chain.family, chain.table)
    }
    return ForeignFirewall(
        chain.tool,
        chain.family,
        chain.table,
        chain.name,
        chain.hook,
        chain.priority,
        chain.policy,
        lines,
    )


def certain(chain: ForeignFirewall, packets: Traffic) -> bool:
    """Test for a base chain that drops all of some packets, by a rule or by its policy.

    It is not certain where another rule holds for some of them, or has unknown conditions.
    """
    others = (rule for rules in chain.lines.values() for rule in rules)
    return chain.stops(packets) and not any(
        rule.verdict not in ("", "drop") and rule.fit(packets) is Fit.SOME for rule in others
    )


def may_accept(chain: ForeignFirewall, packets: Traffic) -> bool:
    """True if some rule accepts all of some packets, but for conditions that are not known here."""
    return any(
        rule.verdict == "accept"
        and any(not each.key for each in rule.conditions)
        and all(each.fit(packets) is Fit.ALL for each in rule.conditions if each.key)
        for rules in chain.lines.values()
        for rule in rules
    )


def decision(state: ChainState, chain: ForeignFirewall, packets: Traffic) -> str:
    """Reason why an input chain drops some packets: its rule that does, or else its policy."""
    lines = chain.lines[chain.chain]

    def decided(first: int) -> bool:
        return replace(chain, lines={**chain.lines, chain.chain: lines[:first]}).refuses(packets)

    number = bisect_left(range(len(lines) + 1), True, key=decided)
    if number > len(lines):
        return "its policy is drop"
    return f"a rule drops them: {printable(state.rules[number - 1].words, 80)}"


def rewriting(space: NamespaceState, packets: Traffic) -> str:
    """Words of a rule that may send some packets to another port before they are let in."""
    by_name = {(each.tool, each.family, each.table, each.name): each for each in space.chains}
    ahead = [each for each in space.chains if each.nat and each.hook == "prerouting"]
    known = {each.name for each in ahead}
    while ahead:
        chain = ahead.pop()
        for rule in chain.rules:
            if _rule(rule).fit(packets) is Fit.NONE:
                continue
            if REWRITES.search(without_comment(rule)):
                return f"{chain.table}/{chain.name}: {printable(rule.words, 80)}"
            target = by_name.get((chain.tool, chain.family, chain.table, rule.target))
            if target is not None and target.name not in known:
                known.add(target.name)
                ahead.append(target)
    return ""


def listing(chain: ForeignFirewall, why: str = "") -> str:
    """Evidence of a base chain: the command that lists it, and why it drops packets."""
    why = why or chain.why
    if chain.tool == "nft":
        words = remedies.nft_listing((chain.family, chain.table, chain.chain))
        return f"{shlex.join(words)}: {why}"
    return f"{chain.tool} -t {chain.table} -S {chain.chain}: {why}"


def _rule(rule: RuleState) -> FirewallRule:
    return FirewallRule(
        tuple(Condition(*each) for each in rule.conditions), rule.verdict, rule.target
    )


def chain_of(snapshot: Snapshot, tool: str, table: str, name: str) -> ChainState | None:
    """A chain by its tool, table and name; None where there is none."""
    return next(
        (
            each
            for each in snapshot.host.chains
            if (each.tool, each.table, each.name) == (tool, table, name)
        ),
        None,
    )


def uplinks(snapshot: Snapshot, version: int) -> frozenset[str]:
    """The links that default routes of an IP version lead through."""
    return frozenset(route.dev for route in snapshot.host.defaults(version) if route.dev)


def traffic(snapshot: Snapshot, net: NetworkState, subnet: IPNetwork, way: TrafficKind) -> Traffic:
    """Packets of one kind of a network."""
    return Traffic(way, net.link, subnet, uplinks(snapshot, subnet.version))


def among_containers(net: NetworkState, subnet: IPNetwork) -> Traffic:
    """Packets from one container of a network to another, as iptables sees them."""
    return Traffic(TrafficKind.OUT, net.link, subnet, frozenset({net.link}))


def has_own_tables(snapshot: Snapshot) -> bool:
    """True where an engine has tables of nft's own for its bridges, and so no rules of iptables."""
    own = OWN_TABLES - {"docker-overlay"}
    return any(chain.tool == "nft" and chain.table in own for chain in snapshot.host.chains)


def has_rules(snapshot: Snapshot, engine: str = "") -> bool:
    """True where an engine has written rules of IPv4; by default some engine, whichever."""
    if not engine:
        return bool(engines_tool(snapshot, 4)) or has_own_tables(snapshot)
    chains, tables = OF_ENGINE.get(engine, (NOBODY_S, NOBODY_S))
    return any(
        tables.match(each.table)
        if each.tool == "nft"
        else each.family == "ip" and chains.match(each.name)
        for each in snapshot.host.chains
    )


def masqueraded(snapshot: Snapshot, net: NetworkState, subnet: IPNetwork) -> bool:
    """True if some rule rewrites the sources of a subnet's packets that leave the host."""
    outgoing = traffic(snapshot, net, subnet, TrafficKind.OUT)
    family = "ip" if subnet.version == 4 else "ip6"
    for chain in snapshot.host.chains:
        if chain.family not in (family, "inet"):
            continue
        for rule in chain.rules:
            if NAT.search(without_comment(rule)) and _covers(_rule(rule), outgoing):
                return True
    return False


def matches(rule: RuleState, packets: Traffic) -> bool:
    """True if all of some packets match all conditions of a rule."""
    return _rule(rule).fit(packets) is Fit.ALL


class RulesByPort:
    """Rules by the ports of the host that they are for, each made ready to be asked once."""

    def __init__(self, rules: Iterable[RuleState]) -> None:
        self._rules: dict[str, list[FirewallRule]] = {}
        for each in rules:
            rule = _rule(each)
            for port in _ports(rule):
                self._rules.setdefault(port, []).append(rule)

    def may_match(self, packets: Traffic) -> bool:
        """True if some of the packets to a port may match one of the rules."""
        known = (*self._rules.get(str(packets.port), ()), *self._rules.get(ANY_PORT, ()))
        return any(rule.fit(packets) is not Fit.NONE for rule in known)


def named_ports(rule: RuleState) -> list[tuple[str, int]]:
    """Protocols and ports that a rule names one by one; none where it names ranges or no port."""
    protocols = [
        value
        for key, values, negated in rule.conditions
        if key == "l4proto" and not negated
        for value in values
    ]
    ports = [each for each in _ports(_rule(rule)) if each.isdecimal()]
    return [(protocol, int(port)) for protocol in protocols for port in ports]


def _ports(rule: FirewallRule) -> tuple[str, ...]:
    """The ports that a rule names one by one; any port, where it names ranges or none."""
    named = [each.values for each in rule.conditions if each.key == "dport" and not each.negated]
    plain = len(named) == 1 and all(value.isdecimal() for value in named[0])
    return named[0] if plain else (ANY_PORT,)


def _covers(rule: FirewallRule, outgoing: Traffic) -> bool:
    sources = [each for each in rule.conditions if each.key == "saddr"]
    return rule.fit(outgoing) is not Fit.NONE and all(
        each.fit(outgoing) is Fit.ALL for each in sources
    )


def variants(snapshot: Snapshot, family: str = "ip") -> dict[str, int]:
    """Number of rules, and of policies that drop, by variant of iptables."""
    found: dict[str, int] = {}
    for chain in snapshot.host.chains:
        if chain.family == family and chain.tool != "nft":
            drops = chain.policy == "drop"
            found[chain.tool] = found.get(chain.tool, 0) + len(chain.rules) + drops
    return {tool: count for tool, count in found.items() if count}


def engines_tool(snapshot: Snapshot, version: int) -> str:
    """The variant of iptables in which an engine has its chains; empty where none has any."""
    tool = "iptables-" if version == 4 else "ip6tables-"
    for chain in snapshot.host.chains:
        if chain.tool.startswith(tool) and ENGINES.match(chain.name):
            return chain.tool
    return ""
