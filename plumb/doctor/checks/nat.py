"""Address translation: sources that are not masqueraded, and flows to containers that are gone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from itertools import takewhile

from plumb.doctor import firewalls, remedies
from plumb.foreign import names
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.remedy import Advice, command
from plumb.model.diagnosis.snapshot import (
    PLUMB,
    ChainState,
    ContainerState,
    NetworkState,
    RuleState,
    Snapshot,
)
from plumb.model.foreign_firewall import Traffic, TrafficKind
from plumb.model.netns_state import HOLDERS, Listener
from plumb.model.ports import Port
from plumb.things.iptables import waiting

REWRITES = re.compile(r"-j (?:DNAT|REDIRECT)\b")
ANYBODY = ip_network("0.0.0.0/0")
ENGINES = re.compile(r"DOCKER|PLUMB|CNI-HOSTPORT-DNAT|NETAVARK-HOSTPORT-DNAT")
"""Chains in which engines rewrite published ports."""


def no_masquerade(snapshot: Snapshot) -> Iterator[Finding]:
    """Find networks whose packets leave the host with an address that nobody outside knows."""
    for net in snapshot.bridges:
        if net.internal or not net.masquerade or 4 not in net.nat:
            continue
        for subnet in net.subnets:
            if subnet.version == 4 and not firewalls.masqueraded(snapshot, net, subnet):
                yield _unmasked(snapshot, net, str(subnet))


def _unmasked(snapshot: Snapshot, net: NetworkState, subnet: str) -> Finding:
    tool = firewalls.engines_tool(snapshot, 4) or "iptables"
    mask = remedies.iptables(
        *(tool, "nat", "POSTROUTING", "-s", subnet, "!", "-o", net.link, "-j", "MASQUERADE")
    )
    if net.unruled:
        return _not_asked_for(net, subnet, tool, mask)
    # An engine that has no chain at all may have been told so, and a router may know the way.
    written = net.engine == PLUMB or firewalls.has_rules(snapshot, net.engine)
    return Finding(
        "no-masquerade",
        Grade.PROVEN if written else Grade.LIKELY,
        Severity.PROBLEM,
        f"packets of {net.name} leave the host with their own addresses, of {subnet}",
        (net.name,),
        (f"no rule of {tool} -t nat or of nft masquerades {subnet}",),
        "Machines outside have no route to these addresses, so no answer comes back. The rules were"
        " removed, or the engine was told to write none.",
        (remedies.rebuild(net.engine), mask),
    )


def _not_asked_for(net: NetworkState, subnet: str, tool: str, mask: Advice) -> Finding:
    return Finding(
        "no-masquerade",
        Grade.HINT,
        Severity.WARNING,
        f"packets of {net.name} leave the host with their own addresses, of {subnet}",
        (net.name,),
        (net.unruled, f"no rule of {tool} -t nat or of nft masquerades {subnet}"),
        "The engine was told to write no rules, so whoever told it writes them. Machines outside"
        " answer only if their routers know the way to these addresses.",
        (mask, f"without that setting: {remedies.rebuild(net.engine)}"),
    )


def stray_masquerade(snapshot: Snapshot) -> Iterator[Finding]:
    """Find a rule that masquerades all packets, clients' on their way to containers too."""
    for chain in snapshot.host.chains:
        if chain.hook != "postrouting" or not snapshot.bridges:
            continue
        for number, rule in _last_first(chain.rules):
            if firewalls.NAT.search(firewalls.without_comment(rule)) and not rule.conditions:
                mine = chain.tool if chain.tool != "nft" else f"nft, table {chain.table}"
                yield Finding(
                    "stray-masquerade",
                    Grade.PROVEN,
                    Severity.WARNING,
                    "a rule masquerades everything that leaves the host, to containers as well",
                    ("host",),
                    (f"{mine}: {chain.name} {rule.words}",),
                    "Programs in containers see the bridge's address instead of their clients'."
                    " The rule needs the link or the subnet that it is meant for.",
                    (without(chain, number),)
                    if chain.tool != "nft"
                    else (
                        shlex.join(
                            remedies.nft_listing((chain.family, chain.table, chain.name), "-a")
                        ),
                    ),
                )


def not_rewritten(snapshot: Snapshot) -> Iterator[Finding]:
    """Find published ports of Docker's that no rule of NAT leads to their container.

    Of Podman's too, where conmon holds the port meanwhile. plumb's own rules are held against its
    record.
    """
    rules = firewalls.RulesByPort(
        rule
        for chain in snapshot.host.chains
        if chain.family in ("ip", "inet")
        for rule in chain.rules
        if re.search(firewalls.REWRITES, rule.words)
    )
    reported = set()
    for box, end, net in snapshot.ends():
        for port in end.ports if _rewrites(net) else ():
            where = (str(port.protocol), port.host_port)
            asked = Traffic(TrafficKind.PROXIED, "", ANYBODY, frozenset(), *where)
            if (
                port.host_port
                and port.host_ip.version == 4
                and end.ip is not None
                and where not in reported
                and not rules.may_match(asked)
            ):
                reported.add(where)
                held = snapshot.host.listening(*where)
                if held and all(each.who.startswith(HOLDERS) for each in held):
                    yield _held(box, net, port, held[0])
                elif net.engine == "docker":
                    yield _not_rewritten(snapshot, box, net, port)


def _rewrites(net: NetworkState) -> bool:
    """True for a network of Docker's or Podman's whose published ports need rules of NAT."""
    return net.engine in ("docker", "podman") and net.bridged and 4 in net.nat and not net.unruled


def _held(box: ContainerState, net: NetworkState, port: Port, by: Listener) -> Finding:
    name, program = f"{port.host_port}/{port.protocol}", by.who.partition(",")[0]
    podman = command(("podman", "network", "reload", names.qualifier(box.name)[1]))
    return Finding(
        "port-held",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"port {name} of {box.name} leads to nobody: {program} only holds it",
        (box.name, net.name),
        (
            f"ss -lnp: {by.who} listens at {name}",
            f"no rule of iptables -t nat or of nft rewrites port {name}",
        ),
        "The kernel answers a connection for the program, which takes none: it has the port so that"
        " no other program gets it. The rule of NAT that leads to the container was removed.",
        (podman if net.engine == "podman" else remedies.rebuild(net.engine),),
    )


def _not_rewritten(
    snapshot: Snapshot, box: ContainerState, net: NetworkState, port: Port
) -> Finding:
    name = f"{port.host_port}/{port.protocol}"
    held = snapshot.host.listening(port.protocol, port.host_port)
    return Finding(
        "port-not-rewritten",
        Grade.LIKELY,
        Severity.WARNING if held else Severity.PROBLEM,
        f"port {name} leads to {box.name} "
        + ("by a proxy alone, which hides the clients' addresses" if held else "no more"),
        (box.name, net.name),
        (
            f"no rule of iptables -t nat or of nft rewrites port {name}",
            f"ss -lnp: {held[0].who or 'somebody'} listens at {name}"
            if held
            else f"ss -ln: nobody at {name}",
        ),
        "The engine writes a rule of NAT for each published port. It was removed, by iptables -t"
        " nat -F or the reload of another firewall, or the engine was told to write none.",
        (remedies.rebuild(net.engine),),
    )


def dnat_first(snapshot: Snapshot) -> Iterator[Finding]:
    """Find rules that rewrite a published port's packets before its engine's own rules do."""
    published = {
        (port.protocol, port.host_port): box.name
        for box, end, net in snapshot.ends()
        for port in end.ports
        if net.bridged and port.host_port
    }
    for chain in snapshot.host.chains:
        if (chain.table, chain.name, chain.family) != ("nat", "PREROUTING", "ip"):
            continue
        own = takewhile(lambda rule: not ENGINES.fullmatch(rule.target), chain.rules)
        for number, rule in _last_first(tuple(own)):
            for (protocol, port), name in (
                published.items() if REWRITES.search(firewalls.without_comment(rule)) else ()
            ):
                uplinks = firewalls.uplinks(snapshot, 4)
                packets = Traffic(TrafficKind.PROXIED, "", ANYBODY, uplinks, protocol, port)
                if rule.conditions and firewalls.matches(rule, packets):
                    yield _taken(chain, number, name, f"{port}/{protocol}")


def _last_first(rules: Sequence[RuleState]) -> list[tuple[int, RuleState]]:
    """Rules with their numbers in their chain, the last one first.

    Deleted in this order, each has its number until then, so that it can be put back there.
    """
    return list(enumerate(rules, 1))[::-1]


def _taken(chain: ChainState, number: int, name: str, port: str) -> Finding:
    words = chain.rules[number - 1].words
    return Finding(
        "port-taken-by-rule",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"another rule takes port {port} before it comes to {name}",
        (name, "host"),
        (f"{chain.tool} -t nat -S PREROUTING: rule {number}: {words}",),
        "A packet is rewritten once, by the first rule that fits, and this one stands before the"
        " engine's own. Connections to the published port end elsewhere.",
        (without(chain, number), f"publish another port of {name}"),
    )


def without(chain: ChainState, number: int) -> Advice:
    """Return the command that deletes a rule of iptables, and puts it back in its place."""
    words = chain.rules[number - 1].words
    start = (*waiting(chain.tool).split(), "-t", chain.table)
    try:
        rule = shlex.split(words)
    except ValueError:  # a quotation mark without its partner
        return remedies.quoted(f"{' '.join(start)} -D {chain.name} {words}")
    return command(
        (*start, "-D", chain.name, *rule), (*start, "-I", chain.name, str(number), *rule)
    )


def stale_flow(snapshot: Snapshot) -> Iterator[Finding]:
    """Find flows of UDP that still go to an address which no container has."""
    alive = {own.ip for _, end, _ in snapshot.ends() for own in end.ips}
    subnets = [subnet for net in snapshot.networks for subnet in net.subnets]
    stale = {
        (flow.port, flow.target)
        for flow in snapshot.flows
        if flow.target not in alive and any(flow.target in subnet for subnet in subnets)
    }
    for port, target in sorted(stale, key=str):
        yield Finding(
            "stale-flow",
            Grade.PROVEN,
            Severity.PROBLEM,
            f"a client's datagrams to port {port}/udp go to {target}, which no container has",
            ("host",),
            (f"conntrack -L -p udp --orig-port-dst {port}: answers come from {target}",),
            "NAT decides at a flow's first packet, and a client that keeps sending keeps its flow."
            " The container has another address since it was started again.",
            (command(("conntrack", "-D", "-p", "udp", "--orig-port-dst", str(port))),),
        )
