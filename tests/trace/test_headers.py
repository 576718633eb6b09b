"""Headers: captured frames, parsed as packets."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import Dot1Q, Ether

from plumb.model.observations import Flow
from plumb.trace import headers
from plumb.trace.headers import Direction

MACS = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
ASK = Flow(4, "tcp", 20001, 80)


def question(**tcp: object) -> Any:
    """A SYN as a client sends it."""
    return IP(src="172.20.0.2", dst="172.20.0.3", ttl=63) / TCP(
        **{"sport": 20001, "dport": 80, "flags": "S", **tcp}
    )


def test_a_frame() -> None:
    """Addresses, ports, flags, time to live and MACs."""
    found = headers.read(bytes(Ether(**MACS) / question()))

    assert found is not None
    assert (str(found), found.ttl, found.mac) == (
        "172.20.0.2:20001 > 172.20.0.3:80  SYN",
        63,
        (MACS["src"], MACS["dst"]),
    )


def test_a_tagged_frame() -> None:
    """The parser skips VLAN tags."""
    found = headers.read(bytes(Ether(**MACS) / Dot1Q(vlan=10) / Dot1Q(vlan=20) / question()))

    assert found is not None
    assert found.dport == 80


def test_a_packet_without_a_frame() -> None:
    """A tunnel's link has no Ethernet header."""
    found = headers.read(bytes(question()), ethernet=False)

    assert found is not None
    assert found.sport == 20001


def test_ipv6_and_its_extension_headers() -> None:
    """The transport is found behind options."""
    layers = (
        IPv6(src="fd00::2", dst="fd00::3") / IPv6ExtHdrDestOpt() / TCP(sport=1, dport=2, flags="SA")
    )
    found = headers.read(bytes(Ether(**MACS) / layers))

    assert found is not None
    assert str(found) == "[fd00::2]:1 > [fd00::3]:2  SYN ACK"


@pytest.mark.parametrize(
    ("packet", "kind", "mtu"),
    [
        (
            IP(src="172.20.0.1", dst="172.20.0.2")
            / ICMP(type=3, code=4, nexthopmtu=1400)
            / question(),
            "fragmentation needed",
            1400,
        ),
        (
            IP(src="172.20.0.1", dst="172.20.0.2") / ICMP(type=3, code=3) / question(),
            "port unreachable",
            0,
        ),
        (
            IP(src="172.20.0.1", dst="172.20.0.2") / ICMP(type=11, code=0) / question(),
            "time to live exceeded",
            0,
        ),
        (
            IPv6(src="fd00::1", dst="fd00::2")
            / ICMPv6PacketTooBig(mtu=1280)
            / IPv6(src="fd00::2", dst="fd00::3")
            / UDP(sport=1, dport=2),
            "packet too big",
            1280,
        ),
    ],
)
def test_an_icmp_error_has_its_packet(packet: Any, kind: str, mtu: int) -> None:
    """The parser reads the packet inside too."""
    found = headers.read(bytes(packet), ethernet=False)

    assert found is not None
    assert found.about is not None
    assert (found.kind, found.mtu) == (kind, mtu)


def test_the_direction_of_a_packet() -> None:
    """The client's port, which NAT leaves unchanged, and the kind of packet decide."""

    def way(packet: Any) -> Direction | None:
        read = headers.read(bytes(packet), ethernet=False)
        return headers.way(read, ASK) if read else None

    error = IP(src="172.20.0.1", dst="172.20.0.2") / ICMP(type=3, code=1)
    assert way(question()) is Direction.THERE
    assert way(question(sport=80, dport=20001, flags="SA")) is Direction.BACK
    assert way(question(sport=80, dport=20001, flags="RA")) is Direction.BACK
    assert way(error / question()) is Direction.BACK
    assert way(error / question(sport=80, dport=20001, flags="SA")) is Direction.COMPLAINT
    assert way(question(flags="A")) is None  # the last packet of the handshake
    assert way(question(sport=20002)) is None


def test_an_echo_is_known_by_its_identifier() -> None:
    """Both directions have the same identifier."""
    read = headers.read(
        bytes(IPv6(src="fd00::2", dst="fd00::3") / ICMPv6EchoRequest(id=77)), ethernet=False
    )

    assert read is not None
    assert headers.way(read, Flow(6, "icmp", 77)) is Direction.THERE
    assert headers.way(read, Flow(6, "icmp", 78)) is None


@given(st.binary(max_size=120), st.booleans())
def test_no_bytes_break_it(data: bytes, ethernet: bool) -> None:
    """The parser returns a packet or None."""
    found = headers.read(data, ethernet)

    assert found is None or found.src.version == found.version


@given(st.integers(0, 60))
def test_a_frame_that_is_cut_off(length: int) -> None:
    """A capture may have a frame's beginning only."""
    found = headers.read(bytes(Ether(**MACS) / question())[:length])

    assert found is None or found.dst == ip_address("172.20.0.3")
