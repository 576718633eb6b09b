"""Requests: the choice of a namespace's address."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_interface

from plumb.trace.report import best_address


def test_the_best_address() -> None:
    """One in a subnet of the source before any other; never a loopback or link-local one."""
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
