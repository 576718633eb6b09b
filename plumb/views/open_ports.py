"""Open ports: addresses and ports of running containers, and the places that reach them.

They follow from the intent: published ports, routed or unprotected networks, trusted interfaces,
neighbours on the same network; and from what other firewalls of the host drop, as far as a caller
has found that out. `plumb.probes.promises` tries the same with real traffic.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.model.cnm import Endpoint, Ends, Network, Sandbox
from plumb.model.driver_options import GatewayMode
from plumb.model.foreign_firewall import ForeignFirewall
from plumb.model.ports import Port, shown
from plumb.things.host_ports import at

ROUTE = "clients with a route to it"


@frozen
class Opening:
    """Address at which a container is reachable.

    Attributes:
        container, network: their names.
        port: "80/tcp", or "any".
        address: an address of the host with its port, or the container's own.
        whom: the clients that may reach it, in words.
        way: the mechanism: "DNAT", "proxy", "route", "bridge", or the driver's name.
        dropped_by: the chain of another firewall that drops it; "" if there is none, None if that
            has not been looked at.
    """

    container: str
    network: str
    port: str
    address: str
    whom: str
    way: str
    dropped_by: str | None = None

    @property
    def row(self) -> dict[str, str]:
        """Row of the listing, by field."""
        return {
            "Container": self.container,
            "Network": self.network,
            "Port": self.port,
            "Address": self.address,
            "OpenTo": self.whom,
            "Way": self.way,
        }

    @property
    def document(self) -> dict[str, object]:
        """Row as JSON and templates have it."""
        return {**self.row, "DroppedBy": self.dropped_by}


COLUMNS = {
    "Container": "CONTAINER",
    "Network": "NETWORK",
    "Port": "PORT",
    "Address": "ADDRESS",
    "OpenTo": "OPEN TO",
    "Way": "WAY",
}


Dropped = Mapping[tuple[str, Port], ForeignFirewall]
"""Chains of other firewalls that drop published ports, by the endpoint's id and the port."""


def openings(
    members: Sequence[tuple[Sandbox, Ends]],
    *,
    direct: bool = False,
    proxy: bool = True,
    firewall: frozenset[int] = frozenset({4, 6}),
    dropped: Dropped | None = None,
) -> list[Opening]:
    """Addresses and ports at which these containers are reachable.

    Args:
        members: running containers with their endpoints.
        direct: True if routing straight to containers is allowed (`allow-direct-routing`).
        proxy: True if there is a user-land proxy (`userland-proxy`).
        firewall: the address families with firewall rules of plumb's (`iptables`, `ip6tables`).
        dropped: published ports that other firewalls drop; None if nobody has looked.
    """
    found: list[Opening] = []
    for box, ends in members:
        for end, net in ends:
            ways = _published(end, proxy, firewall, dropped)
            found += [Opening(box.name, net.name, *way) for way in ways]
            own = _direct(end, net, direct, firewall)
            found += [Opening(box.name, net.name, *way) for way in own]
    return found


def published(members: Sequence[tuple[Sandbox, Ends]], proxied: Container[str]) -> list[Opening]:
    """Published ports alone, of containers whose engine plumb does not know the settings of.

    Args:
        members: running containers with their endpoints.
        proxied: ids of those whose engine may have a user-land proxy: Docker's.
    """
    return [
        Opening(box.name, net.name, *way)
        for box, ends in members
        for end, net in ends
        for way in _published(end, box.id in proxied, frozenset({4, 6}), None)
        if way[3] != "route"
    ]


def _published(
    end: Endpoint, proxy: bool, firewall: frozenset[int], dropped: Dropped | None
) -> Iterator[tuple[str, str, str, str, str | None]]:
    for port in shown(end.ports):
        spec, target = f"{port.port}/{port.protocol}", end.target(port)
        way = _way(end, port, proxy, firewall)
        by = None if dropped is None else str(dropped.get((end.id, port), ""))
        if way == "route":
            yield spec, at(target, port.port), ROUTE, way, None
        elif way:
            whom = _nobody(port.host_ip, by) if by else _whom(port.host_ip)
            yield spec, at(port.host_ip, port.host_port), whom, way, by


def _nobody(ip: IPAddress, by: str) -> str:
    return f"nobody{'' if ip.is_loopback else ' outside this host'}: dropped by {by}"


def _whom(ip: IPAddress) -> str:
    if ip.is_loopback:
        return "this host alone"
    return (
        f"clients that reach this host by IPv{ip.version}"
        if ip.is_unspecified
        else f"clients that reach {ip}"
    )


def _way(end: Endpoint, port: Port, proxy: bool, firewall: frozenset[int]) -> str:
    """Mechanism that serves a published port; "" if there is none.

    The proxy serves ports of the other address family, and those on a loopback address, which no
    DNAT rule matches.
    """
    if not port.host_port:
        return "route"
    rewritten = end.rewrites(port) and port.host_ip.version in firewall
    if proxy and (not rewritten or port.host_ip.is_loopback):
        return "proxy"
    return "DNAT" if rewritten else ""


def _direct(
    end: Endpoint, net: Network, direct: bool, firewall: frozenset[int]
) -> Iterator[tuple[str, str, str, str]]:
    for ip in end.ips:
        address = str(ip.ip)
        if not net.bridge_in_host:
            near = [
                f"containers of {net.name}",
                *([f"the network of {net.link}"] if net.on_lan and not net.closed else []),
            ]
            yield "any", address, " and ".join(near), net.driver
            continue
        near = [f"containers of {net.name}"] if net.bridge.icc or ip.version not in firewall else []
        pool, mode = net.pool(ip.version), net.bridge.mode(ip.version)
        if pool is not None and pool.gateway is not None and mode is not GatewayMode.ISOLATED:
            near.append("this host")
        if near:
            yield "any", address, " and ".join(near), net.driver
        if net.internal:
            continue
        if mode is GatewayMode.NAT_UNPROTECTED or ip.version not in firewall:
            yield "any", address, ROUTE, "route"
        elif mode is GatewayMode.NAT:
            whom = [ROUTE] if direct else [f"what comes in by {dev}" for dev in net.bridge.trusted]
            opened = dict.fromkeys(
                (port.port, port.protocol) for port in shown(end.ports) if end.target(port) == ip.ip
            )
            for port, protocol in opened:
                yield from ((f"{port}/{protocol}", at(ip.ip, port), each, "route") for each in whom)
