"""A picture for a terminal: the outside, the host's links, and the interfaces they lead to.

:8080/tcp to 80/tcp ─▶ │ br-…  bridge of shop  172.20.0.1/24 │
                       │ └ veth…                             ├── web/eth0  172.20.0.2/24
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from plumb.draw import trees
from plumb.draw.picture import Box, End, Picture, Wire, WireKind
from plumb.draw.trees import Row
from plumb.foreign.fields import printable
from plumb.views.draw import words

GAP = "  "
LONGEST_OUTSIDE = 44
"""Columns of what stands left of the host."""


class _Line(NamedTuple):
    """A line's three columns, and the arrow between the first two."""

    outside: str
    inside: str
    beside: str
    arrow: str = ""


def lines(picture: Picture, width: int = 0) -> Iterator[str]:
    """Yield a picture's lines.

    Args:
        width: columns of the terminal, at which lines are cut off; 0: they are not.
    """
    for line in _lines(picture):
        yield f"{line[: width - 1]}…" if 0 < width < len(line) else line


def _lines(picture: Picture) -> Iterator[str]:
    shown: set[End] = set()
    middle = trees.switching(picture)
    for number, box in enumerate(middle):
        yield from ("",) * bool(number)
        yield from _frame(picture, box, shown)
    alone = []
    for box in trees.standing_by(picture, middle):
        if _is_shown(picture, box, shown):
            continue
        if all(map(words.quiet, box.interfaces)) and not picture.wires_at(End(box.name, "")):
            alone.append(words.box(box))
            continue
        yield ""
        yield from _frame(picture, box, shown)
    if alone:
        yield ""
        yield f"on no network: {', '.join(alone)}"
    for sentence in picture.missing:
        yield f"not seen: {printable(sentence)}"


def _is_shown(picture: Picture, box: Box, shown: set[End]) -> bool:
    """True if other boxes' lines show all of a box."""
    ends = [End(box.name, each.name) for each in box.interfaces if not words.quiet(each)]
    return bool(ends) and shown.issuperset(ends) and not picture.wires_at(End(box.name, ""))


def _frame(picture: Picture, box: Box, shown: set[End]) -> Iterator[str]:
    found = [
        _Line(_cut(words.outside(wire)), "", "", _arrow(wire))
        for wire in picture.wires_at(End(box.name, ""))
    ]
    found += [
        line
        for row in trees.rows(picture, box)
        if not words.quiet(row.interface)
        for line in _row(picture, row, shown)
    ]
    left = max((len(line.outside) for line in found), default=0)
    heading = words.box(box)
    inner = max([len(heading) + 1, *(len(line.inside) for line in found)])
    margin = " " * (left + 4 if left else 0)
    yield f"{margin}┌ {heading} {'─' * (inner - len(heading))}┐"
    for line in found:
        arrow = line.arrow or ("    " if left else "")
        border = "├──" if line.beside else "│"
        text = f"{line.outside.rjust(left)}{arrow}│ {line.inside.ljust(inner)} {border} "
        yield f"{text}{line.beside}".rstrip()
    yield f"{margin}└{'─' * (inner + 2)}┘"


def _row(picture: Picture, row: Row, shown: set[End]) -> Iterator[_Line]:
    """Yield an interface's line, and one more for each further wire."""
    shown.add(row.end)
    outer, beside = list(row.beyond), []
    for wire in row.leading:
        far = trees.far(wire, row.end)
        shown.add(far)
        beside.append(_beside(picture, wire, far))
        if far.box != row.end.box:
            outer += [one for one in picture.wires_at(far) if one.kind is WireKind.PUBLISHED]
    branch = "  " * (row.depth - 1) + "└ " * bool(row.depth)
    inside = branch + GAP.join(words.interface(row.interface))
    for number in range(max(1, len(outer), len(beside))):
        out = outer[number] if number < len(outer) else None
        yield _Line(
            _cut(words.outside(out)) if out else "",
            inside if not number else "",
            beside[number] if number < len(beside) else "",
            _arrow(out) if out else "",
        )


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_OUTSIDE else f"{text[: LONGEST_OUTSIDE - 1]}…"


def _arrow(wire: Wire) -> str:
    return " ─▶ " if words.inward(wire) else " ── " if words.both_ways(wire) else " ◀─ "


def _beside(picture: Picture, wire: Wire, far: End) -> str:
    interface = picture.interfaces.get(far)
    known = words.interface(interface)[1:] if interface else []
    box = next((each for each in picture.boxes if each.name == far.box), None)
    also = _also(box) if box else []
    return GAP.join([words.end(far), *known, *also])


def _also(box: Box) -> Iterable[str]:
    name = printable(box.name)
    rest = words.box(box).removeprefix(name).strip()
    return [rest] if rest and box.name != "host" else []
