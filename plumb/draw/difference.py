"""Difference of two pictures: what was added, what is gone, what is another way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import TypeVar

from plumb.draw.picture import Box, End, Interface, Picture, Wire
from plumb.frozen import frozen

K = TypeVar("K")
V = TypeVar("V")


class Sign(StrEnum):
    """Kinds of changes, as a diff marks them."""

    ADDED = "+"
    GONE = "-"
    CHANGED = "~"


@frozen
class Change:
    """A change.

    Attributes:
        part: the box, interface or wire; of a changed one, as it is now.
        end: the place of an interface.
        fields: of a changed one: name, value before, value now.
    """

    sign: Sign
    part: Box | Interface | Wire
    end: End | None = None
    fields: tuple[tuple[str, str, str], ...] = ()


def difference(before: Picture, now: Picture) -> list[Change]:
    """List all changes: of boxes, then of interfaces, then of wires.

    A box that was added has all of its interfaces added as well.
    """
    return [
        *_parts(_boxes(before), _boxes(now), _of_box, lambda key: None),
        *_parts(before.interfaces, now.interfaces, _of_interface, lambda key: key),
        *_parts(_wires(before), _wires(now), lambda one, other: (), lambda key: None),
    ]


def _boxes(picture: Picture) -> dict[str, Box]:
    return {box.name: box for box in picture.boxes}


def _wires(picture: Picture) -> dict[Wire, Wire]:
    return {wire: wire for wire in picture.wires}


Fields = tuple[tuple[str, str, str], ...]


def _parts(
    before: Mapping[K, V],
    now: Mapping[K, V],
    changed: Callable[[V, V], Fields],
    end: Callable[[K], End | None],
) -> Iterator[Change]:
    for key in (*before, *(key for key in now if key not in before)):
        if key not in now:
            yield Change(Sign.GONE, _part(before[key]), end(key))
        elif key not in before:
            yield Change(Sign.ADDED, _part(now[key]), end(key))
        elif fields := changed(before[key], now[key]):
            yield Change(Sign.CHANGED, _part(now[key]), end(key), fields)


def _part(value: object) -> Box | Interface | Wire:
    assert isinstance(value, Box | Interface | Wire)
    return value


def _of_box(one: Box, other: Box) -> Fields:
    pairs = (
        ("kind", (one.kind,), (other.kind,)),
        ("engine", (one.engine,), (other.engine,)),
        ("containers", one.containers, other.containers),
    )
    return tuple(_different(pairs))


def _of_interface(one: Interface, other: Interface) -> Fields:
    pairs = (
        ("kind", (one.kind,), (other.kind,)),
        ("state", (one.state,), (other.state,)),
        ("mac", (one.mac,), (other.mac,)),
        ("mtu", (one.mtu,), (other.mtu,)),
        ("addresses", one.ips, other.ips),
        ("detail", (one.detail,), (other.detail,)),
        ("about", (one.about,), (other.about,)),
        ("policies", one.policies, other.policies),
    )
    return tuple(_different(pairs))


def _different(
    pairs: Iterable[tuple[str, tuple[object, ...], tuple[object, ...]]],
) -> Iterator[tuple[str, str, str]]:
    for name, before, now in pairs:
        if before != now:
            yield name, ", ".join(map(str, before)), ", ".join(map(str, now))
