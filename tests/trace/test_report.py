"""Requests: by which of its addresses a namespace is asked."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_interface

from plumb.trace.report import best_address


def test_the_address_that_is_asked() -> None:
    """One of a subnet of the asker's own before any other; loopback and link-local ones never."""
    theirs = [
        ip_interface(text)
        for text in ("127.0.0.1/8", "172.21.0.2/24", "172.20.0.2/24", "fe80::1/64", "fd00::2/64")
    ]

    assert best_address(theirs, [ip_interface("172.20.0.9/24")], (4, 6)) == IPv4Address(
        "172.20.0.2"
    )
    assert best_address(theirs, [], (4, 6)) == IPv4Address("172.21.0.2")
    assert best_address(theirs, [], (6,)) == IPv6Address("fd00::2")
    assert best_address(theirs[:1], [], (4, 6)) is None
