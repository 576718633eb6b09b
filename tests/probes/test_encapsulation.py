"""Encapsulation of packets on a link: plumb reads each kind from the frame."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN

from plumb.kernel.netns.namespaces import entered
from plumb.probes.packets.encapsulation import EncapsulatedPacket, Tap, parse_frame
from tests.labs import HOST_IP, ROUTER, Lab, sh, within
from tests.waiting import until

ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
INNER = IP(src="10.0.9.2", dst="10.0.9.3") / ICMP()


def test_a_plain_packet() -> None:
    """IPv4 and IPv6; a frame without an IP packet is None."""
    assert parse_frame(bytes(ETHER / INNER)) == EncapsulatedPacket(
        (), "10.0.9.2", "10.0.9.3", inside=("10.0.9.2", "10.0.9.3", 1)
    )
    assert (
        str(parse_frame(bytes(ETHER / IPv6(src="fd00::2", dst="fd00::3")))) == "fd00::2 > fd00::3"
    )
    assert parse_frame(bytes(ETHER / ARP())) is None


def test_vlan_tags() -> None:
    """The outer first."""
    assert (
        str(parse_frame(bytes(ETHER / Dot1Q(vlan=10) / Dot1Q(vlan=20) / INNER)))
        == "VLAN 10, VLAN 20, 10.0.9.2 > 10.0.9.3"
    )


def test_vxlan() -> None:
    """Two hosts outside, two containers inside, and the network's number."""
    frame = (
        ETHER
        / IP(src="192.0.2.1", dst="192.0.2.2")
        / UDP(dport=4789)
        / VXLAN(vni=4097)
        / ETHER
        / INNER
    )

    assert (
        str(parse_frame(bytes(frame))) == "VXLAN 4097 of 192.0.2.1 > 192.0.2.2, 10.0.9.2 > 10.0.9.3"
    )


def test_esp() -> None:
    """All that can be read is the SPI."""
    frame = (
        ETHER / IP(src="192.0.2.1", dst="192.0.2.2", proto=50) / (b"\x00\x00\x12\x34" + bytes(40))
    )

    assert str(parse_frame(bytes(frame))) == "ESP spi 0x1234 of 192.0.2.1 > 192.0.2.2"


def test_a_tag_that_the_kernel_takes_off_is_put_back(lan: Lab) -> None:
    """A tagged frame that comes by a veth pair."""
    import socket

    with Tap("", "eth0") as tap:
        with entered(lan.lan), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("port0", 0))
            wire.send(bytes(Ether(dst="ff:ff:ff:ff:ff:ff") / Dot1Q(vlan=10) / INNER))
        until(
            lambda: "VLAN 10, 10.0.9.2 > 10.0.9.3" in map(str, tap.packets()), "the tagged packet"
        )


def test_vxlan_of_the_kernels_own(lan: Lab) -> None:
    """Frames that a vxlan link sends."""
    for ns, local, remote, inner in (
        ("", HOST_IP, ROUTER, "10.0.9.2"),
        (lan.lan, ROUTER, HOST_IP, "10.0.9.3"),
    ):
        within(
            ns,
            f"ip link add vx0 type vxlan id 4097 dstport 4789 local {local} remote {remote}; "
            f"ip addr add {inner}/24 dev vx0; "
            "ip link set vx0 up",
        )
    with Tap("", "eth0") as tap:
        sh("ping -c1 -W1 10.0.9.3")
        packets = {str(each) for each in tap.packets()}

    assert f"VXLAN 4097 of {HOST_IP} > {ROUTER}, 10.0.9.2 > 10.0.9.3" in packets
