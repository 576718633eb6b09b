"""What is asked: who asks whom, by which protocol, as a line of words.

c1 c2:80            a TCP connection
c1 c2:53/udp        a datagram
lan host:8080       a published port is a port of the host
c1 192.0.2.1        without a port: an echo request, as ping sends
c1 [fd00::2]:80     an IPv6 address and a port
c1 pid:4711:80      the network namespace of a process
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address

from plumb.errors import Invalid

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
PROTOCOLS = ("tcp", "udp", "sctp", "icmp")
TO = re.compile(
    r"(?P<name>\[[^\]]*\]|pid:\d+|.*?)(?::(?P<port>\d+))?(?:/(?P<protocol>tcp|udp|sctp|icmp))?"
)


@dataclass(frozen=True)
class Target:
    """Whom to ask.

    Attributes:
        name: a container, a place, a host name or an address.
        port: 0 for an echo request.
    """

    name: str
    port: int
    protocol: str


def target(text: str) -> Target:
    """Read TO[:PORT][/PROTOCOL].

    Raises:
        Invalid: it makes no sense.
    """
    try:
        return Target(str(ip_address(text)), 0, "icmp")
    except ValueError:
        pass
    found = TO.fullmatch(text)
    assert found is not None
    name, port = found["name"].strip("[]"), int(found["port"] or 0)
    protocol = found["protocol"] or ("tcp" if port else "icmp")
    if not name or port > 65535 or (found["port"] and not port):
        raise Invalid(
            f"cannot trace to {text!r}",
            "write it as NAME:PORT, NAME:PORT/udp, ADDRESS or [IPv6 ADDRESS]:PORT",
        )
    if bool(port) is (protocol == "icmp"):
        raise Invalid(
            f"cannot trace to {text!r}: {protocol} has {'no' if port else 'a'} port",
            f"write {name}/icmp" if port else f"write {name}:PORT/{protocol}",
        )
    return Target(name, port, protocol)


def literal(name: str) -> IPAddress | None:
    """An address that is written as such."""
    try:
        return ip_address(name)
    except ValueError:
        return None


def address(
    theirs: Iterable[IPInterface], mine: Iterable[IPInterface], versions: Iterable[int]
) -> IPAddress | None:
    """By which of its addresses somebody is best asked.

    One of a subnet of the asker's own, else the first that leads anywhere.

    Args:
        theirs: in the order in which they are preferred.
        versions: the address families that may be taken, the preferred first.
    """
    mine, known = (
        list(mine),
        [ip for ip in theirs if not ip.ip.is_loopback and not ip.ip.is_link_local],
    )
    for version in versions:
        of = [ip for ip in known if ip.version == version]
        if of:
            return next((ip.ip for ip in of if any(ip.ip in own.network for own in mine)), of[0].ip)
    return None
