"""Reachability that the intent requires or excludes, between containers, the host and the world.

plumb does not derive promises from the written rules: such a promise would repeat the rules'
mistakes. This module states a second time, in the users' terms, the meaning of a network's driver
and options, so that real traffic shows whether the things in the kernel mean the same.

    on the same network               reached, unless icc=false; linked ports nevertheless
    into an internal network          from nowhere else
    into another network, by its gateway mode:
        nat               not reached: only published ports lead in
        nat-unprotected   reached
        routed            pings reach, ports do not unless they are published
    on the ingress network            pings reach; ports are promised by way of the service alone
    the host                          reaches each container on whose bridge it has an address, and
                                      is reached there; it is reached by its other addresses from
                                      every container with a default route
    the world                         is reached through the gateway, unless the network is internal
    a shared stack                    reaches and is reached as its owner (`shared_netns`)

The target observes as source address: the source's own, within a network and towards the host; the
bridge's, where the source's network masquerades on the way into another one; one of the host's own,
in the world.

`lan_drivers` holds the promises of macvlan and ipvlan, `published_ports` those of published ports.

Nothing is promised that the intent leaves open: as between two networks without NAT, where the
reply would take another route than the request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from plumb.address import IPAddress, IPInterface
from plumb.model.cnm import Endpoint, Network
from plumb.model.driver_options import GatewayMode
from plumb.model.net.gateways import gateway_of
from plumb.probes.promises import lan_drivers
from plumb.probes.promises.promise import (
    HOST,
    OWN,
    WORLD,
    Member,
    Promise,
    Protocol,
    Service,
    SourceAddresses,
    Verdict,
)
from plumb.probes.promises.shared_netns import between_sharers, with_sharers

__all__ = ["HOST", "WORLD", "Member", "Promise", "Protocol", "Service", "promises"]

End = tuple[Endpoint, Network]
BOTH = frozenset({4, 6})


def promises(
    members: Sequence[Member],
    world: Iterable[IPAddress] = (),
    *,
    routed_here: bool = False,
    own: Sequence[IPInterface] = (),
    filtered: frozenset[int] = BOTH,
) -> list[Promise]:
    """Promises between these containers, the host and the world.

    Args:
        members: running containers with their endpoints and networks.
        world: addresses outside that the host itself reaches; one of each family at most.
        routed_here: the world routes the containers' subnets to this host, so that its packets
            reach them without a published port.
        own: the host's addresses outside plumb's networks.
        filtered: the families in which the host forwards and has firewall rules; in others
            promises cover containers of one network only.
    """
    outside = [address for address in world if address.version in filtered]
    alone = [member for member in members if not member[0].shares]
    seized = any(lan_drivers.takes_parent(net) for _, ends in alone for _, net in ends)
    made: list[Promise] = []
    for address in outside if not seized else ():
        made += _by_each_protocol(HOST, WORLD, address, (True, "the host reaches it", None))
    for source in alone:
        made += [
            *_between(source, alone, own, filtered),
            *_linked(source, alone),
            *_host(source, own),
            *_world(source, outside, own, seized),
        ]
    if routed_here:
        made += [
            promise
            for target in alone
            for promise in _from_world(target)
            if promise.address.version in filtered
        ]
    return [*with_sharers(made, members), *between_sharers(members)]


def _by_each_protocol(
    source: str, target: str, ip: IPAddress, verdict: Verdict | None
) -> Iterator[Promise]:
    """A promise for each protocol; none without a verdict."""
    if verdict is not None:
        reach, why, sources = verdict
        for protocol in Protocol:
            yield Promise(source, target, ip, protocol, reach, why, None, sources)


# -- between containers ---------------------------------------------------------------


def _between(
    source: Member, members: Sequence[Member], own: Sequence[IPInterface], filtered: frozenset[int]
) -> Iterator[Promise]:
    box, ends = source
    for other, theirs in members:
        for end, net in theirs if other.id != box.id else ():
            for ip in end.ips:
                for protocol in [Protocol.ICMP] if net.overlay.ingress else Protocol:
                    verdict = _verdict(ends, (end, net), theirs, protocol, ip, own, filtered)
                    if verdict is not None:
                        reach, why, sources = verdict
                        yield Promise(
                            box.name, other.name, ip.ip, protocol, reach, why, None, sources
                        )


def _verdict(
    ends: Sequence[End],
    target: End,
    theirs: Sequence[End],
    protocol: Protocol,
    ip: IPInterface,
    own: Sequence[IPInterface],
    filtered: frozenset[int],
) -> Verdict | None:
    """Verdict for a container with these endpoints towards an address of another one.

    None where nothing is promised.
    """
    net, version = target[1], ip.version
    mine = _shared(ends, net, version)
    if mine is not None and net.on_lan:
        return _with_sources(lan_drivers.siblings(net, mine, ip), (mine.ip,))
    if mine is not None:
        if not net.own.icc and version not in filtered:
            return None
        return (
            net.own.icc,
            f"both are on {net.name}" + ("" if net.own.icc else ", where icc is off"),
            (mine.ip,),
        )
    if version not in filtered:
        return None
    if net.closed:
        return (
            False,
            f"nothing leads into {net.name}" if net.on_lan else f"{net.name} is internal",
            None,
        )
    way = gateway_of(list(ends), version)
    if way is None:
        return False, "it has no way out" if ends else "it is on no network", None
    if net.on_lan:
        return (
            _with_sources(lan_drivers.host(net, ip, own), None) if way[1].bridge_in_host else None
        )
    mode = net.bridge.mode(version)
    if net.bridge_in_host and mode is GatewayMode.NAT:
        return False, f"{net.name} is another network, behind NAT", None
    if not (net.bridge_in_host and way[1].bridge_in_host):
        return None
    if masquerades(way[1], version):
        return (*_by_mode(net, mode, protocol), masquerade_addresses(way[1], net, version))
    back, mine = gateway_of(list(theirs), version), way[0].address(version)
    if back is None or back[1].id != net.id or mine is None:
        return None
    return (*_by_mode(net, mode, protocol), (mine.ip,))


def _with_sources(verdict: tuple[bool, str] | None, sources: SourceAddresses) -> Verdict | None:
    return None if verdict is None else (*verdict, sources if verdict[0] else None)


def _shared(ends: Sequence[End], net: Network, version: int) -> IPInterface | None:
    """The address that a container with these endpoints has on that network."""
    return next(
        (
            ip
            for end, mine in ends
            if mine.id == net.id and (ip := end.address(version)) is not None
        ),
        None,
    )


def _by_mode(net: Network, mode: GatewayMode, protocol: Protocol) -> tuple[bool, str]:
    if mode is GatewayMode.NAT_UNPROTECTED:
        return True, f"{net.name} is unprotected"
    return (
        protocol is Protocol.ICMP,
        f"{net.name} is routed: pings pass, ports that are not published do not",
    )


def masquerades(net: Network, version: int) -> bool:
    """Test for masquerade: packets leave a bridge network with an address of the host's."""
    return net.bridge.masquerade and net.bridge.mode(version) is not GatewayMode.ROUTED


def masquerade_addresses(net: Network, into: Network, version: int) -> SourceAddresses:
    """Source address that masquerade gives to packets into another bridge network.

    The one that the user chose (host_ipv4, host_ipv6), or that of the bridge there.
    """
    address = net.bridge.host_ipv4 if version == 4 else net.bridge.host_ipv6
    pool = into.pool(version)
    found = address or (pool.gateway if pool is not None else None)
    return (found,) if found is not None else None


def _linked(source: Member, members: Sequence[Member]) -> Iterator[Promise]:
    """Promises of links: on the default network with icc off, they open the exposed ports.

    Legacy links exist for IPv4 alone.
    """
    box, ends = source
    mine = next(
        (
            (end, net)
            for end, net in ends
            if net.default and not net.bridge.icc and end.ip is not None
        ),
        None,
    )
    for linked in box.linked if mine is not None else ():
        for other, theirs in members:
            for end, net in theirs if other.id == linked.id else ():
                for port, _, protocol in (
                    spec.partition("/")
                    for spec in linked.ports
                    if net.default and end.ip is not None
                ):
                    if protocol in (Protocol.TCP, Protocol.UDP) and end.ip is not None:
                        service = Service(int(port), end.ip.ip, int(port))
                        yield Promise(
                            box.name,
                            other.name,
                            end.ip.ip,
                            Protocol(protocol),
                            True,
                            "it is linked to",
                            service,
                            OWN,
                        )


# -- the host and the world ---------------------------------------------------------------


def _host(source: Member, own: Sequence[IPInterface]) -> Iterator[Promise]:
    box, ends = source
    for end, net in ends:
        for ip in end.ips:
            if net.on_lan:
                yield from _by_each_protocol(
                    HOST, box.name, ip.ip, _with_sources(lan_drivers.host(net, ip, own), None)
                )
                continue
            pool = net.pool(ip.version)
            if pool is None or not net.bridge_in_host:
                continue
            there = (
                pool.gateway is not None
                and net.bridge.mode(ip.version) is not GatewayMode.ISOLATED
                and not (ip.version == 4 and net.bridge.inhibit_ipv4)
            )
            why = f"the host has {'an' if there else 'no'} address on {net.name}"
            sources = (
                (pool.gateway,) if there and pool.gateway is not None and not net.foreign else None
            )
            yield from _by_each_protocol(HOST, box.name, ip.ip, (there, why, sources))
            if there and pool.gateway is not None:
                yield from _by_each_protocol(box.name, HOST, pool.gateway, (True, why, (ip.ip,)))
    for address in own:
        yield from _by_each_protocol(box.name, HOST, address.ip, _to_host(ends, address, own))


def _to_host(
    ends: Sequence[End], address: IPInterface, own: Sequence[IPInterface]
) -> Verdict | None:
    """Verdict for a container towards one of the host's own addresses."""
    version = address.version
    neighbours = [
        (net, ip)
        for end, net in ends
        if (ip := end.address(version)) is not None and address.ip in ip.network
    ]
    if neighbours:
        net, ip = neighbours[0]
        return _with_sources(lan_drivers.to_host(net, ip, own), None) if net.on_lan else None
    way = gateway_of(list(ends), version)
    if way is None:
        return (
            (False, "it has no way out", None) if not any(net.on_lan for _, net in ends) else None
        )
    mine = way[0].address(version)
    return (
        (True, f"the host is where {way[1].name} leads out", (mine.ip,))
        if way[1].bridge_in_host and mine is not None
        else None
    )


def _from_world(target: Member) -> Iterator[Promise]:
    box, ends = target
    for end, net in ends:
        for ip in end.ips:
            way = gateway_of(ends, ip.version)
            if not net.closed and (way is None or way[1].id != net.id):
                continue  # the reply would take another route
            if net.on_lan:
                yield from _by_each_protocol(
                    WORLD, box.name, ip.ip, _with_sources(lan_drivers.inside(net, ip), OWN)
                )
                continue
            if not net.bridge_in_host and not net.closed:
                continue
            mode = net.bridge.mode(ip.version)
            closed = net.internal or mode in (GatewayMode.NAT, GatewayMode.ISOLATED)
            for protocol in Protocol:
                verdict = (
                    (False, f"{net.name} is {'internal' if net.internal else 'behind NAT'}")
                    if closed
                    else _by_mode(net, mode, protocol)
                )
                yield Promise(WORLD, box.name, ip.ip, protocol, *verdict, source_addresses=OWN)


def _world(
    source: Member, world: Sequence[IPAddress], own: Sequence[IPInterface], seized: bool
) -> Iterator[Promise]:
    box, ends = source
    for address in world:
        way = gateway_of(ends, address.version)
        mine = way[0].address(address.version) if way else None
        if way is None or mine is None:
            yield from _by_each_protocol(
                box.name,
                WORLD,
                address,
                (False, "it has no way out" if ends else "it is on no network", None),
            )
        elif way[1].on_lan:
            yield from _by_each_protocol(
                box.name,
                WORLD,
                address,
                _with_sources(lan_drivers.outside(way[1], mine), (mine.ip,)),
            )
        elif way[1].bridge_in_host and masquerades(way[1], address.version) and not seized:
            given = way[1].bridge.host_ipv4 if address.version == 4 else way[1].bridge.host_ipv6
            sources = (
                (given,)
                if given
                else tuple(ip.ip for ip in own if ip.version == address.version) or None
            )
            yield from _by_each_protocol(
                box.name, WORLD, address, (True, f"{way[1].name} leads out", sources)
            )
        # Without NAT the world needs a route back, which the intent does not show.
