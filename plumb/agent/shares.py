"""Fair shares of file descriptors: clients of proxied ports, and those of the embedded DNS.

A client costs the agent descriptors: a proxied connection two, a UDP flow, a DNS client over TCP
and a forwarded query one each. Any client can ask for as many as it likes, and there is one table
of them for the process (RLIMIT_NOFILE): without bounds one attacked port takes them all, and every
other port and every other container's DNS stops. So clients are counted in a tree, and each level
has a bound:

    Shares    all proxied ports together, or all DNS servers       capacity
      Party   a published port, or the DNS of a sandbox            three quarters of the capacity
        Peer  an address of a client (IPv6: a /64)                 three quarters of its party's

At the upper bounds a newcomer is weighed against those that are there:

1. A party with fewer descriptors than the greatest, a peer with fewer than its party's greatest:
   the greatest one gives way, and its client that has been silent for longest is closed. So a
   neighbour always gets in, at once, however many descriptors an attacker holds and however busy
   he keeps them; with many attackers everybody has the same share in the end (max-min fairness).
2. Else the newcomer is of the greatest peer itself. A client there that has been silent for a
   while is closed for it. Nobody can tell friend from foe behind one address, but a client that
   has just come is certainly there, and one that is silent may have gone, or never meant to talk:
   a connection of which nothing more comes, half-open or half-closed, is the first to go.
3. If none is silent, the newcomer is refused: a client that is being served is worth more.

There is no idle limit as long as there is room, as docker-proxy has none. The shorter descriptors
are, the shorter the silence at which a client is closed, down to `SILENCE`. The quarter that each
bound leaves free is why a new party or peer finds room without anybody being cut off.
"""

from __future__ import annotations

import socket
import time
from collections import OrderedDict
from enum import Enum
from heapq import nlargest
from itertools import islice
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar

SILENCE = 0.25
"""Seconds after which a client is silent; most answers take less."""
NEVER = float("inf")
"""Silence that no client reaches, where those that wait are not to be closed for others."""
PROBES = 16
"""Clients that are looked at when one must give way: an attacker's thousands cost no more."""


class Bound(Enum):
    """Bound at which a newcomer has met the others."""

    PEER = "peer"
    PARTY = "party"
    ALL = "all"


class Sized(Protocol):
    """Value with a name and a number of descriptors."""

    name: Any
    used: int


S = TypeVar("S", bound=Sized)
USED = attrgetter("used")


class Greatest(Generic[S]):
    """Finds the value with the most descriptors among many.

    Nothing is kept in order while there is room for all, which is nearly always. At a bound, a look
    at all values finds a few of the greatest, and as many questions choose among these.

    Args:
        values: by name.
    """

    def __init__(self, values: dict[Any, S]) -> None:
        self._values = values
        self._top: list[S] = []
        self._left = 0

    def find(self) -> S | None:
        """Find one with the most descriptors; None if nobody has any."""
        found = max(self._top, key=USED, default=None)
        if not self._left or found is None or not found.used:
            self._top, self._left = nlargest(PROBES, self._values.values(), key=USED), PROBES
            found = self._top[0] if self._top else None
        self._left -= 1
        return found if found is not None and found.used else None

    def several(self) -> list[S]:
        """List up to `PROBES` of the greatest; the next ones are others if any is as great."""
        self.find()
        for name in [value.name for value in self._top]:
            if name in self._values:  # the next look at all begins with the others
                self._values[name] = self._values.pop(name)
        self._left = 0
        return self._top


class Lease:
    """Client that has descriptors. A subclass closes it (`shed`).

    Args:
        peer: its place, as `Party.room` has found it.
        now: time.monotonic().

    Attributes:
        active: when it was last heard of.
    """

    __slots__ = ("_ranked", "active", "peer")
    cost = 1
    """Descriptors that it has."""

    def __init__(self, peer: Peer, now: float) -> None:
        self.peer, self.active, self._ranked = peer, now, now
        peer.add(self)

    def heard_again(self) -> bool:
        """True if it was heard of since this was asked last, or since it came."""
        again, self._ranked = self.active > self._ranked, self.active
        return again

    def shed(self) -> None:
        """Close the client, whose descriptors are another's by now."""
        raise NotImplementedError

    def release(self) -> None:
        """Give the descriptors back; once more does no harm."""
        self.peer.remove(self)


class Peer:
    """Clients of one party that have the same address."""

    __slots__ = ("_leases", "_party", "name", "used")

    def __init__(self, party: Party, name: str) -> None:
        self._party, self.name, self.used = party, name, 0
        self._leases: OrderedDict[Lease, None] = OrderedDict()

    def add(self, lease: Lease) -> None:
        """Count a client."""
        self._leases[lease] = None
        self._party.count(self, lease.cost)

    def remove(self, lease: Lease) -> None:
        """Count a client no more."""
        if lease in self._leases:
            del self._leases[lease]
            self._party.count(self, -lease.cost)

    def shed(self, lease: Lease, bound: Bound) -> None:
        """Close a client for another that has met a bound."""
        self._party.hit(bound)
        self._party.closed += 1
        self.remove(lease)
        lease.shed()

    def silent(self, now: float, silence: float) -> Lease | None:
        """A client of which nothing was heard for so long, the one with the longest silence.

        Of a few at the head of the queue. The queue has the order of arrival; one that was heard of
        since goes to its end when it is looked at, so that a packet costs no more than to note its
        time.
        """
        first = list(islice(self._leases, PROBES))
        for lease in first:
            if lease.heard_again():
                self._leases.move_to_end(lease)
        found = min(first, key=attrgetter("active"), default=None)
        return found if found is not None and now - found.active >= silence else None

    def least(self, now: float) -> Lease:
        """The client that gives way: the one with the longest silence, however short."""
        return self.silent(now, -NEVER) or next(iter(self._leases))


class Party:
    """Published port, or the DNS of a sandbox, with its peers.

    Attributes:
        used: descriptors of its clients.
        refused: clients that found no room; closed: those that gave way to others.
        hits: refused, delayed and closed ones by the bound that was met; met: their number;
            last_hit: when that was last, time.monotonic(), 0 for never.
    """

    def __init__(self, shares: Shares, name: tuple[str | int, ...], most: int) -> None:
        self.name, self.used, self.refused, self.closed, self.last_hit = name, 0, 0, 0, 0.0
        self.hits, self.met = dict.fromkeys(Bound, 0), 0
        self._shares, self._most = shares, most
        self._peers: dict[str, Peer] = {}
        self._greatest = Greatest(self._peers)

    @property
    def bound(self) -> int:
        """Descriptors that it may have."""
        return min(self._most, _share(self._shares.capacity))

    @property
    def greatest(self) -> Peer | None:
        """The peer with the most descriptors."""
        return self._greatest.find()

    def room(self, name: str, cost: int = 1, now: float | None = None) -> Peer | None:
        """Find a newcomer's place; close others for it, if it comes to that.

        Args:
            name: the peer.
            cost: descriptors that the newcomer needs.
            now: time.monotonic(), if the caller knows it.

        Returns:
            Its peer, to which the caller adds a `Lease` at once; None if there is no room.
        """
        now = time.monotonic() if now is None else now
        peer = self._peers.get(name) or Peer(self, name)
        while bound := self._full(peer, cost):
            victim = self._victim(bound, peer, cost, now)
            if victim is None:
                self.hit(bound)
                return None
            victim.peer.shed(victim, bound)
        return peer

    def _full(self, peer: Peer, cost: int) -> Bound | None:
        shares, bound = self._shares, self.bound
        if peer.used + cost > _share(bound):
            return Bound.PEER
        if self.used + cost > bound:
            return Bound.PARTY
        return Bound.ALL if shares.used + cost > shares.capacity else None

    def _victim(self, bound: Bound, peer: Peer, cost: int, now: float) -> Lease | None:
        """The client that gives way to a newcomer; see the module's rules."""
        silence = self._shares.silence
        if bound is Bound.PEER:
            return peer.silent(now, silence)
        if bound is Bound.ALL:
            greatest = self._shares.greatest
            if greatest is not None and greatest.used - cost > self.used + cost:
                assert greatest.greatest is not None
                return greatest.greatest.least(now)
        crowd = self.greatest
        if crowd is not None and crowd.used - cost > peer.used + cost:
            return crowd.least(now)
        found = (each.silent(now, silence) for each in self._greatest.several())
        return next((lease for lease in found if lease is not None), None)

    def hit(self, bound: Bound) -> None:
        """Count that a client did not get, or did not keep, its descriptors for this bound."""
        self.hits[bound] += 1
        self.met += 1
        self.last_hit = time.monotonic()

    def count(self, peer: Peer, cost: int) -> None:
        """Count descriptors of a peer, at all levels."""
        if not peer.used:
            self._peers[peer.name] = peer
        peer.used += cost
        self.used += cost
        self._shares.used += cost
        if not peer.used:
            del self._peers[peer.name]


class Shares:
    """Descriptors for the clients of all parties.

    Args:
        capacity: how many they are.
        silence: seconds after which a client may be closed for another of the same peer.
    """

    def __init__(self, capacity: int, silence: float = SILENCE) -> None:
        self.capacity, self.silence, self.used = capacity, silence, 0
        self.parties: dict[tuple[str | int, ...], Party] = {}
        self._greatest = Greatest(self.parties)

    @property
    def greatest(self) -> Party | None:
        """The party with the most descriptors."""
        return self._greatest.find()

    def party(self, *name: str | int, most: int = 1 << 30) -> Party:
        """Begin to count for a party.

        Args:
            most: descriptors that it may have, if that is less than its share.
        """
        self.parties[name] = Party(self, name, most)
        return self.parties[name]

    def forget(self, *name: str | int) -> None:
        """Forget a party, all of whose clients are gone."""
        self.parties.pop(name, None)


def _share(whole: int) -> int:
    """The part of it that one may have: three quarters, rounded up."""
    return whole - whole // 4


def peer_of(ip: str) -> str:
    """The name of the peer that has an address.

    One customer of an IPv6 provider has a /64 at least, and one host in it any number of addresses
    (RFC 8981).
    """
    if ":" not in ip:
        return ip
    packed = socket.inet_pton(socket.AF_INET6, ip.partition("%")[0])
    return socket.inet_ntop(socket.AF_INET6, packed[:8] + bytes(8)) + "/64"
