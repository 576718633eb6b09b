"""A picture as one page: click on an object for its explanation, play a packet's story over it.

The page holds all that it needs, asks nothing of a network and works from a file. What comes from
this host is text in it: escaped in the markup, and data for the script, which makes no markup of
it. The policy in its head lets nothing run but the page's own script.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from typing import Any

from plumb.draw import columns
from plumb.draw.explained import Explained, Part
from plumb.draw.picture import Box, End, Interface, Picture, Wire, WireKind
from plumb.explain.explain import Explanation
from plumb.foreign.fields import printable
from plumb.views import explain
from plumb.views.draw import svg, words
from plumb.views.draw.story import PlayedStory, Shown

MEANINGS = {
    WireKind.VETH: "veth pair: what goes in by one end comes out by the other",
    WireKind.PORT: "port: the bridge gets and sends frames by this link",
    WireKind.PARENT: "the link sends and gets frames by its parent",
    WireKind.UPLINK: "leads out of what was read",
    WireKind.TUNNEL: "VXLAN: frames to another host go in UDP packets to this address",
    WireKind.PUBLISHED: "published port: connections to it are led to the container",
    WireKind.POLICY: "a rule of the administrator's decides about packets of this network",
    WireKind.NAT: "packets of this network leave with an address of the host as their source",
}
MOST = 12
"""Explanations that are shown of one object."""


def page(
    picture: Picture, explained: Explained, title: str, story: PlayedStory | None = None
) -> str:
    """Make a page.

    Args:
        explained: the explanations of what is in the picture.
        title: the page's heading.
        story: a packet's story to be played, if there is one.
    """
    style = svg.style() + _asset("page.css")
    script = _asset("page.js")
    data = {"objects": dict(_objects(picture, explained))}
    head = story.title if story else title
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(printable(head))}</title>",
            f"<style>{style}</style></head><body>",
            f"<header><h1>{escape(printable(head))}</h1>",
            "<p>Click on an object, or go to it with Tab and press Enter, for its explanation.</p>",
            '</header><main><section id="view" tabindex="0" aria-label="picture">',
            svg.drawn(columns.drawing(picture, svg.WORDS)),
            '</section><section id="side">',
            *(_story(story, svg.identities(picture)) if story else ()),
            '<section id="about" aria-live="polite"><h2>Nothing is chosen.</h2></section>',
            "</section>",
            *(f"<p>not seen: {escape(printable(each))}</p>" for each in picture.missing),
            "</main>",
            f'<script type="application/json" id="data">{_json(data)}</script>',
            f"<script>{script}</script></body></html>\n",
        ]
    )


def _asset(name: str) -> str:
    return files("plumb.views.draw").joinpath(f"assets/{name}").read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Content-Security-Policy: this very style sheet and script, and nothing else at all."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(data: Any) -> str:
    """JSON within markup: no < ends the script that it is in."""
    return json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _objects(picture: Picture, explained: Explained) -> Iterator[tuple[str, Any]]:
    """Yield each object's name in the page, with its heading and its explanations."""
    for part, name in svg.identities(picture).items():
        own = [_explanation(one) for one in explained.get(part, ())[:MOST]]
        yield name, {"title": _title(picture, part), "explanations": [*_facts(picture, part), *own]}


def _title(picture: Picture, part: Part) -> str:
    if isinstance(part, Wire):
        return f"{words.end(part.one)} → {words.end(part.other)}"
    return words.end(part) if part.interface else printable(part.box)


def _facts(picture: Picture, part: Part) -> list[Any]:
    """Tell what the picture itself has of an object."""
    if isinstance(part, Wire):
        rows = [("wire", MEANINGS[part.kind]), ("what", printable(part.label))]
    elif part.interface:
        rows = _of_interface(picture.interfaces[part])
    else:
        rows = _of_box(next(box for box in picture.boxes if box.name == part.box))
    return [{"name": "", "rows": [row for row in rows if row[1]]}]


def _of_interface(one: Interface) -> list[tuple[str, str]]:
    return [
        ("link", " ".join(filter(None, (one.kind or words.HARDWARE, one.detail)))),
        ("state", f"{one.state}, MTU {one.mtu}"),
        ("addresses", ", ".join(map(str, one.ips))),
        ("MAC address", one.mac),
        ("part", printable(one.about)),
        ("policies", ", ".join(one.policies)),
    ]


def _of_box(one: Box) -> list[tuple[str, str]]:
    return [
        ("namespace", str(one.kind)),
        ("engine", printable(one.engine)),
        ("containers", ", ".join(map(printable, one.containers))),
        ("links", str(len(one.interfaces))),
    ]


def _explanation(one: Explanation) -> dict[str, Any]:
    rows = explain.rows(one)
    if command := explain.command(one):
        rows.append(("command", command))
    return {
        "name": printable(one.name),
        "rows": [(head, printable(text, len(text))) for head, text in rows],
    }


def _story(story: PlayedStory, names: dict[Part, str]) -> Iterator[str]:
    yield '<section id="story"><div id="controls">'
    yield '<button id="back" aria-label="step back">◀</button>'
    yield '<button id="play">Play</button>'
    yield '<button id="next" aria-label="next step">▶</button></div>'
    for way in dict.fromkeys(step.way for step in story.steps):
        yield f"<h2>{escape(way.capitalize())}</h2><ol>"
        yield from (_step(step, names) for step in story.steps if step.way == way)
        yield "</ol>"
    yield f'<p id="ending" class="{"good" if story.good else "bad"}">'
    yield f"{escape(printable(story.ending, len(story.ending)))}</p>"
    yield from (f"<p>{escape(printable(each, len(each)))}</p>" for each in story.notes)
    yield "</section>"


def _step(step: Shown, names: dict[Part, str]) -> str:
    at = names.get(step.at) or names.get(End(step.at.box, ""), "")
    why = f'<span class="why">{escape(printable(step.why, len(step.why)))}</span>' * bool(step.why)
    return (
        f'<li><button class="step {step.kind}" data-at="{at}" data-way="{escape(step.way)}">'
        f'<span class="place">{escape(printable(step.at.box))}</span> '
        f'<span class="what">{escape(printable(step.what))}</span> '
        f"<code>{escape(printable(step.text, len(step.text)))}</code>{why}</button></li>"
    )
