"""Drops: what the kernel let go of is told with its reason, and whether it was the flow's."""

from __future__ import annotations

import pytest

from plumb.kernel.capture.drops import Drops
from plumb.kernel.capture.kfree_skb import BufferEvents
from plumb.model.observations import Flow, KernelDrop
from tests.kernel.capture.router_lab import BOX, HOST, Crossroads, flow
from tests.labs import sh, within


@pytest.fixture
def watched(crossroads: Crossroads) -> Crossroads:
    """A crossroads on a kernel that tells its drops."""
    with Drops(flow(), crossroads.places, memory=crossroads.memory) as drops:
        if not drops.source:
            pytest.skip(drops.missing)
    return crossroads


def dropped(crossroads: Crossroads, mine: Flow, ip: str = "") -> list[KernelDrop]:
    """The drops of one knock that are known to be its own."""
    with (
        Drops(mine, crossroads.places, memory=crossroads.memory) as drops,
        crossroads.collector(mine) as trace,
    ):
        crossroads.knock(mine, ip, seconds=0.3)
        return [each for each in drops.read(trace.collect(0.02).frames) if each.sure]


FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}


@pytest.mark.parametrize("version", [4, 6])
def test_nobody_listens(watched: Crossroads, version: int) -> None:
    """The packet came to the box, and no socket took it."""
    (only, *_) = dropped(watched, flow(version))
    assert (only.reason, only.function, only.dev) == ("NO_SOCKET", f"tcp_v{version}_rcv", "eth0")
    assert only.place == watched.box


@pytest.mark.parametrize("version", [4, 6])
def test_forwarding_is_off(watched: Crossroads, version: int) -> None:
    """The host has the packet, and does not pass it on."""
    sh(f"sysctl -qw {FORWARDING[version]}=0")
    (only, *_) = dropped(watched, flow(version))
    assert only.reason in ("IP_INADDRERRORS", "NOT_SPECIFIED")
    assert (only.function, only.dev) == ({4: "ip_error", 6: "ip6_forward"}[version], "eth0")
    assert only.place == watched.host


@pytest.mark.parametrize(
    ("firewall", "function"), [("legacy", "nf_hook_slow"), ("nft", "nft_do_chain")]
)
def test_the_firewall_drops(watched: Crossroads, firewall: str, function: str) -> None:
    """The function tells which of the two firewalls it was."""
    sh(f"iptables-{firewall} -A FORWARD -p tcp -j DROP")
    (only, *_) = dropped(watched, flow())
    assert only.reason == "NETFILTER_DROP"
    assert only.function in (function, "nf_hook_slow")  # before Linux 6.4 it is the same for both
    assert only.packet[16:20] == bytes([10, 77, 0, 2])


def test_the_source_cannot_come_from_there(watched: Crossroads) -> None:
    """rp_filter: the way back is another one.

    It would keep ARP from being answered, too, so the LAN asks before.
    """
    watched.knock(flow(), seconds=0.3)
    sh("sysctl -qw net.ipv4.conf.all.rp_filter=1")
    within(
        watched.lan.ns,
        "ip addr add 203.0.113.7/32 dev lo; "
        f"ip route replace {BOX[4]} via {HOST[4]} src 203.0.113.7",
    )
    sh("ip route add 203.0.113.7 dev br0")
    assert [each.reason for each in dropped(watched, flow())][:1] == ["IP_RPFILTER"]


def test_a_route_says_no(watched: Crossroads) -> None:
    """A blackhole."""
    sh("ip route add blackhole 198.51.100.77")
    within(watched.lan.ns, f"ip route add 198.51.100.77 via {HOST[4]}")
    assert [each.function for each in dropped(watched, flow(), "198.51.100.77")][:1] == ["ip_error"]


@pytest.mark.alone  # what happens at one time is taken together, and on a busy machine more does
def test_trace_points_tell_as_much_as_the_monitor(watched: Crossroads) -> None:
    """Whose packet it was, put together from the buffer's way and what the taps saw.

    Before Linux 6.2 not the function.
    """
    mine = flow()
    try:
        with (
            BufferEvents(mine, watched.places, watched.memory) as events,
            watched.collector(mine) as trace,
        ):
            watched.knock(mine, seconds=0.3)
            found = [each for each in events.read(trace.collect(0.02).frames) if each.sure]
    except OSError as error:
        pytest.skip(f"there is no tracefs for us: {error}")
    assert [(each.reason, each.place, each.dev) for each in found] == [
        ("NO_SOCKET", watched.box, "eth0")
    ]
    assert found[0].function in ("tcp_v4_rcv", "")


def test_what_others_lose_is_not_the_flows(watched: Crossroads) -> None:
    """A packet of another flow that is dropped at the same time is left out."""
    sh("iptables-legacy -A FORWARD -p tcp -j DROP")
    mine, others = flow(), flow()
    with (
        Drops(mine, watched.places, memory=watched.memory) as drops,
        watched.collector(mine) as trace,
    ):
        watched.knock(others, seconds=0.1)
        assert [each for each in drops.read(trace.collect(0.02).frames) if each.sure] == []


def test_a_packet_that_arrives_is_not_dropped(watched: Crossroads) -> None:
    """What a socket takes is no loss."""
    with watched.listening():
        assert dropped(watched, flow()) == []
