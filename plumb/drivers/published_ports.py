"""Sockets and proxies of published ports on the host, beside the firewall's rules for them.

    a client outside        0.0.0.0:8080 ── DNAT in nat PREROUTING ── 172.18.0.2:80
                            (the socket is never met)
    the host itself         its own address: DNAT in nat OUTPUT;
                            127.0.0.1: the socket ── proxy ── 172.18.0.2:80
    a container beside it   the host's address, not DNATed from this bridge:
                            the socket ── proxy ── 172.18.0.2:80
    an IPv6 client          [::]:8080, the container has IPv4 only:
                            the socket ── proxy ── 172.18.0.2:80

What comes by DNAT keeps its own source address. What comes by the proxy seems to come from the
bridge's, since the proxy opens a connection of its own. With `userland-proxy: false` the port is
bound all the same, so that it is nobody else's, but all ways are DNAT's then: hairpin mode on the
bridge's port, masquerading and route_localnet make that possible for IPv4.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from plumb.model.cnm import Endpoint, Linked, Network
from plumb.model.driver_options import GatewayMode
from plumb.model.settings import Settings
from plumb.things import Thing
from plumb.things.host_ports import Agent, HostPort, Proxy


def endpoint(end: Endpoint, folder: str, settings: Settings) -> Iterator[Thing]:
    """The host ports of an endpoint: the agent that holds them, the ports, the proxies behind them.

    Args:
        folder: where the agent lives.
    """
    bound = [port for port in end.ports if port.host_port]
    if bound:
        yield Agent(folder)
    for port in bound:
        yield HostPort(
            folder, port.protocol, port.host_ip, port.host_port, end.target(port), port.port
        )
    for port in bound if settings.userland_proxy else ():
        yield Proxy(
            folder, port.protocol, port.host_ip, port.host_port, end.target(port), port.port
        )


def protected(net: Network, version: int, settings: Settings) -> bool:
    """True if rules of the raw table keep all but published ports from the containers."""
    direct = (
        net.internal
        or settings.allow_direct_routing
        or net.bridge.mode(version) is not GatewayMode.NAT
    )
    return settings.firewall(version) and not direct


def linked(end: Endpoint, other: Linked) -> Iterator[tuple[IPv4Address, IPv4Address, int, str]]:
    """The exposed ports of a container that this endpoint's is linked to.

    Both IPv4 addresses, the port and its protocol.
    """
    child = next((ip for ip in other.ips if isinstance(ip, IPv4Address)), None)
    if end.ip is None or child is None:
        return
    for spec in other.ports:
        number, _, protocol = spec.partition("/")
        yield end.ip.ip, child, int(number), protocol
