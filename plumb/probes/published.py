"""Promises of published ports: who reaches them, from where, and whom the container sees.

    a client outside, by the host's address       DNAT: the container sees the client itself
    the host, by its own address                  DNAT too: it sees that address (without the proxy: the bridge's)
    the host, by 127.0.0.1 or ::1                 the proxy: it sees the bridge's address
    a container beside it, by the host's address  the proxy: the bridge's address (without: the container; itself as the bridge)
    any IPv6 client, of an IPv4 container         the proxy: the bridge's IPv4 address
    a client outside, of a port on 127.0.0.1      nobody, even if it routes 127.0.0.0/8 at this host

Whom the container sees tells DNAT from proxy: a port that lost its DNAT rule still answers, but not to whom it should.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from plumb.cnm import Endpoint, IPAddress, Network, Port
from plumb.probes.promises import HOST, WORLD, Member, Promise, Protocol, Service
from plumb.services.ports import clash


@dataclass(frozen=True)
class Outlook:
    """What else decides who reaches a published port.

    Attributes:
        addresses: the host's own addresses by which the world reaches it.
        proxy: the user-land proxy is there.
        firewall: the families with firewall rules.
    """

    addresses: Sequence[IPAddress]
    proxy: bool = True
    firewall: frozenset[int] = frozenset({4, 6})


def published(members: Sequence[Member], outlook: Outlook) -> list[Promise]:
    """All that is promised about the published ports of these containers."""
    return [promise for member in members for end, net in member[1] for port in end.ports
            if port.host_port and port.protocol in (Protocol.TCP, Protocol.UDP)
            for promise in _of(member, end, net, port, members, outlook)]


def _of(member: Member, end: Endpoint, net: Network, port: Port, members: Sequence[Member], outlook: Outlook) -> Iterator[Promise]:
    box, target = member[0], end.target(port)
    pool = net.pool(target.version)
    bridge = pool.gateway if pool is not None else None

    def promise(source: str, address: IPAddress, reach: bool, why: str, seen: IPAddress | None = None) -> Promise:
        service = Service(port.host_port, target, port.port, seen)
        return Promise(source, box.name, address, Protocol(port.protocol), reach, why, service)

    rewritten = end.rewrites(port) and port.host_ip.version in outlook.firewall
    if not rewritten and not outlook.proxy:
        return
    for address in _knocked_at(port, outlook):
        if not clash(port.host_ip, address):
            yield promise(WORLD, address, False, f"it is published on {port.host_ip} alone")
            continue
        seen = None if rewritten else bridge
        yield promise(WORLD, address, True, "it is published", seen)
        yield promise(HOST, address, True, "it is published", address if rewritten and outlook.proxy else bridge)
        for name, sees in _neighbours(member, net, port, members, outlook, bridge):
            yield promise(name, address, True, "it is published, for neighbours too", sees)
    loopback = _loopback(port)
    if clash(port.host_ip, loopback) and (outlook.proxy or (rewritten and loopback.version == 4)):
        yield promise(HOST, loopback, True, "the host reaches its own published ports", bridge)
    if port.host_ip.is_loopback and port.host_ip.version == 4:
        yield promise(WORLD, port.host_ip, False, "what is published on the loopback address is the host's alone")


def _knocked_at(port: Port, outlook: Outlook) -> Iterable[IPAddress]:
    return (address for address in outlook.addresses if address.version == port.host_ip.version)


def _loopback(port: Port) -> IPAddress:
    """The loopback address that a port could be reached by."""
    if port.host_ip.is_loopback:
        return port.host_ip
    return type(port.host_ip)(0x7F000001 if port.host_ip.version == 4 else 1)


def _neighbours(member: Member, net: Network, port: Port, members: Sequence[Member], outlook: Outlook,
                bridge: IPAddress | None) -> Iterator[tuple[str, IPAddress | None]]:
    """Containers on the same network and on no other, itself included, and whom the published one sees."""
    for box, ends in members:
        if [other.id for _, other in ends] == [net.id] and any(ip.version == port.host_ip.version for ip in ends[0][0].ips):
            masked = outlook.proxy or box.id == member[0].id
            yield box.name, bridge if masked else None
