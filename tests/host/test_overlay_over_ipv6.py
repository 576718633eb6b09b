"""An overlay whose hosts reach each other by IPv6 alone, with a router between them.

    c1 ── h1 2001:db8:2::10 ── router ── 2001:db8:3::11 h2 ── c2

The cluster's own talk, etcd's members and the tunnels go by IPv6; inside are IPv4 and IPv6."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from plumb.lab.hosts import Hosts, LabHost
from plumb.probes.packets.encapsulation import EncapsulatedPacket, Tap
from tests.host.swarm_hosts import findings, pings, run
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.needs("vxlan", "rpfilter")]
ESP = pytest.mark.needs("xfrm", "esp4", "aes-gcm", "bpf", "policy", "mark")
SO_RCVBUFFORCE = 33
INNER = {4: 1430 - 20 - 8, 6: 1430 - 40 - 8}
"""Bytes of the largest ping inside: 1500 - 70 of IP, less IP's and ICMP's headers."""


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    """Three managers, and the network n1 with c1 on h1 and c2 on h2."""
    with over_ipv6(3, "manager") as made:
        first, second, _ = made
        subnets = ("--ipv6", "--subnet", "10.50.0.0/24", "--subnet", "fd00:50::/64")
        create(first, "n1", *subnets)
        run(first, "c1")
        run(second, "c2")
        until(lambda: pings(first, "c1", "c2"), "c1 reaches c2")
        yield made


@contextmanager
def over_ipv6(count: int, role: str) -> Iterator[Hosts]:
    """Make so many hosts, without IPv4, nodes of a cluster: a manager, and others in a role."""
    with Hosts(count, between="router") as made:
        first, *others = made
        for host in made:
            host.run("ip", "-4", "address", "flush", "dev", "eth0")
        first.plumb("swarm", "init", "--advertise-addr", first.address6)
        token = first.plumb("swarm", "join-token", "-q", role).stdout.strip()
        for host in others:
            own = ("--advertise-addr", host.address6)
            host.plumb("swarm", "join", *own, "--token", token, f"[{first.address6}]:2377")
        yield made


def create(host: LabHost, name: str, *words: str) -> None:
    """Create an overlay network."""
    host.plumb("network", "create", "-d", "overlay", "--attachable", *words, name)


def on_the_wire(host: LabHost, *words: str) -> list[EncapsulatedPacket]:
    """Packets between hosts while a container of the host pings c2.

    Managers speak all the while: there must be room for it, on a slow machine.
    """
    with Tap(host.netns, "eth0") as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        host.plumb("exec", *words)
        return [packet for packet in wire.packets() if packet.vni or packet.spi]


@pytest.mark.parametrize("version", [4, 6])
def test_containers_reach_each_other_by_both_families(hosts: Hosts, version: int) -> None:
    first, second, _ = hosts
    sent = on_the_wire(first, "c1", "ping", f"-{version}", "-c1", "-W10", "c2")
    ends = {first.address6, second.address6}
    echoes = [packet for packet in sent if packet.inside and packet.inside[2] in (1, 58)]
    assert {packet.src for packet in echoes} == {packet.dst for packet in echoes} == ends
    assert {packet.vni for packet in echoes} == {4097}


@pytest.mark.parametrize("version", [4, 6])
def test_a_full_sized_packet_fits(hosts: Hosts, version: int) -> None:
    """70 bytes are around it: 20 more than over IPv4."""
    words = ("exec", "c1", "ping", f"-{version}", "-c1", "-W10", "-M", "do", "-s")
    assert "1 received" in hosts["h1"].plumb(*words, str(INNER[version]), "c2").stdout
    ran = hosts["h1"].plumb(*words, str(INNER[version] + 1), "c2", check=False)
    assert "1 received" not in ran.stdout


def test_nothing_is_wrong_with_nodes_ports_and_sizes(hosts: Hosts) -> None:
    """Three managers, each with its member of etcd."""
    for host in hosts:
        assert findings(host) == ""
        host.plumb("check", "--peers")
    shown = hosts["h1"].plumb("network", "inspect", "n1").stdout
    peers = [peer["IP"] for peer in json.loads(shown)[0]["Peers"]]
    assert sorted(peers) == sorted(host.address6 for host in list(hosts)[:2])


def test_only_nodes_may_send(hosts: Hosts) -> None:
    """The rules about the tunnels' port are IPv6's, and IPv4 has none."""
    first, second, _ = hosts
    rules = first.run("ip6tables", "-t", "raw", "-S").stdout
    assert f"-s {second.address6}/128 -m rpfilter -j RETURN" in rules
    assert "-m addrtype --dst-type LOCAL -j DROP" in rules
    assert "PLUMB-OVERLAY" not in first.run("iptables", "-t", "raw", "-S").stdout


@ESP
@pytest.mark.sampled(5)  # minutes in a guest
def test_an_encrypted_network_is_esp_in_ipv6() -> None:
    """And its largest packet fits."""
    with over_ipv6(2, "worker") as (first, second):
        create(first, "secret", "--opt", "encrypted", "--subnet", "10.60.0.0/24")
        run(first, "d1", "secret")
        run(second, "d2", "secret")
        until(lambda: pings(first, "d1", "d2"), "d1 reaches d2")
        size = (1430 - 26) // 4 * 4 - 28
        sent = on_the_wire(first, "d1", "ping", "-c1", "-W10", "-M", "do", "-s", str(size), "d2")
        ends = {first.address6, second.address6}

    assert {packet.vni for packet in sent} == {None}
    assert {packet.src for packet in sent} == ends
