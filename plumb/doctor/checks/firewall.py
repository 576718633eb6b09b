"""Firewalls: chains that drop containers' packets, and rules that do not do what is expected."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from shlex import quote

from plumb.doctor import firewalls, remedies
from plumb.model.diagnosis.finding import Finding, Grade, Severity
from plumb.model.diagnosis.remedy import Advice, joined
from plumb.model.diagnosis.snapshot import NetworkState, Snapshot
from plumb.model.foreign_firewall import ForeignFirewall, TrafficKind, openings
from plumb.things.layer3 import dotted

WAYS = (TrafficKind.OUT, TrafficKind.BACK)
CALL = "net/bridge/bridge-nf-call-iptables"
PORT = re.compile("[0-9]{1,5}")


def _stopped(snapshot: Snapshot, chain: ForeignFirewall) -> list[NetworkState]:
    """Networks whose packets a chain drops, on their way out or back, by name."""
    return [
        net
        for net in sorted(snapshot.bridges, key=lambda net: net.name)
        if not net.internal
        and any(
            chain.concerns(subnet.version)
            and any(
                chain.stops(firewalls.traffic(snapshot, net, subnet, way))
                for way in _ways(snapshot, net)
            )
            for subnet in net.subnets
        )
    ]


def _ways(snapshot: Snapshot, net: NetworkState) -> tuple[TrafficKind, ...]:
    published = any(
        end.ports for _, end, other in snapshot.ends() if other.id == net.id and end.ip is not None
    )
    return (*WAYS, TrafficKind.IN) if published else WAYS


def dropped(snapshot: Snapshot) -> Iterator[Finding]:
    """Find chains that drop what containers send, and the answers."""
    for chain in firewalls.forwarding(snapshot):
        nets = _stopped(snapshot, chain)
        if nets:
            sure = any(_surely(snapshot, chain, net) for net in nets)
            yield _flushed(snapshot, chain, nets) or _second(chain, nets, sure)


def _surely(snapshot: Snapshot, chain: ForeignFirewall, net: NetworkState) -> bool:
    """True where no rule of a chain may accept what it drops of a network, for all that is read."""
    traffic = [
        firewalls.traffic(snapshot, net, subnet, way)
        for subnet in net.subnets
        for way in _ways(snapshot, net)
        if chain.concerns(subnet.version)
    ]
    return any(chain.stops(each) and not firewalls.may_accept(chain, each) for each in traffic)


def _flushed(
    snapshot: Snapshot, chain: ForeignFirewall, nets: list[NetworkState]
) -> Finding | None:
    """An engine's rules are gone from a chain in which it had them."""
    if (chain.table, chain.chain) != ("filter", "FORWARD") or chain.tool == "nft":
        return None
    rules = firewalls.chain_of(snapshot, chain.tool, "filter", "FORWARD")
    version = 6 if chain.tool.startswith("ip6") else 4
    home = firewalls.engines_tool(snapshot, version)
    elsewhere = firewalls.has_own_tables(snapshot) or (version == 6 and not home)
    if rules is None or home not in ("", chain.tool) or elsewhere:
        return None
    words = [rule.words for rule in rules.rules]
    if any(firewalls.OWN_JUMP.search(each) for each in words) or chain.policy != "drop":
        return None
    return Finding(
        "rules-flushed",
        Grade.PROVEN,
        Severity.PROBLEM,
        f"the rules of {_names(nets)} are gone from {chain.tool}'s chain FORWARD",
        ("host", *(net.name for net in nets)),
        (f"{chain.tool} -S FORWARD: -P FORWARD DROP", *words[:3], "no rule of an engine's follows"),
        "Somebody emptied the chain: a reload of ufw or firewalld, iptables-restore, or"
        " iptables -F. What no rule accepts is dropped by the policy.",
        tuple(remedies.of_networks(nets)),
    )


def _second(chain: ForeignFirewall, nets: list[NetworkState], sure: bool) -> Finding:
    links = [net.link for net in nets]
    words = (chain.tool, chain.family, chain.table, chain.chain, *links)
    advice: Advice = (
        joined([remedies.opened(line) for line in openings(chain, links)])
        if remedies.plain(words)
        else "have it accept them"
    )
    return Finding(
        "second-firewall",
        Grade.PROVEN if sure else Grade.LIKELY,
        Severity.PROBLEM if sure else Severity.WARNING,
        f"{chain} drops packets of {_names(nets)}: {chain.why}",
        ("host", *(net.name for net in nets)),
        (
            firewalls.listing(chain),
            *([] if sure else ["it has a rule that may accept them, by a condition not read here"]),
        ),
        "An accept is the last word of its own chain only: a packet must be accepted in every chain"
        " at its hook. This one accepts neither the network's bridge nor its subnet.",
        (advice,),
    )


def _names(nets: list[NetworkState]) -> str:
    return ", ".join(f"{net.name} ({net.link})" for net in nets)


def bridged_packets_dropped(snapshot: Snapshot) -> Iterator[Finding]:
    """Find networks whose containers cannot reach each other, for iptables sees their frames."""
    if snapshot.host.setting(CALL) != "1":
        return
    for chain in firewalls.forwarding(snapshot):
        if chain.tool == "nft" or not chain.concerns(4) or chain.hook != "forward":
            continue
        nets = [
            net
            for net in snapshot.bridges
            if net.icc
            and any(
                subnet.version == 4 and chain.stops(firewalls.among_containers(net, subnet))
                for subnet in net.subnets
            )
        ]
        nets = [net for net in nets if net not in _stopped(snapshot, chain)]
        if nets:
            yield Finding(
                "bridge-nf-drop",
                Grade.PROVEN,
                Severity.PROBLEM,
                f"containers of {_names(nets)} do not reach each other",
                tuple(net.name for net in nets),
                (f"sysctl {dotted(CALL)} = 1", firewalls.listing(chain)),
                "With br_netfilter the frames between ports of a bridge pass iptables, as if they"
                " were routed. No rule accepts those from this bridge to itself.",
                (
                    remedies.setting(snapshot.host, CALL, "0"),
                    *(
                        remedies.iptables(
                            *(chain.tool, chain.table, chain.chain),
                            *("-i", net.link, "-o", net.link, "-j", "ACCEPT"),
                            head=True,
                        )
                        for net in nets
                    ),
                ),
            )


def icc_not_enforced(snapshot: Snapshot) -> Iterator[Finding]:
    """Find networks with icc=false whose containers reach each other all the same."""
    if snapshot.host.setting(CALL) == "1":
        return
    for net in snapshot.bridges:
        bridge = snapshot.host.link(net.link)
        ports = snapshot.host.ports(bridge) if bridge else []
        apart = all(link.port is not None and link.port.isolated for link in ports)
        if not net.icc and len(ports) > 1 and not apart:
            yield Finding(
                "icc-not-enforced",
                Grade.PROVEN,
                Severity.WARNING,
                f"containers of {net.name} reach each other, though it has icc=false",
                (net.name,),
                (
                    f"sysctl {dotted(CALL)} = "
                    + (snapshot.host.setting(CALL) or "(no br_netfilter)"),
                    f"ports of {net.link} that are not isolated",
                ),
                "The rule that drops their packets is iptables', and iptables sees frames within a"
                " bridge only with br_netfilter. Without it they pass from port to port.",
                (
                    remedies.setting(snapshot.host, CALL, "1")
                    if snapshot.host.setting(CALL)
                    else f"modprobe br_netfilter; sysctl -w {dotted(CALL)}=1",
                ),
            )


def both_variants(snapshot: Snapshot) -> Iterator[Finding]:
    """Find rules in both variants of iptables, which do not list each other's."""
    found = firewalls.variants(snapshot)
    if len(found) > 1 and snapshot.bridges:
        home = firewalls.engines_tool(snapshot, 4)
        yield Finding(
            "iptables-variants",
            Grade.LIKELY,
            Severity.WARNING,
            "rules are in both variants of iptables",
            ("host",),
            tuple(f"{tool}-save: {count} rules and policies" for tool, count in found.items()),
            "Each variant lists its own rules only, and a packet must pass both. Whoever looks at"
            " one of them does not see what the other drops.",
            tuple(f"{quote(tool)} -S" for tool in found if tool != home),
        )


def _users(snapshot: Snapshot) -> str:
    """The chain that engines leave to the administrator."""
    names = [chain.name for chain in snapshot.host.chains if chain.name.endswith("-USER")]
    return names[0] if names else "DOCKER-USER"


def _denied(words: str) -> tuple[str, int] | None:
    """The protocol and port that a rule of ufw denies to all; None for another rule."""
    each = words.split()
    options = dict(pairwise(each))
    number = options.get("--dport", "")
    narrow = {"!", "-s", "-d", "-i"} & set(each)
    if narrow or options.get("-j") not in ("DROP", "REJECT") or not PORT.fullmatch(number):
        return None
    return options.get("-p", ""), int(number)


def _dropped_by_user(snapshot: Snapshot, port: int) -> bool:
    """The administrator's own chain drops what was for a port of the host."""
    return any(
        f"--ctorigdstport {port} " in rule.words and rule.verdict == "drop"
        for chain in snapshot.host.chains
        if chain.name.endswith("-USER")
        for rule in chain.rules
    )


def ufw_bypassed(snapshot: Snapshot) -> Iterator[Finding]:
    """Find published ports that ufw is told to deny."""
    denied = {
        found
        for chain in snapshot.host.chains
        if chain.name == "ufw-user-input"
        for rule in chain.rules
        if (found := _denied(rule.words))
    }
    for box, end, _ in snapshot.ends():
        for port in end.ports:
            number = port.host_port
            open_ = (port.protocol, number) in denied and not port.host_ip.is_loopback
            if open_ and not _dropped_by_user(snapshot, number):
                yield Finding(
                    "ufw-bypassed",
                    Grade.LIKELY,
                    Severity.WARNING,
                    f"port {number}/{port.protocol} of {box.name} is open, though ufw denies it",
                    (box.name,),
                    (f"ufw-user-input: --dport {number} is dropped", f"{box.name}: -p {number}"),
                    "The port is rewritten to the container's before routing, so its packets are"
                    " forwarded. ufw's rules are in INPUT, which they never pass.",
                    (
                        f"publish it on the loopback: -p 127.0.0.1:{number}:{port.port}",
                        remedies.iptables(
                            *("iptables", "filter", _users(snapshot), "-p", port.protocol),
                            *("-m", "conntrack", "--ctorigdstport", str(number), "-j", "DROP"),
                            head=True,
                        ),
                    ),
                )
