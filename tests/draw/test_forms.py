"""Forms of a picture: what is written, in which order, and that no name is taken for more."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from ipaddress import ip_interface

import pytest

from plumb.draw import document
from plumb.draw.difference import Sign, difference
from plumb.draw.picture import (
    Box,
    BoxKind,
    End,
    Interface,
    LinkState,
    Picture,
    Wire,
    WireKind,
    natural,
)
from plumb.errors import Invalid
from plumb.frozen import replace
from plumb.views.draw import changes, dot, mermaid, svg, text

BAD = '\x1b]0;<script>alert("1")</script>\'&#x;\\N'
"""A name that a terminal, a page or a graph would obey."""


def picture(name: str = "web") -> Picture:
    """A bridge with a container on it, whose port is published."""
    host = Box(
        "host",
        BoxKind.HOST,
        interfaces=(
            Interface("br0", "bridge", ips=(ip_interface("172.20.0.1/24"),), about="bridge of n"),
            Interface("lo", ips=(ip_interface("127.0.0.1/8"),)),
            Interface("port", "veth", about=f"{name}'s port on n"),
        ),
    )
    box = Box(name, BoxKind.CONTAINER, "plumb", interfaces=(Interface("eth0", "veth"),))
    return Picture(
        (host, box),
        (
            Wire(WireKind.PUBLISHED, End("", ":8080/tcp"), End(name, "eth0"), "to 80/tcp"),
            Wire(WireKind.NAT, End("host", "br0"), End("", "source NAT"), f"MASQUERADE {name}"),
            Wire(WireKind.PORT, End("host", "port"), End("host", "br0")),
            Wire(WireKind.VETH, End("host", "port"), End(name, "eth0")),
        ),
    )


def test_text_has_the_outside_the_host_and_the_containers_from_left_to_right() -> None:
    lines = list(text.lines(picture()))
    bridge, port = lines[1], lines[2]
    assert bridge.split(" │ ")[0].strip() == "source NAT MASQUERADE web ◀─"
    assert "br0  bridge of n  172.20.0.1/24" in bridge
    assert port.lstrip().startswith(":8080/tcp to 80/tcp ─▶ │ └ port  web's port on n ")
    assert port.endswith("├── web/eth0")


def test_a_line_is_cut_off_at_the_edge_of_the_terminal() -> None:
    assert max(map(len, text.lines(picture(), 40))) == 40


def test_no_name_is_obeyed_by_what_shows_it() -> None:
    """A terminal, a page, a graph, a flowchart: each has it as text."""
    found = picture(BAD)
    shown = BAD.replace("\x1b", "\ufffd")
    assert all(line.isprintable() for line in text.lines(found))
    tree = ET.fromstring(svg.image(found))
    headings = [one.text for one in tree.iter() if one.get("class") == "heading"]
    assert headings == ["host", shown]
    assert "<script" not in svg.image(found)
    graph = "\n".join(dot.lines(found))
    assert shown.replace("\\", "\\\\").replace('"', '\\"') in graph
    flow = "\n".join(mermaid.lines(found))
    assert not set("<>'&\\\x1b") & set(flow.replace("<br/>", "").replace("-->", ""))


def test_names_are_ordered_as_people_count() -> None:
    assert sorted(("eth10", "eth2", "br0", ""), key=natural) == ["", "br0", "eth2", "eth10"]


def test_a_picture_as_json_is_read_again() -> None:
    assert document.read(document.written(picture()).encode(), "it") == picture()


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "[]",
        "{}",
        '{"format": 2}',
        '{"format": 1, "boxes": 3}',
        '{"format": 1, "boxes": [{"name": 3, "kind": "host"}]}',
        '{"format": 1, "wires": [{"kind": "no such", "one": {}, "other": {}}]}',
        "[" * 100_000,
    ],
)
def test_a_file_that_is_no_picture_is_refused(wrong: str) -> None:
    with pytest.raises(Invalid, match="file is no picture"):
        document.read(wrong.encode(), "file")


def test_a_difference_tells_what_was_added_is_gone_and_is_another_way() -> None:
    before, now = picture(), picture("db")
    host = replace(now.boxes[0], interfaces=(Interface("lo", state=LinkState.DOWN),))
    found = difference(before, replace(now, boxes=(host, now.boxes[1])))
    told = [line for _, line in changes.lines(found)]
    assert "- namespace web" in told
    assert "+ namespace db" in told
    assert "~ link host/lo: state up → down; addresses 127.0.0.1/8 → none" in told
    assert "- link host/br0  bridge of n  172.20.0.1/24" in told
    assert "- published :8080/tcp → web/eth0 to 80/tcp" in told
    assert {each.sign for each in found} == set(Sign)
    assert all(json.dumps(each) for each in changes.document(found))


def test_pictures_of_one_state_do_not_differ() -> None:
    assert not difference(picture(), picture())


def test_a_box_that_no_wire_leads_to_is_told_as_well() -> None:
    alone = Box("alone", BoxKind.CONTAINER, "docker", interfaces=(Interface("lo"),))
    other = Box("other", BoxKind.CONTAINER, interfaces=(Interface("eth0", "dummy"),))
    base = picture()
    lines = list(text.lines(replace(base, boxes=(*base.boxes, alone, other))))
    assert "on no network: alone (docker)" in lines
    assert any("┌ other" in line for line in lines)


def test_links_that_hang_on_each_other_in_a_circle_are_drawn() -> None:
    """The kernel has none for long, a file may have."""
    a, b = End("host", "a"), End("host", "b")
    box = Box("host", BoxKind.HOST, interfaces=(Interface("a", "vlan"), Interface("b", "vlan")))
    wires = (Wire(WireKind.PARENT, a, b), Wire(WireKind.PARENT, b, a))
    found = Picture((box,), wires)
    assert sum("vlan" in line for line in text.lines(found)) == 2
    ET.fromstring(svg.image(found))
