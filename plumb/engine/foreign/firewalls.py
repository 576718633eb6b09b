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
from plumb.model.settings import Settings
from plumb.store import Store
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
    open_networks = [
        (net, ends)
        for net in store.all(Network)
        if net.bridge_in_host
        and not net.internal
        and any(settings.firewall(pool.subnet.version) for pool in net.pools)
        and (ends := store.endpoints(network=net.id))
    ]
    if not open_networks:
        return []
    from plumb.kernel.netfilter import foreign_chains

    found = []
    backend = foreign_chains.backend(settings.firewall_backend)
    for chain in foreign_chains.firewalls(backend, own_rules(store)):
        families = {
            version: foreign_chains.uplinks(version)
            for version in (4, 6)
            if chain.concerns(version) and settings.firewall(version)
        }
        stopped = tuple(
            net
            for net, ends in open_networks
            if any(map(chain.stops, _traffic(net, ends, families)))
        )
        if stopped:
            found.append(Obstacle(chain, stopped))
        found += _ports_stopped(chain, open_networks, families)
    return found


def own_rules(store: Store) -> frozenset[tuple[str, str, str, str]]:
    """List plumb's rules of iptables in the host: tool, table, chain and words."""
    return frozenset(
        (str(rule.family), rule.table, rule.chain, rule.spec)
        for rule in store.things_of(Rule)
        if isinstance(rule, Rule) and not rule.ns
    )


def _ports_stopped(
    chain: ForeignFirewall,
    members: Sequence[tuple[Network, Sequence[Endpoint]]],
    families: Mapping[int, frozenset[str]],
) -> list[Obstacle]:
    """List the networks with published ports that a chain drops on their way to the host."""
    found: dict[str, tuple[Network, dict[tuple[str, int], None]]] = {}
    if chain.hook not in ("input", "prerouting"):
        return []
    for net, ends in members:
        for end in ends:
            for port in end.ports:
                version = port.host_ip.version
                if version in families and port.host_port and not port.host_ip.is_loopback:
                    way = TrafficKind.PUBLISHED if end.rewrites(port) else TrafficKind.PROXIED
                    subnet = ip_network(f"{port.host_ip}/{port.host_ip.max_prefixlen}")
                    spec = (port.protocol, port.host_port)
                    if chain.stops(Traffic(way, net.link, subnet, families[version], *spec)):
                        found.setdefault(net.id, (net, {}))[1][spec] = None
    return [Obstacle(chain, (net,), tuple(ports)) for net, ports in found.values()]


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
