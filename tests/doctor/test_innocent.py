"""Hosts that look as if they had a fault: VPNs, firewalls, other managers of containers."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from plumb.frozen import replace
from plumb.model.diagnosis.snapshot import (
    ChainState,
    NamespaceState,
    NetworkState,
    RouteState,
    Snapshot,
)
from plumb.model.netns_state import Link, Listener
from plumb.model.observations import Netns
from plumb.model.ports import Port
from tests.doctor import faults, innocent
from tests.doctor.made import SHOP, WEB, chain, found, graded, rule, web
from tests.labs import Lab, sh


@pytest.fixture
def scene() -> Iterator[Lab]:
    """The lab of the faults, for each host anew."""
    with faults.scene() as lab:
        yield lab


@pytest.mark.parametrize("name", innocent.HOSTS)
@pytest.mark.needs("vxlan")
def test_a_host_with_other_programs_has_no_fault(scene: Lab, name: str) -> None:
    """Their rules, routes and links are theirs, and keep nobody from a container."""
    assert faults.until(scene, lambda found: not found) == []
    sh(innocent.HOSTS[name])
    assert faults.found(scene) == []


def test_a_firewall_that_accepts_by_a_mark_is_no_proof(scene: Lab) -> None:
    """Who sets the mark is not read; that nothing else is accepted, is."""
    assert faults.until(scene, lambda found: not found) == []
    sh(innocent.MARKED)
    assert [(each.id, each.grade) for each in faults.found(scene)] == [
        ("second-firewall", "likely")
    ]


def test_a_port_that_rules_in_its_container_lead_elsewhere(scene: Lab) -> None:
    """A container that is a VPN's end, or a router, listens at none of its ports."""
    faults.shell(scene, "plumb run -d --name gate --network shop -p 8099:99 sleep 1000000")
    (mine,) = faults.until(scene, lambda found: [each.id for each in found] == ["nobody-listens"])
    assert mine.subject == "port 99/tcp of gate is published, and nobody listens there"
    rewrites = "PREROUTING -p tcp --dport 99 -j DNAT --to-destination 172.20.0.3:80"
    faults.shell(scene, f"inside gate iptables -t nat -A {rewrites}")
    assert faults.found(scene) == []


# -- snapshots -----------------------------------------------------------------------------

LISTENS = Listener("udp", ip_address("0.0.0.0"), 3478)


def served(*listeners: Listener, first: int = 49160) -> Snapshot:
    """A container with a port for signals and a range for media, as coturn has them."""
    ports = (3478, *range(first, first + 20))
    every = tuple(Port(each, "udp", ip_address("0.0.0.0"), each) for each in ports)
    (end,) = web().ends
    box = replace(web(), ends=(replace(end, ports=every),))
    inside = NamespaceState(
        "web",
        (Link(Netns("web", ""), 2, "eth0"),),
        (("eth0", WEB),),
        (RouteState(ip_network("0.0.0.0/0"), via=ip_address("172.20.0.1"), dev="eth0"),),
        listeners=listeners,
    )
    return Snapshot(NamespaceState("host"), (inside,), (box,), (SHOP,))


def test_a_range_of_ports_is_taken_when_it_is_needed() -> None:
    """Nothing is told where the container serves its other port, and a hint where it does not."""
    assert "nobody-listens" not in found(served(LISTENS))
    silent = found(served(first=3479))["nobody-listens"]
    assert (silent.grade, silent.severity) == ("hint", "warning")
    assert silent.subject == "nobody listens at any of the published ports 3478-3498/udp of web"


def container(*routes: RouteState, links: tuple[str, ...] = ("eth0",)) -> Snapshot:
    """A container on shop with these routes."""
    inside = NamespaceState(
        "web",
        tuple(Link(Netns("web", ""), index, name) for index, name in enumerate(links, 2)),
        (("eth0", WEB), *(((links[1], ip_interface("10.8.0.6/24")),) if links[1:] else ())),
        routes,
    )
    return Snapshot(NamespaceState("host"), (inside,), (web(),), (SHOP,))


HALVES = tuple(
    RouteState(ip_network(half), via=ip_address("10.8.0.1"), dev="tun0")
    for half in ("0.0.0.0/1", "128.0.0.0/1")
)


def test_a_default_route_in_two_halves_is_one() -> None:
    """OpenVPN takes the whole of it so (redirect-gateway def1)."""
    assert "no-default-route" in found(container())
    assert "no-default-route" not in found(container(*HALVES, links=("eth0", "tun0")))


@pytest.mark.parametrize(("dev", "grade"), [("eth0", "likely"), ("tun0", "hint")])
def test_a_default_route_by_a_tunnel_is_meant(dev: str, grade: str) -> None:
    """By the engine's own link nobody else should be a gateway."""
    route = RouteState(ip_network("0.0.0.0/0"), via=ip_address("10.8.0.1"), dev=dev)
    mine = container(route, links=("eth0", "tun0"))
    assert graded(mine, ["wrong-gateway"]) == {"wrong-gateway": grade}


@pytest.mark.parametrize(
    ("chains", "engine", "grade"),
    [
        ((), "docker", "likely"),
        ((chain("DOCKER", table="nat"),), "docker", "proven"),
        ((chain("CNI-FORWARD"),), "docker", "likely"),
        ((chain("NETAVARK_FORWARD"),), "docker", "likely"),
        ((chain("NETAVARK_FORWARD"),), "podman", "proven"),
        ((chain("CNI-FORWARD"),), "containerd", "proven"),
        ((), "plumb", "proven"),
    ],
)
def test_an_engine_without_any_rules_may_have_been_told_so(
    chains: tuple[ChainState, ...], engine: str, grade: str
) -> None:
    """`"iptables": false` in daemon.json, and a router that knows the containers' subnets."""
    host = NamespaceState("host", chains=chains)
    mine = Snapshot(host, (), (web(engine=engine),), (replace(SHOP, engine=engine),))
    assert graded(mine, ["no-masquerade"]) == {"no-masquerade": grade}


NFT = ChainState(
    "nft", "ip", "docker-bridges", "filter-FORWARD", (), "forward", 0, "accept", "filter"
)


@pytest.mark.parametrize(
    ("chains", "net", "expected"), [((), SHOP, "rules-flushed"), ((NFT,), SHOP, "second-firewall")]
)
def test_rules_that_were_never_there_are_not_gone(
    chains: tuple[ChainState, ...], net: NetworkState, expected: str
) -> None:
    """ufw's policy beside an engine that writes tables of nft's own."""
    host = NamespaceState("host", chains=(*chains, chain("FORWARD", policy="drop")))
    mine = found(Snapshot(host, (), (web(),), (net,)))
    assert mine.keys() & {"rules-flushed", "second-firewall"} == {expected}


def test_a_policy_of_ipv6_without_an_engine_s_chains_is_a_firewall_s() -> None:
    """Docker 20.10 writes no rules of IPv6 by itself."""
    six = ip_network("fd00:20::/64")
    net = replace(SHOP, subnets=(*SHOP.subnets, six), ipv6=True)
    policy = chain("FORWARD", policy="drop", tool="ip6tables-nft", family="ip6")
    host = NamespaceState("host", chains=(policy, chain("DOCKER", rule("-j RETURN"), table="nat")))
    mine = found(Snapshot(host, (), (web(),), (net,)))
    assert mine.keys() & {"rules-flushed", "second-firewall"} == {"second-firewall"}


def test_routes_to_everywhere_overlap_with_nothing() -> None:
    """A VPN has them, and a bridge's subnet is more specific; a route to a LAN does."""
    bridge = Link(Netns("host", ""), 3, "br0", kind="bridge")
    tunnel = Link(Netns("host", ""), 4, "tun0")
    home = RouteState(SHOP.subnets[0], dev="br0")
    for dst, expected in (("128.0.0.0/2", set()), ("172.16.0.0/12", {"subnet-overlap"})):
        host = NamespaceState(
            "host",
            (bridge, tunnel),
            (("br0", ip_interface("172.20.0.1/24")),),
            (home, RouteState(ip_network(dst), dev="tun0")),
        )
        mine = found(Snapshot(host, (), (web(),), (SHOP,)))
        assert mine.keys() & {"subnet-overlap"} == expected
