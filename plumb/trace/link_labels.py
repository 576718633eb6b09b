"""The path: which namespaces and links lie between two ends, and what people call them.

Nothing is predicted here. Whoever traces must listen everywhere a packet may come by, and
afterwards say in words where it was: the other end of a cable, the bridge of a network, the parent
that macvlan links are made on. Both follow from the intent, for what plumb has made, and from what
the links say of themselves for all else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from plumb.model.cnm import Network
from plumb.model.net.targets import Member
from plumb.model.netns_state import Link
from plumb.model.observations import HOST, Netns

ON_A_PARENT = ("macvlan", "ipvlan", "vlan")
"""Kinds of links (IFLA_INFO_KIND) that are made on another."""
Spot = tuple[str, str]
"""A link: the name of its place, its own name."""


def titles(
    members: Sequence[Member],
    networks: Iterable[Network],
    links: Mapping[str, Sequence[Link]],
    wires: Mapping[Spot, Spot],
) -> dict[Spot, str]:
    """What links are to people, by their place and name.

    Args:
        links: those of each place, by its name.
        wires: the other end of each, as far as it lies in one of these places.
    """
    found = dict(_by_kind(links, wires))
    for net in networks:
        if net.bridge_in_host:
            found[HOST, net.link] = f"bridge of {net.name}"
        elif net.on_lan:
            before = found.get((HOST, net.link), "")
            found[HOST, net.link] = (
                f"{before}, {net.name}"
                if before.startswith("parent of")
                else f"parent of {net.name}"
            )
    for member in members:
        for end, net in member.ends:
            found[member.place.name, end.ifname] = f"on {net.name}"
            if end.link:
                found[HOST, end.link] = f"{member.box.name}'s port on {net.name}"
    return found


def _by_kind(
    links: Mapping[str, Sequence[Link]], wires: Mapping[Spot, Spot]
) -> Iterator[tuple[Spot, str]]:
    for place, own in links.items():
        for link in own:
            spot = (place, link.name)
            if link.name == "lo":
                yield spot, "loopback"
            elif link.kind == "veth" and spot in wires:
                yield spot, f"cable to {':'.join(wires[spot])}"
            elif link.kind in ON_A_PARENT and spot in wires:
                yield spot, f"{link.kind} on {':'.join(wires[spot])}"
            elif link.kind:
                yield spot, "cable" if link.kind == "veth" else link.kind


def wired(
    links: Mapping[str, Sequence[Link]], numbers: Mapping[tuple[str, int], Netns]
) -> dict[Spot, Spot]:
    """The other end of each cable, and the parent of each link that is made on one.

    Args:
        numbers: which namespace each place knows by which number.
    """
    by_index = {(place, link.index): link.name for place, own in links.items() for link in own}
    found = {}
    for place, own in links.items():
        for link in own:
            there = (
                place
                if link.peer_ns is None
                else other.name
                if (other := numbers.get((place, link.peer_ns)))
                else ""
            )
            if (
                link.peer
                and (name := by_index.get((there, link.peer)))
                and link.peer != (link.index if there == place else 0)
            ):
                found[place, link.name] = (there, name)
    return found
