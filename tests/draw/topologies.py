"""Random wiring for tests: namespaces of `ip netns` and links in them, built by iproute2.

A namespace has links of every kind that this kernel makes, with names as odd as the kernel takes
them. What is joined with what is kept as it was asked for: a picture must show the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from shlex import quote

from plumb.draw.picture import End, Wire, WireKind, natural
from tests.labs import sh

ODD = ("<b>", '"q"', "a&b", "'s'", "#x;", "`id`", "$(id)", "\x1b[31m", "ü→", "]]>", "--x")
"""Parts of names that mean something in a page, a shell or a terminal."""
HOST, PLACES = "host", ("n0", "n1")


@dataclass
class Topology:
    """Links as they were asked for.

    Attributes:
        places: "host", and the names of namespaces.
        links: each link's kind; wires: what joins them.
    """

    places: tuple[str, ...]
    links: dict[End, str] = field(default_factory=dict)
    wires: set[Wire] = field(default_factory=set)


class Builder:
    """Builds one topology.

    Args:
        seed: of what is chosen.
        kinds: kinds of links that this kernel makes.
    """

    def __init__(self, seed: int, kinds: tuple[str, ...]) -> None:
        self._random = random.Random(seed)
        self._kinds = kinds
        self.made = Topology((HOST, *PLACES))
        self._number = 0

    def build(self) -> Topology:
        """Make links."""
        for place in PLACES:
            self._pair(HOST, place)  # so that this host and the namespace share a link
        for _ in range(self._random.randint(3, 8)):
            kind = self._random.choice(self._kinds)
            place = self._random.choice(self.made.places)
            if kind == "veth":
                self._pair(place, self._random.choice(self.made.places))
            elif kind in ("bridge", "dummy", "vxlan"):
                self._alone(place, kind)
            else:
                self._on_parent(place, kind)
        return self.made

    def _name(self) -> str:
        self._number += 1
        odd = self._random.choice(ODD) if self._random.random() < 0.4 else ""
        return f"l{self._number}{odd}"

    def _ip(self, place: str, words: str) -> bool:
        at = "" if place == HOST else f"-n {place} "
        return sh(f"ip {at}{words} && echo done", check=False).endswith("done\n")

    def _pair(self, one: str, other: str) -> None:
        one, other = sorted((one, other), key=self.made.places.index)
        ends = End(one, self._name()), End(other, self._name())
        names = [quote(end.interface) for end in ends]
        there = "" if one == other else f"netns {other}"
        if self._ip(one, f"link add {names[0]} type veth peer {names[1]} {there}"):
            for end in ends:
                self._add(end, "veth")
                self._plug(end)
            first, second = (
                sorted(ends, key=lambda end: natural(end.interface)) if one == other else ends
            )
            self.made.wires.add(Wire(WireKind.VETH, first, second))

    def _alone(self, place: str, kind: str) -> None:
        end = End(place, self._name())
        more = "id 77 dstport 4789" if kind == "vxlan" else ""
        if self._ip(place, f"link add {quote(end.interface)} type {kind} {more}"):
            self._add(end, kind)

    def _on_parent(self, place: str, kind: str) -> None:
        parents = [
            end
            for end, of in self.made.links.items()
            if end.box == place and of in ("veth", "dummy", "bridge")
        ]
        if not parents:
            return
        parent, end = self._random.choice(parents), End(place, self._name())
        more = {"vlan": f"id {self._random.randint(1, 4094)}", "macvlan": "mode bridge"}
        on = f"link add {quote(end.interface)} link {quote(parent.interface)}"
        if self._ip(place, f"{on} type {kind} {more.get(kind, '')}"):
            there = self._random.choice(self.made.places)
            if there not in (HOST, place) and self._ip(
                place, f"link set {quote(end.interface)} netns {there}"
            ):
                end = End(there, end.interface)
            self._add(end, kind)
            self.made.wires.add(Wire(WireKind.PARENT, end, parent))

    def _add(self, end: End, kind: str) -> None:
        self.made.links[end] = kind
        if self._random.random() < 0.5:
            self._ip(end.box, f"link set {quote(end.interface)} up")

    def _plug(self, end: End) -> None:
        bridges = [
            one for one, kind in self.made.links.items() if kind == "bridge" and one.box == end.box
        ]
        if bridges and self._random.random() < 0.7:
            bridge = self._random.choice(bridges)
            words = f"link set {quote(end.interface)} master {quote(bridge.interface)}"
            if self._ip(end.box, words):
                self.made.wires.add(Wire(WireKind.PORT, end, bridge))


def kinds() -> tuple[str, ...]:
    """Kinds of links that this kernel makes."""
    found = ["veth", "bridge"]
    sh("ip link add parent type veth peer parent1")
    for kind, more in (
        ("dummy", ""),
        ("vxlan", "id 5 dstport 4789"),
        ("vlan", "id 5"),
        ("macvlan", ""),
        ("ipvlan", ""),
    ):
        link = " link parent" if kind.endswith("vlan") else ""
        if sh(f"ip link add tried{link} type {kind} {more} && echo done", check=False):
            found.append(kind)
            sh("ip link del tried")
    sh("ip link del parent")
    return tuple(found)


@contextmanager
def built(seed: int, of: tuple[str, ...]) -> Iterator[Topology]:
    """A topology, gone afterwards."""
    builder = Builder(seed, of)
    try:
        yield builder.build()
    finally:
        for place in builder.made.places:
            names = [quote(end.interface) for end in builder.made.links if end.box == place]
            at = "" if place == HOST else f"-n {place} "
            sh("; ".join(f"ip {at}link del {name}" for name in names), check=False)
