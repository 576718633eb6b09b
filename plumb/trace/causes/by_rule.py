"""Causes in the firewall: a rule, or a policy, dropped the packet or rejected it.

The rule is known from the trace, so the cause adds the rule's purpose, and the commands that let
the packet pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from plumb.model.observations import RuleKind
from plumb.things.iptables import FAMILIES
from plumb.trace.causes import by_nat
from plumb.trace.causes.case import Case, Cause
from plumb.trace.causes.remedies import deleting, tool, within
from plumb.trace.headers import Direction, Packet
from plumb.trace.path import Crossing, Ending
from plumb.trace.rule_steps import RuleLine

DIRECT = re.compile(
    r"-d (\S+?)(?:/\d+)? ! -i (\S+) -j DROP|ip6? daddr (\S+) iifname != \"?([^\" ]+)\"? .*drop.*"
)
LOOPBACK = re.compile(
    r"-d 127\.0\.0\.1\S* ! -i lo .*-j DROP|ip daddr 127\.0\.0\.1 iifname != \"?lo\"? .*drop.*"
)
UNPUBLISHED = re.compile(r"! -i \S+ -o \S+ -j DROP")
ICC = re.compile(r"-i (\S+) -o \1 -j DROP|iifname \"(\S+)\" .*drop.*")
OPTION = "com.docker.network.bridge"


def find(case: Case) -> Cause | None:
    """Find the explanation of the rule, or policy, that dropped the packet or rejected it."""
    line = case.end.line
    if line is None:
        return None
    known = next(
        (cause for explain in EXPLAINED if (cause := explain(case, line)) is not None), None
    )
    return known or _other_rule(case, line)


# -- Docker's own drop rules -----------------------------------------------------------------


def _direct(case: Case, line: RuleLine) -> Cause | None:
    found = DIRECT.fullmatch(line.text)
    if found is None or line.hook != "prerouting" or LOOPBACK.fullmatch(line.text):
        return None
    if case.end.way is Direction.BACK:
        return by_nat.unmasked(case, _reading(line))
    ip, bridge = next(part for part in (found.groups()[:2], found.groups()[2:]) if part[0])
    holder, inside = case.holder(case.goal), case.holder(case.packet.src) if case.packet else None
    whose = (
        f"{holder[0].box.name}'s address on {holder[2].name}"
        if holder
        else f"an address on {bridge}"
    )
    observed = (_reading(line), f"it came in by {_came_by(case)}, not by {bridge}")
    ports = dict.fromkeys(
        str(port.host_port)
        for port in (holder[1].ports if holder else ())
        if port.host_port and not port.host_ip.is_loopback
    )
    published = (f"ask a published port of this host: {', '.join(ports)}",) if ports else ()
    if holder and inside:
        return Cause(
            "other-network",
            f"{inside[0].box.name} is not on {holder[2].name}, and networks are parted:"
            f" the raw PREROUTING rule lets nobody in to {ip}, {whose},"
            " but through published ports",
            observed,
            (f"plumb network connect {holder[2].name} {inside[0].box.name}", *published),
        )
    version, dev = case.goal.version, _came_by(case)
    network = f"the network with -o {OPTION}"
    return Cause(
        "direct-access",
        f"{case.source.name} routes to {ip}, {whose}, directly;"
        " the raw PREROUTING rule lets nobody in but through published ports,"
        " and does so before connection tracking, NAT and the administrator's own rules",
        observed,
        (
            (
                f"{network}.gateway_mode_ipv{version}=nat-unprotected"
                " (all ports are open to who can route here), or =routed (no NAT)"
            ),
            f"{network}.trusted_host_interfaces={dev} (only what comes by {dev})",
            'the setting "allow-direct-routing": true (all networks)',
            *published,
        ),
    )


def _came_by(case: Case) -> str:
    return case.last.dev if case.last else "another link"


def _loopback(case: Case, line: RuleLine) -> Cause | None:
    if not LOOPBACK.fullmatch(line.text):
        return None
    return Cause(
        "loopback-port",
        "the port is published on 127.0.0.1, and what comes from a neighbour must not reach it",
        (_reading(line),),
        ("publish it on the address that it shall be reached at: -p ADDRESS:PORT:PORT",),
    )


def _icc(case: Case, line: RuleLine) -> Cause | None:
    off = "icc=false" in line.why or (
        ICC.fullmatch(line.text) and line.hook == "forward" and _bridged(case)
    )
    if not off:
        return None
    net = case.network_of(case.goal)
    return Cause(
        "icc-off",
        f"containers of {net.name if net else 'this network'} do not reach each other:"
        " it was made with enable_icc=false",
        (_reading(line),),
        (
            f"a network without -o {OPTION}.enable_icc=false",
            "publish the port, and ask the host for it",
        ),
    )


def _internal(case: Case, line: RuleLine) -> Cause | None:
    chains = (
        "PLUMB-INTERNAL",
        "DOCKER-INTERNAL",
        "DOCKER-ISOLATION-STAGE-1",
        "DOCKER-ISOLATION-STAGE-2",
    )
    net = next(
        (
            net
            for net in case.networks
            if net.internal and net.link and net.link in line.text + line.chain
        ),
        None,
    )
    if line.chain not in chains and net is None:
        return None
    name = net.name if net else "the network"
    return Cause(
        "internal",
        f"{name} is internal: nothing enters or leaves it",
        (_reading(line),),
        ("a network without --internal, or another one beside it: plumb network connect",),
    )


def _unpublished(case: Case, line: RuleLine) -> Cause | None:
    dropped = line.chain in ("PLUMB", "DOCKER") and UNPUBLISHED.fullmatch(line.text)
    if not dropped and "UNPUBLISHED PORT DROP" not in line.text:
        return None
    holder, port = case.holder(case.goal), case.port  # an echo has none
    if case.packet is not None and case.protocol != "icmp":
        port = case.packet.dport
    what = f"port {port}/{case.protocol}" if port else "address"
    who = f"{holder[0].box.name}'s {what} on {holder[2].name}" if holder else str(case.goal)
    inside = case.holder(case.packet.src) if case.packet else None
    share = (
        (
            (
                f"connect both to one network:"
                f" plumb network connect {holder[2].name} {inside[0].box.name}"
            ),
        )
        if holder and inside
        else ()
    )
    return Cause(
        "unpublished",
        f"{who} is not published, so from outside of its network nobody gets there",
        (_reading(line),),
        (*share, *((f"publish it: plumb run -p {port}:{port} …",) if port else ())),
    )


# -- others -----------------------------------------------------------------


def _users(case: Case, line: RuleLine) -> Cause | None:
    if line.chain not in ("PLUMB-USER", "DOCKER-USER"):
        return None
    return Cause(
        "users-rule",
        f"the administrator's own rule in {line.chain} {_verb(line)} it",
        (_reading(line),),
        (deleting(line),),
    )


def _invalid(case: Case, line: RuleLine) -> Cause | None:
    if not re.search(r"ctstate \S*INVALID|ct state .*invalid", line.text):
        return None
    return Cause(
        "invalid",
        "connection tracking knows no connection that this packet belongs to,"
        " and a rule drops what is INVALID",
        (_reading(line),),
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
        (_reading(line),),
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
        (_reading(earlier[-1]), _reading(line)),
        (_accept(case, line), deleting(line)),
    )


def _bridge_netfilter(case: Case, line: RuleLine) -> Cause | None:
    name = f"net/bridge/bridge-nf-call-{FAMILIES.get(line.family, 'iptables')}"
    value = case.of(line.place).setting(name)
    if line.hook != "forward" or not _bridged(case) or value != "1":
        return None
    return Cause(
        "bridge-netfilter",
        "the packet stays on its bridge, but br_netfilter shows it to the firewall all the same,"
        " whose forward hook drops it",
        (_reading(line), f"{name} = {value}"),
        (
            f"sysctl -w {name.replace('/', '.')}=0    # if nothing needs it: icc=false does",
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
        (_reading(line),),
        (_accept(case, line), deleting(line)),
    )


def _output(case: Case, line: RuleLine) -> Cause | None:
    if line.hook != "output":
        return None
    return Cause(
        "output-drop",
        f"{line.place.name}'s own firewall does not let it out",
        (_reading(line),),
        (_accept(case, line), deleting(line)),
    )


def _policy(case: Case, line: RuleLine) -> Cause | None:
    if line.kind is not RuleKind.POLICY or line.hook != "forward":
        return None
    ours = any(
        net.bridge_in_host and case.crossed(line.place.name, net.link, case.end.way)
        for net in case.networks
    ) or _to_us(case)
    missing = ours and not any(
        each.chain.startswith(("PLUMB", "DOCKER")) for each in case.story.lines(case.end.way)
    )
    says = "nothing in FORWARD accepts it, and the policy drops what nothing accepts"
    return Cause(
        "forward-policy",
        says + ("; plumb's own rules for this network are not there" if missing else ""),
        (_reading(line),),
        (*(("plumb repair",) if missing else ()), _accept(case, line), deleting(line)),
    )


def _to_us(case: Case) -> bool:
    net = case.network_of(case.goal)
    return net is not None and net.bridge_in_host


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
        (_reading(line),),
        (_accept(case, line), deleting(line)),
    )


EXPLAINED: tuple[Callable[[Case, RuleLine], Cause | None], ...] = (
    _direct,
    _loopback,
    _icc,
    _internal,
    _unpublished,
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


def _bridged(case: Case) -> bool:
    """Test for a packet between two ports of one bridge."""
    place = case.end.line.place if case.end.line else None
    came: list[Crossing] = [
        each for each in case.story.crossings(case.end.way) if each.place == place and each.inbound
    ]
    link = case.of(place).link(came[-1].dev) if came else None
    return link is not None and link.port is not None


def _reading(line: RuleLine) -> str:
    return f"{line.place.name}: {line.named}: {line.text}"


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
