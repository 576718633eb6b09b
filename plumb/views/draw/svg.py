"""A picture as an SVG image: no scripts, no fonts and no files of elsewhere.

Each box, interface and wire is a group of the class "object", with a name of its own in
`data-object`. The colours are CSS, for light and dark.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files

from plumb.draw import columns
from plumb.draw.columns import Drawing, DrawnBox, DrawnLabel, DrawnRow
from plumb.draw.picture import End, LinkState, Picture, Wire, WireKind
from plumb.foreign.fields import printable
from plumb.views.draw import words

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" class="picture" viewBox="0 0 {width} {height}" '
    'width="{width}" height="{height}" role="group" aria-label="wiring of this host">'
)
ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
    'markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z"/></marker></defs>'
)
WORDS = columns.Words(words.box, lambda one: "  ".join(words.interface(one)), words.outside)


def style() -> str:
    """The style sheet of pictures."""
    return files("plumb.views.draw").joinpath("assets/picture.css").read_text(encoding="utf-8")


def identities(picture: Picture) -> dict[End | Wire, str]:
    """Name each part of a picture as its group's `data-object` does; a box is an end of it."""
    names: dict[End | Wire, str] = {}
    names |= {End(box.name, ""): f"b{number}" for number, box in enumerate(picture.boxes)}
    names |= {end: f"i{number}" for number, end in enumerate(picture.interfaces)}
    names |= {wire: f"w{number}" for number, wire in enumerate(picture.wires)}
    return names


def image(picture: Picture) -> str:
    """Draw a picture as a document of its own."""
    return drawn(columns.drawing(picture, WORDS), f"<style>{style()}</style>")


def drawn(drawing: Drawing, head: str = "") -> str:
    """Write a drawing as an svg element.

    Args:
        head: what it begins with: a style sheet where no page has it.
    """
    width, height = _n(drawing.width), _n(drawing.height)
    parts = [SVG.format(width=width, height=height), head, ARROW]
    names = identities(drawing.picture)
    parts += [text for box in drawing.boxes for text in _box(box, names)]
    middle = {box.box.name for box in drawing.boxes if box.middle}
    labels = {label.wire: label for label in drawing.labels}
    for wire in drawing.picture.wires:
        label = labels.get(wire)
        path = _from_outside(drawing, label, middle) if label else _between(drawing, wire, middle)
        parts.append(_wire(wire, names[wire], path, label))
    return "\n".join([*filter(None, parts), "</svg>\n"])


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _attributes(kind: str, name: str, title: str) -> str:
    """A group's attributes; its title is what a reader for the blind says."""
    return f'class="object {escape(kind)}" data-object="{name}" aria-label="{escape(title)}"'


def _box(one: DrawnBox, names: Mapping[End | Wire, str]) -> Iterator[str]:
    kind = f"box {one.box.kind}"
    title = f"{one.box.kind} {one.heading}"
    yield f"<g {_attributes(kind, names[End(one.box.name, '')], title)}>"
    yield (
        f'<rect x="{_n(one.x)}" y="{_n(one.y)}" width="{_n(one.width)}" '
        f'height="{_n(one.height)}" rx="6"/>'
    )
    yield _text(one.x + columns.PAD, one.y + columns.HEAD / 2, one.heading, "heading")
    yield "</g>"
    for row in one.rows:
        yield from _row(row, names[row.row.end])


def _row(one: DrawnRow, name: str) -> Iterator[str]:
    interface, end = one.row.interface, one.row.end
    state = "" if interface.state is LinkState.UP else " down"
    box = printable(end.box)
    title = f"link {one.text} in {box}"
    yield f"<g {_attributes(f'interface{state}', name, title)}>"
    top, height = one.y - columns.LINE / 2 + 1, columns.LINE - 2
    yield (
        f'<rect x="{_n(one.left + 3)}" y="{_n(top)}" width="{_n(one.right - one.left - 6)}" '
        f'height="{_n(height)}" rx="3"/>'
    )
    if one.row.depth:
        x = one.x - columns.INDENT + 4
        yield f'<path d="M{_n(x)} {_n(top)}V{_n(one.y)}H{_n(one.x - 3)}"/>'
    yield _text(one.x, one.y, one.text)
    yield "</g>"


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    about = f' class="{kind}"' if kind else ""
    return f'<text x="{_n(x)}" y="{_n(y + 4)}"{about} xml:space="preserve">{escape(text)}</text>'


def _wire(wire: Wire, name: str, path: str, label: DrawnLabel | None) -> str:
    title = f"{wire.kind}: {words.end(wire.one)} to {words.end(wire.other)}"
    title += f", {printable(wire.label)}" if wire.label else ""
    marker = "" if words.both_ways(wire) else ' marker-end="url(#arrow)"'
    text = _text(label.x, label.y, label.text, "outside") if label else ""
    drawn = f'<path class="near" d="{path}"/><path d="{path}"{marker}/>' if path else ""
    attributes = _attributes(f"wire {wire.kind}", name, title)
    return f"<g {attributes}><title>{escape(title)}</title>{drawn}{text}</g>"


def _from_outside(drawing: Drawing, label: DrawnLabel, middle: set[str]) -> str:
    """Path between a label and the edge of the middle's box; of what goes out, the other way."""
    spot = columns.entry(label.wire, drawing.spots, middle)[0]
    x = label.x + 6
    bend = (spot.left - x) / 2
    if label.wire.kind is WireKind.NAT:
        return (
            f"M{_n(spot.left)} {_n(spot.y)}C{_n(spot.left - bend)} {_n(spot.y)} "
            f"{_n(x + bend)} {_n(label.y)} {_n(x)} {_n(label.y)}"
        )
    return (
        f"M{_n(x)} {_n(label.y)}C{_n(x + bend)} {_n(label.y)} "
        f"{_n(spot.left - bend)} {_n(spot.y)} {_n(spot.left)} {_n(spot.y)}"
    )


def _between(drawing: Drawing, wire: Wire, middle: set[str]) -> str:
    """Path between two rows: across the channel, or around the edge of a column."""
    one, other = drawing.spots[wire.one], drawing.spots[wire.other]
    if (wire.one.box in middle) == (wire.other.box in middle):
        if _is_hung(one, wire):
            return ""  # the tree shows it
        right = max(one.right, other.right)
        x = right + 14 + abs(one.y - other.y) / 12
        return (
            f"M{_n(one.right)} {_n(one.y)}C{_n(x)} {_n(one.y)} {_n(x)} {_n(other.y)} "
            f"{_n(other.right)} {_n(other.y)}"
        )
    if wire.one.box not in middle:
        one, other = other, one
    bend = (other.left - one.right) / 2
    return (
        f"M{_n(one.right)} {_n(one.y)}C{_n(one.right + bend)} {_n(one.y)} "
        f"{_n(other.left - bend)} {_n(other.y)} {_n(other.left)} {_n(other.y)}"
    )


def _is_hung(one: DrawnRow, wire: Wire) -> bool:
    return one.row.depth > 0 and wire not in one.row.leading
