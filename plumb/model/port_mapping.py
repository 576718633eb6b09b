"""Port mapping: from the published ports that a container requests to those that are bound.

`-p 80` names a port of the container, and leaves the host's addresses and port open. An endpoint
publishes as long as it is its container's gateway, for each address family on its own, because a
reply must leave by the path of the request:

    host address    the requested one, else the network's (host_binding_ipv4, of either family),
                    else 0.0.0.0 and ::
    host port       the requested one, else the next free one of the range,
                    else of the kernel's ephemeral ports
    routed          no host address, no host port: the outside has a route to the container,
                    and the firewall accepts the port

A container without IPv6 is published on IPv6 addresses of the host all the same, if the user-land
proxy is there to speak IPv4 to it: no firewall rule can. Bindings that differ in the host address
alone get one port number, so that a client may take either address. Numbers are allocated in turn,
not the lowest first: a released port stays unused for as long as possible, so that a client of its
previous container does not reach another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from plumb.address import IPAddress
from plumb.model.cnm import Endpoint, Ends, Network, Sandbox
from plumb.model.driver_options import GatewayMode
from plumb.model.net.gateways import gateway_of
from plumb.model.parse import address
from plumb.model.ports import PROTOCOLS, PortBinding

ANY: dict[int, IPAddress] = {4: address("0.0.0.0"), 6: address("::")}


class Request(NamedTuple):
    """A port to be published, with its host address settled; first 0: any port."""

    routed: bool
    port: int
    protocol: str
    first: int
    last: int
    host_ip: IPAddress

    @property
    def exact(self) -> bool:
        """True if one host port alone is acceptable."""
        return 0 < self.first == self.last


def wanted(box: Sandbox) -> tuple[PortBinding, ...]:
    """Ports that a container publishes: those given with -p, and with -P the other exposed ones."""
    said = {(binding.port, binding.protocol) for binding in box.ports}
    exposed = (
        [
            (int(port), protocol)
            for port, _, protocol in (spec.partition("/") for spec in box.exposed)
        ]
        if box.publish_all
        else []
    )
    return (
        *box.ports,
        *(
            PortBinding(port, protocol)
            for port, protocol in exposed
            if (port, protocol) not in said and protocol in PROTOCOLS
        ),
    )


def families(end: Endpoint, net: Network, ends: Ends) -> frozenset[int]:
    """The families of host addresses on which this endpoint publishes.

    As gateway of that family; for IPv6 also as gateway of IPv4 where there is none of IPv6
    (Docker's rule); on a routed network always, as nothing of the host is bound there.
    """
    gateways = {
        version: chosen[0].id if (chosen := gateway_of(ends, version)) else "" for version in (4, 6)
    }
    found = {version for version in (4, 6) if gateways[version] == end.id}
    if gateways[4] == end.id and not gateways[6]:
        found.add(6)
    if net.internal or not net.traits.publishes_ports:
        return frozenset()  # on a macvlan or ipvlan network all ports are open to the LAN anyway
    return frozenset(
        found | {ip.version for ip in end.ips if net.bridge.mode(ip.version) is GatewayMode.ROUTED}
    )


def requests(
    bindings: Iterable[PortBinding],
    end: Endpoint,
    net: Network,
    versions: Iterable[int],
    *,
    proxy: bool,
    ipv6: bool,
) -> list[Request]:
    """Requests for an endpoint's published ports, in the order in which they are allocated.

    Args:
        bindings: what was asked for.
        versions: the families of host addresses.
        proxy: the user-land proxy is there.
        ipv6: the host can listen on IPv6, so that :: is added where no address was asked for.
    """
    found = [
        request
        for binding in bindings
        for version in versions
        if (request := _request(binding, end, net, version, proxy=proxy, ipv6=ipv6)) is not None
    ]
    return sorted(found, key=_turn)


def _request(
    binding: PortBinding, end: Endpoint, net: Network, version: int, *, proxy: bool, ipv6: bool
) -> Request | None:
    host_ip = _host_address(binding, net, version, ipv6)
    own = end.ip if version == 4 else end.ip6
    if host_ip is None or (own is None and (version == 4 or end.ip is None or not proxy)):
        return None
    routed = net.bridge.mode(version) is GatewayMode.ROUTED  # also without an address of it
    if routed:
        host_ip = ANY[version]
    return Request(
        routed, binding.port, binding.protocol, binding.first or 0, binding.last or 0, host_ip
    )


def _host_address(binding: PortBinding, net: Network, version: int, ipv6: bool) -> IPAddress | None:
    """The host address of a binding in one family; None where it has none there."""
    if binding.host_ip is not None:
        return binding.host_ip if binding.host_ip.version == version else None
    default = net.bridge.host_binding or ANY[4]
    if default == ANY[4] and version == 6:
        return ANY[6] if ipv6 else None
    return default if default.version == version else None


def _turn(request: Request) -> tuple[bool, bool, int, int, int, int, int, int]:
    """Docker's order: exact ports before ranges that they may fall in.

    What differs in the host address alone side by side.
    """
    return (
        request.routed,
        not request.exact,
        request.port,
        PROTOCOLS.index(request.protocol),
        request.first,
        request.last,
        request.host_ip.version,
        int(request.host_ip),
    )


def groups(sorted_requests: Iterable[Request]) -> Iterator[list[Request]]:
    """Requests that shall have one port number."""
    for _, part in groupby(sorted_requests, key=lambda request: request[:5]):
        yield list(part)


def candidates(
    first: int, last: int, previous: int, reserved: frozenset[int] = frozenset()
) -> Iterator[int]:
    """The ports of a range in turn, beginning behind the one that was given out last."""
    start = previous + 1 if first <= previous < last else first
    yield from (
        port for port in (*range(start, last + 1), *range(first, start)) if port not in reserved
    )


def clash(one: IPAddress, other: IPAddress) -> bool:
    """True if two sockets cannot bind the same port of these two addresses.

    The unspecified address includes each address of its family.
    """
    return one.version == other.version and (
        one == other or one.is_unspecified or other.is_unspecified
    )
