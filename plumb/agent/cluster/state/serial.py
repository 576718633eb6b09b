"""The last address that was given in a subnet, as managers share it.

It is kept as a number, counted from the start of the subnet or of its --ip-range: the value of the
key serial/NETWORK/SUBNET plus the key's version, which etcd counts up with each writing. So there
are two ways to the next address:

- `Guess`: read the number, and write the next one in the transaction that reserves the address, if
  nobody has written meanwhile. It costs no request of its own.
- `Tickets`: let etcd count up, which is never refused, and reserve what the count says. It costs
  one request more. Managers that compete come to it, so that each gets its turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from ipaddress import IPv4Address, IPv6Address

from plumb.address import IPAddress, IPNetwork
from plumb.agent.cluster.state import keys
from plumb.agent.cluster.state.addresses import Draft, Occupied, next_fit, own, span
from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.operations import Count, Get, KeyValue, Put, unchanged
from plumb.model.cnm import Network, Pool


def beginning(net: Network, pool: Pool) -> Put:
    """Writing of the number of a new network's subnet: -1, as the key's first version is 1."""
    return Put(keys.serial(net.id, pool.subnet), "-2")


def _last(pool: Pool, found: KeyValue) -> IPAddress | None:
    """The address that was given last, None before the first."""
    number = int(found.value) + found.version
    return None if number < 0 else _at(pool, number)


def _at(pool: Pool, number: int) -> IPAddress:
    part = span(pool)
    make = IPv4Address if part.version == 4 else IPv6Address
    return make(int(part.network_address) + number % part.num_addresses)


def _moved(pool: Pool, found: KeyValue, last: IPAddress) -> Put:
    """Writing of another address as the last one."""
    number = int(last) - int(span(pool).network_address)
    return Put(found.key, str(number - (found.version + 1)))


class Guess:
    """Next addresses by what was read; the draft holds if nobody else has taken one since.

    Args:
        found: the network's keys serial/NETWORK/….
    """

    def __init__(self, net: Network, found: Sequence[KeyValue], occupied: Occupied) -> None:
        by_key = {one.key: one for one in found}
        self._net = net
        self._occupied = occupied
        self._found = {pool.subnet: by_key[keys.serial(net.id, pool.subnet)] for pool in net.pools}
        self._moved: dict[IPNetwork, tuple[Pool, IPAddress]] = {}

    def following(self, pool: Pool, chosen: Set[IPAddress]) -> IPAddress | None:
        """Return the address behind the last one that is free, as far as is known."""
        _, last = self._moved.get(pool.subnet, (pool, None))
        before = last or _last(pool, self._found[pool.subnet])
        found = next_fit(pool, before, _without(self._net, chosen, self._occupied))
        if found is not None:
            self._moved[pool.subnet] = (pool, found)
        return found

    def finish(self, draft: Draft) -> None:
        """Add to a draft that the last addresses move, and that nobody else has moved them."""
        for pool, last in self._moved.values():
            found = self._found[pool.subnet]
            draft.compares.append(unchanged(found.key, found))
            draft.operations.append(_moved(pool, found, last))


class Tickets:
    """Next addresses by etcd's count: each belongs to who drew it, whatever others do.

    What an attempt has drawn and not used serves the next attempt.
    """

    def __init__(self, etcd: Etcd, net: Network, occupied: Occupied) -> None:
        self._etcd = etcd
        self._net = net
        self.occupied = occupied
        self._spare: list[IPAddress] = []

    def keep(self, unused: Iterable[IPAddress]) -> None:
        """Put back what the last attempt has drawn, without what others turned out to have."""
        self._spare = [*unused, *self._spare]

    def following(self, pool: Pool, chosen: Set[IPAddress]) -> IPAddress | None:
        """Return an address that was drawn before, or draw one."""
        for ip in self._spare:
            if ip in pool.subnet and ip not in chosen:
                self._spare.remove(ip)
                return ip
        return self._drawn(pool, _without(self._net, chosen, self.occupied))

    def _drawn(self, pool: Pool, occupied: Occupied) -> IPAddress | None:
        """Draw until the address is free; over a row of taken ones, move the count."""
        key = keys.serial(self._net.id, pool.subnet)
        while True:
            count = self._etcd.txn([], [Count(key), Get(key)]).listings[0].first
            assert count
            drawn = _last(pool, count)
            before = _at(pool, int(count.value) + count.version - 1)
            found = next_fit(pool, before, occupied)
            if found is None or found == drawn:
                return found
            if self._etcd.txn([unchanged(key, count)], [_moved(pool, count, found)]).succeeded:
                return found

    def finish(self, draft: Draft) -> None:
        """Add nothing: the count has moved already."""


def _without(net: Network, chosen: Set[IPAddress], occupied: Occupied) -> Occupied:
    """Lookup of what is taken, with the network's own addresses and those of this draft."""
    known = chosen | set(own(net))
    return lambda low, high: occupied(low, high) | known
