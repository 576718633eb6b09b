"""Making of a picture: namespaces and links that were read, as boxes and wires.

The same reading gives a trace its links (`plumb.trace.topology`): so a packet's path can be shown
on the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from plumb.draw import outside, policies
from plumb.draw.outside import Beyond
from plumb.draw.picture import (
    Box,
    BoxKind,
    End,
    Interface,
    LinkState,
    Picture,
    Wire,
    WireKind,
    natural,
)
from plumb.foreign.values import Engine
from plumb.model.diagnosis.snapshot import PLUMB
from plumb.model.net.targets import Member
from plumb.model.netns_state import Link
from plumb.model.observations import HOST
from plumb.trace import link_labels
from plumb.trace.topology import Topology

NOBODYS = frozenset({Engine.IP_NETNS, Engine.PROCESS})
"""Engines that have namespaces, not containers."""
ORDER = list(BoxKind)


def picture(topology: Topology, beyond: Beyond | None = None) -> Picture:
    """Make a picture.

    Args:
        topology: the namespaces and their links.
        beyond: what is known of that which lies outside of them.
    """
    known = beyond or Beyond()
    boxes = sorted(_boxes(topology), key=lambda box: (ORDER.index(box.kind), natural(box.name)))
    ranks = {box.name: number for number, box in enumerate(boxes)}
    wires = {*_pairs(topology, ranks), *_ports(topology), *outside.wires(topology, known)}
    return Picture(tuple(boxes), tuple(sorted(wires, key=_order)), known.missing)


def _order(wire: Wire) -> tuple[object, ...]:
    ends = (part for end in (wire.one, wire.other) for part in (end.box, end.interface))
    return (*map(natural, ends), wire.kind, natural(wire.label))


def _boxes(topology: Topology) -> Iterator[Box]:
    members: dict[str, list[Member]] = {}
    for each in topology.members:
        members.setdefault(each.place.name, []).append(each)
    roles = link_labels.of_networks(topology.members, topology.networks)
    allowed = policies.of_networks(topology.networks)
    networks = {link_labels.place_of(net).name for net in topology.networks} - {HOST}
    for place in topology.places:
        own = members.get(place.name, [])
        engines = {topology.engines.get(each.box.id, PLUMB) for each in own}
        names = tuple(sorted((each.box.name for each in own), key=natural))
        interfaces = sorted(
            _interfaces(topology, place.name, roles, allowed), key=lambda x: natural(x.name)
        )
        yield Box(
            place.name,
            _kind(place.name, engines, place.name in networks or not own),
            "" if place.name == HOST else ",".join(sorted(map(str, engines))),
            () if names == (place.name,) else names,
            tuple(interfaces),
        )


def _kind(name: str, engines: Iterable[str], networks_own: bool) -> BoxKind:
    if name == HOST:
        return BoxKind.HOST
    if networks_own:
        return BoxKind.NETWORK
    return BoxKind.NAMESPACE if NOBODYS.issuperset(engines) else BoxKind.CONTAINER


def _interfaces(
    topology: Topology,
    place: str,
    roles: Mapping[link_labels.Spot, str],
    allowed: Mapping[link_labels.Spot, tuple[str, ...]],
) -> Iterator[Interface]:
    for link in topology.links[place]:
        ips = (ip for dev, ip in topology.addresses[place] if dev == link.name)
        yield Interface(
            link.name,
            link.kind,
            _state(link),
            link.mac,
            link.mtu,
            tuple(sorted(ips, key=lambda ip: (ip.version, ip.ip.packed, ip.network.prefixlen))),
            _detail(link),
            roles.get((place, link.name), ""),
            allowed.get((place, link.name), ()),
        )


def _state(link: Link) -> LinkState:
    if not link.up:
        return LinkState.DOWN
    return LinkState.UP if link.carrier else LinkState.NO_CARRIER


def _detail(link: Link) -> str:
    if link.mode:
        return f"mode {link.mode}"
    if link.vlan:
        return f"VLAN {link.vlan}"
    return f"VNI {link.vni}" if link.vni else ""


def _pairs(topology: Topology, ranks: Mapping[str, int]) -> Iterator[Wire]:
    """Yield veth pairs, and links with their parents."""
    kinds = {(place, link.name): link.kind for place, own in topology.links.items() for link in own}

    def rank(spot: link_labels.Spot) -> tuple[object, ...]:
        return ranks[spot[0]], natural(spot[1])

    for one, other in topology.wires.items():
        if kinds[one] != "veth":
            yield Wire(WireKind.PARENT, End(*one), End(*other))
        else:
            first, second = sorted((one, other), key=rank)
            yield Wire(WireKind.VETH, End(*first), End(*second))


def _ports(topology: Topology) -> Iterator[Wire]:
    for place, own in topology.links.items():
        names = {link.index: link.name for link in own}
        for link in own:
            if link.master in names and link.master != link.index:
                yield Wire(WireKind.PORT, End(place, link.name), End(place, names[link.master]))
