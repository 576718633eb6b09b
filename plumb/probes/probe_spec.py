"""A probe and its result: what is sent from one namespace to an address, and what came of it.

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

from dataclasses import dataclass, field

from plumb.address import IPAddress
from plumb.model.net.targets import ProbeKind, TargetGrammar
from plumb.model.observations import Netns

PROBE_GRAMMAR = TargetGrammar("probe")


@dataclass(frozen=True)
class ProbeSpec:
    """A probe that can be sent.

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
    """The result of a probe.

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
        """The number of routers that the answer has passed: a TTL begins with 64, 128 or 255.

        None: not known.
        """
        return (
            None
            if not self.ttl
            else next(first for first in (64, 128, 255) if first >= self.ttl) - self.ttl
        )
