"""Columns of a drawing: what is outside, the host's links, the containers.

    outside     host            containers
    :8080 ──▶   br0
                └ veth1 ─────── web  eth0

The host and other namespaces in which links hang on each other stand in the middle, one below the
other; each container stands beside the first link that leads to it. All is measured in letters of
a monospaced font, so that the layout needs no font.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from plumb.draw import trees
from plumb.draw.picture import Box, End, Interface, Picture, Wire
from plumb.draw.trees import Row
from plumb.frozen import frozen

LETTER, LINE = 7.25, 22
"""Pixels of a letter's width at a size of 12, and of a row's height."""
HEAD, PAD, INDENT, GAP = 26, 10, 16, 22
"""Pixels of a box's heading, its border, a step in a tree, the space between boxes."""
CHANNEL = 84
"""Pixels between columns, where the wires are."""


@frozen
class Words:
    """Texts of a drawing.

    Attributes:
        heading, row, outside: the texts of a box, an interface, and a wire's outer end.
    """

    heading: Callable[[Box], str]
    row: Callable[[Interface], str]
    outside: Callable[[Wire], str]


@frozen
class DrawnRow:
    """An interface: its place in the drawing.

    Attributes:
        x, y: left end and middle of its text; left, right: the edges of its box.
    """

    row: Row
    text: str
    x: float
    y: float
    left: float
    right: float


@frozen
class DrawnBox:
    """A box: its place in the drawing."""

    box: Box
    heading: str
    x: float
    y: float
    width: float
    height: float
    rows: tuple[DrawnRow, ...]
    middle: bool


@frozen
class DrawnLabel:
    """The outer end of a wire; x is the right end of its text, y its middle."""

    wire: Wire
    text: str
    x: float
    y: float


@frozen
class Drawing:
    """A picture with the places of all that is in it.

    Attributes:
        spots: the rows, by their interface; of a whole box, its heading.
    """

    picture: Picture
    boxes: tuple[DrawnBox, ...]
    labels: tuple[DrawnLabel, ...]
    width: float
    height: float
    spots: dict[End, DrawnRow]


def drawing(picture: Picture, words: Words) -> Drawing:
    """Lay a picture out."""
    middle = trees.switching(picture)
    beside = trees.standing_by(picture, middle)
    wires = [wire for wire in picture.wires if wire.one.outside or wire.other.outside]
    margin = max((len(words.outside(wire)) for wire in wires), default=0) * LETTER
    left = PAD + (margin + CHANNEL if wires else 0)
    width = _widest(picture, middle, words)
    boxes = _stacked(picture, middle, words, left, width)
    spots = {row.row.end: row for box in boxes for row in box.rows}
    boxes += _beside(picture, beside, words, left + width + CHANNEL, spots)
    spots = {row.row.end: row for box in boxes for row in box.rows} | {
        End(box.box.name, ""): _heading(box) for box in boxes
    }
    inside = {box.name for box in middle}
    labels = _labels(wires, words, left - CHANNEL, spots, inside)
    return Drawing(
        picture,
        tuple(boxes),
        tuple(labels),
        max((box.x + box.width for box in boxes), default=left) + PAD + GAP,
        max([*(box.y + box.height for box in boxes), *(each.y + LINE for each in labels), LINE])
        + PAD,
        spots,
    )


def _heading(box: DrawnBox) -> DrawnRow:
    row = Row(0, End(box.box.name, ""), Interface(""))
    return DrawnRow(row, "", box.x, box.y + HEAD / 2, box.x, box.x + box.width)


def _widest(picture: Picture, boxes: Iterable[Box], words: Words) -> float:
    return max((_width(picture, box, words) for box in boxes), default=0)


def _width(picture: Picture, box: Box, words: Words) -> float:
    texts = [
        row.depth * INDENT + len(words.row(row.interface)) * LETTER
        for row in trees.rows(picture, box)
    ]
    return 2 * PAD + max([len(words.heading(box)) * LETTER * 1.1, *texts])


def _stacked(
    picture: Picture, boxes: Sequence[Box], words: Words, x: float, width: float
) -> list[DrawnBox]:
    found: list[DrawnBox] = []
    y = float(PAD)
    for box in boxes:
        found.append(_box(picture, box, words, (x, y), width, middle=True))
        y += found[-1].height + GAP
    return found


def _beside(
    picture: Picture, boxes: Sequence[Box], words: Words, x: float, spots: dict[End, DrawnRow]
) -> list[DrawnBox]:
    """Place each box where the first wire leads to it, or below the one before."""
    found: list[DrawnBox] = []
    y = float(PAD)
    width = _widest(picture, boxes, words)
    for box in boxes:
        made = _box(picture, box, words, (x, y), width, middle=False)
        wanted = [
            y + spots[far].y - row.y
            for row in made.rows
            for wire in row.row.leading
            if (far := trees.far(wire, row.row.end)) in spots
        ]
        y = max(y, min(wanted, default=y))
        found.append(_box(picture, box, words, (x, y), width, middle=False))
        y += made.height + GAP
    return found


def _box(
    picture: Picture,
    box: Box,
    words: Words,
    corner: tuple[float, float],
    width: float,
    *,
    middle: bool,
) -> DrawnBox:
    x, y = corner
    rows = tuple(
        DrawnRow(
            row,
            words.row(row.interface),
            x + PAD + row.depth * INDENT,
            y + HEAD + LINE * (number + 0.5),
            x,
            x + width,
        )
        for number, row in enumerate(trees.rows(picture, box))
    )
    height = HEAD + LINE * max(1, len(rows)) + PAD / 2
    return DrawnBox(box, words.heading(box), x, y, width, height, rows, middle)


def _labels(
    wires: Iterable[Wire], words: Words, x: float, spots: dict[End, DrawnRow], middle: set[str]
) -> list[DrawnLabel]:
    """Place the outer ends of wires beside the rows that they lead to, none over another."""
    placed = sorted(
        ((_entry(wire, spots, middle).y, number, wire) for number, wire in enumerate(wires)),
        key=lambda each: each[:2],
    )
    found: list[DrawnLabel] = []
    y = float(PAD)
    for wanted, _, wire in placed:
        y = max(y + LINE * 0.8, wanted)
        found.append(DrawnLabel(wire, words.outside(wire), x, y))
    return found


def _entry(wire: Wire, spots: dict[End, DrawnRow], middle: set[str]) -> DrawnRow:
    return entry(wire, spots, middle)[0]


def entry(wire: Wire, spots: dict[End, DrawnRow], middle: Iterable[str]) -> list[DrawnRow]:
    """The rows that a wire from outside passes: first the one that leads to a container's."""
    end = wire.other if wire.one.outside else wire.one
    spot = spots[end]
    if end.box in middle:
        return [spot]
    ways = (
        spots[far]
        for each in spot.row.leading
        if (far := trees.far(each, end)).box in middle and far in spots
    )
    way = next(ways, None)
    return [spot] if way is None else [way, spot]
