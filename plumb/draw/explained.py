"""Explanations of what is in a picture.

Those of plumb's own objects come from its record, those of others from the kernel's state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from plumb.draw.outside import SOURCE_NAT
from plumb.draw.picture import End, Picture, Wire, WireKind
from plumb.explain import on_host
from plumb.explain.explain import Explanation, Record
from plumb.foreign.values import Engine
from plumb.model.netns_state import Link
from plumb.model.observations import HOST
from plumb.things import Thing
from plumb.things.host_ports import OfPort, at
from plumb.things.iptables import Rule
from plumb.things.layer3 import Address, Route
from plumb.things.links import InPlace, Master, Moved, Veth
from plumb.things.nftables import NftRule
from plumb.things.sandbox import Namespace
from plumb.trace.topology import Topology

Part = End | Wire
"""Interface, or a whole box by an end without an interface; or a wire."""
Explained = Mapping[Part, tuple[Explanation, ...]]
LINKS = (InPlace, Moved)
"""Things that are links."""


def explained(record: Record, topology: Topology, picture: Picture) -> Explained:
    """Explain each box, interface and wire of a picture."""
    by_end: dict[End, list[Explanation]] = {}
    loose: list[Explanation] = []
    for thing in record.things():
        ends = list(_ends(record, thing))
        if ends or isinstance(thing, Rule | NftRule | OfPort):
            one = record.explain(thing)
            for end in ends:
                by_end.setdefault(end, []).append(one)
            if not ends:
                loose.append(one)
    found: dict[Part, tuple[Explanation, ...]] = {
        End(box.name, ""): tuple(by_end.get(End(box.name, ""), ())) for box in picture.boxes
    }
    for place, own in topology.links.items():
        links = {link.index: link for link in own}
        for link in own:
            end = End(place, link.name)
            own_things = sorted(
                by_end.get(end, ()), key=lambda one: not isinstance(one.thing, LINKS)
            )
            found[end] = tuple(own_things) or (_of_kernel(topology, end, link, links),)
    for wire in picture.wires:
        found[wire] = tuple(_of_wire(wire, found, loose))
    return found


def _ends(record: Record, thing: Thing) -> Iterator[End]:
    """Yield the interfaces or the box that a thing is, or is a part of."""
    place = record.place(thing)
    if isinstance(thing, LINKS):
        yield End(place, thing.name)
    if isinstance(thing, Veth):
        yield End(record.name_of(thing.peer_ns), thing.peer)
    if isinstance(thing, Address | Route | Master):
        yield End(place, thing.dev)
    if isinstance(thing, Namespace):
        yield End(place, "")


def _of_kernel(topology: Topology, end: End, link: Link, links: Mapping[int, Link]) -> Explanation:
    """Explain a link that plumb has not made."""
    net = next((one for one in topology.networks if one.link == link.name), None)
    engines = {
        topology.engines.get(each.box.id) for each in topology.members if each.place.name == end.box
    }
    engine = topology.engines.get(net.id) if net is not None and end.box == HOST else None
    if end.box != HOST and link.name != "lo":
        engine = next((each for each in engines if each in set(Engine)), None)
    return Explanation(
        f"link {link.name}",
        end.box,
        (f"network {net.name}",) if net is not None and end.box == HOST else (),
        on_host.link_reason(link, links),
        made_by=str(engine) if engine is not None else on_host.link_owner(link),
    )


def _of_wire(
    wire: Wire, found: Mapping[Part, tuple[Explanation, ...]], loose: list[Explanation]
) -> Iterator[Explanation]:
    if wire.kind is WireKind.PUBLISHED:
        yield from (one for one in loose if _publishes(one.thing, wire.one.interface))
    elif wire.kind is WireKind.NAT:
        subnet = wire.label.rpartition(" ")[2]
        yield from (one for one in loose if _hides(one.thing, subnet))
    elif not wire.one.outside:
        yield from (one for one in found.get(wire.one, ()) if isinstance(one.thing, LINKS))


def _publishes(thing: Thing | None, heading: str) -> bool:
    """True for what makes an address and port of the host lead to a container."""
    if isinstance(thing, OfPort):
        return f"{at(thing.ip, thing.port)}/{thing.protocol}" == heading
    port, _, protocol = heading.rpartition(":")[2].partition("/")
    spec = getattr(thing, "spec", "")
    return f"dport {port} " in f"{spec} " and protocol in spec and "dnat" in spec.lower()


def _hides(thing: Thing | None, subnet: str) -> bool:
    """True for a rule that gives a network's packets another source."""
    spec = getattr(thing, "spec", "")
    return subnet in spec.split() and bool(SOURCE_NAT.search(spec))
