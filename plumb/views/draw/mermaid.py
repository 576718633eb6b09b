"""A picture as a flowchart of Mermaid, which many web pages show."""

from __future__ import annotations

import re
from collections.abc import Iterator

from plumb.draw.picture import End, Picture, Wire, WireKind
from plumb.foreign.fields import printable
from plumb.views.draw import words

ARROWS = {
    WireKind.PUBLISHED: "-->",
    WireKind.NAT: "-->",
    WireKind.PARENT: "-.-",
    WireKind.TUNNEL: "-.-",
    WireKind.POLICY: "-.-",
}
PLAIN = re.compile(r"[^\w ./:,-]", re.ASCII)
"""Letters that mean something in a flowchart, or might."""


def lines(picture: Picture) -> Iterator[str]:
    """Yield the flowchart's lines."""
    yield "flowchart LR"
    ends = dict.fromkeys(
        [*picture.interfaces, *(end for wire in picture.wires for end in (wire.one, wire.other))]
    )
    names = {end: f"n{number}" for number, end in enumerate(ends)}
    for number, box in enumerate(picture.boxes):
        yield f'  subgraph b{number}["{escaped(words.box(box))}"]'
        for each in box.interfaces:
            label = "<br/>".join(map(escaped, words.interface(each)))
            yield f'    {names[End(box.name, each.name)]}["{label}"]'
        if End(box.name, "") in names:
            yield f'    {names[End(box.name, "")]}["{escaped(box.name)}"]'
        yield "  end"
    for end, name in names.items():
        if end.outside:
            yield f'  {name}(["{escaped(words.end(end))}"])'
    for wire in picture.wires:
        yield f"  {names[wire.one]} {_arrow(wire)} {names[wire.other]}"


def _arrow(wire: Wire) -> str:
    arrow = ARROWS.get(wire.kind, "---")
    return f'{arrow}|"{escaped(printable(wire.label))}"|' if wire.label else arrow


def escaped(text: str) -> str:
    """Text within quotes: every letter that might mean something by its number."""
    return PLAIN.sub(lambda found: f"#{ord(found[0])};", text)
