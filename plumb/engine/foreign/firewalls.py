"""Obstacles: chains of other firewalls that drop packets which plumb accepts, with remedies.

plumb reports a foreign chain if it drops packets of a bridge network on which containers run, and
never changes it. An internal network's packets stay on its bridge. Where plumb writes no firewall
rules ("iptables": false), the firewall is the administrator's responsibility.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from plumb.model.cnm import Endpoint, Network
from plumb.model.foreign_firewall import ForeignFirewall, Traffic, TrafficKind, openings
from plumb.model.settings import Settings
from plumb.store import Store


@dataclass(frozen=True)
class Obstacle:
    """Foreign chain, and the networks whose packets it drops.

    Attributes:
        firewall: the foreign chain.
        networks: the networks whose packets the chain drops.
    """

    firewall: ForeignFirewall
    networks: tuple[Network, ...]

    @property
    def advice(self) -> list[str]:
        """List the remedies: groups of commands, of which one is enough."""
        chain, bridges = self.firewall, [net.link for net in self.networks]
        accept = (
            f"nft chain {chain.family} {chain.table} {chain.chain} '{{ policy accept; }}'"
            if chain.tool == "nft"
            else f"{chain.tool} -t {chain.table} -P {chain.chain} ACCEPT"
        )
        return [
            *openings(chain, bridges),
            *([f"or: {accept}"] if chain.policy == "drop" and chain.table != "firewalld" else []),
            "or disable that firewall, if it is not the one that protects this host",
        ]

    def __str__(self) -> str:
        names = ", ".join(f"{net.name} ({net.link})" for net in self.networks)
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
    for chain in foreign_chains.firewalls(foreign_chains.backend(settings.firewall_backend)):
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
    return found


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
