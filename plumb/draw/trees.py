"""Trees of a box's interfaces: what stands on what.

A bridge's ports hang below it, as do macvlan, ipvlan and VLAN links below their parent. At the
other end of a wire into another box is an interface of that box.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from plumb.draw.picture import Box, BoxKind, End, Interface, Picture, Wire, WireKind, natural
from plumb.frozen import frozen

BELOW = (WireKind.PORT, WireKind.PARENT)
"""Wires by which one interface hangs below another."""


@frozen
class Row:
    """An interface in its box's tree.

    Attributes:
        depth: how many interfaces it hangs below.
        end: its place.
        leading: wires to interfaces of other boxes, or of this one across the tree.
        beyond: wires to what is outside.
    """

    depth: int
    end: End
    interface: Interface
    leading: tuple[Wire, ...] = ()
    beyond: tuple[Wire, ...] = ()


def rows(picture: Picture, box: Box) -> Iterator[Row]:
    """Yield a box's interfaces, each below the one that it hangs below.

    Links that hang below each other in a circle, which the kernel has for a moment at most, are
    rows as well.
    """
    above = _above(picture, box)
    # Names of links are random, their parts in a network are not.
    ordered = sorted(box.interfaces, key=lambda each: natural(each.about or each.name))
    known = {each.name: each for each in ordered}
    children: dict[str, list[str]] = {}
    for name in known:
        if name in above:
            children.setdefault(above[name], []).append(name)
    done: set[str] = set()
    for name in (*(name for name in known if name not in above), *known):
        for depth, each in _walk(name, children, done):
            yield _row(picture, End(box.name, each), known[each], depth, above.get(each))


def _above(picture: Picture, box: Box) -> dict[str, str]:
    """Map interfaces to the one in their own box that they hang below."""
    found: dict[str, str] = {}
    for each in box.interfaces:
        for wire in picture.wires_at(End(box.name, each.name)):
            mine = wire.one == End(box.name, each.name) and wire.other.box == box.name
            if wire.kind in BELOW and mine and wire.other != wire.one:
                found.setdefault(each.name, wire.other.interface)
    return found


def _walk(first: str, children: dict[str, list[str]], done: set[str]) -> Iterator[tuple[int, str]]:
    ahead = [(0, first)]
    while ahead:
        depth, name = ahead.pop()
        if name not in done:
            done.add(name)
            yield depth, name
            ahead += [(depth + 1, each) for each in reversed(children.get(name, ()))]


def _row(picture: Picture, end: End, interface: Interface, depth: int, above: str | None) -> Row:
    leading, beyond = [], []
    for wire in picture.wires_at(end):
        if wire.one.outside or wire.other.outside:
            beyond.append(wire)
        elif not _in_tree(wire, end, above):
            leading.append(wire)
    return Row(depth, end, interface, tuple(leading), tuple(beyond))


def _in_tree(wire: Wire, end: End, above: str | None) -> bool:
    """True if the tree shows a wire by what hangs below what."""
    inside = wire.kind in BELOW and wire.one.box == wire.other.box
    return inside and (wire.one != end or wire.other.interface == above)


def far(wire: Wire, end: End) -> End:
    """The other end of a wire."""
    return wire.other if wire.one == end else wire.one


def switching(picture: Picture) -> list[Box]:
    """The boxes that stand in the middle: the host, and those in which links hang on each other."""
    joined = {
        wire.other.box
        for wire in picture.wires
        if wire.kind in BELOW and wire.one.box == wire.other.box
    }
    return [box for box in picture.boxes if box.kind is BoxKind.HOST or box.name in joined]


def standing_by(picture: Picture, middle: Iterable[Box]) -> list[Box]:
    """The other boxes, in the order in which the middle's wires lead to them."""
    inside = {box.name for box in middle}
    others = {box.name: box for box in picture.boxes if box.name not in inside}
    order: dict[str, None] = {}
    for box in (each for each in picture.boxes if each.name in inside):
        for row in rows(picture, box):
            order |= dict.fromkeys(far(wire, row.end).box for wire in row.leading)
    order |= dict.fromkeys(others)
    return [others[name] for name in order if name in others]
