"""Obstacles: chains of other firewalls that drop packets which plumb accepts, with remedies.

plumb reports a foreign chain if it drops packets of a bridge network on which containers run, and
never changes it. An internal network's packets stay on its bridge. Where plumb writes no firewall
rules ("iptables": false), the firewall is the administrator's responsibility.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network

from plumb.frozen import frozen
from plumb.model.cnm import Endpoint, Network
from plumb.model.foreign_firewall import (
    ForeignFirewall,
    Traffic,
    TrafficKind,
    openings,
    port_openings,
)
from plumb.model.ports import Port
from plumb.model.settings import Settings
from plumb.store import Store
from plumb.things import HOST
from plumb.things.iptables import Rule


@frozen
class Obstacle:
    """Foreign chain, and the networks whose packets it drops.

    Attributes:
        firewall: the foreign chain.
        networks: the networks whose packets the chain drops.
        ports: protocols and ports of the host that it drops; empty if it drops more than that.
    """

    firewall: ForeignFirewall
    networks: tuple[Network, ...]
    ports: tuple[tuple[str, int], ...] = ()

    @property
    def advice(self) -> list[str]:
        """List the remedies: groups of commands, of which one is enough."""
        chain, bridges = self.firewall, [net.link for net in self.networks]
        accept = (
            f"nft chain {chain.family} {chain.table} {chain.chain} '{{ policy accept; }}'"
            if chain.tool == "nft"
            else f"{chain.tool} -t {chain.table} -P {chain.chain} ACCEPT"
        )
        if chain.shared:
            return [
                f"remove the rule that drops them; '{chain.tool} -S {chain.chain}' lists the rules"
            ]
        return [
            *(port_openings(chain, self.ports) if self.ports else openings(chain, bridges)),
            *([f"or: {accept}"] if chain.policy == "drop" and chain.table != "firewalld" else []),
            "or disable that firewall, if it is not the one that protects this host",
        ]

    def __str__(self) -> str:
        names = ", ".join(f"{net.name} ({net.link})" for net in self.networks)
        if self.ports:
            ports = ", ".join(f"{port}/{protocol}" for protocol, port in self.ports)
            names = f"port {ports} of {names}"
        return f"blocked: {names} by {self.firewall}: {self.firewall.why}"


def obstacles(store: Store, settings: Settings) -> list[Obstacle]:
    """Find the foreign chains that drop packets of networks on which containers run.

    Without such a network plumb does not read the firewalls.
    """
    found, members = [], _open_networks(store, settings)
    for chain, families in _foreign(store, settings) if members else ():
        stopped = tuple(
            net for net, ends in members if any(map(chain.stops, _traffic(net, ends, families)))
        )
        if stopped:
            found.append(Obstacle(chain, stopped))
        found += _ports_stopped(chain, members, families, settings)
    return found


def dropped_ports(store: Store, settings: Settings) -> dict[tuple[str, Port], ForeignFirewall]:
    """Find the published ports that a foreign chain drops, by their endpoint's id.

    Returns:
        The first such chain of each, be it before DNAT, at the proxy, or where the bridge begins.
    """
    found: dict[tuple[str, Port], ForeignFirewall] = {}
    members = _open_networks(store, settings)
    for chain, families in _foreign(store, settings) if members else ():
        for net, ends in members:
            for end in ends:
                for port in end.ports:
                    ways = [
                        *_to_host(net, end, port, families, settings),
                        *_to_container(net, end, port, families),
                    ]
                    if any(map(chain.stops, ways)):
                        found.setdefault((end.id, port), chain)
    return found


def _open_networks(store: Store, settings: Settings) -> list[tuple[Network, list[Endpoint]]]:
    """List the networks that plumb's own rules let packets through for, with their endpoints."""
    members: dict[str, list[Endpoint]] = {}
    for end in store.all(Endpoint):
        members.setdefault(end.network, []).append(end)
    return [
        (net, members[net.id])
        for net in store.all(Network)
        if net.id in members
        and net.bridge_in_host
        and not net.internal
        and any(settings.firewall(pool.subnet.version) for pool in net.pools)
    ]


def _foreign(
    store: Store, settings: Settings
) -> Iterator[tuple[ForeignFirewall, Mapping[int, frozenset[str]]]]:
    """Yield the chains that drop packets, each with the uplinks of the families it concerns."""
    from plumb.kernel.netfilter import foreign_chains

    backend = foreign_chains.backend(settings.firewall_backend)
    for chain in foreign_chains.firewalls(backend, own_rules(store)):
        yield (
            chain,
            {
                version: foreign_chains.uplinks(version)
                for version in (4, 6)
                if chain.concerns(version) and settings.firewall(version)
            },
        )


def own_rules(store: Store) -> frozenset[tuple[str, str, str, str]]:
    """List plumb's rules of iptables in the host: tool, table, chain and words."""
    return frozenset(
        (str(rule.family), rule.table, rule.chain, rule.spec)
        for rule in store.things_under("rule", HOST)
        if isinstance(rule, Rule)
    )


def _ports_stopped(
    chain: ForeignFirewall,
    members: Sequence[tuple[Network, Sequence[Endpoint]]],
    families: Mapping[int, frozenset[str]],
    settings: Settings,
) -> list[Obstacle]:
    """List the networks with published ports that a chain drops on their way to the host."""
    found: dict[str, tuple[Network, dict[tuple[str, int], None]]] = {}
    for net, ends in members:
        for end in ends:
            for port in end.ports:
                if any(map(chain.stops, _to_host(net, end, port, families, settings))):
                    spec = (port.protocol, port.host_port)
                    found.setdefault(net.id, (net, {}))[1][spec] = None
    return [Obstacle(chain, (net,), tuple(ports)) for net, ports in found.values()]


def _to_host(
    net: Network,
    end: Endpoint,
    port: Port,
    families: Mapping[int, frozenset[str]],
    settings: Settings,
) -> Iterator[Traffic]:
    """Yield the packets to a published port of the host; at a loopback address the host's own."""
    version, loopback = port.host_ip.version, port.host_ip.is_loopback
    if version not in families or not port.host_port:
        return
    if loopback and not settings.userland_proxy:
        return  # the hook output's NAT serves it, and no chain that plumb reads is on that way
    proxied = loopback or not end.rewrites(port)
    yield Traffic(
        TrafficKind.PROXIED if proxied else TrafficKind.PUBLISHED,
        net.link,
        ip_network(f"{port.host_ip}/{port.host_ip.max_prefixlen}"),
        frozenset({"lo"}) if loopback else families[version],
        port.protocol,
        port.host_port,
    )


def _to_container(
    net: Network, end: Endpoint, port: Port, families: Mapping[int, frozenset[str]]
) -> Iterator[Traffic]:
    """Yield the packets to a published port that NAT has given the container's address."""
    version = port.host_ip.version
    pool = net.pool(version)
    if version in families and pool and end.rewrites(port) and not port.host_ip.is_loopback:
        yield Traffic(TrafficKind.IN, net.link, pool.subnet, families[version])


def _traffic(
    net: Network, ends: Sequence[Endpoint], families: Mapping[int, frozenset[str]]
) -> Iterator[Traffic]:
    """Yield the kinds of packets that a network's containers send and receive, by family."""
    for pool in net.pools:
        version = pool.subnet.version
        published = any(port.host_ip.version == version for end in ends for port in end.ports)
        for kind in (TrafficKind.OUT, TrafficKind.BACK, *([TrafficKind.IN] if published else [])):
            if version in families:
                yield Traffic(kind, net.link, pool.subnet, families[version])
