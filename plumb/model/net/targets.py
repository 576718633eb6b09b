"""Targets: words of a command line that name a target, and owners of addresses and ports.

c2                  a container; host: the host; pid:4711: the network namespace of a process;
                    a path: the one that a file holds
c2:80               a port, by TCP; c2:53/udp, c2:80/sctp by another protocol
192.0.2.1           an address; [fd00::2]:80 one with a port
www.example         any other name means what the asker's own resolver says
c2/arp              without a port: a ping, or what stands behind the slash

`plumb probe` and `plumb trace` read their targets by the same grammar; each takes the protocols
that it can send.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from ipaddress import ip_address

from plumb.address import IPAddress
from plumb.errors import Invalid
from plumb.frozen import frozen
from plumb.model.cnm import Endpoint, Network, Sandbox
from plumb.model.observations import Netns
from plumb.model.port_mapping import clash
from plumb.model.ports import Port
from plumb.model.service.virtual import VirtualService


class ProbeKind(StrEnum):
    """The kinds of probe: the protocol that is used, or what is looked up."""

    ICMP = "icmp"
    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"
    ARP = "arp"
    ND = "nd"
    DNS = "dns"
    MTU = "mtu"

    @property
    def to_a_port(self) -> bool:
        """True if a port must be named."""
        return self in (ProbeKind.TCP, ProbeKind.UDP, ProbeKind.SCTP)


TO = re.compile(
    r"(?P<name>\[[^\]]*\]|pid:\d+|.*?)(?::(?P<port>\d+))?(?:/(?P<protocol>[a-z]+))?", re.DOTALL
)


@frozen
class Target:
    """The other end of a probe, as it was written.

    Attributes:
        name: a container, "host", a namespace, a host name or an address.
        port: 0 where there is none.
        protocol: what is asked.
    """

    name: str
    port: int
    protocol: ProbeKind


@frozen
class TargetGrammar:
    """TO[:PORT][/PROTOCOL], for one command.

    Attributes:
        verb: what the command does to a target, for errors: "probe", "trace to".
        protocols: those that it can send.
    """

    verb: str
    protocols: Sequence[ProbeKind] = tuple(ProbeKind)

    def read(self, text: str) -> Target:
        """The target that a text names.

        Raises:
            Invalid: it makes no sense.
        """
        bare, _, word = text.rpartition("/")
        if (literal := address_of(bare or text)) is not None:
            return self._target(text, str(literal), 0, word if bare else "")
        found = TO.fullmatch(text)
        assert found is not None
        name, port, word = found["name"].strip("[]"), int(found["port"] or 0), found["protocol"]
        if text.startswith(("/", ".")) and not port and word not in set(ProbeKind):
            name, word = text, ""  # the last part of a path
        if not name or port > 65535 or (found["port"] and not port):
            raise Invalid(
                f"cannot {self.verb} {text!r}",
                "write it as NAME, NAME:PORT, NAME:PORT/udp, ADDRESS or [IPv6 ADDRESS]:PORT",
            )
        return self._target(text, name, port, word or "")

    def _target(self, text: str, name: str, port: int, word: str) -> Target:
        wrong = f"cannot {self.verb} {text!r}"
        if word not in {"", *self.protocols}:
            raise Invalid(
                f"{wrong}: there is no protocol {word}", f"there are {', '.join(self.protocols)}"
            )
        protocol = ProbeKind(word) if word else ProbeKind.TCP if port else ProbeKind.ICMP
        if protocol.to_a_port and not port:
            raise Invalid(f"{wrong}: {protocol} needs a port", f"write {name}:PORT/{protocol}")
        if port and not protocol.to_a_port:
            raise Invalid(f"{wrong}: {protocol} has no port", f"write {name}/{protocol}")
        return Target(name, port, protocol)


def address_of(name: str) -> IPAddress | None:
    """An address that is written as such, perhaps in brackets; None for any other name."""
    try:
        return ip_address(name.strip("[]"))
    except ValueError:
        return None


# -- whose an address or a port is ------------------------------------------------


@frozen
class Member:
    """A running container.

    Attributes:
        box: the sandbox.
        place: its network namespace; one that is shared has its owner's name.
        ends: its endpoints and their networks.
    """

    box: Sandbox
    place: Netns
    ends: tuple[tuple[Endpoint, Network], ...]

    def has(self, ip: IPAddress) -> bool:
        """Tell if an address of a network is its own."""
        return any(own.ip == ip for end, _ in self.ends for own in end.ips)


@frozen
class Published:
    """A published port, whose it is, and by which of its endpoints."""

    port: Port
    member: Member
    end: Endpoint
    net: Network


@frozen
class Balanced:
    """A service of the cluster, which an address or a published port leads to.

    Attributes:
        one: the service on the network `net`.
        place: the namespace of the network's balancer on this host.
        tasks: the service's tasks on this host.
    """

    one: VirtualService
    net: Network
    place: Netns
    tasks: tuple[Member, ...] = ()


def published(
    members: Iterable[Member], ip: IPAddress, port: int, protocol: str, exact: bool = True
) -> Published | None:
    """The published port that a packet to an address of the host is for, None where there is none.

    Args:
        exact: it must be published for that address, rather than for any.
    """
    found = [
        Published(one, member, end, net)
        for member in members
        for end, net in member.ends
        for one in end.ports
        if one.host_port == port and one.protocol == protocol
    ]
    fitting = [one for one in found if clash(one.port.host_ip, ip)]
    return next(iter(fitting or (() if exact else found)), None)


def holder(members: Iterable[Member], ip: IPAddress) -> Member | None:
    """The container that an address of a network belongs to."""
    return next((member for member in members if member.has(ip)), None)
