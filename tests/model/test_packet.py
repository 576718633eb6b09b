"""Packets: headers as they are read, tags put back, and the checksum of an echo request."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest

from plumb.model.net.packet import (
    ETH_P_8021Q,
    ETH_P_IP,
    TP_STATUS_VLAN_VALID,
    TPACKET_AUXDATA,
    IPHeader,
    echo_request,
    internet_checksum,
    ip_header,
    network_layer,
    with_vlan_tag,
)

IPV4 = bytes.fromhex("4500001c0001400040111234c0000201c0000202") + b"\0\1\0\2\0\x08\0\0"
IPV6 = (
    bytes.fromhex("6000000000083a40")
    + IPv6Address("fd00::1").packed
    + IPv6Address("fd00::2").packed
)
ETHERNET = bytes(12) + struct.pack("!H", ETH_P_IP)


def test_headers_are_read() -> None:
    """Addresses, the next protocol, TTL, lengths and IPv4's flags."""
    assert ip_header(IPV4) == IPHeader(
        4, IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2"), 17, 64, 20, 28, 0x4000
    )
    assert ip_header(IPV6) == IPHeader(
        6, IPv6Address("fd00::1"), IPv6Address("fd00::2"), 58, 64, 40, 48
    )


@pytest.mark.parametrize("packet", [b"", IPV4[:19], IPV6[:39], b"\x50" + bytes(60)])
def test_what_is_no_ip_packet(packet: bytes) -> None:
    """It is cut off within its header, or of another version."""
    assert ip_header(packet) is None


def test_tags_are_skipped_and_put_back() -> None:
    """The kernel hands a VLAN tag over beside the frame; behind it the packet is the same."""
    auxdata = TPACKET_AUXDATA.pack(TP_STATUS_VLAN_VALID, 0, 0, 0, 0, 7, 0)
    tagged = with_vlan_tag(ETHERNET + IPV4, auxdata)

    assert tagged[12:16] == struct.pack("!HH", ETH_P_8021Q, 7)
    assert network_layer(tagged) == network_layer(ETHERNET + IPV4) == (ETH_P_IP, IPV4)
    assert with_vlan_tag(ETHERNET, bytes(TPACKET_AUXDATA.size)) == ETHERNET
    assert network_layer(ETHERNET[:10])[0] == 0


@pytest.mark.parametrize("data", [b"", b"odd", b"even"])
def test_an_echo_request_sums_up(data: bytes) -> None:
    """The checksum over a packet that carries it is zero; for ICMPv6 the kernel makes it."""
    request = echo_request(4, 0x1234, 1, data)

    assert request[:1] == b"\x08"
    assert request[4:8] == b"\x12\x34\0\1"
    assert internet_checksum(request) == 0
    assert echo_request(6, 1, 1, data)[:4] == b"\x80\0\0\0"
