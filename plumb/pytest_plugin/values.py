"""Values that go over the wire, and are what tests read.

Interfaces, ways in, what a knock came to.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.model.observations import HOST_LABEL

HOST, ROUTER, CLIENT, INTERNET = HOST_LABEL, "(router)", "(client)", "(internet)"
"""Places that are no containers; a container's name has no parentheses."""


@frozen
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


@frozen
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


@frozen
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


@frozen
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
