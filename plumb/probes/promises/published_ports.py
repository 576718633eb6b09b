"""Promises of published ports: their clients, and the source address that the container observes.

    client                                         leads there: source address observed
    outside, by the host's address                 DNAT: the client's own
    the host, by its own address                   DNAT: that address (without the proxy: the
                                                   bridge's)
    the host, by 127.0.0.1 or ::1                  the proxy: the bridge's
    a container beside it, by the host's address   the proxy: the bridge's (without the proxy, DNAT:
                                                   the client's own; the bridge's for itself)
    one of another network, by the host's address  DNAT, masquerade of its network: the bridge's
    one without a default route                    not reached, no more than the host's address
    any IPv6 client, of an IPv4 container          the proxy: the bridge's IPv4 address
    outside, by the container's own address        not reached behind NAT; else the client's own
    outside, of a port on 127.0.0.1                not reached, even if the client routes
                                                   127.0.0.0/8 to this host

The source address shows whether DNAT or the proxy leads to the container: a port that lost its DNAT
rule still answers, through the proxy, and the container observes the bridge's address.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.model.cnm import Endpoint, Network
from plumb.model.driver_options import GatewayMode
from plumb.model.net.gateways import gateway_of
from plumb.model.port_mapping import clash
from plumb.model.ports import Port
from plumb.probes.promises.promise import (
    HOST,
    OWN,
    WORLD,
    Member,
    Promise,
    Protocol,
    Service,
    SourceAddresses,
)
from plumb.probes.promises.reachability import masquerade_addresses, masquerades
from plumb.probes.promises.shared_netns import with_sharers


@frozen
class PublishingHost:
    """The host's part in the promises of published ports.

    Attributes:
        addresses: the host's own addresses by which the world reaches it.
        proxy: the user-land proxy serves the ports.
        firewall: the address families with firewall rules.
    """

    addresses: Sequence[IPAddress]
    proxy: bool = True
    firewall: frozenset[int] = frozenset({4, 6})


def published(members: Sequence[Member], host: PublishingHost) -> list[Promise]:
    """Promises of the published ports of these containers."""
    alone = [member for member in members if not member[0].shares]
    return with_sharers(
        [
            promise
            for member in alone
            for end, net in member[1]
            for port in end.ports
            if port.host_port and port.protocol in (Protocol.TCP, Protocol.UDP)
            for promise in _of(member, end, net, port, alone, host)
        ],
        members,
    )


def at_own_address(
    members: Sequence[Member], host: PublishingHost, direct: bool = False
) -> list[Promise]:
    """Promises of the published ports to a client outside that routes to the containers.

    FORWARD accepts a published port's packets whatever they were sent to, so behind NAT the raw
    PREROUTING rule alone keeps such a client out.

    Args:
        direct: True if routing straight to containers is allowed (`allow-direct-routing`).
    """
    made = (
        promise
        for box, ends in members
        if not box.shares
        for end, net in ends
        for port in end.ports
        if port.protocol in (Protocol.TCP, Protocol.UDP) and net.bridge_in_host
        for promise in _at_own_address(box.name, ends, (end, net, port), host, direct)
    )
    return list(dict.fromkeys(made))  # one for 0.0.0.0 and :: together


def _at_own_address(
    name: str,
    ends: Sequence[tuple[Endpoint, Network]],
    of: tuple[Endpoint, Network, Port],
    host: PublishingHost,
    direct: bool,
) -> Iterator[Promise]:
    end, net, port = of
    target = end.target(port)
    way, mode = gateway_of(list(ends), target.version), net.bridge.mode(target.version)
    if way is None or way[1].id != net.id or target.version not in host.firewall:
        return  # the reply would take another route
    if mode is GatewayMode.NAT and net.bridge.trusted and not direct:
        return  # open to clients that come in by the trusted links
    reach = mode in (GatewayMode.ROUTED, GatewayMode.NAT_UNPROTECTED) or (
        direct and mode is GatewayMode.NAT
    )
    yield Promise(
        WORLD,
        name,
        target,
        Protocol(port.protocol),
        reach,
        "it is published" if reach else f"{net.name} is behind NAT",
        Service(port.port, target, port.port),
        OWN if reach else None,
    )


def _of(
    member: Member,
    end: Endpoint,
    net: Network,
    port: Port,
    members: Sequence[Member],
    host: PublishingHost,
) -> Iterator[Promise]:
    box, target = member[0], end.target(port)
    pool = net.pool(target.version)
    bridge = pool.gateway if pool is not None else None

    def promise(
        source: str, address: IPAddress, reach: bool, why: str, sources: SourceAddresses = OWN
    ) -> Promise:
        service = Service(port.host_port, target, port.port)
        return Promise(
            source,
            box.name,
            address,
            Protocol(port.protocol),
            reach,
            why,
            service,
            sources if reach else None,
        )

    as_bridge = None if bridge is None else (bridge,)
    rewritten = end.rewrites(port) and port.host_ip.version in host.firewall
    if not rewritten and not host.proxy:
        return
    for address in _published_addresses(port, host):
        if not clash(port.host_ip, address):
            yield promise(WORLD, address, False, f"it is published on {port.host_ip} alone")
            continue
        yield promise(WORLD, address, True, "it is published", OWN if rewritten else as_bridge)
        yield promise(
            HOST,
            address,
            True,
            "it is published",
            (address,) if rewritten and host.proxy else as_bridge,
        )
        for name, reach, why, sources in _neighbours(
            member, net, port, members, host, rewritten, as_bridge
        ):
            yield promise(name, address, reach, why, sources)
    loopback = _loopback(port)
    if clash(port.host_ip, loopback) and (host.proxy or (rewritten and loopback.version == 4)):
        yield promise(HOST, loopback, True, "the host reaches its own published ports", as_bridge)
    if port.host_ip.is_loopback and port.host_ip.version == 4:
        yield promise(
            WORLD,
            port.host_ip,
            False,
            "what is published on the loopback address is the host's alone",
        )


def _published_addresses(port: Port, host: PublishingHost) -> Iterable[IPAddress]:
    return (address for address in host.addresses if address.version == port.host_ip.version)


def _loopback(port: Port) -> IPAddress:
    """The loopback address of a port's family, or its own."""
    if port.host_ip.is_loopback:
        return port.host_ip
    return type(port.host_ip)(0x7F000001 if port.host_ip.version == 4 else 1)


def _neighbours(
    member: Member,
    net: Network,
    port: Port,
    members: Sequence[Member],
    host: PublishingHost,
    rewritten: bool,
    as_bridge: SourceAddresses,
) -> Iterator[tuple[str, bool, str, SourceAddresses]]:
    """Containers whose default route is by a bridge, or that have none, the published one included.

    For each: its name, reached or not, the reason, and the source addresses.
    """
    version = port.host_ip.version
    for box, ends in members:
        if any(other.on_lan for _, other in ends):
            continue  # on the LAN, other routes lead to the host's address
        way = gateway_of(ends, version)
        if way is None:
            yield box.name, False, "it has no way to the host's address", None
        elif way[1].id == net.id:
            masked = host.proxy or box.id == member[0].id
            yield (
                box.name,
                True,
                "it is published, for neighbours too",
                as_bridge if masked else OWN,
            )
        elif version in host.firewall:
            sources = (
                as_bridge
                if not rewritten
                else masquerade_addresses(way[1], net, version)
                if masquerades(way[1], version)
                else OWN
            )
            yield box.name, True, "it is published, for other networks too", sources
