"""Asking: who asks whom, as it is typed."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_interface

import pytest

from plumb.errors import Invalid
from plumb.trace.target_syntax import Target, address, target


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("c2", Target("c2", 0, "icmp")),
        ("c2/icmp", Target("c2", 0, "icmp")),
        ("c2:80", Target("c2", 80, "tcp")),
        ("c2:53/udp", Target("c2", 53, "udp")),
        ("c2:9/sctp", Target("c2", 9, "sctp")),
        ("192.0.2.1", Target("192.0.2.1", 0, "icmp")),
        ("192.0.2.1:80", Target("192.0.2.1", 80, "tcp")),
        ("fd00::2", Target("fd00::2", 0, "icmp")),
        ("[fd00::2]", Target("fd00::2", 0, "icmp")),
        ("[fd00::2]:80", Target("fd00::2", 80, "tcp")),
        ("/run/netns/lan:80/tcp", Target("/run/netns/lan", 80, "tcp")),
        ("pid:4711", Target("pid:4711", 0, "icmp")),
        ("pid:4711:80", Target("pid:4711", 80, "tcp")),
        ("www.example.org:443", Target("www.example.org", 443, "tcp")),
    ],
)
def test_what_is_typed(text: str, means: Target) -> None:
    """TO[:PORT][/PROTOCOL]."""
    assert target(text) == means


@pytest.mark.parametrize("text", ["", ":80", "c2:0", "c2:70000", "c2/tcp", "c2:80/icmp"])
def test_what_makes_no_sense(text: str) -> None:
    """It is refused, with what to write instead."""
    with pytest.raises(Invalid) as error:
        target(text)
    assert error.value.hint


def test_the_address_that_is_asked() -> None:
    """One of a subnet of the asker's own before any other; loopback and link-local ones never."""
    theirs = [
        ip_interface(text)
        for text in ("127.0.0.1/8", "172.21.0.2/24", "172.20.0.2/24", "fe80::1/64", "fd00::2/64")
    ]

    assert address(theirs, [ip_interface("172.20.0.9/24")], (4, 6)) == IPv4Address("172.20.0.2")
    assert address(theirs, [], (4, 6)) == IPv4Address("172.21.0.2")
    assert address(theirs, [], (6,)) == IPv6Address("fd00::2")
    assert address(theirs[:1], [], (4, 6)) is None
