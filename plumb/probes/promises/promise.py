"""Promises as values: source, target, address, protocol; and the members they are about."""

from __future__ import annotations

from enum import StrEnum

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.model.cnm import Endpoint, Network, Sandbox
from plumb.model.observations import HOST_LABEL

Member = tuple[Sandbox, list[tuple[Endpoint, Network]]]
"""A running container with its endpoints and their networks."""
SourceAddresses = tuple[IPAddress, ...] | None
"""Source addresses, one of which the target must observe; OWN; None: none is promised."""
OWN: SourceAddresses = ()
"""The source's own address, whichever it sends from."""
Verdict = tuple[bool, str, SourceAddresses]
"""A promise's content: reached or not, the reason, the source addresses."""
HOST, WORLD = HOST_LABEL, "(world)"


class Protocol(StrEnum):
    """Protocol of a trial."""

    ICMP = "icmp"
    TCP = "tcp"
    UDP = "udp"


@frozen
class Service:
    """The container's own end of a published port.

    Attributes:
        port: the port that the client connects to.
        ip, own_port: the address and port at which the container itself listens.
    """

    port: int
    ip: IPAddress
    own_port: int


@frozen
class Promise:
    """`source` reaches `target` at `address`, or must not.

    Attributes:
        source, target: a container's name, HOST or WORLD.
        reach: True if it must.
        why: the reason, in a sentence.
        service: the service that answers; None: any port of that very address.
        source_addresses: those of which the target must observe one.
    """

    source: str
    target: str
    address: IPAddress
    protocol: Protocol
    reach: bool
    why: str
    service: Service | None = None
    source_addresses: SourceAddresses = None

    def __str__(self) -> str:
        verb = "reaches" if self.reach else "must not reach"
        port = f" port {self.service.port}" if self.service else ""
        sources = (
            " as " + " or ".join(map(str, self.source_addresses)) if self.source_addresses else ""
        )
        return (
            f"{self.source} {verb} {self.target} {self.address}{port}"
            f" by {self.protocol}{sources}: {self.why}"
        )
