"""Causes in the firewall: a rule, or a policy, dropped the packet or rejected it.

The rule is known from the trace, so the cause adds the rule's purpose, and the commands that let
the packet pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from shlex import quote

from plumb.model.cnm import Network
from plumb.model.observations import HOST, RuleKind
from plumb.things.iptables import FAMILIES
from plumb.things.layer3 import dotted
from plumb.trace.causes import by_isolation, owners
from plumb.trace.causes.case import Case, Cause
from plumb.trace.causes.remedies import deleting, tool, within
from plumb.trace.headers import Direction, Packet
from plumb.trace.path import Ending
from plumb.trace.rule_steps import ENTERED, RuleLine


def find(case: Case) -> Cause | None:
    """Find the explanation of the rule, or policy, that dropped the packet or rejected it."""
    line = case.end.line
    if line is None:
        return None
    known = next(
        (cause for explain in EXPLAINED if (cause := explain(case, line)) is not None), None
    )
    return known or _other_rule(case, line)


def _users(case: Case, line: RuleLine) -> Cause | None:
    if line.chain not in ("PLUMB-USER", "DOCKER-USER"):
        return None
    return Cause(
        "users-rule",
        f"the administrator's own rule in {line.chain} {_verb(line)} it",
        (line.reading,),
        (deleting(line),),
    )


def _invalid(case: Case, line: RuleLine) -> Cause | None:
    if not re.search(r"ctstate \S*INVALID|ct state .*invalid", line.text):
        return None
    return Cause(
        "invalid",
        "connection tracking knows no connection that this packet belongs to,"
        " and a rule drops what is INVALID",
        (line.reading,),
        (
            (
                "sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1,"
                " if the packets are the tail of a connection"
            ),
            deleting(line),
        ),
    )


def _bridge(case: Case, line: RuleLine) -> Cause | None:
    if line.family != "bridge":
        return None
    return Cause(
        "bridge-firewall",
        "a firewall of the bridge itself (nft's family bridge) drops the frame;"
        " iptables never sees it",
        (line.reading,),
        (deleting(line),),
    )


def _second(case: Case, line: RuleLine) -> Cause | None:
    """Find a base chain of the same hook that accepted the packet before."""
    earlier = [
        each
        for each in case.story.lines(case.end.way)
        if each.hook == line.hook
        and each is not line
        and each.place == line.place
        and each.verdict == "accept"
        and (each.table, each.native) != (line.table, line.native)
    ]
    if not earlier or line.hook != "forward":
        return None
    return Cause(
        "second-firewall",
        f"{earlier[-1].where} accepted it, but an accept is the last word of its own chain only:"
        f" {line.where} drops it after that",
        (earlier[-1].reading, line.reading),
        _by_firewalld(case, line) or (_accept(case, line), deleting(line)),
    )


def _by_firewalld(case: Case, line: RuleLine) -> tuple[str, ...]:
    """Commands of firewalld, whose next reload takes other rules away; none for other tables."""
    if line.table != "firewalld" or line.place.name != HOST:
        return ()
    crossed = {
        net.link: None
        for net in case.networks
        if net.bridge_in_host and net.link and case.crossed(HOST, net.link)
    }
    zone = "firewall-cmd {}--zone=trusted --add-interface={}"
    return tuple(
        f"{zone.format('', link)}; {zone.format('--permanent ', link)}" for link in crossed
    )


def _bridge_netfilter(case: Case, line: RuleLine) -> Cause | None:
    name = f"net/bridge/bridge-nf-call-{FAMILIES.get(line.family, 'iptables')}"
    value = case.of(line.place).setting(name)
    if line.hook != "forward" or not by_isolation.bridged(case) or value != "1":
        return None
    return Cause(
        "bridge-netfilter",
        "the packet stays on its bridge, but br_netfilter shows it to the firewall all the same,"
        " whose forward hook drops it",
        (line.reading, f"{name} = {value}"),
        (
            f"sysctl -w {dotted(name)}=0    # if nothing needs it: icc=false does",
            _accept(case, line),
        ),
    )


def _input(case: Case, line: RuleLine) -> Cause | None:
    if line.hook != "input":
        return None
    return Cause(
        "input-drop",
        f"it reached {line.place.name} itself, whose own firewall {_verb(line)} it"
        " (published ports do not pass there, services do)",
        (line.reading,),
        (*_allowed(case, line), _accept(case, line), deleting(line)),
    )


def _allowed(case: Case, line: RuleLine) -> tuple[str, ...]:
    """Command of ufw, whose next reload takes other rules away."""
    packet, last = case.packet, case.last
    if packet is None or last is None or case.end.way is not Direction.THERE:
        return ()
    if "ufw" not in line.beside or packet.protocol not in ("tcp", "udp"):
        return ()
    to = f"to any port {packet.dport} proto {packet.protocol}"
    return (within(line.place, f"ufw allow in on {quote(last.dev)} {to}"),)


def _output(case: Case, line: RuleLine) -> Cause | None:
    if line.hook != "output":
        return None
    return Cause(
        "output-drop",
        f"{line.place.name}'s own firewall does not let it out",
        (line.reading,),
        (_accept(case, line), deleting(line)),
    )


ENGINES = re.compile(r"(?:^|-[jg] )(?:PLUMB|DOCKER|NETAVARK|CNI)[-_]?")
"""A chain of an engine's, or a rule that leads to one."""


def _policy(case: Case, line: RuleLine) -> Cause | None:
    if line.kind is not RuleKind.POLICY or line.hook != "forward":
        return None
    crossed = (
        net
        for net in case.networks
        if net.bridge_in_host and case.crossed(line.place.name, net.link, case.end.way)
    )
    net = next(crossed, None) or _goal_network(case)
    missing = (
        net is not None
        and ENTERED not in line.beside
        and not any(
            each.hook == "forward" and ENGINES.search(f"{each.chain} {each.text}")
            for each in case.story.lines(case.end.way)
        )
    )
    engine = owners.words(case, net)
    says = "nothing in FORWARD accepts it, and the policy drops what nothing accepts"
    if missing and line.backend == "legacy" and "engine" not in line.beside:
        return Cause(
            "forward-policy",
            f"nothing in FORWARD of {_tool(line)} accepts it, whose policy drops what nothing"
            f" accepts: no chain of {engine.engine}'s is there, and what the other variant of"
            " iptables accepts must pass this one as well",
            (f"{line.reading} ({_tool(line)})",),
            (deleting(line), _accept(case, line)),
        )
    return Cause(
        "forward-policy",
        says + (f"; {engine.engine}'s own rules for this network are not there" if missing else ""),
        (line.reading,),
        (*((engine.rebuild,) if missing else ()), _accept(case, line), deleting(line)),
    )


def _tool(line: RuleLine) -> str:
    """The command that a chain is listed by, without its options."""
    return tool(line).partition(" ")[0]


def _goal_network(case: Case) -> Network | None:
    net = case.network_of(case.goal)
    return net if net is not None and net.bridge_in_host else None


def _other_rule(case: Case, line: RuleLine) -> Cause:
    ident = (
        "rejected"
        if case.end.ending is Ending.REJECTED
        else "policy"
        if line.kind is RuleKind.POLICY
        else "dropped"
    )
    return Cause(
        ident,
        f"a rule in {line.place.name} {_verb(line)} it: {line.why or line.where}",
        (line.reading,),
        (_accept(case, line), deleting(line)),
    )


EXPLAINED: tuple[Callable[[Case, RuleLine], Cause | None], ...] = (
    *by_isolation.EXPLAINED,
    _users,
    _invalid,
    _bridge,
    _second,
    _bridge_netfilter,
    _input,
    _output,
    _policy,
)


# -- words ---------------------------------------------------------------


def _verb(line: RuleLine) -> str:
    return "rejects" if line.rejects else "drops"


def _accept(case: Case, line: RuleLine) -> str:
    """Command that accepts this packet before that rule; and its answer, which meets it too."""
    packet = case.packet
    if packet is None:
        return deleting(line)
    there = case.end.way is Direction.THERE
    commands = [_accepting(line, packet, "d", port=packet.dport if there else 0)]
    if there and line.hook == "forward":
        commands.append(_accepting(line, packet, "s", port=packet.dport))
    return " && ".join(commands)


def _accepting(line: RuleLine, packet: Packet, end: str, port: int) -> str:
    """Command that accepts packets to an address and port ("d"), or from there ("s")."""
    port = port if packet.protocol in ("tcp", "udp", "sctp") else 0
    if line.native:
        family = "ip6" if packet.version == 6 else "ip"
        match = f" {packet.protocol} {end}port {port}" if port else ""
        return within(
            line.place,
            f"nft insert rule {line.family} {line.table} {line.chain}"
            f" {family} {end}addr {packet.dst}{match} accept",
        )
    protocol = "icmpv6" if packet.protocol == "icmp" and packet.version == 6 else packet.protocol
    match = f" --{end}port {port}" if port else ""
    return within(
        line.place,
        f"{tool(line)} -t {line.table} -I {line.chain}"
        f" -{end} {packet.dst} -p {protocol}{match} -j ACCEPT",
    )
