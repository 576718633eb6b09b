"""Published ports of services: on every host of the cluster, whether it has a task or not.

    a client         192.0.2.10:8080 ── DNAT in nat PREROUTING ── 172.18.0.2:8080, ingress_sbox
    the host itself  the same in nat OUTPUT, 127.0.0.1 too (route_localnet), and masqueraded
    an IPv6 client   [::]:8080 ── the agent's socket and proxy ── 172.18.0.2:8080

The agent holds the port, so that no other program takes it. In Docker an IPv6 client connects to a
socket that nobody reads from, and hangs; here the proxy serves it.

With nftables the port is published as a container's is (`bridge_nftables.published`), and a
connection to 127.0.0.1 goes by the proxy as well.

A task has its ingress address for published ports alone: its own rules rewrite 8080 to the port of
its command, let in that one, and let it begin nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from plumb.drivers import bridge_nftables, rule_reasons
from plumb.drivers.services import by_nftables
from plumb.drivers.services.balancer import Gate
from plumb.model.cnm import Endpoint
from plumb.model.ports import Port, ServicePort
from plumb.model.service.virtual import VirtualService
from plumb.model.settings import Settings
from plumb.things import Thing
from plumb.things.host_ports import Agent, HostPort, Proxy
from plumb.things.iptables import Chain, Family, Position, Rule
from plumb.things.layer3 import Sysctl
from plumb.things.nftables import NftChain, NftFamily, NftRule, NftTable

CHAIN = "PLUMB-INGRESS"
ANY4, ANY6 = IPv4Address("0.0.0.0"), IPv6Address("::")
PROTOCOLS = ("sctp", "udp", "tcp")
ALL_PORTS = "ports of services, before all else"
REST = "what is no port of a service goes on"
OPEN = "published by a service of the cluster"
ANSWERS = "answers of a service's port"
AS_THE_HOST = "what this host sends through a service's port must not come from 127.0.0.1"
TARGET = "the published port is that of the task's command"
ONLY_PUBLISHED = "the ingress network is for published ports alone"


# -- the host ---------------------------------------------------------------


def host(one: VirtualService, gate: Gate, folder: str, settings: Settings) -> Iterator[Thing]:
    """Yield the things by which a host publishes a service's ports.

    Args:
        folder: the agent's.
    """
    yield Agent(folder)
    rewritten = settings.firewall(4)
    for port in one.ports:
        yield from _held(port, gate, folder, one.listens_v6, settings)
    if rewritten and settings.firewall_backend == "nftables":
        for port in one.ports:
            yield from bridge_nftables.published(gate.net, gate.end, _port(port), settings)
    elif rewritten:
        yield from _iptables(one, gate)


def _held(
    port: ServicePort, gate: Gate, folder: str, listens_v6: bool, settings: Settings
) -> Iterator[Thing]:
    """Yield the port's sockets, and the proxy for those that no rule leads to the service."""
    loopback = settings.firewall_backend == "nftables" or not settings.firewall(4)
    for ip, served in ((ANY4, loopback), (ANY6, True)):
        if ip.version == 4 or listens_v6:
            where = (folder, port.protocol, ip, port.published, gate.ip, port.published)
            yield HostPort(*where)
            if served and port.protocol != "sctp":
                yield Proxy(*where)


def _port(port: ServicePort) -> Port:
    """A service's port as the ingress balancer's own: the published number on both sides."""
    return Port(port.published, port.protocol, ANY4, port.published)


def _iptables(one: VirtualService, gate: Gate) -> Iterator[Thing]:
    tool, link = Family.V4, gate.net.link
    local = f"-m addrtype --dst-type LOCAL -j {CHAIN}"
    yield Chain(tool, "filter", CHAIN)
    yield Rule(tool, "filter", CHAIN, "-j RETURN", why=REST)
    yield Rule(tool, "filter", "PLUMB-FORWARD", f"-j {CHAIN}", Position.HEAD, ALL_PORTS)
    yield Chain(tool, "nat", CHAIN)
    yield Rule(tool, "nat", CHAIN, "-j RETURN", why=REST)
    yield Rule(tool, "nat", "PREROUTING", local, Position.HEAD, rule_reasons.FROM_OUTSIDE)
    yield Rule(tool, "nat", "OUTPUT", local, Position.HEAD, ALL_PORTS)
    masquerade = f"-o {link} -m addrtype --src-type LOCAL -j MASQUERADE"
    yield Rule(tool, "nat", "POSTROUTING", masquerade, Position.HEAD, AS_THE_HOST)
    # 127.0.0.1:8080 is rewritten too: the kernel must let it leave loopback.
    yield Sysctl(f"net/ipv4/conf/{link}/route_localnet", "1", usual="0")
    for port in one.ports:
        match, number = f"-p {port.protocol} -m {port.protocol}", port.published
        answers = f"{match} --sport {number} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
        yield Rule(tool, "filter", CHAIN, answers, Position.HEAD, ANSWERS)
        accept = f"{match} --dport {number} -j ACCEPT"
        yield Rule(tool, "filter", CHAIN, accept, Position.HEAD, OPEN)
        to = f"{match} --dport {number} -j DNAT --to-destination {gate.ip}:{number}"
        yield Rule(tool, "nat", CHAIN, to, Position.HEAD, OPEN)


# -- a task ---------------------------------------------------------------


def task(
    end: Endpoint, ports: tuple[ServicePort, ...], ns: str, settings: Settings
) -> Iterator[Thing]:
    """Yield a task's own rules about its address on the ingress network.

    Args:
        ports: those that its service publishes that way.
        ns: the task's namespace.
    """
    if end.ip is None or not ports:
        return
    if settings.firewall_backend == "nftables":
        yield from _task_nftables(end.ip.ip, ports, ns)
    else:
        yield from _task_iptables(f"{end.ip.ip}/32", ports, ns)


def _task_iptables(own: str, ports: tuple[ServicePort, ...], ns: str) -> Iterator[Thing]:
    def rule(table: str, chain: str, spec: str, why: str) -> Rule:
        return Rule(Family.V4, table, chain, spec, why=why, ns=ns)

    state = "-m conntrack --ctstate"
    for port in ports:
        match = f"-p {port.protocol} -m {port.protocol}"
        to = f"-d {own} {match} --dport {port.published} -j REDIRECT --to-ports {port.target}"
        yield rule("nat", "PREROUTING", to, TARGET)
        let_in = f"-d {own} {match} --dport {port.target} {state} NEW,ESTABLISHED -j ACCEPT"
        yield rule("filter", "INPUT", let_in, OPEN)
        answers = f"-s {own} {match} --sport {port.target} {state} ESTABLISHED -j ACCEPT"
        yield rule("filter", "OUTPUT", answers, ANSWERS)
    for protocol in PROTOCOLS:
        yield rule("filter", "INPUT", f"-d {own} -p {protocol} -j DROP", ONLY_PUBLISHED)
        yield rule("filter", "OUTPUT", f"-s {own} -p {protocol} -j DROP", ONLY_PUBLISHED)


def _task_nftables(own: IPv4Address, ports: tuple[ServicePort, ...], ns: str) -> Iterator[Thing]:
    table, words = by_nftables.TABLE, NftFamily.V4

    def rule(chain: str, spec: str, why: str) -> NftRule:
        return NftRule(words, table, chain, spec, why=why, ns=ns)

    yield NftTable(words, table, ns)
    yield NftChain(words, table, "ingress-PREROUTING", "nat", "prerouting", -100, "accept", ns)
    yield NftChain(words, table, "ingress-INPUT", "filter", "input", 0, "accept", ns)
    yield NftChain(words, table, "ingress-OUTPUT", "filter", "output", 0, "accept", ns)
    for port in ports:
        to = f"ip daddr {own} {port.protocol} dport {port.published} counter redirect to"
        yield rule("ingress-PREROUTING", f"{to} :{port.target}", TARGET)
        let_in = f"ip daddr {own} {port.protocol} dport {port.target} ct state established,new"
        yield rule("ingress-INPUT", f"{let_in} counter accept", OPEN)
        answers = f"ip saddr {own} {port.protocol} sport {port.target} ct state established"
        yield rule("ingress-OUTPUT", f"{answers} counter accept", ANSWERS)
    for protocol in PROTOCOLS:
        inwards = f"ip daddr {own} ip protocol {protocol} counter drop"
        yield rule("ingress-INPUT", inwards, ONLY_PUBLISHED)
        outwards = f"ip saddr {own} ip protocol {protocol} counter drop"
        yield rule("ingress-OUTPUT", outwards, ONLY_PUBLISHED)
