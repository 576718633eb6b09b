"""A probe from one namespace to an address, and its result.

c1 c2               a ping to each address of c2
c1 c2:80            a TCP connection; c2:53/udp a datagram, c2:80/sctp an association
c1 192.0.2.1        an address; [fd00::2]:80 one with a port
c1 host             the host, by the addresses at which c1 reaches it; host:8080 a published port
c1 www.example      a name, which c1's own resolver resolves
c1 c2/arp           the MACs that claim c2's addresses on c1's segment; /nd the same for IPv6
c1 www/dns          the addresses that c1 gets for a name; 192.0.2.53/dns a query to that server
c1 c2/mtu           the path MTU: the longest packet that arrives unfragmented
"""

from __future__ import annotations

from dataclasses import dataclass, field

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.model.net.targets import ProbeKind, TargetGrammar
from plumb.model.observations import Netns

PROBE_GRAMMAR = TargetGrammar("probe")


@frozen
class ProbeSpec:
    """A probe that can be sent.

    Attributes:
        source: the namespace that sends it.
        name: the target in the user's words.
        target: the namespace at which it should arrive, if plumb knows that one.
        own_address, own_port: the address and port there, behind a published port.
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
        """Address, port and protocol as text."""
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
        sent: the number of probes sent.
        seconds: the time until each reply.
        good: each probe was answered, by one host alone.
        by: the address or MAC that answered.
        ttl: of the reply; 0: not known.
        source_address: the one that the target observed; empty: not known.
        refused: the other end, or a router, has said that nobody listens there.
        arrived: the request was captured at the target; None: no capture there.
        said: errors and remarks, as text.
        found: the reply's data: addresses of a name, MACs of an address.
        mtu: the longest packet, in bytes; 0: not measured.
        on_link: its packets on the watched link, as text.
    """

    question: ProbeSpec
    sent: int = 0
    seconds: list[float] = field(default_factory=list)
    good: bool = False
    by: str = ""
    ttl: int = 0
    source_address: str = ""
    refused: bool = False
    arrived: bool | None = None
    said: str = ""
    found: list[str] = field(default_factory=list)
    mtu: int = 0
    on_link: list[str] = field(default_factory=list)

    @property
    def hops(self) -> int | None:
        """Number of routers that the reply has passed: a TTL begins with 64, 128 or 255.

        None: not known.
        """
        return (
            None
            if not self.ttl
            else next(first for first in (64, 128, 255) if first >= self.ttl) - self.ttl
        )
