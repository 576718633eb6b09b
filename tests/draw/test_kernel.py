"""A picture shows what the kernel has: random wiring, read by plumb and by iproute2."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import pytest

from plumb.draw import document
from plumb.draw.picture import End, LinkState, Picture, WireKind
from plumb.draw.read import read
from plumb.engine.reader import Reader
from plumb.views.draw import dot, mermaid, svg, text
from tests import labs
from tests.draw import topologies
from tests.draw.topologies import HOST
from tests.labs import Lab, sh

TOPOLOGIES = 50


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A host with a folder of `ip netns` of its own, in which a removed namespace has left a
    file."""
    Path("/run/netns").mkdir(exist_ok=True)
    sh("mount -t tmpfs netns /run/netns")
    try:
        with labs.lab() as made:
            Path("/run/netns/left").touch()
            for place in topologies.PLACES:
                sh(f"ip netns add {place}")
            yield made
    finally:
        sh("umount -l /run/netns")


@pytest.fixture(scope="module")
def kinds(lab: Lab) -> tuple[str, ...]:
    """Kinds of links that this kernel makes."""
    return topologies.kinds()


def drawn(lab: Lab) -> Picture:
    """The picture of the host."""
    with Reader(lab.root, settings={}) as reader:
        return read(reader)


def of_iproute2(place: str) -> dict[str, dict[str, Any]]:
    """Links of a namespace, by name."""
    at = "" if place == HOST else f"-n {place} "
    return {link["ifname"]: link for link in json.loads(sh(f"ip {at}-j -d address"), strict=False)}


@pytest.mark.parametrize("seed", range(TOPOLOGIES))
def test_a_picture_is_what_the_kernel_has(lab: Lab, kinds: tuple[str, ...], seed: int) -> None:
    """Namespaces, links and their state as iproute2 tells them, wires as they were asked for; and
    each form can be made of it."""
    with topologies.built(seed, kinds) as made:
        found = drawn(lab)
        assert {box.name for box in found.boxes} == set(made.places)
        for box in found.boxes:
            links = of_iproute2(box.name)
            assert {each.name for each in box.interfaces} == set(links)
            for each in box.interfaces:
                check(links[each.name], found, End(box.name, each.name))
        assert set(found.wires) == made.wires
    check_forms(found)


def check(link: dict[str, Any], picture: Picture, end: End) -> None:
    """Compare an interface with what iproute2 says of it."""
    one = picture.interfaces[end]
    state = LinkState.UP if "LOWER_UP" in link["flags"] else LinkState.NO_CARRIER
    about = link.get("linkinfo", {})
    data = about.get("info_data", {})
    assert one.kind == about.get("info_kind", "")
    assert one.state is (state if "UP" in link["flags"] else LinkState.DOWN)
    assert one.mtu == link["mtu"]
    if link["link_type"] in ("ether", "loopback"):  # of tunnels, iproute2 writes an IP address
        assert one.mac == link["address"]
    assert set(one.ips) == {
        ip_interface(f"{ip['local']}/{ip['prefixlen']}") for ip in link["addr_info"]
    }
    numbers = {"vlan": f"VLAN {data.get('id')}", "vxlan": f"VNI {data.get('id')}"}
    assert one.detail == numbers.get(one.kind, f"mode {data['mode']}" if "mode" in data else "")
    masters = {
        wire.other.interface
        for wire in picture.wires_at(end)
        if wire.kind is WireKind.PORT and wire.one == end
    }
    assert masters == ({link["master"]} if "master" in link else set())


def check_forms(found: Picture) -> None:
    """Make every form of a picture: each is well-formed, and what is read again is the same."""
    cleaned = document.cleaned(found)
    assert document.read(document.written(cleaned).encode(), "it") == cleaned
    tree = ET.fromstring(svg.image(found))
    groups = [one.get("class", "").split() for one in tree.iter("{http://www.w3.org/2000/svg}g")]
    count = {kind: sum(kind in one for one in groups) for kind in ("box", "interface", "wire")}
    assert count == {
        "box": len(found.boxes),
        "interface": len(found.interfaces),
        "wire": len(found.wires),
    }
    for line in [*text.lines(found), *dot.lines(found), *mermaid.lines(found)]:
        assert line.isprintable()
    assert sum(" -> " in line for line in dot.lines(found)) >= len(found.wires)
