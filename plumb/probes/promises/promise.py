"""Promises as values: who, whom, where, by what; and who they are about."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from plumb.address import IPAddress
from plumb.model.cnm import Endpoint, Network, Sandbox
from plumb.model.observations import HOST_LABEL

Member = tuple[Sandbox, list[tuple[Endpoint, Network]]]
"""A running container with its endpoints and their networks."""
Seen = tuple[IPAddress, ...] | None
"""Whom the one that is asked must see: one of these; OWN; None: nothing is promised of that."""
OWN: Seen = ()
"""The asker's own address, whichever it asks from."""
Verdict = tuple[bool, str, Seen]
"""Whether somebody is reached, why, and as whom."""
HOST, WORLD = HOST_LABEL, "(world)"


class Protocol(StrEnum):
    """What is tried."""

    ICMP = "icmp"
    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True)
class Service:
    """What is behind a published port.

    Attributes:
        port: the port that is knocked at.
        ip, own_port: where the container itself listens.
    """

    port: int
    ip: IPAddress
    own_port: int


@dataclass(frozen=True)
class Promise:
    """`source` reaches `target` at `address`, or must not.

    Attributes:
        source, target: a container's name, HOST or WORLD.
        reach: whether it must.
        why: the reason, in a sentence.
        service: what answers, where that is not any port of that very address.
        seen: whom the target must see.
    """

    source: str
    target: str
    address: IPAddress
    protocol: Protocol
    reach: bool
    why: str
    service: Service | None = None
    seen: Seen = None

    def __str__(self) -> str:
        verb = "reaches" if self.reach else "must not reach"
        port = f" port {self.service.port}" if self.service else ""
        seen = " as " + " or ".join(map(str, self.seen)) if self.seen else ""
        return f"{self.source} {verb} {self.target} {self.address}{port} by {self.protocol}{seen}: {self.why}"
