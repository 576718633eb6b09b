"""Taps: a packet is seen at every link that it passes, in the kernel's order, and nobody else's
packet is."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from plumb.errors import KernelRefused
from plumb.kernel.capture.flow_filter import Asked, belongs
from plumb.kernel.capture.packet_taps import Taps
from plumb.kernel.netns.namespaces import entered
from plumb.model.observations import CapturedFrame, Flow, Netns
from tests.kernel.capture.router_lab import BOX, PORT, Crossroads, flow, ip, way
from tests.labs import HOST_IP, sh, within

THERE = ["lan:port0>", ">host:eth0", "host:br0>", "host:v1>", ">box:eth0"]
TUN = "/dev/net/tun"
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x1, 0x1000  # linux/if_tun.h
BACK = ["box:eth0>", ">host:v1", ">host:br0", "host:eth0>", ">lan:port0"]


@pytest.mark.parametrize("version", [4, 6])
def test_a_packet_is_seen_at_every_link_in_order(crossroads: Crossroads, version: int) -> None:
    """The way there and the way back, by the kernel's own stamps."""
    mine = flow(version)
    crossroads.knock(flow(version), seconds=0.3)  # who has which MAC address is known by then
    with Taps(crossroads.places, mine) as taps:
        crossroads.knock(mine)
        seen = taps.read(0.02)
    assert way(tuple(seen)) == THERE + BACK
    assert [each.time for each in seen] == sorted(each.time for each in seen)
    assert all(each.ethernet for each in seen)


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp", "icmp"])
@pytest.mark.parametrize("version", [4, 6])
def test_the_filter_and_its_twin_for_user_space_agree(
    crossroads: Crossroads, version: int, protocol: str
) -> None:
    """Of packets of all kinds the taps show the flow's, errors that quote them, and no others."""
    mine = Flow(version, protocol, 23456, PORT)
    frames = [frame for packet in packets(version) if (frame := ethernet(version, packet))]
    with Taps([crossroads.box], mine) as taps:
        with entered(crossroads.box.ns), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind(("eth0", 0))
            for frame in frames:
                raw.send(frame)
        seen = taps.read(0.02)
    wanted = [frame for frame in frames if belongs(mine, frame[14:])]
    assert [each.frame for each in seen if not each.inbound] == wanted
    assert len(wanted) == 4


def packets(version: int) -> list[bytes]:
    """IP packets: of each protocol one from the port, one to it, one of another.

    And errors that quote them.
    """
    icmp, echo, error = (1, (8, 0), 3) if version == 4 else (58, (128, 129), 1)
    plain = [
        whole(version, protocol, struct.pack(">HHQQ", *ports, 0, 0))
        for protocol in (6, 17, 132)
        for ports in ((23456, 80), (80, 23456), (80, 81))
    ]
    plain += [
        whole(version, icmp, struct.pack(">BBHHH", kind, 0, 0, identifier, 1))
        for kind in echo
        for identifier in (23456, 80)
    ]
    return plain + [
        whole(version, icmp, struct.pack(">BBHI", error, 0, 0, 0) + quoted) for quoted in plain
    ]


def whole(version: int, protocol: int, body: bytes) -> bytes:
    """A packet with an IP header; IPv4's with an option, so that nobody relies on 20 bytes."""
    if version == 4:
        return (
            struct.pack(
                ">BBHHHBBH4s4s4x",
                0x46,
                0,
                24 + len(body),
                1,
                0,
                64,
                protocol,
                0,
                b"\x0a\x4d\0\x02",
                b"\x0a\x4d\0\x01",
            )
            + body
        )
    return (
        struct.pack(
            ">IHBB16s16s",
            0x60000000,
            len(body),
            protocol,
            64,
            ip("fd77::2").packed,
            ip("fd77::1").packed,
        )
        + body
    )


def ethernet(version: int, packet: bytes, tags: bytes = b"") -> bytes:
    """A frame to nobody in particular."""
    return (
        bytes.fromhex("020000000001 020000000002")
        + tags
        + struct.pack(">H", 0x0800 if version == 4 else 0x86DD)
        + packet
    )


@pytest.mark.parametrize(
    "tags",
    [struct.pack(">HH", 0x8100, 42), struct.pack(">HHHH", 0x88A8, 7, 0x8100, 42)],
    ids=["one", "two"],
)
def test_vlan_tags_are_seen_where_they_were(crossroads: Crossroads, tags: bytes) -> None:
    """A tagged frame passes the filter, and its tag stands in it again, though the kernel has taken
    it out."""
    frame = ethernet(4, whole(4, 6, struct.pack(">HHQQ", 23456, 80, 0, 0)), tags)
    with Taps([crossroads.host, crossroads.box], Flow(4, "tcp", 23456, 80)) as taps:
        with entered(crossroads.box.ns), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind(("eth0", 0))
            raw.send(frame)
        seen = taps.read(0.02)
    assert [each.frame for each in seen if each.dev in ("eth0", "v1")] == [frame, frame]


def test_later_fragments_are_seen_with_the_first(crossroads: Crossroads) -> None:
    """Only the first fragment of a datagram has ports; the others are not lost."""
    mine = flow(protocol="udp")
    with Taps([crossroads.box], mine) as taps:
        with entered(crossroads.box.ns), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind(("", mine.token))
            client.sendto(bytes(4000), ("10.77.0.1", 9))
        seen = [each for each in taps.read(0.02) if not each.inbound]
    assert [int.from_bytes(each.frame[20:22], "big") & 0x1FFF for each in seen] == [0, 185, 370]


@pytest.mark.parametrize("version", [4, 6])
def test_neighbours_are_asked_for_in_sight(crossroads: Crossroads, version: int) -> None:
    """ARP and neighbour discovery about addresses that are asked for are seen, and none about
    others."""
    sh("ip neigh flush dev br0; ip -6 neigh flush dev br0")
    within(crossroads.lan.ns, "ip neigh flush dev port0; ip -6 neigh flush dev port0")
    mine = flow(version)
    with Taps(crossroads.places, mine, Asked(addresses=frozenset({ip(BOX[version])}))) as taps:
        crossroads.knock(mine)
        seen = taps.read(0.02)
    asked = [each for each in seen if not belongs(mine, each.frame[14:])]
    assert asked
    assert {each.place.name for each in asked} == {
        "host",
        "box",
    }  # the LAN asks for the host, which is not wanted
    assert all(ip(BOX[version]).packed in each.frame for each in asked)


def test_what_a_vxlan_carries_is_seen_inside(crossroads: Crossroads) -> None:
    """A frame in a VXLAN's datagram is looked into.

    One with somebody else's packet is not shown.
    """
    mine = Flow(4, "tcp", 23456, 80)
    bodies = [whole(4, 6, struct.pack(">HHQQ", port, 80, 0, 0)) for port in (23456, 23457)]
    with Taps([crossroads.box], mine, Asked(vxlan=(4789,))) as taps:
        with entered(crossroads.box.ns), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tunnel:
            for body in bodies:
                tunnel.sendto(
                    struct.pack(">II", 0x08000000, 256 << 8) + ethernet(4, body),
                    ("10.77.0.1", 4789),
                )
        seen = taps.read(0.02)
    assert [bodies[0] in each.frame for each in seen] == [True]


def test_a_link_without_ethernet_is_heard_too(crossroads: Crossroads) -> None:
    """A tunnel's packets begin with their IP header."""
    if not os.path.exists(TUN):
        pytest.skip("there are no tunnels by file (tun) here")
    mine = flow(protocol="udp", port=9)
    with tun(crossroads.box, "tun0"), Taps([crossroads.box], mine) as taps:
        crossroads.knock(mine, "10.78.0.2", crossroads.box, seconds=0.05)
        seen = [each for each in taps.read(0.02) if each.dev == "tun0"]
    assert [(each.ethernet, each.frame[0]) for each in seen] == [(False, 0x45)]


@contextmanager
def tun(place: Netns, name: str) -> Iterator[None]:
    """A tunnel's link, which has the addresses 10.78.0.0/24 behind it."""
    with entered(place.ns), open(TUN, "r+b", buffering=0) as file:
        fcntl.ioctl(file, TUNSETIFF, struct.pack("@16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
        sh(f"ip link set {name} up; ip addr add 10.78.0.1/24 dev {name}")
        yield


def test_the_packets_of_others_do_not_come(crossroads: Crossroads) -> None:
    """Whatever else passes is left in the kernel."""
    mine, others = flow(), flow()
    with Taps(crossroads.places, mine) as taps:
        crossroads.knock(others)
        assert taps.read(0.02) == []


def test_no_packet_slips_by_before_the_filter_is_there(crossroads: Crossroads) -> None:
    """While others talk all the time, a tap that has just been opened has none of it."""
    stop = threading.Event()
    with entered(crossroads.lan.ns):
        talker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def talk() -> None:
        while not stop.is_set():
            talker.sendto(b"x", (HOST_IP, 9))

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        strangers: list[CapturedFrame] = []
        for _ in range(20):
            with Taps(crossroads.places, flow()) as taps:
                strangers += taps.read()
    finally:
        stop.set()
        thread.join()
        talker.close()
    assert strangers == []


def test_a_namespace_that_is_not_there_is_refused(crossroads: Crossroads) -> None:
    """And what was opened before is closed."""
    with pytest.raises(KernelRefused, match="nowhere"):
        Taps([crossroads.host, Netns("nowhere", "/run/nowhere")], flow())
