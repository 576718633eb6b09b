"""Duplicate addresses: each address of a network must belong to one interface alone.

The intent gives an endpoint its address and MAC. Another interface of the segment may claim the
address as well: a container's, added by hand, or one of a second host on the LAN. plumb finds it by
ARP and neighbour discovery; other traffic does not show it, since packets reach now one of the two,
now the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.model.cnm import Endpoint, Network
from plumb.probes.promises.promise import HOST, Member


@frozen
class Claim:
    """An address of an endpoint, and the link that requests it on the segment.

    Attributes:
        owner: the container's name.
        mac: its interface's; empty where that is the parent's (ipvlan).
        requester: the name of the namespace that sends the requests.
        dev: its link to the segment.
    """

    owner: str
    network: str
    address: IPAddress
    mac: str
    requester: str
    dev: str


@dataclass
class Claimed:
    """A claim, and the MACs that were found."""

    claim: Claim
    found: list[str] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        """True if the owner claims the address, and no other interface does."""
        return len(self.found) == 1 and self.claim.mac in ("", self.found[0])

    @property
    def observed(self) -> str:
        """The MACs found, as text."""
        return f"claimed by {' and '.join(self.found)}" if self.found else "nobody claims it"


def claims_of(members: Sequence[Member]) -> list[Claim]:
    """Claims of these containers' addresses.

    The host sends the requests on bridge networks, another container of the network on others.
    """
    every = [(box.name, end, net) for box, ends in members for end, net in ends if not net.layer3]
    return [claim for name, end, net in every for claim in _of(name, end, net, every)]


def _of(
    name: str, end: Endpoint, net: Network, every: Sequence[tuple[str, Endpoint, Network]]
) -> Iterator[Claim]:
    if net.bridge_in_host:
        requester, dev = HOST, net.link
    else:
        requester, dev = next(
            (
                (other, their.ifname)
                for other, their, on in every
                if on.id == net.id and their.id != end.id
            ),
            ("", ""),
        )
    for ip in end.ips if requester else ():
        yield Claim(name, net.name, ip.ip, end.mac, requester, dev)


def look(wanted: Sequence[Claim], places: Mapping[str, str], seconds: float = 0.3) -> list[Claimed]:
    """Request all these addresses, segment by segment.

    Args:
        places: the namespace file of each name.
        seconds: the time to wait for a second reply.
    """
    if not wanted:
        return []
    from plumb.probes.packets.neighbours import Segment, claims_on

    segments: dict[tuple[str, str], list[IPAddress]] = {}
    for claim in wanted:
        segments.setdefault((places[claim.requester], claim.dev), []).append(claim.address)
    found = claims_on(
        [Segment(ns, dev, tuple(ips)) for (ns, dev), ips in segments.items()], seconds
    )
    return [
        Claimed(claim, found[places[claim.requester], claim.dev][claim.address]) for claim in wanted
    ]
