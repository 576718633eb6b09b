"""The bridge networks' firewall: which packets pass between a bridge and the rest of the world.

A packet that the host forwards meets PLUMB-USER first, which is the administrator's: plumb makes it
and never touches what is in it. Then PLUMB-FORWARD sends it through three chains, and at last lets
out whatever comes from a container:

    FORWARD ─┬─ PLUMB-USER       the administrator's own rules
             └─ PLUMB-FORWARD ─┬─ PLUMB-CT        an answer to something that was let through: pass
                               ├─ PLUMB-INTERNAL  to or from an --internal network: drop
                               ├─ PLUMB-BRIDGE ── PLUMB    to a container: published ports
                               │                           pass, the rest is dropped
                               └─ -i BRIDGE       from a container to anywhere: pass

The order is the point. A packet from network A to a container of network B is dropped in
PLUMB-BRIDGE, before the last line lets out what comes from A; so networks are parted from each
other without a rule for every pair.

    nat  PREROUTING, OUTPUT ── PLUMB     to an address of this host: published ports are
                                         rewritten to a container
    nat  POSTROUTING                     from a container to elsewhere: the source becomes the
                                         host's address
    raw  PREROUTING                      straight to a container's address, not through its
                                         bridge: dropped

The last of these came in 2025: a neighbour that knows a container's address could route packets to
it through this host and past the published ports. The raw table sees a packet before connection
tracking and NAT, so what it drops is what was addressed to the container from the start, not what a
published port was rewritten to.

Names are Docker's, with PLUMB for DOCKER. Both families have the same chains; IPv6 rules exist for
networks with IPv6.
"""

from __future__ import annotations

from collections.abc import Iterator

from plumb.drivers import published_ports, rule_reasons
from plumb.model.cnm import Endpoint, Linked, Network
from plumb.model.driver_options import GatewayMode
from plumb.model.ports import Port
from plumb.model.settings import Settings
from plumb.things import Thing
from plumb.things.host_ports import at
from plumb.things.iptables import Chain, Family, Policy, Position, Rule

CHAINS = ("PLUMB", "PLUMB-CT", "PLUMB-INTERNAL", "PLUMB-BRIDGE", "PLUMB-FORWARD")
"""Each after those that it jumps to: a chain can only be taken away when nothing jumps to it."""
LOOPBACK = {4: "127.0.0.0/8", 6: "::1/128"}
ICMP = {4: "icmp", 6: "ipv6-icmp"}


def family(version: int) -> Family:
    """The tool of an address family."""
    return Family.V4 if version == 4 else Family.V6


def host(settings: Settings) -> Iterator[Thing]:
    """Chains that all bridge networks share, and the jumps to them."""
    for version in (4, 6):
        if settings.firewall(version):
            yield from _host(family(version), version, settings)


def _host(tool: Family, version: int, settings: Settings) -> Iterator[Thing]:
    yield Chain(tool, "filter", "PLUMB-USER", users=True)
    for name in CHAINS:
        yield Chain(tool, "filter", name)
    if settings.bridge_accept_fwmark:
        yield Rule(
            tool,
            "filter",
            "PLUMB-FORWARD",
            f"-m mark --mark {settings.bridge_accept_fwmark} -j ACCEPT",
            why=rule_reasons.ACCEPTED_MARK,
        )
    yield Rule(tool, "filter", "PLUMB-FORWARD", "-j PLUMB-CT", why=rule_reasons.ESTABLISHED)
    yield Rule(
        tool,
        "filter",
        "PLUMB-FORWARD",
        "-j PLUMB-INTERNAL",
        why="internal networks are cut off before all else",
    )
    yield Rule(tool, "filter", "PLUMB-FORWARD", "-j PLUMB-BRIDGE", why=rule_reasons.INTO_CONTAINERS)
    # Inserted at the head, so the second of these stands first: the administrator has the first
    # word.
    yield Rule(
        tool,
        "filter",
        "FORWARD",
        "-j PLUMB-FORWARD",
        Position.HEAD,
        "whatever is forwarded passes plumb's rules",
    )
    yield Rule(
        tool, "filter", "FORWARD", "-j PLUMB-USER", Position.HEAD, rule_reasons.USERS_RULES_FIRST
    )

    yield Chain(tool, "nat", "PLUMB")
    yield Rule(
        tool,
        "nat",
        "PREROUTING",
        "-m addrtype --dst-type LOCAL -j PLUMB",
        why=rule_reasons.FROM_OUTSIDE,
    )
    loopback = f"! -d {LOOPBACK[version]} " if settings.userland_proxy else ""
    yield Rule(
        tool,
        "nat",
        "OUTPUT",
        f"{loopback}-m addrtype --dst-type LOCAL -j PLUMB",
        why=rule_reasons.FROM_THIS_HOST,
    )


def network(net: Network, settings: Settings) -> Iterator[Thing]:
    """The rules of one bridge network, for each of its address families."""
    for pool in net.pools:
        version = pool.subnet.version
        if not settings.firewall(version):
            continue
        if version in net.opens:
            yield Policy(
                family(version),
                "filter",
                "FORWARD",
                "DROP",
                why="forwarding was off before: so nothing else may start to pass",
            )
        rules = _internal if net.internal else _connected
        yield from rules(net, version, str(pool.subnet), settings)


def _internal(net: Network, version: int, subnet: str, _: Settings) -> Iterator[Thing]:
    """An internal network.

    Its containers reach each other and the host's own address, nothing else.
    """
    tool, br = family(version), net.link
    verdict = "ACCEPT" if net.bridge.icc else "DROP"
    yield Rule(
        tool,
        "filter",
        "PLUMB-FORWARD",
        f"-i {br} -o {br} -j {verdict}",
        why=rule_reasons.between_containers(net),
    )
    # Link-local addresses of IPv6 are in no subnet: what stays on the bridge must not be dropped
    # for them.
    not_in, not_out = ("", "") if version == 4 else (f"! -i {br} ", f" ! -o {br}")
    yield Rule(
        tool,
        "filter",
        "PLUMB-INTERNAL",
        f"! -d {subnet} -i {br}{not_out} -j DROP",
        Position.HEAD,
        rule_reasons.internal_egress(net),
    )
    yield Rule(
        tool,
        "filter",
        "PLUMB-INTERNAL",
        f"! -s {subnet} {not_in}-o {br} -j DROP",
        Position.HEAD,
        rule_reasons.internal_ingress(net),
    )


def _connected(net: Network, version: int, subnet: str, settings: Settings) -> Iterator[Thing]:
    """A network that leads outside, as its gateway mode says."""
    tool, br, mode = family(version), net.link, net.bridge.mode(version)
    address = net.bridge.host_ipv4 if version == 4 else net.bridge.host_ipv6
    target = f"SNAT --to-source {address}" if address else "MASQUERADE"
    if mode is not GatewayMode.ROUTED and net.bridge.masquerade:
        yield Rule(
            tool,
            "nat",
            "POSTROUTING",
            f"-s {subnet} ! -o {br} -j {target}",
            Position.HEAD,
            rule_reasons.masquerade(subnet),
        )
    if not settings.userland_proxy:
        yield Rule(
            tool,
            "nat",
            "POSTROUTING",
            f"-o {br} -m addrtype --src-type LOCAL -j {target}",
            Position.HEAD,
            rule_reasons.LOCAL_SOURCE,
        )
    if mode is GatewayMode.ROUTED:
        yield Rule(
            tool,
            "filter",
            "PLUMB",
            f"-o {br} -p {ICMP[version]} -j ACCEPT",
            why=rule_reasons.ICMP_OF_ROUTED,
        )
    yield Rule(
        tool,
        "filter",
        "PLUMB",
        f"! -i {br} -o {br} -j {UNPUBLISHED.get(mode, 'DROP')}",
        why=rule_reasons.UNPUBLISHED
        if mode is not GatewayMode.NAT_UNPROTECTED
        else rule_reasons.UNPROTECTED,
    )
    yield Rule(
        tool,
        "filter",
        "PLUMB-BRIDGE",
        f"-o {br} -j PLUMB",
        why="packets to this bridge: only published ports are let in",
    )
    yield Rule(
        tool,
        "filter",
        "PLUMB-CT",
        f"-o {br} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        why=rule_reasons.REPLIES,
    )
    if net.bridge.icc:
        yield Rule(tool, "filter", "PLUMB-FORWARD", f"-i {br} -j ACCEPT", why=rule_reasons.OUTGOING)
    else:
        yield Rule(
            tool, "filter", "PLUMB-FORWARD", f"-i {br} -o {br} -j DROP", why=rule_reasons.NO_ICC
        )
        yield Rule(
            tool,
            "filter",
            "PLUMB-FORWARD",
            f"-i {br} ! -o {br} -j ACCEPT",
            why="but they may send outside",
        )


UNPUBLISHED = {GatewayMode.NAT_UNPROTECTED: "ACCEPT"}


def endpoint(net: Network, end: Endpoint, settings: Settings) -> Iterator[Thing]:
    """The rules of one endpoint: nobody reaches its address but through its bridge."""
    for ip in end.ips:
        if not published_ports.protected(net, ip.version, settings):
            continue
        tool, address = family(ip.version), f"{ip.ip}/{ip.max_prefixlen}"
        for dev in net.bridge.trusted:
            yield Rule(
                tool,
                "raw",
                "PREROUTING",
                f"-d {address} -i {dev} -j ACCEPT",
                why=f"{dev} is trusted to reach containers of {net.name} directly",
            )
        yield Rule(
            tool,
            "raw",
            "PREROUTING",
            f"-d {address} ! -i {net.link} -j DROP",
            why=rule_reasons.NO_DIRECT_ROUTING,
        )
    for port in end.ports:
        yield from published(net, end, port, settings)


def link(net: Network, end: Endpoint, other: Linked, settings: Settings) -> Iterator[Thing]:
    """The rules of a link, where containers of a network are parted from each other.

    To the other's exposed ports, and back.

    They end the walk in PLUMB, before PLUMB-FORWARD drops what stays on the bridge. IPv4 only, as
    in Docker.
    """
    for parent, child, number, protocol in (
        published_ports.linked(end, other) if settings.firewall(4) else ()
    ):
        for source, target, port in (
            (parent, child, f"--dport {number}"),
            (child, parent, f"--sport {number}"),
        ):
            yield Rule(
                Family.V4,
                "filter",
                "PLUMB",
                f"-s {source}/32 -d {target}/32 -i {net.link} -o {net.link} -p {protocol} "
                f"-m {protocol} {port} -j ACCEPT",
                why=rule_reasons.linked(other),
            )


def published(net: Network, end: Endpoint, port: Port, settings: Settings) -> Iterator[Thing]:
    """The rules of one published port.

    DNAT to the container, and an accept rule before the drop rule.

    There are none for an IPv6 address of the host and a container without IPv6: only the proxy
    leads there. A routed port has the accept rule alone.
    """
    target, rewritten = end.target(port), end.rewrites(port)
    version = target.version
    if (port.host_port and not rewritten) or not settings.firewall(version):
        return
    tool, br, own = family(version), net.link, f"{target}/{target.max_prefixlen}"
    match, to = f"-p {port.protocol} -m {port.protocol} --dport", at(target, port.port)
    where = (
        "" if port.host_ip.is_unspecified else f"-d {port.host_ip}/{port.host_ip.max_prefixlen} "
    )
    if rewritten and version == 4 and port.host_ip.is_loopback:
        yield Rule(
            tool,
            "raw",
            "PREROUTING",
            f"{where}! -i lo {match} {port.host_port} -j DROP",
            why=rule_reasons.loopback_only(port),
        )
    if rewritten:
        # A link-local client is on some link only, and could not be answered from another. What
        # comes from the port's own
        # bridge is left to the proxy: rewritten, it would go back where it came from, and the
        # answer past the host.
        link_local = "! -s fe80::/10 " if version == 6 else ""
        own_bridge = f"! -i {br} " if settings.userland_proxy else ""
        yield Rule(
            tool,
            "nat",
            "PLUMB",
            (
                f"{link_local}{where}{own_bridge}{match} {port.host_port}"
                f" -j DNAT --to-destination {to}"
            ),
            why=rule_reasons.published_nat(net, end, port),
        )
    if rewritten and not settings.userland_proxy:
        yield Rule(
            tool,
            "nat",
            "POSTROUTING",
            f"-s {own} -d {own} {match} {port.port} -j MASQUERADE",
            why=rule_reasons.HAIRPIN,
        )
    if net.bridge.mode(version) is not GatewayMode.NAT_UNPROTECTED:
        yield Rule(
            tool,
            "filter",
            "PLUMB",
            f"-d {own} ! -i {br} -o {br} {match} {port.port} -j ACCEPT",
            Position.HEAD,
            rule_reasons.published_filter(port),
        )
