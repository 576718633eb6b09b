"""A picture as a graph of Graphviz: `plumb draw --dot | dot -Tsvg`."""

from __future__ import annotations

from collections.abc import Iterator

from plumb.draw.picture import Box, End, Picture, Wire, WireKind
from plumb.foreign.fields import printable
from plumb.views.draw import words

DASHED = (WireKind.PARENT, WireKind.TUNNEL, WireKind.POLICY)


def lines(picture: Picture) -> Iterator[str]:
    """Yield the graph's lines."""
    yield "digraph plumb {"
    yield "  rankdir=LR; compound=true; fontname=monospace;"
    yield "  node [shape=box, fontname=monospace, fontsize=10];"
    yield "  edge [fontname=monospace, fontsize=9];"
    names = _names(picture)
    for number, box in enumerate(picture.boxes):
        yield f"  subgraph cluster{number} {{"
        yield f"    label={quoted(words.box(box))};"
        yield from (f"    {line}" for line in _nodes(box, names))
        yield "  }"
    for wire in picture.wires:
        for end in (wire.one, wire.other):
            if end.outside:
                yield f"  {names[end]} [label={quoted(words.end(end))}, shape=plaintext];"
    for wire in picture.wires:
        yield f"  {names[wire.one]} -> {names[wire.other]} [{_style(wire)}];"
    yield "}"


def _names(picture: Picture) -> dict[End, str]:
    """Names of nodes, in the order of the picture: no name of the kernel's is one."""
    ends = dict.fromkeys(
        [
            *(End(box.name, "") for box in picture.boxes),
            *picture.interfaces,
            *(end for wire in picture.wires for end in (wire.one, wire.other)),
        ]
    )
    return {end: f"n{number}" for number, end in enumerate(ends)}


def _nodes(box: Box, names: dict[End, str]) -> Iterator[str]:
    place = names[End(box.name, "")]
    yield f'{place} [label="", shape=point, style=invis];'  # a cluster without a node is not drawn
    for each in box.interfaces:
        label = "\n".join(words.interface(each))
        yield f"{names[End(box.name, each.name)]} [label={quoted(label)}];"


def _style(wire: Wire) -> str:
    words_of = [f"label={quoted(printable(wire.label))}"] if wire.label else []
    if wire.kind in DASHED:
        words_of.append("style=dashed")
    if words.both_ways(wire):
        words_of.append("dir=none")
    return ", ".join([*words_of, f"class={quoted(wire.kind)}"])


def quoted(text: str) -> str:
    r"""Text as a string of dot; `\N` and the like are no escapes in it, a new line is one."""
    inside = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inside}"'
