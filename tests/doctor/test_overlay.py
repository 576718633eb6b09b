"""Overlay networks: what this host alone tells of their tunnels and of their nodes' ports."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address, ip_interface, ip_network
from typing import Any

import pytest

from plumb.doctor import diagnose, document, read
from plumb.doctor.anonymise import anonymised
from plumb.frozen import replace
from plumb.kernel.diagnosis import tunnels
from plumb.model.diagnosis.overlay_state import OverlayState, VxlanState
from plumb.model.diagnosis.snapshot import (
    ChainState,
    ContainerState,
    EndState,
    NamespaceState,
    NetworkState,
    RouteState,
    RuleState,
    Snapshot,
)
from plumb.model.netns_state import Link, Listener
from plumb.model.observations import Netns
from tests import fake_cluster, labs
from tests.cases import CASES
from tests.doctor.made import chain, found, rule
from tests.labs import Lab, sh

PEER = IPv4Address("192.0.2.11")
MESH = NetworkState(
    "o" * 25,
    "mesh",
    "docker",
    "overlay",
    subnets=(ip_network("10.50.0.0/24"),),
    multi_host=True,
    vnis=(4097,),
)
VXLAN = VxlanState("vxlan0", vni=4097, vteps=(PEER,))
ETH0 = Link(Netns("host", ""), 2, "eth0")
HOST = NamespaceState(
    "host",
    (ETH0,),
    (("eth0", ip_interface("192.0.2.10/24")),),
    (
        RouteState(ip_network("0.0.0.0/0"), dev="eth0"),
        RouteState(ip_network("192.0.2.0/24"), dev="eth0"),
    ),
    listeners=tuple(
        Listener(protocol, ip_address("::"), 7946, who="dockerd, pid 7")
        for protocol in ("tcp", "udp")
    ),
    resolv="nameserver 192.0.2.1\n",
)
C1 = ContainerState("c1", "docker", "c1", (EndState(MESH.id, "", ip_interface("10.50.0.2/24")),))
INSIDE = NamespaceState(
    "c1", (Link(Netns("c1", ""), 2, "eth0", mtu=1450),), (("eth0", ip_interface("10.50.0.2/24")),)
)


def node(
    *links: VxlanState,
    host: NamespaceState = HOST,
    chains: tuple[ChainState, ...] = (),
    **fields: Any,
) -> Snapshot:
    """A node with a container on an overlay network, and its VXLAN links."""
    net = replace(MESH, **fields)
    part = OverlayState(net.id, "/run/docker/netns/1-oooooooooo", links)
    return Snapshot(replace(host, chains=chains), (INSIDE,), (C1,), (net,), overlays=(part,))


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ((VXLAN,), set()),
        ((), {"tunnel-missing"}),
        ((replace(VXLAN, up=False),), {"tunnel-down"}),
        ((replace(VXLAN, vni=4098),), {"tunnel-differs"}),
        ((replace(VXLAN, port=8472),), set()),
    ],
)
def test_the_vxlan_link_is_the_network_s(links: tuple[VxlanState, ...], expected: set[str]) -> None:
    """Another port is Docker's choice for the whole swarm, which is not known here."""
    assert found(node(*links)).keys() == expected


def test_plumb_s_port_is_known() -> None:
    """Its record has it."""
    other = node(replace(VXLAN, port=8472), engine="plumb", port=4789)
    assert found(other)["tunnel-differs"].grade == "proven"


@pytest.mark.parametrize("kind", ["", "unreachable", "blackhole"])
def test_a_node_without_a_route_to_it(kind: str) -> None:
    """The forwarding table names it, and the host sends nothing there."""
    routes = (
        *HOST.routes[1:],
        *([RouteState(ip_network("198.51.100.7"), type=kind)] if kind else []),
    )
    host = replace(HOST, routes=routes)
    away = replace(VXLAN, vteps=(PEER, ip_address("198.51.100.7")))
    mine = found(node(away, host=host))
    assert mine.keys() == {"tunnel-no-route"}
    assert mine["tunnel-no-route"].subject == "the host has no route to the node at 198.51.100.7"


def test_an_end_of_the_tunnels_that_the_host_has_no_more() -> None:
    """The other nodes send there."""
    assert found(node(VXLAN, vtep=ip_address("192.0.2.10"))).keys() == set()
    assert found(node(VXLAN, vtep=ip_address("192.0.2.99"))).keys() == {"tunnel-end-gone"}


@pytest.mark.parametrize(
    ("mtu", "fields", "vtep", "expected"),
    [
        (1500, {}, "192.0.2.11", False),
        (1460, {}, "192.0.2.11", True),
        (1500, {"encrypted": True}, "192.0.2.11", True),
        (1526, {"encrypted": True}, "192.0.2.11", False),
        (1500, {}, "2001:db8::11", True),
    ],
)
def test_frames_that_do_not_fit_on_the_way_to_another_node(
    mtu: int, fields: dict[str, Any], vtep: str, expected: bool
) -> None:
    """VXLAN takes 50 bytes, 70 over IPv6, and encryption 26 more."""
    routes = (*HOST.routes, RouteState(ip_network("2001:db8::/64"), dev="eth0"))
    host = replace(HOST, links=(replace(ETH0, mtu=mtu),), routes=routes)
    mine = found(node(replace(VXLAN, vteps=(ip_address(vtep),)), host=host, **fields))
    assert mine.keys() == ({"tunnel-mtu"} if expected else set())


TUNNEL, ESP = {"l4proto": "udp", "dport": "4789"}, {"l4proto": "esp"}
GOSSIP, MANAGER = ({"l4proto": "tcp", "dport": port} for port in ("7946", "2377"))


@pytest.mark.parametrize(
    ("dropping", "fields", "expected"),
    [
        (chain("INPUT", rule("-j DROP", "drop", TUNNEL)), {}, "proven"),
        (chain("OUTPUT", rule("-j DROP", "drop", TUNNEL)), {}, "proven"),
        (chain("OUTPUT", rule("-j DROP", "drop", {**TUNNEL, "oifname": "lo"})), {}, None),
        (chain("INPUT", rule("-j DROP", "drop", {**TUNNEL, "saddr": "10.0.0.0/8"})), {}, None),
        (chain("INPUT", rule("-j DROP", "drop", ESP)), {}, None),
        (chain("INPUT", rule("-j DROP", "drop", ESP)), {"encrypted": True}, "proven"),
        (chain("INPUT", rule("-j DROP", "drop", GOSSIP)), {}, "proven"),
        (chain("INPUT", rule("-j DROP", "drop", MANAGER)), {}, None),
        (chain("INPUT", policy="drop"), {}, None),
    ],
)
def test_ports_of_nodes_that_the_host_drops(
    dropping: ChainState, fields: dict[str, Any], expected: str | None
) -> None:
    """A rule that drops them all is proof; a policy, or a rule for some, is none."""
    mine = found(node(VXLAN, chains=(dropping,), **fields)).get("overlay-ports")
    assert (mine and mine.grade) == expected


ETH1 = replace(
    HOST,
    links=(ETH0, Link(Netns("host", ""), 3, "eth1")),
    addresses=(("eth0", ip_interface("198.51.100.10/24")), ("eth1", ip_interface("192.0.2.10/24"))),
    routes=(HOST.routes[0], RouteState(ip_network("192.0.2.0/24"), dev="eth1")),
)
"""A node that speaks with others by a link that is not the default route's."""
ALL = rule("-j DROP", "drop")


@pytest.mark.parametrize(
    ("hook", "rules", "expected"),
    [
        ("INPUT", [rule("-j DROP", "drop", {"iifname": "eth0", **TUNNEL})], None),
        ("INPUT", [rule("-j ACCEPT", "accept", {"iifname": "eth1"}), ALL], None),
        ("INPUT", [rule("-j ACCEPT", "accept", {"saddr": "192.0.2.0/24"}), ALL], None),
        ("INPUT", [rule("-j ACCEPT", "accept", {"": "a set"}), ALL], "likely"),
        ("INPUT", [rule("-j DROP", "drop", {"iifname": "eth1", **TUNNEL})], "proven"),
        ("INPUT", [rule("-j DROP", "drop", {"saddr": "192.0.2.11/32", **TUNNEL})], "proven"),
        ("INPUT", [rule("-j ACCEPT", "accept", {"saddr": "192.0.2.12/32"}), ALL], "proven"),
        ("OUTPUT", [rule("-j ACCEPT", "accept", {"daddr": "192.0.2.11/32"}), ALL], None),
        ("OUTPUT", [rule("-j DROP", "drop", {"daddr": "192.0.2.11/32", **TUNNEL})], "proven"),
    ],
)
def test_nodes_are_asked_by_their_own_link_and_address(
    hook: str, rules: list[RuleState], expected: str | None
) -> None:
    """A hardened node drops what comes by the link to everywhere, and lets its nodes in."""
    mine = found(node(VXLAN, host=ETH1, chains=(chain(hook, *rules),))).get("overlay-ports")
    assert (mine and mine.grade) == expected


@pytest.mark.parametrize(
    ("tool", "table", "expected"),
    [
        ("iptables-nft", "filter", "iptables-nft -I INPUT -p udp --dport 4789 -s"),
        ("iptables-nft", "raw", "-t raw -I INPUT -p udp --dport 4789 -s"),
        ("nft", "firewall", "have table ip firewall, chain INPUT"),
    ],
)
def test_the_chain_that_drops_them_is_opened(tool: str, table: str, expected: str) -> None:
    """A rule of another chain would change nothing."""
    dropping = chain("INPUT", rule("-j DROP", "drop", TUNNEL), tool=tool, table=table)
    mine = found(node(VXLAN, chains=(dropping,)))["overlay-ports"]
    assert expected in str(mine.remedies[0])


def test_a_manager_s_port_is_needed_where_somebody_serves_it() -> None:
    """A worker asks, and serves nobody."""
    manager = Listener("tcp", ip_address("::"), 2377, who="dockerd, pid 7")
    host = replace(HOST, listeners=(*HOST.listeners, manager))
    dropping = chain("INPUT", rule("-j DROP", "drop", MANAGER))
    assert found(node(VXLAN, host=host, chains=(dropping,))).keys() == {"overlay-ports"}


def test_a_node_that_is_alone_may_mean_to_drop_them() -> None:
    """Nobody is known who would send."""
    dropping = chain("INPUT", rule("-j DROP", "drop", TUNNEL))
    mine = found(node(replace(VXLAN, vteps=()), chains=(dropping,)))
    assert [each.grade for each in mine.values()] == ["hint"]


def test_plumb_has_no_gossip() -> None:
    """A rule about Docker's port concerns no node of plumb's."""
    dropping = chain("INPUT", rule("-j DROP", "drop", GOSSIP))
    assert found(node(VXLAN, chains=(dropping,), engine="plumb")).keys() == set()


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("", set()),
        ("dockerd, pid 7", set()),
        ("speaker, pid 8", {"overlay-port-silent"}),
        (None, {"overlay-port-silent"}),
    ],
)
def test_docker_s_gossip_that_is_not_served(who: str | None, expected: set[str]) -> None:
    """By nobody, or by MetalLB's program; one whose name is not known may be dockerd."""
    tcp = [] if who is None else [Listener("tcp", ip_address("::"), 7946, who=who)]
    host = replace(HOST, listeners=(*tcp, HOST.listeners[1]))
    assert found(node(VXLAN, host=host)).keys() == expected


def test_a_node_s_snapshot_is_read_back_and_anonymised() -> None:
    """With its tunnels, whose file of a namespace nobody else needs."""
    bad = node(replace(VXLAN, vni=4098))
    assert document.read(document.written(bad).encode(), "it") == bad
    other = anonymised(bad)
    assert found(other).keys() == {"tunnel-differs"}
    assert other.overlays[0].netns == ""


# -- a network of plumb's -----------------------------------------------------------------


@pytest.fixture(scope="module")
def mesh() -> Iterator[tuple[Lab, str]]:
    """A host of a cluster with an overlay network, and the file of its namespace."""
    with labs.lab(lan=True) as lab, fake_cluster.processes(), lab.host() as host:
        with host.operation() as verbs:
            CASES["overlay"].build(verbs)
        (net,) = (each for each in host.networks() if each.multi_host)
        yield lab, net.overlay.netns


def ids(lab: Lab) -> set[str]:
    """The findings on that host."""
    with lab.host() as host:
        return {each.id for each in diagnose.diagnose(read.read(host))}


@pytest.mark.needs("vxlan")
def test_a_node_of_plumb_s_is_read(mesh: tuple[Lab, str]) -> None:
    """Its VXLAN link leads to the other node, and nothing is wrong."""
    lab, netns = mesh
    with lab.host() as host:
        snapshot = read.read(host)
    (part,) = snapshot.overlays
    (link,) = part.links
    assert part.netns == netns
    assert (link.vni, link.port, link.mtu, link.vteps) == (4097, 4789, 1450, (PEER,))
    assert diagnose.diagnose(snapshot) == []


@pytest.mark.needs("vxlan")
def test_a_namespace_that_is_not_found_is_said(
    mesh: tuple[Lab, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was looked at there, and no finding is no answer."""
    monkeypatch.setattr(tunnels, "is_namespace", lambda file: False)
    with mesh[0].host() as host:
        snapshot = read.read(host)
    assert snapshot.overlays == ()
    assert [each for each in snapshot.missing if "the namespace of the network" in each]
    assert {each.id for each in diagnose.diagnose(snapshot)} == {"not-read"}


@pytest.mark.needs("vxlan")
@pytest.mark.parametrize(
    ("inject", "mend", "expected"),
    [
        ("nsenter --net={} ip link set vxlan0 down", "plumb repair", "tunnel-down"),
        ("nsenter --net={} ip link del vxlan0", "plumb repair", "tunnel-missing"),
        ("ip link set eth0 mtu 1400", "ip link set eth0 mtu 1500", "tunnel-mtu"),
        (
            "ip route add unreachable 192.0.2.11",
            "ip route del unreachable 192.0.2.11",
            "tunnel-no-route",
        ),
        (
            "iptables -I OUTPUT -p udp --dport 4789 -j DROP",
            "iptables -D OUTPUT -p udp --dport 4789 -j DROP",
            "overlay-ports",
        ),
    ],
)
def test_a_fault_of_a_node_is_found_and_mended(
    mesh: tuple[Lab, str], inject: str, mend: str, expected: str
) -> None:
    """On a network of plumb's that has containers here and on another node."""
    lab, netns = mesh
    sh(inject.format(netns))
    try:
        assert expected in ids(lab)
    finally:
        lab.plumb(*mend.split()[1:]) if mend.startswith("plumb") else sh(mend)
    assert ids(lab) == set()
