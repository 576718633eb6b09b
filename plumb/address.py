"""Addresses: the unions of both IP versions that every layer uses, and their address family."""

from __future__ import annotations

import socket
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network


def family(version: int) -> socket.AddressFamily:
    """AF_INET or AF_INET6, for IP version 4 or 6."""
    return socket.AF_INET if version == 4 else socket.AF_INET6
