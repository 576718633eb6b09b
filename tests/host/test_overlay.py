"""An overlay network on two hosts, each with its own root: containers reach each other, and what is
on the wire between the hosts is VXLAN with the right number and addresses.

    c1 ── h1 192.0.2.10 ──── switch ──── 192.0.2.11 h2 ── c2

There is no control plane here: each host is told of the other's endpoints by hand."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

import dns.message
import dns.query
import pytest

from plumb import Unsupported
from plumb.kernel.netns.namespaces import entered
from plumb.model.cnm import Network
from plumb.probes.packets.encapsulation import Tap
from tests.host.overlay_pair import (
    ONE,
    ROTATION,
    SUBNET,
    TWO,
    LabHost,
    encrypted_pair,
    network,
    two_hosts,
)
from tests.labs import within

pytestmark = pytest.mark.needs("vxlan")


@pytest.fixture
def pair() -> Iterator[tuple[LabHost, LabHost, Network]]:
    """c1 on h1 and c2 on h2, and each host knows of the other's."""
    net = network(SUBNET)
    with two_hosts(net) as (h1, h2):
        h1.run("c1")
        h2.run("c2")
        h1.learn(net, h2.told())
        h2.learn(net, h1.told())
        yield h1, h2, net


def test_containers_on_two_hosts_reach_each_other(pair: tuple[LabHost, LabHost, Network]) -> None:
    """Both ways, by address."""
    h1, h2, _ = pair
    assert "1 received" in h1.inside("c1", "ping -c1 -W10 10.50.0.102")
    assert "1 received" in h2.inside("c2", "ping -c1 -W10 10.50.0.2")


def test_what_is_on_the_wire_is_vxlan(pair: tuple[LabHost, LabHost, Network]) -> None:
    """With the network's number, from one host's address to the other's."""
    h1, _, net = pair
    with Tap(h1.netns, "eth0") as wire:
        h1.inside("c1", "ping -c1 -W10 10.50.0.102")
        seen = wire.packets()

    assert {(packet.vni, packet.src, packet.dst) for packet in seen if packet.vni} == {
        (net.overlay.vnis[0], str(ONE), str(TWO)),
        (net.overlay.vnis[0], str(TWO), str(ONE)),
    }


def test_nobody_is_asked_by_broadcast(pair: tuple[LabHost, LabHost, Network]) -> None:
    """An address that no endpoint has is asked after on this host alone."""
    h1, _, _ = pair
    with Tap(h1.netns, "eth0") as wire:
        h1.inside("c1", "ping -c1 -W1 10.50.0.77", check=False)
        assert [packet for packet in wire.packets() if packet.vni] == []


def test_a_full_sized_packet_fits(pair: tuple[LabHost, LabHost, Network]) -> None:
    """1450 bytes of IP inside are 1500 outside, with "don't fragment"."""
    h1, _, _ = pair
    assert "1 received" in h1.inside("c1", "ping -c1 -W10 -M do -s 1422 10.50.0.102")
    assert "1 received" not in h1.inside("c1", "ping -c1 -W1 -M do -s 1423 10.50.0.102", False)


def test_a_name_on_the_other_host_resolves(pair: tuple[LabHost, LabHost, Network]) -> None:
    """c2 is known on h1."""
    h1, _, _ = pair
    with h1.plumb() as host:
        inside = host.namespace(host.container("c1"))
    with entered(inside):
        answer = dns.query.udp(dns.message.make_query("c2.", "A"), "127.0.0.11", timeout=10)
    assert [str(item) for found in answer.answer for item in found] == ["10.50.0.102"]


def test_no_link_of_the_host_is_taken_for_a_containers_other_end(
    pair: tuple[LabHost, LabHost, Network],
) -> None:
    """The index that eth0 names in "@if…" is a link's of the network's namespace alone."""
    h1, _, _ = pair
    shown = h1.inside("c1", "ip -o link show eth0")
    other_end = re.search("@if([0-9]+)", shown)
    assert other_end is not None
    assert other_end[1] not in within(h1.netns, "ip -o link | cut -d: -f1").split()


def test_an_endpoint_that_goes_takes_its_entries_along(
    pair: tuple[LabHost, LabHost, Network],
) -> None:
    """Neighbour and FDB entry go; the network's part stays for c1."""
    h1, h2, net = pair
    with h2.plumb() as host:
        host.remove("c2", force=True)
        assert host.networks() == [other for other in host.networks() if not other.multi_host]
        assert not host.balancers()
    h1.learn(net, h2.told())
    with h1.plumb() as host:
        netns = host.network("n1").overlay.netns
        assert host.store.remotes(net.id) == []
    assert "nud permanent" not in within(netns, "ip neigh show dev vxlan0 nud permanent")
    assert " dst " not in within(netns, "bridge fdb show dev vxlan0")


def test_several_subnets_are_routed_between() -> None:
    """By the namespace of the network on the sender's host."""
    net = network(SUBNET, IPv4Network("10.51.0.0/24"))
    with two_hosts(net) as (h1, h2):
        h1.run("c1")
        with h2.plumb() as host:
            host.create("c2", network="name=n1,ip=10.51.0.9")
            host.start("c2")
        h1.learn(net, h2.told())
        h2.learn(net, h1.told())
        assert "1 received" in h1.inside("c1", "ping -c1 -W10 10.51.0.9")


def test_ipv6_works() -> None:
    """Docker accepts IPv6 subnets, and nobody can join then; here they are like any."""
    net = network(SUBNET, IPv6Network("fd00:50::/64"))
    with two_hosts(net) as (h1, h2):
        h2.cluster.last["fd00:50::/64"] = 0x100
        h1.run("c1")
        h2.run("c2")
        h1.learn(net, h2.told())
        h2.learn(net, h1.told())
        assert "1 received" in h1.inside("c1", "ping -c1 -W10 fd00:50::101")


def test_a_second_network_with_the_same_number_is_refused() -> None:
    """The kernel has one VXLAN link for a number and a port; the error says so."""
    net = network(SUBNET)
    with two_hosts(net) as (h1, _):
        within(h1.netns, f"ip link add other type vxlan id {net.overlay.vnis[0]} dstport 4789")
        with pytest.raises(Exception, match="vxlan0") as caught:
            h1.run("c1")
        assert "VNI" in getattr(caught.value, "hint", "")
        assert h1.cluster.reserved == {}


# -- encryption ---------------------------------------------------------------


@pytest.mark.needs("esp4", "aes-gcm", "bpf", "policy", "mark")
def test_an_encrypted_network_is_esp_on_the_wire() -> None:
    """And nothing of it is in the clear; the largest packet fits."""
    with encrypted_pair() as (h1, _, _), Tap(h1.netns, "eth0") as wire:
        assert "1 received" in h1.inside("c1", "ping -c1 -W10 10.50.0.102")
        assert "1 received" in h1.inside("c1", "ping -c1 -W10 -M do -s 1396 10.50.0.102")
        seen = wire.packets()

    assert any(packet.spi is not None for packet in seen)
    assert all(packet.vni is None for packet in seen)


@pytest.mark.needs("esp4", "aes-gcm", "bpf", "policy", "mark")
def test_a_rotation_of_keys_loses_no_packet() -> None:
    """On one host after the other, while packets go both ways."""
    with encrypted_pair() as (h1, h2, _):
        with h1.plumb() as host, entered(host.namespace(host.container("c1"))):
            pinging = subprocess.Popen(
                ["ping", "-i", "0.005", "-c", "2000", "-W", "10", "-q", "10.50.0.102"],
                stdout=subprocess.PIPE,
                text=True,
            )
        for keys in ROTATION:
            for host_ in (h1, h2):
                host_.encrypt(keys)
        assert "2000 received" in pinging.communicate(timeout=120)[0]


@pytest.mark.needs("esp4", "aes-gcm", "bpf", "policy", "mark")
def test_what_is_in_the_clear_is_dropped() -> None:
    """Of a host that sends without; and nothing leaves to one for which there is no policy."""
    with encrypted_pair() as (h1, h2, net), Tap(h2.netns, "eth0") as wire:
        within(h1.netns, "ip xfrm policy flush")
        within(h1.netns, "iptables -t mangle -F OUTPUT")
        assert "1 received" not in h1.inside("c1", "ping -c1 -W1 10.50.0.102", check=False)
        assert any(packet.vni == net.overlay.vnis[0] for packet in wire.packets())
        with h1.plumb() as host:
            host.repair()
        assert "1 received" in h1.inside("c1", "ping -c1 -W10 10.50.0.102")


def test_without_keys_nobody_joins_an_encrypted_network() -> None:
    """In Docker's words; its addresses are given back."""
    net = network(SUBNET, encrypted="")
    with two_hosts(net) as (h1, _):
        with pytest.raises(Unsupported, match="encryption keys not present"):
            h1.run("c1")
        assert h1.cluster.reserved == {}
