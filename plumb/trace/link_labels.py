"""Link labels: names of links for people, and the other ends of links.

A trace captures at every link that the packet may cross, and prints each with a label: the other
end of a veth pair, the bridge of a network, the parent of macvlan links. Labels of links that plumb
made follow from the intent, those of others from the kernel's attributes (IFLA_LINK,
IFLA_INFO_KIND).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from plumb.model.cnm import Network
from plumb.model.net.targets import Member
from plumb.model.netns_state import Link
from plumb.model.observations import HOST, Netns

ON_A_PARENT = ("macvlan", "ipvlan", "vlan")
"""Kinds of links (IFLA_INFO_KIND) that have a parent."""
Spot = tuple[str, str]
"""A link: the name of its namespace, its own name."""


def titles(
    members: Sequence[Member],
    networks: Iterable[Network],
    links: Mapping[str, Sequence[Link]],
    wires: Mapping[Spot, Spot],
) -> dict[Spot, str]:
    """Labels of links, by namespace and name.

    Args:
        links: the links of each namespace, by its name.
        wires: the other ends of links, as far as these namespaces have them.
    """
    return {**dict(_by_kind(links, wires)), **of_networks(members, networks)}


def of_networks(members: Sequence[Member], networks: Iterable[Network]) -> dict[Spot, str]:
    """Labels of the links that networks and their containers have."""
    found: dict[Spot, str] = {}
    for net in networks:
        if net.multi_host:
            found.update(_of_overlay(net))
        elif net.bridge_in_host:
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
                found[place_of(net).name, end.link] = f"{member.box.name}'s port on {net.name}"
    return found


def place_of(net: Network) -> Netns:
    """Namespace in which a network's bridges are."""
    return Netns(f"overlay {net.name}", net.overlay.netns) if net.multi_host else Netns(HOST, "")


def _of_overlay(net: Network) -> Iterator[tuple[Spot, str]]:
    place = place_of(net).name
    for number, vni in enumerate(net.overlay.vnis):
        yield (place, f"br{number}"), f"bridge of {net.name}"
        yield (place, f"vxlan{number}"), f"VXLAN of {net.name}, VNI {vni}"


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
    """Map each veth link to its peer, and each link with a parent to that parent.

    Args:
        numbers: the namespaces that a namespace knows by a number (IFLA_LINK_NETNSID), by its name
            and that number.
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
