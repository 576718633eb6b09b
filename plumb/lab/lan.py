"""Segments of a lab: subnets, and the addresses of the machines on them."""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

from plumb.frozen import frozen


@frozen
class Station:
    """A machine's addresses on the LAN, with the prefix length of their subnets."""

    v4: IPv4Interface
    v6: IPv6Interface


@frozen
class Lan:
    """The LAN that a host stands on: two subnets, and a router with the internet behind it.

    Every machine on it has a default route to the router. The addresses are those that are kept
    for examples (RFC 5737, RFC 3849), so a packet that escapes is nobody's.

    Attributes:
        subnet, subnet6: the LAN's own.
        internet, internet6: addresses on the router's loopback interface that play the internet.
    """

    subnet: IPv4Network
    subnet6: IPv6Network
    internet: IPv4Address
    internet6: IPv6Address

    def station(self, number: int) -> Station:
        """Address the machine of a number, which both addresses show: 192.0.2.10, 2001:db8:2::10.

        Args:
            number: the host part of the IPv4 address, and the digits of IPv6's.
        """
        return Station(
            IPv4Interface((self.subnet[number], self.subnet.prefixlen)),
            IPv6Interface((self.subnet6[int(str(number), 16)], self.subnet6.prefixlen)),
        )

    @property
    def router(self) -> Station:
        """The router's addresses: number 1."""
        return self.station(1)

    @property
    def host(self) -> Station:
        """The addresses of plumb's host: number 10; a second host is number 11."""
        return self.station(10)

    @property
    def client(self) -> Station:
        """The addresses of a machine without plumb: number 20."""
        return self.station(20)


INTERNET, INTERNET6 = IPv4Address("198.51.100.1"), IPv6Address("2001:db8:64::1")
LAN = Lan(IPv4Network("192.0.2.0/24"), IPv6Network("2001:db8:2::/64"), INTERNET, INTERNET6)
"""The one that labs, plumb's own tests and its example have."""
SECOND_LAN = Lan(IPv4Network("203.0.113.0/24"), IPv6Network("2001:db8:3::/64"), INTERNET, INTERNET6)
"""The one behind the router of a lab with two switches."""
