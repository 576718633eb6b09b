"""Promises: who must reach whom, and who must not, said from the intent alone.

They are not read from the rules that were written: a promise that looked at the rules would repeat
their mistakes. What a network's kind and options mean to its users is written here a second time,
in their words, so that real traffic can tell whether the things that were built mean the same.

    on the same network               reached, unless icc=false; linked ports all the same
    into an internal network          from nowhere else
    into another network, by its gateway mode:
        nat               not reached: only published ports lead in
        nat-unprotected   reached
        routed            pings reach, ports do not unless they are published
    the host                          reaches every container on whose bridge it has an address, and is reached there,
                                      and by its other addresses from wherever there is a way out
    the world                         is reached through the gateway, unless the network is internal
    a shared stack                    reaches and is reached as the one whose it is (`sharing`)

And whom the one that is asked sees: the asker itself, within a network and towards the host; the
bridge's address, where NAT hid the asker on its way out of another network; one of the host's own,
out in the world.

What macvlan and ipvlan networks mean is in `lan`, what published ports mean in `published`.

Only what the intent settles is promised: where an answer would take another way than the question
(two networks without NAT), nothing is said.
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
    Seen,
    Service,
    Verdict,
)
from plumb.probes.promises.shared_netns import at_home, with_sharers

__all__ = ["HOST", "WORLD", "Member", "Promise", "Protocol", "Service", "promises"]

End = tuple[Endpoint, Network]
BOTH = frozenset({4, 6})


def promises(
    members: Sequence[Member],
    world: Iterable[IPAddress] = (),
    *,
    routed_here: bool = False,
    own: Sequence[IPInterface] = (),
    walls: frozenset[int] = BOTH,
) -> list[Promise]:
    """All that is promised between these containers, the host and the world.

    Args:
        members: running containers with their endpoints and networks.
        world: addresses outside that the host itself reaches; one of each family at most.
        routed_here: the world routes the containers' subnets to this host, so that it could come in
        by itself.
        own: the host's addresses outside plumb's networks.
        walls: the families in which the host forwards and has firewall rules; in others only
        neighbours are promised anything.
    """
    outside = [address for address in world if address.version in walls]
    alone = [member for member in members if not member[0].shares]
    seized = any(lan_drivers.seizes(net) for _, ends in alone for _, net in ends)
    made: list[Promise] = []
    for address in outside if not seized else ():
        made += _each(HOST, WORLD, address, (True, "the host reaches it", None))
    for source in alone:
        made += [
            *_between(source, alone, own, walls),
            *_linked(source, alone),
            *_host(source, own),
            *_world(source, outside, own, seized),
        ]
    if routed_here:
        made += [
            promise
            for target in alone
            for promise in _from_world(target)
            if promise.address.version in walls
        ]
    return [*with_sharers(made, members), *at_home(members)]


def _each(source: str, target: str, ip: IPAddress, verdict: Verdict | None) -> Iterator[Promise]:
    """The same promise for each protocol, if there is one."""
    if verdict is not None:
        reach, why, seen = verdict
        for protocol in Protocol:
            yield Promise(source, target, ip, protocol, reach, why, None, seen)


# -- between containers ---------------------------------------------------------------


def _between(
    source: Member, members: Sequence[Member], own: Sequence[IPInterface], walls: frozenset[int]
) -> Iterator[Promise]:
    box, ends = source
    for other, theirs in members:
        for end, net in theirs if other.id != box.id else ():
            for ip in end.ips:
                for protocol in Protocol:
                    verdict = _verdict(ends, (end, net), theirs, protocol, ip, own, walls)
                    if verdict is not None:
                        reach, why, seen = verdict
                        yield Promise(box.name, other.name, ip.ip, protocol, reach, why, None, seen)


def _verdict(
    ends: Sequence[End],
    target: End,
    theirs: Sequence[End],
    protocol: Protocol,
    ip: IPInterface,
    own: Sequence[IPInterface],
    walls: frozenset[int],
) -> Verdict | None:
    """Whether a container with these endpoints reaches that one at that address.

    None where nothing is promised.
    """
    net, version = target[1], ip.version
    mine = _shared(ends, net, version)
    if mine is not None and net.on_lan:
        return _as(lan_drivers.siblings(net, mine, ip), (mine.ip,))
    if mine is not None:
        if not net.own.icc and version not in walls:
            return None
        return (
            net.own.icc,
            f"both are on {net.name}" + ("" if net.own.icc else ", where icc is off"),
            (mine.ip,),
        )
    if version not in walls:
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
        return _as(lan_drivers.host(net, ip, own), None) if way[1].bridge_in_host else None
    mode = net.bridge.mode(version)
    if net.bridge_in_host and mode is GatewayMode.NAT:
        return False, f"{net.name} is another network, behind NAT", None
    if not (net.bridge_in_host and way[1].bridge_in_host):
        return None
    if hidden(way[1], version):
        return (*_by_mode(net, mode, protocol), hidden_by(way[1], net, version))
    back, mine = gateway_of(list(theirs), version), way[0].address(version)
    if back is None or back[1].id != net.id or mine is None:
        return None
    return (*_by_mode(net, mode, protocol), (mine.ip,))


def _as(verdict: tuple[bool, str] | None, seen: Seen) -> Verdict | None:
    return None if verdict is None else (*verdict, seen if verdict[0] else None)


def _shared(ends: Sequence[End], net: Network, version: int) -> IPInterface | None:
    """The address by which a container with these endpoints is itself on that network."""
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


def hidden(net: Network, version: int) -> bool:
    """Whether what leaves a bridge network of that family hides behind an address of the host's."""
    return net.bridge.masquerade and net.bridge.mode(version) is not GatewayMode.ROUTED


def hidden_by(net: Network, into: Network, version: int) -> Seen:
    """Behind which one, on the way into another bridge network.

    The one that was asked for, or that of the bridge there.
    """
    address = net.bridge.host_ipv4 if version == 4 else net.bridge.host_ipv6
    pool = into.pool(version)
    found = address or (pool.gateway if pool is not None else None)
    return (found,) if found is not None else None


def _linked(source: Member, members: Sequence[Member]) -> Iterator[Promise]:
    """Links open the exposed ports of a container on the default network, where containers are parted from each other (IPv4 alone)."""
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
                yield from _each(HOST, box.name, ip.ip, _as(lan_drivers.host(net, ip, own), None))
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
            seen = (
                (pool.gateway,) if there and pool.gateway is not None and not net.foreign else None
            )
            yield from _each(HOST, box.name, ip.ip, (there, why, seen))
            if there and pool.gateway is not None:
                yield from _each(box.name, HOST, pool.gateway, (True, why, (ip.ip,)))
    for address in own:
        yield from _each(box.name, HOST, address.ip, _to_host(ends, address, own))


def _to_host(
    ends: Sequence[End], address: IPInterface, own: Sequence[IPInterface]
) -> Verdict | None:
    """Whether a container reaches the host by one of its own addresses."""
    version = address.version
    neighbours = [
        (net, ip)
        for end, net in ends
        if (ip := end.address(version)) is not None and address.ip in ip.network
    ]
    if neighbours:
        net, ip = neighbours[0]
        return _as(lan_drivers.to_host(net, ip, own), None) if net.on_lan else None
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
                continue  # the answer would take another way
            if net.on_lan:
                yield from _each(WORLD, box.name, ip.ip, _as(lan_drivers.inside(net, ip), OWN))
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
                yield Promise(WORLD, box.name, ip.ip, protocol, *verdict, seen=OWN)


def _world(
    source: Member, world: Sequence[IPAddress], own: Sequence[IPInterface], seized: bool
) -> Iterator[Promise]:
    box, ends = source
    for address in world:
        way = gateway_of(ends, address.version)
        mine = way[0].address(address.version) if way else None
        if way is None or mine is None:
            yield from _each(
                box.name,
                WORLD,
                address,
                (False, "it has no way out" if ends else "it is on no network", None),
            )
        elif way[1].on_lan:
            yield from _each(
                box.name, WORLD, address, _as(lan_drivers.outside(way[1], mine), (mine.ip,))
            )
        elif way[1].bridge_in_host and hidden(way[1], address.version) and not seized:
            given = way[1].bridge.host_ipv4 if address.version == 4 else way[1].bridge.host_ipv6
            seen = (
                (given,)
                if given
                else tuple(ip.ip for ip in own if ip.version == address.version) or None
            )
            yield from _each(box.name, WORLD, address, (True, f"{way[1].name} leads out", seen))
        # Without NAT it is for the world to know the way back.
