"""A node of a swarm of a real Docker Engine, which is alone in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plumb.doctor import read
from tests.doctor import faults
from tests.foreign.dockerd import MISSING, Dockerd, in_swarm
from tests.labs import sh

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=", ".join(MISSING)),
    pytest.mark.needs("vxlan"),
]


@pytest.fixture(scope="module")
def swarm() -> Iterator[Dockerd]:
    """A manager with an overlay network, on which a container is."""
    with in_swarm() as made:
        yield made


def found(swarm: Dockerd, *ids: str) -> dict[str, str]:
    """The findings' grades by their ids: these, or what there is at the deadline."""
    every = faults.until(swarm.lab, lambda found: {each.id for each in found} == set(ids))
    return {each.id: str(each.grade) for each in every}


def test_a_node_that_is_alone_has_no_fault(swarm: Dockerd) -> None:
    """Its tunnels are found where dockerd keeps them, in a mount namespace of its own."""
    assert found(swarm) == {}
    with swarm.lab.host() as host:
        (part,) = read.read(host).overlays
    ((link,), net) = part.links, swarm.ask("GET", "/networks/mesh")
    assert part.network == net["Id"]
    assert str(link.vni) == net["Options"]["com.docker.network.driver.overlay.vxlanid_list"]
    assert (link.up, link.mtu, link.port, link.vteps) == (True, 1450, 4789, ())


def inside(swarm: Dockerd, line: str) -> None:
    """Run a line in the network's namespace."""
    with swarm.lab.host() as host:
        (part,) = read.read(host).overlays
    sh(f"nsenter --net={part.netns} {line}")


def test_a_tunnel_that_is_down(swarm: Dockerd) -> None:
    """The remedy sets it up in the network's namespace."""
    inside(swarm, "ip link set vxlan0 down")
    (mine,) = faults.found(swarm.lab)
    assert (mine.id, mine.grade) == ("tunnel-down", "proven")
    sh(str(mine.remedies[0]))
    assert found(swarm) == {}


def test_ports_of_nodes_that_are_dropped(swarm: Dockerd) -> None:
    """A hint: nobody is known who would send."""
    rule = "INPUT -p udp -m multiport --dports 4789,7946 -j DROP"
    sh(f"iptables -I {rule}")
    (mine,) = faults.found(swarm.lab)
    assert (mine.id, mine.grade) == ("overlay-ports", "hint")
    assert mine.subject == "the host drops what other nodes send to 4789/udp, 7946/udp"
    sh(f"iptables -D {rule}")
    assert found(swarm) == {}


def test_a_tunnel_of_another_network(swarm: Dockerd) -> None:
    """And then none."""
    inside(swarm, "ip link del vxlan0")
    assert found(swarm, "tunnel-missing") == {"tunnel-missing": "proven"}
    inside(swarm, "ip link add vxlan0 type vxlan id 4711 dstport 4789")
    assert found(swarm, "tunnel-differs") == {"tunnel-differs": "proven"}
