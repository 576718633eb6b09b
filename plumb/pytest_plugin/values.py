"""Values that go over the wire, and are what tests read.

The LAN before a lab's host, interfaces, ways in, what a knock came to.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Any

from plumb.address import IPAddress
from plumb.model.observations import HOST_LABEL

HOST, ROUTER, CLIENT, INTERNET = HOST_LABEL, "(router)", "(client)", "(internet)"
"""Places that are no containers; a container's name has no parentheses."""


@dataclass(frozen=True)
class Station:
    """A machine's addresses on the LAN, with the prefix length of their subnets."""

    v4: IPv4Interface
    v6: IPv6Interface


@dataclass(frozen=True)
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


LAN = Lan(
    IPv4Network("192.0.2.0/24"),
    IPv6Network("2001:db8:2::/64"),
    IPv4Address("198.51.100.1"),
    IPv6Address("2001:db8:64::1"),
)
"""The one that labs, plumb's own tests and its example have."""


@dataclass(frozen=True)
class Interface:
    """A place's interface on a network.

    Attributes:
        node: whose it is: a container's name, or "(host)".
        network: the network's name, "lan" for the wire before the host.
        dev: what the interface is called there.
        ip, ip6: its addresses, None without one of that family.
        mac: its hardware address.
    """

    node: str
    network: str
    dev: str
    ip: IPv4Address | None = None
    ip6: IPv6Address | None = None
    mac: str = ""

    def address(self, family: int) -> IPAddress | None:
        """Address of a family, 4 or 6; None without one."""
        return self.ip if family == 4 else self.ip6


@dataclass(frozen=True)
class Route:
    """Namespaces of a place, to be entered.

    Attributes:
        ns: the file of its network namespace, as the lab's host sees it.
        spec: of a container, what `kernel.process.shim.enter` takes: its files and host name as
        well.
    """

    ns: str
    spec: dict[str, Any] | None = None


def described(link: dict[str, Any]) -> str:
    """A link's state, in words."""
    state = "up" if link["up"] else "down"
    carrier = "" if link["carrier"] else ", without carrier"
    addresses = " ".join(link["addresses"]) or "no address"
    return f"{link['name']} is {state}{carrier}, with {addresses}"


@dataclass(frozen=True)
class Asked:
    """A request from one place to another.

    Attributes:
        source: who asks.
        target: who is asked for; address: where.
        protocol: "tcp", "udp" or "icmp"; port: which, 0 for icmp.
    """

    source: str
    target: str
    address: IPAddress
    protocol: str
    port: int = 0

    def __str__(self) -> str:
        port = f" {self.port}" if self.port else ""
        return f"{self.target} ({self.address}) by {self.protocol}{port}"


@dataclass(frozen=True)
class Found:
    """Result of a request.

    Attributes:
        asked: the question.
        reached: the answer.
        observed: what was seen, in a sentence.
        promised: what the networks promise about that, empty where they promise nothing.
        broken: why no answer says anything about the way between the two: the asker reaches nobody,
        or the target is down.
    """

    asked: Asked
    reached: bool
    observed: str
    promised: str = ""
    broken: str = ""
