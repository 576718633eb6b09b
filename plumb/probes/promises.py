"""Promises: who must reach whom, and who must not, said from the intent alone.

They are not read from the rules that were written: a promise that looked at the rules would repeat their mistakes.
What a network's kind and options mean to its users is written here a second time, in their words, so that real
traffic can tell whether the things that were built mean the same.

    on the same network               reached, unless icc=false
    into an internal network          from nowhere else
    into another network, by its gateway mode:
        nat               not reached: only published ports lead in
        nat-unprotected   reached
        routed            pings reach, ports do not unless they are published
    the host                          reaches every container on whose bridge it has an address, and is reached there
    the world                         is reached through the gateway, unless the network is internal

What macvlan and ipvlan networks mean is in `lan`.

Only what the intent settles is promised: where an answer would take another way than the question (two networks
without NAT), nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from plumb.cnm import Endpoint, IPAddress, IPInterface, Network, Sandbox, gateway_of, ip_on
from plumb.modes import GatewayMode
from plumb.probes import lan

Member = tuple[Sandbox, list[tuple[Endpoint, Network]]]
HOST, WORLD = "(host)", "(world)"


class Protocol(StrEnum):
    """What is tried."""

    ICMP = "icmp"
    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True)
class Service:
    """What is behind a published port, and whom it sees when somebody comes in.

    Attributes:
        port: the port that is knocked at.
        ip, own_port: where the container itself listens.
        seen: the address that the container must see; None: the client's own.
    """

    port: int
    ip: IPAddress
    own_port: int
    seen: IPAddress | None = None


@dataclass(frozen=True)
class Promise:
    """`source` reaches `target` at `address`, or must not.

    Attributes:
        source, target: a container's name, HOST or WORLD.
        reach: whether it must.
        why: the reason, in a sentence.
        service: what answers, where that is not any port of that very address.
    """

    source: str
    target: str
    address: IPAddress
    protocol: Protocol
    reach: bool
    why: str
    service: Service | None = None

    def __str__(self) -> str:
        verb = "reaches" if self.reach else "must not reach"
        port = f" port {self.service.port}" if self.service else ""
        return f"{self.source} {verb} {self.target} {self.address}{port} by {self.protocol}: {self.why}"


def promises(members: Sequence[Member], world: Iterable[IPAddress] = (), *, routed_here: bool = False,
             own: Sequence[IPInterface] = ()) -> list[Promise]:
    """All that is promised between these containers, the host and the world.

    Args:
        members: running containers with their endpoints and networks.
        world: addresses outside that the host itself reaches; one of each family at most.
        own: the host's addresses.
        routed_here: the world routes the containers' subnets to this host, so that it could come in by itself.
    """
    made = [promise for source in members for promise in
            [*_between(source, members), *_host(source, own), *_world(source, list(world))]]
    return made + [promise for target in members for promise in _from_world(target)] if routed_here else made


def _between(source: Member, members: Sequence[Member]) -> Iterator[Promise]:
    box, ends = source
    for other, theirs in members:
        if other.id == box.id:
            continue
        for end, net in theirs:
            for ip in end.ips:
                for protocol in Protocol:
                    verdict = _verdict(ends, end, net, theirs, ip.version, protocol)
                    if verdict is not None:
                        yield Promise(box.name, other.name, ip.ip, protocol, *verdict)


def _verdict(ends: Sequence[tuple[Endpoint, Network]], target: Endpoint, net: Network,
             theirs: list[tuple[Endpoint, Network]], version: int, protocol: Protocol) -> tuple[bool, str] | None:
    """Whether a container with these endpoints reaches that one on that network; None where nothing is promised."""
    for end, mine in ends:
        own, other = end.address(version), target.address(version)
        if mine.id == net.id and own is not None and other is not None:
            if net.driver != "bridge":
                return lan.siblings(net, own, other)
            return net.bridge.icc, f"both are on {net.name}" + ("" if net.bridge.icc else ", where icc is off")
    if net.closed:
        return False, f"{net.name} is internal"
    way = gateway_of(list(ends), version)
    if way is None:
        return False, "it has no way out"
    if net.driver != "bridge":
        return None
    mode = net.bridge.mode(version)
    if mode is GatewayMode.NAT:
        return False, f"{net.name} is another network, behind NAT"
    if way[1].driver != "bridge":
        return None
    if way[1].bridge.masquerade and way[1].bridge.mode(version) is not GatewayMode.ROUTED:
        return _by_mode(net, mode, protocol)
    back = gateway_of(theirs, version)
    return _by_mode(net, mode, protocol) if back is not None and back[1].id == net.id else None


def _each(source: str, target: str, ip: IPInterface, verdict: tuple[bool, str] | None) -> Iterator[Promise]:
    """The same promise for each protocol, if there is one."""
    if verdict is None:
        return
    for protocol in Protocol:
        yield Promise(source, target, ip.ip, protocol, *verdict)


def _by_mode(net: Network, mode: GatewayMode, protocol: Protocol) -> tuple[bool, str]:
    if mode is GatewayMode.NAT_UNPROTECTED:
        return True, f"{net.name} is unprotected"
    return protocol is Protocol.ICMP, f"{net.name} is routed: pings pass, ports that are not published do not"


def _host(source: Member, own: Sequence[IPInterface]) -> Iterator[Promise]:
    box, ends = source
    for end, net in ends:
        for ip in end.ips:
            if net.driver != "bridge":
                yield from _each(HOST, box.name, ip, lan.host(net, ip, own))
                continue
            pool = net.pool(ip.version)
            if pool is None:
                continue
            there = pool.gateway is not None and net.bridge.mode(ip.version) is not GatewayMode.ISOLATED \
                and not (ip.version == 4 and net.bridge.inhibit_ipv4)
            for protocol in Protocol:
                why = f"the host has {'an' if there else 'no'} address on {net.name}"
                yield Promise(HOST, box.name, ip.ip, protocol, there, why)
                if there and pool.gateway is not None:
                    yield Promise(box.name, HOST, pool.gateway, protocol, True, why)


def _from_world(target: Member) -> Iterator[Promise]:
    box, ends = target
    for end, net in ends:
        for ip in end.ips:
            mode = net.bridge.mode(ip.version)
            way = gateway_of(ends, ip.version)
            if not net.closed and (way is None or way[1].id != net.id):
                continue                    # the answer would take another way
            if net.driver != "bridge":
                yield from _each(WORLD, box.name, ip, lan.inside(net, ip))
                continue
            closed = net.internal or mode in (GatewayMode.NAT, GatewayMode.ISOLATED)
            for protocol in Protocol:
                verdict = (False, f"{net.name} is {'internal' if net.internal else 'behind NAT'}") if closed \
                    else _by_mode(net, mode, protocol)
                yield Promise(WORLD, box.name, ip.ip, protocol, *verdict)


def _world(source: Member, world: Sequence[IPAddress]) -> Iterator[Promise]:
    box, ends = source
    for address in world:
        way = gateway_of(ends, address.version)
        own = way[0].address(address.version) if way else None
        if way is not None and own is not None and way[1].driver != "bridge":
            yield from _each(box.name, WORLD, ip_on(address, address.max_prefixlen), lan.outside(way[1], own))
            continue
        hidden = way is not None and way[1].bridge.masquerade and way[1].bridge.mode(address.version) is not GatewayMode.ROUTED
        for protocol in Protocol:
            if way is None:
                yield Promise(box.name, WORLD, address, protocol, False, "it has no way out")
            elif hidden:
                yield Promise(box.name, WORLD, address, protocol, True, f"{way[1].name} leads out")
            # Without NAT it is for the world to know the way back.
