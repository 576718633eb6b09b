"""The choice of an address: serial (next-fit), going round.

The address after the last one that was given is next, so that one which was given back rests until
the subnet has gone round: a peer that still knows the old owner does no harm. An address of the
user's choice moves nothing. What is chosen here counts once the transaction that it belongs to has
been carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from plumb.address import IPAddress, IPInterface, IPNetwork, ip_on, reserved
from plumb.agent.cluster.state import keys
from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.operations import Compare, Get, Operation, Put, absent
from plumb.errors import Conflict, Exhausted, Invalid
from plumb.model.cnm import Network, Pool

PAGE = 256
"""Addresses that are looked up at a time."""
Occupied = Callable[[IPAddress, IPAddress], Set[IPAddress]]
"""Lookup of addresses that somebody has, from the first to the last given."""


class Source(Protocol):
    """Order in which addresses are given; see `serial`."""

    def following(self, pool: Pool, chosen: Set[IPAddress]) -> IPAddress | None:
        """Return the next address of a subnet, None if it is full.

        Args:
            chosen: addresses of the same draft.
        """


def next_fit(pool: Pool, last: IPAddress | None, occupied: Occupied) -> IPAddress | None:
    """Choose the address that comes next in a subnet, or in its --ip-range.

    Args:
        last: the address that was given last.
        occupied: says which are taken; called for a part of the subnet at a time.

    Returns:
        None if none is free.
    """
    make: Callable[[int], IPAddress] = IPv4Address if pool.subnet.version == 4 else IPv6Address
    for low, high in _parts(span(pool), last):
        taken = occupied(make(low), make(high))
        for number in range(low, high + 1):
            ip = make(number)
            if ip not in taken and not reserved(ip, pool.subnet):
                return ip
    return None


def span(pool: Pool) -> IPNetwork:
    """The part of a subnet that addresses are given from."""
    return pool.range or pool.subnet


def _parts(span: IPNetwork, last: IPAddress | None) -> Iterator[tuple[int, int]]:
    """Part a range into pages: from behind the last address to the end, then from the start."""
    first, end = int(span.network_address), int(span.broadcast_address)
    start = first if last is None or last not in span else int(last) + 1
    for low, high in ((start, end), (first, start - 1)):
        for page in range(low, high + 1, PAGE):
            yield page, min(page + PAGE - 1, high)


def nobody(_low: IPAddress, _high: IPAddress) -> Set[IPAddress]:
    """Nobody's: for a first try, since what comes next is free as a rule."""
    return set()


def listed(etcd: Etcd, net: Network) -> Occupied:
    """Addresses that are taken by what etcd says."""

    def occupied(low: IPAddress, high: IPAddress) -> Set[IPAddress]:
        end = keys.address(net.id, high) + "\0"
        wanted = Get(keys.address(net.id, low), end, keys_only=True)
        return {keys.address_of(found.key) for found in etcd.range(wanted).keys}

    return occupied


@dataclass
class Draft:
    """Addresses chosen for one transaction, with its conditions and operations so far.

    Attributes:
        chosen: all addresses; drawn: those that nobody asked for.
    """

    net: Network
    source: Source
    compares: list[Compare] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    chosen: set[IPAddress] = field(default_factory=set)
    drawn: list[IPAddress] = field(default_factory=list)

    def take(self, version: int, wanted: IPAddress | None, owner: str) -> IPInterface:
        """Choose an address of one family for the owner of that key.

        Raises:
            Invalid: no subnet has the wanted one.
            Conflict: it is the network's own.
            Exhausted: none is free.
        """
        pool, ip = self._find(version) if wanted is None else (self._pool_of(wanted), wanted)
        self.chosen.add(ip)
        if wanted is None:
            self.drawn.append(ip)
        key = keys.address(self.net.id, ip)
        self.compares.append(absent(key))
        self.operations.append(Put(key, owner))
        return ip_on(ip, pool.subnet.prefixlen)

    def _find(self, version: int) -> tuple[Pool, IPAddress]:
        pools = [pool for pool in self.net.pools if pool.subnet.version == version]
        for pool in pools:
            found = self.source.following(pool, self.chosen)
            if found is not None:
                return pool, found
        raise Exhausted(
            f"no available IPv{version} addresses on this network's address pools:"
            f" {self.net.name} ({self.net.id})",
            "remove containers from it, or make a network with a larger --subnet",
        )

    def _pool_of(self, ip: IPAddress) -> Pool:
        pool = self.net.pool_of(ip)
        if pool is None:
            raise Invalid(
                f"invalid endpoint settings: no configured subnet contains IP address {ip}"
            )
        if reserved(ip, pool.subnet):
            raise Invalid(
                f"requested address {ip} is out of range: it is reserved in {pool.subnet}"
            )
        if ip in own(self.net):
            raise in_use(ip)
        return pool


def own(net: Network) -> list[IPAddress]:
    """Addresses of the network itself: gateways, and those spoken for by --aux-address."""
    gateways = [pool.gateway for pool in net.pools if pool.gateway is not None]
    return gateways + [ip for pool in net.pools for _, ip in pool.aux]


def in_use(ip: IPAddress) -> Conflict:
    """Error of an address that was asked for and is another's."""
    return Conflict("Address already in use", f"{ip} is in use: see 'plumb network inspect -v'")
