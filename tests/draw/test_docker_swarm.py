"""The picture of a node of a swarm of a real Docker Engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.foreign.dockerd import MISSING, in_swarm

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=", ".join(MISSING)),
    pytest.mark.needs("vxlan"),
]


@pytest.fixture(scope="module")
def picture() -> Iterator[Any]:
    """A manager with an overlay network, on which a container is."""
    with in_swarm() as made:
        yield json.loads(made.lab.plumb("draw", "--json").stdout)


def test_an_overlay_networks_namespace_is_drawn(picture: Any) -> None:
    """With its bridge and its tunnel, which dockerd keeps in a mount namespace of its own."""
    (box,) = (each for each in picture["boxes"] if each["name"] == "overlay mesh")
    links = {each["name"]: each.get("about", "") for each in box["interfaces"]}
    assert links["br0"] == "bridge of mesh"
    assert links["vxlan0"].startswith("VXLAN of mesh")


def test_a_container_hangs_on_its_bridge(picture: Any) -> None:
    pairs = [
        {wire["one"]["box"], wire["other"]["box"]}
        for wire in picture["wires"]
        if wire["kind"] == "veth"
    ]
    assert {"overlay mesh", "web"} in pairs
