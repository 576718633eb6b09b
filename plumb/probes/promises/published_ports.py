"""Promises of published ports: who reaches them, from where, and whom the container sees.

    a client outside, by the host's address       DNAT: the container sees the client itself
    the host, by its own address                  DNAT too: it sees that address (without the proxy: the bridge's)
    the host, by 127.0.0.1 or ::1                 the proxy: it sees the bridge's address
    a container beside it, by the host's address  the proxy: the bridge's address (without: the container; itself as the bridge)
    one of another network, by the host's address DNAT, and NAT of its own network: it sees the bridge's address
    one without a way out                         nobody: it does not even reach the host's address
    any IPv6 client, of an IPv4 container         the proxy: the bridge's IPv4 address
    a client outside, of a port on 127.0.0.1      nobody, even if it routes 127.0.0.0/8 at this host

Whom the container sees tells DNAT from proxy: a port that lost its DNAT rule still answers, but not
to whom it should.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from plumb.address import IPAddress
from plumb.model.cnm import Endpoint, Network
from plumb.model.net.gateways import gateway_of
from plumb.model.port_mapping import clash
from plumb.model.ports import Port
from plumb.probes.promises.promise import HOST, OWN, WORLD, Member, Promise, Protocol, Seen, Service
from plumb.probes.promises.reachability import hidden, hidden_by
from plumb.probes.promises.shared_netns import with_sharers


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
    alone = [member for member in members if not member[0].shares]
    return with_sharers(
        [
            promise
            for member in alone
            for end, net in member[1]
            for port in end.ports
            if port.host_port and port.protocol in (Protocol.TCP, Protocol.UDP)
            for promise in _of(member, end, net, port, alone, outlook)
        ],
        members,
    )


def _of(
    member: Member,
    end: Endpoint,
    net: Network,
    port: Port,
    members: Sequence[Member],
    outlook: Outlook,
) -> Iterator[Promise]:
    box, target = member[0], end.target(port)
    pool = net.pool(target.version)
    bridge = pool.gateway if pool is not None else None

    def promise(
        source: str, address: IPAddress, reach: bool, why: str, seen: Seen = OWN
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
            seen if reach else None,
        )

    as_bridge = None if bridge is None else (bridge,)
    rewritten = end.rewrites(port) and port.host_ip.version in outlook.firewall
    if not rewritten and not outlook.proxy:
        return
    for address in _knocked_at(port, outlook):
        if not clash(port.host_ip, address):
            yield promise(WORLD, address, False, f"it is published on {port.host_ip} alone")
            continue
        yield promise(WORLD, address, True, "it is published", OWN if rewritten else as_bridge)
        yield promise(
            HOST,
            address,
            True,
            "it is published",
            (address,) if rewritten and outlook.proxy else as_bridge,
        )
        for name, reach, why, sees in _neighbours(
            member, net, port, members, outlook, rewritten, as_bridge
        ):
            yield promise(name, address, reach, why, sees)
    loopback = _loopback(port)
    if clash(port.host_ip, loopback) and (outlook.proxy or (rewritten and loopback.version == 4)):
        yield promise(HOST, loopback, True, "the host reaches its own published ports", as_bridge)
    if port.host_ip.is_loopback and port.host_ip.version == 4:
        yield promise(
            WORLD,
            port.host_ip,
            False,
            "what is published on the loopback address is the host's alone",
        )


def _knocked_at(port: Port, outlook: Outlook) -> Iterable[IPAddress]:
    return (address for address in outlook.addresses if address.version == port.host_ip.version)


def _loopback(port: Port) -> IPAddress:
    """The loopback address that a port could be reached by."""
    if port.host_ip.is_loopback:
        return port.host_ip
    return type(port.host_ip)(0x7F000001 if port.host_ip.version == 4 else 1)


def _neighbours(
    member: Member,
    net: Network,
    port: Port,
    members: Sequence[Member],
    outlook: Outlook,
    rewritten: bool,
    as_bridge: Seen,
) -> Iterator[tuple[str, bool, str, Seen]]:
    """Containers whose way out is a bridge, or who have none, the published one included.

    Whether they reach it, why, and as whom.
    """
    version = port.host_ip.version
    for box, ends in members:
        if any(other.on_lan for _, other in ends):
            continue  # on the LAN, there are other ways to the host's address
        way = gateway_of(ends, version)
        if way is None:
            yield box.name, False, "it has no way to the host's address", None
        elif way[1].id == net.id:
            masked = outlook.proxy or box.id == member[0].id
            yield (
                box.name,
                True,
                "it is published, for neighbours too",
                as_bridge if masked else OWN,
            )
        elif version in outlook.firewall:
            seen = (
                as_bridge
                if not rewritten
                else hidden_by(way[1], net, version)
                if hidden(way[1], version)
                else OWN
            )
            yield box.name, True, "it is published, for other networks too", seen
