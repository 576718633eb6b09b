"""Obstacles: what stands in the way of packets and is not plumb's to mend, with what can be done about it.

A wall of another firewall counts where it drops what plumb lets through: packets of a bridge
network on which containers run. An internal network's stay on its bridge. Where plumb writes no
firewall rules ("iptables": false), they are the administrator's matter as a whole.
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
    """A wall, and the networks whose packets it drops.

    Attributes:
        wall: the foreign chain.
        networks: those that it does not let pass.
    """

    wall: ForeignFirewall
    networks: tuple[Network, ...]

    @property
    def advice(self) -> list[str]:
        """What to do: commands of which one group is enough."""
        wall, bridges = self.wall, [net.link for net in self.networks]
        accept = (
            f"nft chain {wall.family} {wall.table} {wall.chain} '{{ policy accept; }}'"
            if wall.tool == "nft"
            else f"{wall.tool} -t {wall.table} -P {wall.chain} ACCEPT"
        )
        return [
            *openings(wall, bridges),
            *([f"or: {accept}"] if wall.policy == "drop" and wall.table != "firewalld" else []),
            "or disable that firewall, if it is not the one that protects this host",
        ]

    def __str__(self) -> str:
        names = ", ".join(f"{net.name} ({net.link})" for net in self.networks)
        return f"blocked: {names} by {self.wall}: {self.wall.why}"


def obstacles(store: Store, settings: Settings) -> list[Obstacle]:
    """What stands in the way of the networks on which containers run.

    The firewalls are not looked at where there is none.
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
    for wall in foreign_chains.walls(foreign_chains.backend(settings.firewall_backend)):
        families = {
            version: foreign_chains.uplinks(version)
            for version in (4, 6)
            if wall.concerns(version) and settings.firewall(version)
        }
        stopped = tuple(
            net
            for net, ends in open_networks
            if any(map(wall.stops, _traffic(net, ends, families)))
        )
        if stopped:
            found.append(Obstacle(wall, stopped))
    return found


def _traffic(
    net: Network, ends: Sequence[Endpoint], families: Mapping[int, frozenset[str]]
) -> Iterator[Traffic]:
    """What a network's containers send and get, of these families."""
    for pool in net.pools:
        version = pool.subnet.version
        published = any(port.host_ip.version == version for end in ends for port in end.ports)
        for way in (TrafficKind.OUT, TrafficKind.BACK, *([TrafficKind.IN] if published else [])):
            if version in families:
                yield Traffic(way, net.link, pool.subnet, families[version])
