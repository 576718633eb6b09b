"""Reservations: addresses of endpoints, theirs until they are given back.

A reservation has no lease: a node that was away for a while finds its addresses again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Interface, IPv6Interface
from itertools import islice
from typing import TypeVar

from plumb.address import IPInterface
from plumb.agent.cluster.state import keys
from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.contention import attempts
from plumb.agent.cluster.state.etcd.operations import (
    Compare,
    Delete,
    Get,
    KeyValue,
    Operation,
    Put,
    after,
    below,
    none_but,
    present,
    unchanged,
)
from plumb.errors import NotFound
from plumb.frozen import frozen
from plumb.model.cluster import RemoteEndpoint
from plumb.store import codec

T = TypeVar("T")
BATCH = 25
"""Reservations that one transaction gives back; etcd takes 128 operations in one."""


@frozen
class Reservation:
    """Addresses of an endpoint, or of a node itself (its balancer) on a network.

    Attributes:
        endpoint: the endpoint's id; that of a balancer is `keys.balancer_id`.
        standing: it stays when the node has no other member: a balancer of the ingress network.
    """

    endpoint: str
    network: str
    node: str
    mac: str
    ip: IPv4Interface | None = None
    ip6: IPv6Interface | None = None
    sandbox: str = ""
    names: tuple[str, ...] = ()
    standing: bool = False

    @property
    def key(self) -> str:
        """Key in etcd."""
        return keys.reservation(self.node, self.network, self.endpoint)

    @property
    def ips(self) -> tuple[IPInterface, ...]:
        """Addresses, IPv4 first."""
        return tuple(ip for ip in (self.ip, self.ip6) if ip is not None)


def parsed(found: KeyValue) -> Reservation:
    """A reservation as it was read."""
    return codec.loads(Reservation, found.value)


def of_node(etcd: Etcd, node: str) -> list[Reservation]:
    """List a node's reservations, its balancers last."""
    prefixes = (keys.reservations(node), keys.balancer("", node))
    listings = etcd.read_all([below(prefix) for prefix in prefixes]).listings
    return [parsed(found) for listing in listings for found in listing.keys]


def of_endpoints(
    etcd: Etcd, node: str, endpoints: Iterable[RemoteEndpoint]
) -> dict[str, Reservation]:
    """Return what a node has reserved for some of its endpoints, by the endpoints' ids."""
    held: dict[str, Reservation] = {}
    for some in batches(endpoints, BATCH):
        wanted = [Get(keys.reservation(node, one.network, one.id)) for one in some]
        found = [parsed(one.first) for one in etcd.read_all(wanted).listings if one.first]
        held.update((one.endpoint, one) for one in found)
    return held


def take_part(etcd: Etcd, node: str, network: str) -> None:
    """Record that a node builds its part of a network that each node builds for itself.

    It is a reservation without addresses, under the network's id, given back as any other.

    Raises:
        NotFound: there is no such network, or the node is in the cluster no more.
    """
    made = Reservation(network, network, node, mac="", sandbox=network)
    conditions = [present(keys.NETWORKS + network), present(keys.NODES + node)]
    puts = [Put(keys.part(network, node), made.key), Put(made.key, codec.dumps(made))]
    if not etcd.txn(conditions, puts).succeeded:
        raise NotFound(f"network {network} not found", "or this node has been removed")


def release(etcd: Etcd, node: str, endpoints: Iterable[str]) -> None:
    """Give back the addresses of a node's endpoints, and publish them no more.

    The node's balancer goes with its last member of a network, and not before, even if it is asked
    for: a task may have been given to the node meanwhile. Endpoints without a reservation are
    passed over, so that a release may be repeated.
    """
    wanted = set(endpoints)
    held = [one for one in of_node(etcd, node) if one.endpoint in wanted]
    for network in dict.fromkeys(one.network for one in held):
        names = [one.endpoint for one in held if one.network == network]
        for some in batches(names, BATCH):
            _release(etcd, node, network, some)


def release_node(etcd: Etcd, node: str) -> int:
    """Give back all that a node has reserved; returns how many reservations it were.

    The leader may have given the node a place of its own beside a member, after that was listed.
    """
    released = 0
    while held := of_node(etcd, node):
        for some in batches(held, BATCH):
            etcd.txn([], [gone for one in some for gone in _erased(one)])
        released += len(held)
    return released


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Part a sequence into lists of at most that many."""
    left = iter(items)
    while some := list(islice(left, size)):
        yield some


def _release(etcd: Etcd, node: str, network: str, names: Sequence[str]) -> None:
    """Give back some endpoints of one network in one transaction."""
    prefix = keys.reservations(node, network)
    place = keys.balancer(network, node)
    for _ in attempts(f"release addresses on network {network}"):
        found = etcd.read_all(
            [
                *(Get(keys.reservation(node, network, name)) for name in names),
                Get(place),
                Get(prefix, after(prefix), keys_only=True),
            ]
        ).listings
        had = [listing.first for listing in found[:-2] if listing.first]
        if not had:
            return
        others = {keys.last(one.key) for one in found[-1].keys} - set(names)
        balancer = found[-2].first
        going = {one.key: parsed(one) for one in had}
        compares = [unchanged(one.key, one) for one in had]
        if balancer and not parsed(balancer).standing:
            going.pop(balancer.key, None)
            if others:
                compares.append(_stays(prefix, others))
            else:
                going[balancer.key] = parsed(balancer)
                compares += _last_members(prefix, names, balancer)
        if etcd.txn(compares, [gone for one in going.values() for gone in _erased(one)]).succeeded:
            return


def _last_members(prefix: str, names: Sequence[str], balancer: KeyValue) -> list[Compare]:
    """Conditions under which a balancer goes: nobody else of the node came meanwhile."""
    return [unchanged(balancer.key, balancer), *none_but(prefix, list(names))]


def _stays(prefix: str, others: Iterable[str]) -> Compare:
    """Condition under which a balancer stays: one that was there beside those that go still is.

    Two members that leave at once, each with the other beside it, would both leave it behind.
    """
    return present(prefix + min(others))


def _erased(one: Reservation) -> list[Operation]:
    part = [Delete(keys.part(one.network, one.node))] if one.endpoint == one.network else []
    return [
        *part,
        Delete(one.key),
        Delete(keys.endpoint(one.network, one.endpoint)),
        *(Delete(keys.address(one.network, ip.ip)) for ip in one.ips),
    ]
