"""One question: who asks whom, by what, as words of a command line; and the answer.

c1 c2               a ping to each address of c2
c1 c2:80            a TCP connection; c2:53/udp a datagram, c2:80/sctp an association
c1 192.0.2.1        an address; [fd00::2]:80 one with a port
c1 host             the host, by the addresses that lead to it from there; host:8080 a published port of it
c1 www.example      a name, asked of c1's own resolver
c1 c2/arp           who on c1's segment claims the addresses of c2; /nd the same for IPv6
c1 www/dns          what a name means to c1; 192.0.2.53/dns: whether that name server answers
c1 c2/mtu           the longest packet that gets there in one piece
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address

from plumb.errors import Invalid
from plumb.model.cnm import Endpoint, IPAddress
from plumb.model.observations import Netns
from plumb.model.port_mapping import clash
from plumb.probes.promises.promise import Member

HOST = "host"


class ProbeKind(StrEnum):
    """What is asked."""

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
        """Whether a port must be named."""
        return self in (ProbeKind.TCP, ProbeKind.UDP, ProbeKind.SCTP)


TO = re.compile(r"(?P<name>\[[^\]]*\]|.*?)(?::(?P<port>\d+))?(?:/(?P<kind>[a-z]+))?")


@dataclass(frozen=True)
class Wanted:
    """Whom to ask; port: 0 where there is none."""

    name: str
    port: int
    kind: ProbeKind

    @classmethod
    def of(cls, text: str) -> Wanted:
        """Read TO[:PORT][/PROTOCOL].

        Raises:
            Invalid: it makes no sense.
        """
        bare, _, kind = text.rpartition("/")
        if (literal := address_of(bare if bare else text)) is not None:
            return cls(str(literal), 0, _kind(kind if bare else "", 0, text))
        found = TO.fullmatch(text)
        assert found is not None
        name, port = found["name"].strip("[]"), int(found["port"] or 0)
        if not name or port > 65535 or (found["port"] and not port) or "/" in name:
            raise Invalid(
                f"cannot probe {text!r}",
                "write it as NAME, NAME:PORT, NAME:PORT/udp, ADDRESS or [IPv6 ADDRESS]:PORT",
            )
        return cls(name, port, _kind(found["kind"] or "", port, text))


def _kind(word: str, port: int, text: str) -> ProbeKind:
    if word not in {"", *ProbeKind}:
        raise Invalid(
            f"cannot probe {text!r}: there is no protocol {word}",
            f"there are {', '.join(ProbeKind)}",
        )
    kind = ProbeKind(word) if word else ProbeKind.TCP if port else ProbeKind.ICMP
    if kind.to_a_port and not port:
        raise Invalid(f"cannot probe {text!r}: {kind} needs a port", f"write NAME:PORT/{kind}")
    if port and not kind.to_a_port:
        raise Invalid(f"cannot probe {text!r}: {kind} has no port", f"write NAME/{kind}")
    return kind


def address_of(name: str) -> IPAddress | None:
    """An address that is written as such."""
    try:
        return ip_address(name.strip("[]"))
    except ValueError:
        return None


@dataclass(frozen=True)
class ProbeSpec:
    """What is sent.

    Attributes:
        source: from where.
        name: whom it is for, as people say it.
        target: where it should arrive, as far as that is a place of ours.
        own_address, own_port: where it should arrive there, behind a published port.
    """

    source: Netns
    name: str
    address: IPAddress
    kind: ProbeKind
    port: int = 0
    target: Netns | None = None
    own_address: IPAddress | None = None
    own_port: int = 0

    @property
    def where(self) -> str:
        """Address, port and protocol in words."""
        at = (
            f"[{self.address}]:{self.port}"
            if self.port and self.address.version == 6
            else f"{self.address}:{self.port}"
        )
        return f"{at if self.port else self.address}/{self.kind}"


@dataclass
class ProbeResult:
    """What came of it.

    Attributes:
        sent: how often it was asked; seconds: how long each answer took.
        good: whether all is well: each was answered, by one alone.
        by: who answered, where that is another address than the one that was asked, or a MAC.
        ttl: of the answer; 0: not known.
        seen: whom the one that was asked saw; empty: it could not tell.
        arrived: whether the question was seen where it should arrive; None: nobody looked.
        said: what there is to say besides, in words.
        found: what was asked for: addresses of a name, MACs of an address.
        mtu: the longest packet, in bytes; 0: not asked.
        on_link: how it was seen on the link that was watched.
    """

    question: ProbeSpec
    sent: int = 0
    seconds: list[float] = field(default_factory=list)
    good: bool = False
    by: str = ""
    ttl: int = 0
    seen: str = ""
    arrived: bool | None = None
    said: str = ""
    found: list[str] = field(default_factory=list)
    mtu: int = 0
    on_link: list[str] = field(default_factory=list)

    @property
    def hops(self) -> int | None:
        """How many routers the answer has passed: a TTL begins with 64, 128 or 255.

        None: not known.
        """
        return (
            None
            if not self.ttl
            else next(first for first in (64, 128, 255) if first >= self.ttl) - self.ttl
        )


def behind(
    members: Sequence[tuple[Member, Netns]], address: IPAddress, port: int, protocol: str
) -> tuple[Netns, Endpoint, int] | None:
    """Whose published port that is: its place, its endpoint, and the port there.

    None where it is nobody's.
    """
    for (_, ends), place in members:
        for end, _ in ends:
            for each in end.ports:
                if (each.host_port, each.protocol) == (port, protocol) and clash(
                    each.host_ip, address
                ):
                    return place, end, each.port
    return None


def holder(members: Sequence[tuple[Member, Netns]], address: IPAddress) -> Netns | None:
    """Whose address that is."""
    return next(
        (
            place
            for (_, ends), place in members
            for end, _ in ends
            if address in [ip.ip for ip in end.ips]
        ),
        None,
    )
