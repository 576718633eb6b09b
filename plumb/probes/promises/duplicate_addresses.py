"""Owners: that every address of a network belongs to one interface alone.

The promise is the intent's: an endpoint has this address, and this MAC. Whether anybody else on the
segment claims the address as well, a container that has been given it by hand, a second host on the
LAN, is asked on the wire (ARP, neighbour discovery); no traffic tells, because it gets to now one
of the two, now the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from plumb.address import IPAddress
from plumb.model.cnm import Endpoint, Network
from plumb.probes.promises.promise import HOST, Member


@dataclass(frozen=True)
class Claim:
    """An address of an endpoint, and where its segment is asked whose it is.

    Attributes:
        owner: the container's name; mac: its interface's, empty where that is the parent's
        (ipvlan).
        asker: who asks; dev: on which link.
    """

    owner: str
    network: str
    address: IPAddress
    mac: str
    asker: str
    dev: str


@dataclass
class Claimed:
    """A claim, and the MACs that were found."""

    claim: Claim
    found: list[str] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        """Whether the owner claims it, and nobody else."""
        return len(self.found) == 1 and self.claim.mac in ("", self.found[0])

    @property
    def observed(self) -> str:
        """What was found, in words."""
        return f"claimed by {' and '.join(self.found)}" if self.found else "nobody claims it"


def claims_of(members: Sequence[Member]) -> list[Claim]:
    """What is to be asked about these containers.

    On bridge networks by the host, on others by a container beside.
    """
    every = [(box.name, end, net) for box, ends in members for end, net in ends if not net.layer3]
    return [claim for name, end, net in every for claim in _of(name, end, net, every)]


def _of(
    name: str, end: Endpoint, net: Network, every: Sequence[tuple[str, Endpoint, Network]]
) -> Iterator[Claim]:
    if net.bridge_in_host:
        asker, dev = HOST, net.link
    else:
        asker, dev = next(
            (
                (other, their.ifname)
                for other, their, on in every
                if on.id == net.id and their.id != end.id
            ),
            ("", ""),
        )
    for ip in end.ips if asker else ():
        yield Claim(name, net.name, ip.ip, end.mac, asker, dev)


def look(wanted: Sequence[Claim], places: Mapping[str, str], seconds: float = 0.3) -> list[Claimed]:
    """Ask for all of them, segment by segment.

    Args:
        places: the namespace file of each name.
        seconds: how long to wait for a second answer.
    """
    if not wanted:
        return []
    from plumb.probes.packets.neighbours import Segment, claims_on

    segments: dict[tuple[str, str], list[IPAddress]] = {}
    for claim in wanted:
        segments.setdefault((places[claim.asker], claim.dev), []).append(claim.address)
    found = claims_on(
        [Segment(ns, dev, tuple(ips)) for (ns, dev), ips in segments.items()], seconds
    )
    return [
        Claimed(claim, found[places[claim.asker], claim.dev][claim.address]) for claim in wanted
    ]
