"""Addresses: the unions of both IP versions that every layer uses, and what holds for any."""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

TYPE_CHECKING = False  # as typing's
if TYPE_CHECKING:
    from socket import AddressFamily

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network


def ip_on(ip: IPAddress, prefixlen: int) -> IPInterface:
    """An address with its subnet's prefix length."""
    return (
        IPv4Interface((ip, prefixlen))
        if isinstance(ip, IPv4Address)
        else IPv6Interface((ip, prefixlen))
    )


def reserved(ip: IPAddress, subnet: IPNetwork) -> bool:
    """True if no host may have this address of the subnet.

    Of IPv4 it is the network's and the broadcast address, except on /31 and /32 (RFC 3021); of
    IPv6 the routers' anycast address, the first (RFC 4291, 2.6.1).
    """
    if ip.version == 6:
        return ip == subnet.network_address
    if subnet.max_prefixlen - subnet.prefixlen < 2:
        return False
    return ip in (subnet.network_address, subnet.broadcast_address)


def family(version: int) -> AddressFamily:
    """AF_INET or AF_INET6, for IP version 4 or 6."""
    import socket  # lazy: it takes 2 ms, and whoever reads the record has no sockets

    return socket.AF_INET if version == 4 else socket.AF_INET6
