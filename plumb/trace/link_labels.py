"""The path: which namespaces and links lie between two ends, and what people call them.

Nothing is predicted here. Whoever traces must listen everywhere a packet may come by, and
afterwards say in words where it was: the other end of a cable, the bridge of a network, the parent
that macvlan links are made on. Both follow from the intent, for what plumb has made, and from what
the links say of themselves for all else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from plumb.model.cnm import Endpoint, Ends, Network, Sandbox
from plumb.model.netns_state import Link
from plumb.model.observations import Netns
from plumb.model.ports import Port
from plumb.trace.target_syntax import IPAddress

HOST = "host"
ON_A_PARENT = ("macvlan", "ipvlan", "vlan")
"""Kinds of links (IFLA_INFO_KIND) that are made on another."""
Spot = tuple[str, str]
"""A link: the name of its place, its own name."""


@dataclass(frozen=True)
class Member:
    """A running container, where it lives, and its places in networks."""

    box: Sandbox
    place: Netns
    ends: tuple[tuple[Endpoint, Network], ...]

    def has(self, ip: IPAddress) -> bool:
        """Whether an address of a network is its own."""
        return any(own.ip == ip for end, _ in self.ends for own in end.ips)


@dataclass(frozen=True)
class Published:
    """A published port, whose it is, and by which of its endpoints."""

    port: Port
    member: Member
    end: Endpoint
    net: Network


def published(
    members: Iterable[Member], ip: IPAddress, port: int, protocol: str, exact: bool = True
) -> Published | None:
    """The published port of the host that a question knocks at.

    Args:
        exact: it must be published for that address, rather than for any.
    """
    found = [
        Published(one, member, end, net)
        for member in members
        for end, net in member.ends
        for one in end.ports
        if one.host_port == port and one.protocol == protocol
    ]
    any_address = "0.0.0.0" if ip.version == 4 else "::"
    fitting = [one for one in found if str(one.port.host_ip) in (str(ip), any_address)]
    return next(iter(fitting or (() if exact else found)), None)


def holder(members: Iterable[Member], ip: IPAddress) -> Member | None:
    """The container that an address of a network belongs to."""
    return next((member for member in members if member.has(ip)), None)


# -- words ---------------------------------------------------------------


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


def members(boxes: Iterable[tuple[Sandbox, Ends, str]]) -> tuple[Member, ...]:
    """Running containers as members.

    Those that share another's namespace are called by the other's name there.

    Args:
        boxes: with their endpoints, and the file of the namespace that they are in.
    """
    names: dict[str, str] = {"": HOST}
    found = []
    for box, ends, ns in sorted(boxes, key=lambda each: bool(each[0].target)):
        found.append(Member(box, Netns(names.setdefault(ns, box.name), ns), tuple(ends)))
    return tuple(found)
