"""Causes in isolation: rules of plumb's and Docker's own that part networks from others.

They are there on purpose, so the cause says which option made them, and the ways that are open.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from plumb.trace.causes import by_nat, owners
from plumb.trace.causes.case import Case, Cause
from plumb.trace.headers import Direction
from plumb.trace.path import Crossing
from plumb.trace.rule_steps import RuleLine

DIRECT = re.compile(
    r"-d (\S+?)(?:/\d+)? ! -i (\S+) -j DROP|ip6? daddr (\S+) iifname != \"?([^\" ]+)\"? .*drop.*"
)
LOOPBACK = re.compile(
    r"-d 127\.0\.0\.1\S* ! -i lo .*-j DROP|ip daddr 127\.0\.0\.1 iifname != \"?lo\"? .*drop.*"
)
UNPUBLISHED = re.compile(r"! -i \S+ -o \S+ -j DROP")
ICC = re.compile(r"-i (\S+) -o \1 -j DROP|iifname \"(\S+)\" .*drop.*")
DOCKER_ISOLATION = ("DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION-STAGE-2")
ISOLATION = re.compile(r"DOCKER-ISOLATION-STAGE-2|NETAVARK_ISOLATION_\d")
"""Chains in which Docker (20.10 to 27) drops what goes to another of its bridges, and Podman what
goes to a network with the option isolate."""
OPTION = "com.docker.network.bridge"


def bridged(case: Case) -> bool:
    """Test for a packet between two ports of one bridge."""
    place = case.end.line.place if case.end.line else None
    came: list[Crossing] = [
        each for each in case.story.crossings(case.end.way) if each.place == place and each.inbound
    ]
    link = case.of(place).link(came[-1].dev) if came else None
    return link is not None and link.port is not None


def _direct(case: Case, line: RuleLine) -> Cause | None:
    found = DIRECT.fullmatch(line.text)
    if found is None or line.hook != "prerouting" or LOOPBACK.fullmatch(line.text):
        return None
    if case.end.way is Direction.BACK:
        return by_nat.unmasked(case, line.reading)
    ip, bridge = next(part for part in (found.groups()[:2], found.groups()[2:]) if part[0])
    holder, inside = case.holder(case.goal), case.holder(case.packet.src) if case.packet else None
    whose = (
        f"{holder[0].box.name}'s address on {holder[2].name}"
        if holder
        else f"an address on {bridge}"
    )
    observed = (line.reading, f"it came in by {_came_by(case)}, not by {bridge}")
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
            (owners.connect(case, holder[2], inside[0].box), *published),
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
        (line.reading,),
        ("publish it on the address that it shall be reached at: -p ADDRESS:PORT:PORT",),
    )


def _icc(case: Case, line: RuleLine) -> Cause | None:
    off = "icc=false" in line.why or (
        ICC.fullmatch(line.text) and line.hook == "forward" and bridged(case)
    )
    if not off:
        return None
    net = case.network_of(case.goal)
    return Cause(
        "icc-off",
        f"containers of {net.name if net else 'this network'} do not reach each other:"
        " it was made with enable_icc=false",
        (line.reading,),
        (
            f"a network without -o {OPTION}.enable_icc=false",
            "publish the port, and ask the host for it",
        ),
    )


def _other_network(case: Case, line: RuleLine) -> Cause | None:
    """Find the rule that parts bridge networks: Docker's before 28, Podman's with isolate."""
    holder = case.holder(case.goal)
    inside = case.holder(case.packet.src) if case.packet else None
    if (
        not ISOLATION.fullmatch(line.chain)
        or not holder
        or not inside
        or holder[2].id == inside[2].id
    ):
        return None
    ports = dict.fromkeys(str(port.host_port) for port in holder[1].ports if port.host_port)
    return Cause(
        "other-network",
        f"{inside[0].box.name} is not on {holder[2].name}, and networks are parted:"
        f" nobody gets from {inside[2].name} to {holder[0].box.name}'s address on it",
        (line.reading,),
        (
            owners.connect(case, holder[2], inside[0].box),
            *((f"ask a published port of this host: {', '.join(ports)}",) if ports else ()),
        ),
    )


def _internal(case: Case, line: RuleLine) -> Cause | None:
    chains = ("PLUMB-INTERNAL", "DOCKER-INTERNAL", *DOCKER_ISOLATION)
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
        (line.reading,),
        (
            (
                "a network without --internal, or another one beside it:"
                f" {owners.words(case, net).command} network connect"
            ),
        ),
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
    box = holder[0].box if holder else None
    share = (
        (f"connect both to one network: {owners.connect(case, holder[2], inside[0].box)}",)
        if holder and inside
        else ()
    )
    return Cause(
        "unpublished",
        f"{who} is not published, so from outside of its network nobody gets there",
        (line.reading,),
        (*share, *((f"publish it: {owners.publish(case, box, port)}",) if port else ())),
    )


EXPLAINED: tuple[Callable[[Case, RuleLine], Cause | None], ...] = (
    _direct,
    _loopback,
    _icc,
    _other_network,
    _internal,
    _unpublished,
)
