"""Traces on a node of a swarm of a real Docker Engine: through its overlay networks' namespaces.

The other node is the LAN's router, with a VXLAN link and what Docker's nodes tell each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from plumb.kernel.diagnosis import machine, tunnels
from plumb.trace.tracer import Tracer
from tests import labs
from tests.foreign.dockerd import MISSING, Dockerd, in_swarm
from tests.labs import sh, within

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=", ".join(MISSING)),
    pytest.mark.needs("vxlan"),
]
THERE, MAC = "10.50.0.77", "02:42:0a:32:00:4d"
"""A container of the other node."""
NOWHERE, HALF_KNOWN = "10.50.0.78", "10.50.0.79"


@pytest.fixture(scope="module")
def swarm() -> Iterator[Dockerd]:
    """A manager with two containers on an overlay network, mesh, and another node behind it."""
    with in_swarm() as made:
        made.run("c2", "mesh")
        inside(made, f"bridge fdb add {MAC} dev vxlan0 dst {labs.ROUTER}")
        inside(made, f"ip neigh add {THERE} lladdr {MAC} dev vxlan0 nud permanent")
        own = endpoint(made)
        for line in (
            f"ip link add vx address {MAC} type vxlan id 4097 dstport 4789 remote {labs.HOST_IP}",
            f"ip addr add {THERE}/24 dev vx",
            "ip link set vx up",
            f"ip neigh add {own['ip']} lladdr {own['mac']} dev vx nud permanent",
        ):
            within(made.lab.lan, line)
        yield made


def endpoint(swarm: Dockerd) -> dict[str, str]:
    """Addresses of c2 on mesh."""
    end = swarm.ask("GET", "/containers/c2/json")["NetworkSettings"]["Networks"]["mesh"]
    return {"ip": end["IPAddress"], "mac": end["MacAddress"]}


def inside(swarm: Dockerd, line: str) -> None:
    """Run a line in the network's namespace."""
    name = f"1-{swarm.ask('GET', '/networks/mesh')['Id'][:10]}"
    folders = tunnels.folders(machine.managers())
    (file,) = (path for each in folders if tunnels.is_namespace(path := f"{each}/{name}"))
    sh(f"nsenter --net={file} {line}")


def trace(swarm: Dockerd, to: str, status: int = 0) -> Any:
    """A trace from c2, as JSON."""
    return json.loads(swarm.lab.plumb("trace", "--json", "c2", to, status=status).stdout)


def links(steps: list[Any]) -> list[tuple[str, str]]:
    """Namespaces and links that were crossed, without the numbers of the bridge's ports."""
    crossed = [step for step in steps if step["Kind"] == "link"]
    return [(step["Place"], step["Link"].rstrip("0123456789")) for step in crossed]


def outer_packets(steps: list[Any]) -> list[Any]:
    """The VXLAN packets of one direction."""
    return [step for step in steps if step["Kind"] == "vxlan"]


def test_containers_of_one_node_meet_in_the_networks_namespace(swarm: Dockerd) -> None:
    """At the ports of its bridge; nothing leaves by the tunnel."""
    found = trace(swarm, "web")
    way = [("c2", "eth"), ("overlay mesh", "veth"), ("overlay mesh", "veth"), ("web", "eth")]
    assert links(found["There"]) == way
    assert links(found["Back"]) == way[::-1]


def test_the_ports_of_its_bridge_have_the_containers_names(swarm: Dockerd) -> None:
    story = swarm.lab.plumb("trace", "c2", "web").stdout
    assert "c2's port on mesh" in story
    assert "web's port on mesh" in story
    assert "not seen" not in story or "Operation not permitted" in story


def test_a_packet_to_another_node_is_followed_to_the_wire_and_back(swarm: Dockerd) -> None:
    """With the forwarding table's entry, and the outer packet on the host's own link."""
    found = trace(swarm, THERE)
    way = [("c2", "eth"), ("overlay mesh", "veth"), ("overlay mesh", "vxlan")]
    assert links(found["There"]) == way
    assert links(found["Back"]) == way[::-1]
    (sent,), (received,) = outer_packets(found["There"]), outer_packets(found["Back"])
    ends = [sent[key] for key in ("Source", "Destination", "DestinationPort", "Vni", "Uplink")]
    assert ends == [labs.HOST_IP, labs.ROUTER, 4789, 4097, "eth0"]
    assert (sent["Mac"], sent["In"], received["In"]) == (MAC, False, True)
    assert (received["Source"], received["Destination"]) == (labs.ROUTER, labs.HOST_IP)


def test_the_networks_balancer_is_a_namespace_of_docker_s(swarm: Dockerd) -> None:
    """Its own address is that of an endpoint which is no container's."""
    ends = swarm.ask("GET", "/networks/mesh")["Containers"]
    found = trace(swarm, ends["lb-mesh"]["IPv4Address"].partition("/")[0])
    assert links(found["There"])[-1] == ("balancer mesh", "eth")


def test_a_loss_behind_the_wire_is_said_in_docker_s_words(swarm: Dockerd) -> None:
    """`plumb check --peers` asks nodes of plumb's alone."""
    rule = "INPUT -p udp --dport 4789 -j DROP"
    within(swarm.lab.lan, f"iptables -I {rule}")
    try:
        found = trace(swarm, THERE, status=1)
    finally:
        within(swarm.lab.lan, f"iptables -D {rule}")
    assert found["Cause"]["Id"] == "behind-vxlan"
    assert labs.ROUTER in found["Cause"]["Says"]
    tips = " ".join(found["Cause"]["Remedies"])
    assert "check --peers" not in tips
    assert f"UDP port 4789 pass between {labs.HOST_IP} and {labs.ROUTER}" in tips


def test_a_mac_address_that_no_node_has_told_of(swarm: Dockerd) -> None:
    inside(swarm, f"ip neigh add {HALF_KNOWN} lladdr 02:42:0a:32:00:4f dev vxlan0 nud permanent")
    found = trace(swarm, HALF_KNOWN, status=1)
    assert found["Cause"]["Id"] == "no-fdb-entry"
    assert found["Cause"]["Remedies"][-1].startswith("systemctl restart docker")


def test_an_address_that_no_node_has_told_of(swarm: Dockerd) -> None:
    """The VXLAN link answers ARP by its entries, and asks nobody."""
    found = trace(swarm, NOWHERE, status=1)
    assert found["Cause"]["Id"] == "no-peer"
    assert f"ip neigh: no entry of {NOWHERE} dev vxlan0" in " ".join(found["Cause"]["Evidence"])


def test_without_the_networks_namespace_the_containers_alone_are_seen(
    swarm: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where dockerd is in another PID namespace: that is said, and nothing is made up."""
    monkeypatch.setattr(tunnels, "folders", lambda running: ["/nonexistent"])
    with swarm.lab.host() as host:
        report = Tracer(host).trace("c2", "web")
    assert {place.name for place in report.topology.places} == {"c2", "web", "host"}
    assert any(each.startswith("the namespace of mesh: ") for each in report.missing)
