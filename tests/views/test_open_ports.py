"""Open ports as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plumb import Host
from plumb.kernel.memory import MemoryKernel
from plumb.model.cnm import Status
from plumb.model.foreign_firewall import ForeignFirewall
from plumb.model.parse import BRIDGE
from plumb.views.open_ports import openings


def table(host: Host, direct: bool = False) -> list[tuple[str, str, str, str]]:
    """Port, address, clients and mechanism, of all running containers."""
    known = {net.id: net for net in host.networks()}
    running = [box for box in host.containers() if box.status is Status.RUNNING]
    members = [(box, [(end, known[end.network]) for end in host.endpoints(box)]) for box in running]
    return [
        (each.port, each.address, each.whom, each.way)
        for each in openings(members, direct=direct, dropped={})
    ]


def run(host: Host, publish: str = "8080:80", internal: bool = False, **options: str) -> None:
    """Run a container on a network with these options."""
    keys: dict[str, Any] = {BRIDGE + key: text for key, text in options.items()}
    host.create_network("n1", subnet="10.9.0.0/24", internal=internal, options=keys)
    host.run("c1", network="n1", publish=publish)


NEAR = ("any", "10.9.0.2", "containers of n1 and this host", "bridge")


def test_a_published_port(host: Host) -> None:
    """DNAT serves clients of the container's address family, the proxy the others.

    Neighbours reach all ports.
    """
    run(host)
    assert table(host) == [
        ("80/tcp", "0.0.0.0:8080", "clients that reach this host by IPv4", "DNAT"),
        ("80/tcp", "[::]:8080", "clients that reach this host by IPv6", "proxy"),
        NEAR,
    ]


@pytest.mark.parametrize(
    ("address", "whom", "way"),
    [
        ("127.0.0.1", "this host alone", "proxy"),
        ("192.0.2.10", "clients that reach 192.0.2.10", "DNAT"),
    ],
)
def test_a_port_on_one_address(host: Host, address: str, whom: str, way: str) -> None:
    """The proxy serves the loopback address, for the host alone."""
    run(host, f"{address}:8080:80")
    assert table(host) == [("80/tcp", f"{address}:8080", whom, way), NEAR]


def test_a_routed_port(host: Host) -> None:
    """It is open at the container's own address."""
    run(host, "127.0.0.1:8080:80", gateway_mode_ipv4="routed")
    assert table(host) == [("80/tcp", "10.9.0.2:80", "clients with a route to it", "route"), NEAR]


def test_an_unprotected_network(host: Host) -> None:
    """All its ports are open to clients with a route there."""
    run(host, "127.0.0.1:8080:80", gateway_mode_ipv4="nat-unprotected")
    assert table(host)[1:] == [NEAR, ("any", "10.9.0.2", "clients with a route to it", "route")]


def test_a_trusted_interface(host: Host) -> None:
    """Packets that come in by it reach published ports at the container's address."""
    run(host, "127.0.0.1:8080:80", trusted_host_interfaces="eth1")
    assert table(host)[-1] == ("80/tcp", "10.9.0.2:80", "what comes in by eth1", "route")


def test_direct_routing(host: Host) -> None:
    """Published ports are open to all clients with a route."""
    run(host, "127.0.0.1:8080:80")
    assert table(host, direct=True)[-1] == (
        "80/tcp",
        "10.9.0.2:80",
        "clients with a route to it",
        "route",
    )


def test_an_internal_network_without_neighbours(host: Host) -> None:
    """Only the host reaches it, and only with an address on the bridge."""
    run(host, internal=True, enable_icc="false")
    assert table(host) == [("any", "10.9.0.2", "this host", "bridge")]
    host.create_network(
        "n2",
        subnet="10.8.0.0/24",
        internal=True,
        options={BRIDGE + "enable_icc": "false", BRIDGE + "gateway_mode_ipv4": "isolated"},
    )
    host.run("c2", network="n2")
    assert len(table(host)) == 1


def test_without_firewall_rules(tmp_path: Path) -> None:
    """The proxy alone serves the port; no rule protects the container's own address."""
    off = {"iptables": False, "ip6tables": False}
    with Host(tmp_path / "root", settings=off, kernel=MemoryKernel()) as host:
        run(host)
        known = {net.id: net for net in host.networks()}
        box = host.container("c1")
        members = [(box, [(end, known[end.network]) for end in host.endpoints(box)])]
        found = openings(members, firewall=frozenset())
        assert [(each.address, each.way) for each in found] == [
            ("0.0.0.0:8080", "proxy"),
            ("[::]:8080", "proxy"),
            ("10.9.0.2", "bridge"),
            ("10.9.0.2", "route"),
        ]
        assert [each.way for each in openings(members, proxy=False, firewall=frozenset())] == [
            "bridge",
            "route",
        ]


def test_a_port_that_another_firewall_drops(host: Host) -> None:
    """Nobody outside reaches it, and the chain is named; a loopback port is the host's alone."""
    run(host, "127.0.0.1:8080:80")
    wall = ForeignFirewall("nft", "inet", "guard", "in", "input", 0, "drop")
    (end,) = host.endpoints(host.container("c1"))
    known = {net.id: net for net in host.networks()}
    members = [(host.container("c1"), [(end, known[end.network])])]
    found = openings(members, dropped={(end.id, end.ports[0]): wall})[0]
    name = "table inet guard, chain in (hook input, priority 0)"
    assert found.whom == f"nobody: dropped by {name}"
    assert found.document["DroppedBy"] == name
    assert openings(members)[0].document["DroppedBy"] is None
