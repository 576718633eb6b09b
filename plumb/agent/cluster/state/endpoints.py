"""Places in a network: an endpoint's addresses are reserved, it is published, and both end.

    attach      addresses, and the node's own place (its balancer) with the node's first member
    publish     other nodes send to it; as long as the node's lease is valid
    withdraw    other nodes send to it no more; its addresses stay its own
    release     (`reservations`) its addresses are given back

Order of addresses as Docker's: the member first, then the balancer of its node.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface

from plumb.address import IPAddress
from plumb.agent.cluster.state import keys, networks
from plumb.agent.cluster.state.addresses import Draft, in_use, listed, nobody
from plumb.agent.cluster.state.etcd import refusals
from plumb.agent.cluster.state.etcd.client import Etcd, Listing, TxnAnswer
from plumb.agent.cluster.state.etcd.contention import attempts
from plumb.agent.cluster.state.etcd.operations import (
    Compare,
    Delete,
    Get,
    KeyValue,
    Put,
    absent,
    after,
    below,
    present,
    unchanged,
)
from plumb.agent.cluster.state.reservations import Reservation, batches, parsed
from plumb.agent.cluster.state.serial import Guess, Tickets
from plumb.errors import NotFound, Unsupported
from plumb.model.cluster import Attached, AttachRequest, RemoteEndpoint
from plumb.model.cnm import Network
from plumb.store import codec

BATCH = 40
"""Endpoints that one transaction publishes; etcd takes 128 operations in one."""
ID_LENGTH = 64


# -- reserving ------------------------------------------------------------------------


def attach(etcd: Etcd, node: str, wish: AttachRequest) -> Attached:
    """Reserve addresses for an endpoint, and list the network's endpoints on other nodes.

    See `reserve`. A node that follows the network gets no list: with it each new endpoint would
    cost as much as there are endpoints.
    """
    answer = reserve(etcd, node, wish)
    if wish.follows:
        return answer
    remotes = [one for one in of_network(etcd, answer.network.id) if one.node != node]
    return replace(answer, remotes=tuple(remotes))


def reserve(etcd: Etcd, node: str, wish: AttachRequest) -> Attached:
    """Reserve addresses for an endpoint of a node; the same wish again gets the same answer.

    Args:
        node: the node's id.
        wish: one without a sandbox is for the node's own place alone, which it has on ingress, and
            on other networks as long as it has a member there.

    Returns:
        The answer, without the endpoints of other nodes.

    Raises:
        NotFound: there is no such network, the node is in the cluster no more, or its own place is
            asked for where it has no member.
        Conflict: an address that was asked for is another's.
        Invalid: no subnet has it. Exhausted: no address is free.
        KernelRefused: etcd does not answer, or other managers are faster all the time.
    """
    network = _network_id(etcd, wish.network)
    tickets: Tickets | None = None
    with etcd.turns.turn(network):
        for _ in attempts(f"reserve an address on network {wish.network}"):
            place = _look(etcd, node, network, wish)
            if place.done:
                return place.answer()
            source = tickets or Guess(place.net, place.lasts, nobody)
            draft = place.draft(source)
            try:
                answer = place.write(etcd, draft)
            except refusals.NoQuorum:
                raise
            except refusals.Unanswered:
                continue  # done or not: the next look says
            if answer.succeeded:
                return place.answer()
            tickets = _next_source(etcd, place.net, tickets, draft, answer)
    raise AssertionError


def _next_source(
    etcd: Etcd, net: Network, tickets: Tickets | None, draft: Draft, refused: TxnAnswer
) -> Tickets:
    """Source of addresses after an attempt that was late, or that met addresses of others."""
    taken = {keys.address_of(one.key) for listing in refused.listings for one in listing.keys}
    if tickets is None:
        return Tickets(etcd, net, listed(etcd, net) if taken else nobody)
    tickets.keep(ip for ip in draft.drawn if ip not in taken)
    if taken:
        tickets.occupied = listed(etcd, net)
    return tickets


@dataclass
class _Place:
    """A wish beside what etcd had of it at one moment.

    Attributes:
        needed: keys that must be there still when it is written.
    """

    node: str
    wish: AttachRequest
    net: Network
    recorded: KeyValue
    lasts: Sequence[KeyValue]
    member: Reservation | None
    balancer: Reservation | None
    balancer_found: KeyValue | None
    needed: Sequence[str] = ()

    @property
    def done(self) -> bool:
        """True if there is nothing to reserve."""
        return self.balancer is not None and (self.member is not None or not self.wish.sandbox)

    def draft(self, source: Guess | Tickets) -> Draft:
        """Choose addresses: the member's, then the balancer's."""
        made = Draft(self.net, source)
        if self.wish.sandbox and self.member is None:
            self.member = self._reserve(made, self.wish)
        if self.balancer is None:
            ident = keys.balancer_id(self.net.id, self.node)
            self.balancer = self._reserve(made, AttachRequest(ident, self.net.id))
        source.finish(made)
        return made

    def _reserve(self, draft: Draft, wish: AttachRequest) -> Reservation:
        """Choose one's addresses, and draft its reservation."""
        key = keys.reservation(self.node, self.net.id, wish.endpoint)
        ip = draft.take(4, wish.ip, key)
        ip6 = draft.take(6, wish.ip6, key) if self.net.ipv6 else None
        assert isinstance(ip, IPv4Interface)
        assert ip6 is None or isinstance(ip6, IPv6Interface)
        made = Reservation(
            wish.endpoint,
            self.net.id,
            self.node,
            wish.mac or mac_of(ip.ip),
            ip,
            ip6,
            wish.sandbox,
            wish.names,
            standing=self.net.overlay.ingress and not wish.sandbox,
        )
        draft.compares.append(absent(key))
        draft.operations.append(Put(key, codec.dumps(made)))
        return made

    def write(self, etcd: Etcd, draft: Draft) -> TxnAnswer:
        """Make the draft so; a refusal lists those of its addresses that others have."""
        conditions = [
            present(keys.NODES + self.node),
            unchanged(self.recorded.key, self.recorded),
            *map(present, self.needed),
            *draft.compares,
        ]
        if self.balancer_found:
            conditions.append(unchanged(self.balancer_found.key, self.balancer_found))
        chosen = [Get(keys.address(self.net.id, ip), keys_only=True) for ip in draft.chosen]
        return etcd.txn(conditions, draft.operations, chosen)

    def answer(self) -> Attached:
        """Answer of a wish that is reserved."""
        found = self.member if self.wish.sandbox else self.balancer
        assert found
        own = (self.balancer.ip, self.balancer.ip6) if self.balancer else (None, None)
        return Attached(self.net, found.ip, found.ip6, found.mac, own[0], balancer6=own[1])


def _look(etcd: Etcd, node: str, network: str, wish: AttachRequest) -> _Place:
    """Read all that concerns a wish, at one revision."""
    static = [ip for ip in (wish.ip, wish.ip6) if ip is not None]
    place = keys.reservations(node, network)
    nodes, nets, lasts, members, balancers, others, *owners = etcd.read_all(
        [
            Get(keys.NODES + node, keys_only=True),
            Get(keys.NETWORKS + network),
            below(keys.SERIAL + network + "/"),
            Get(keys.reservation(node, network, wish.endpoint)),
            Get(keys.balancer(network, node)),
            Get(place, after(place), 1, keys_only=True),
            *(Get(keys.address(network, ip)) for ip in static),
        ]
    ).listings
    if nodes.first is None:
        raise NotFound(f"node {node} not found", "it was removed from the cluster: join it again")
    if nets.first is None:
        raise NotFound(f"network {wish.network} not found")
    net = codec.loads(Network, nets.first.value)
    if wish.sandbox and not net.attachable:
        raise Unsupported(
            f"Could not attach to network {net.name}: network {net.name} not manually attachable",
            "make the network with --attachable",
        )
    member = parsed(members.first) if members.first and wish.sandbox else None
    if member is None:
        _check_free(static, owners)
    balancer = parsed(balancers.first) if balancers.first else None
    needed = () if wish.sandbox or net.overlay.ingress else _members(node, net, others)
    return _Place(
        node, wish, net, nets.first, lasts.keys, member, balancer, balancers.first, needed
    )


def _members(node: str, net: Network, found: Listing) -> list[str]:
    """Key of a member that a node has on a network, without whom it needs no place of its own.

    Without a member nothing would give that place back.
    """
    if not found.keys:
        raise NotFound(f"node {node} has nothing on network {net.name}")
    return [one.key for one in found.keys]


def _check_free(wanted: Sequence[IPAddress], owners: Sequence[Listing]) -> None:
    for ip, owner in zip(wanted, owners, strict=True):
        if owner.first:
            raise in_use(ip)


def _network_id(etcd: Etcd, reference: str) -> str:
    """Return the id of a network by id or name."""
    if len(reference) == ID_LENGTH:
        return reference
    found = networks.find(etcd, reference)
    if found is None:
        raise NotFound(f"network {reference} not found")
    return found.id


def mac_of(ip: IPv4Address) -> str:
    """MAC address of an endpoint on an overlay network: 02:42 and the bytes of its address."""
    return (b"\x02\x42" + ip.packed).hex(":")


# -- publishing -----------------------------------------------------------------------


def publish(etcd: Etcd, node: str, endpoints: Iterable[RemoteEndpoint], lease: int) -> None:
    """Let other nodes send to a node's endpoints, and to its balancer on their networks.

    Args:
        lease: the node's, with which they go.

    Raises:
        NotFound: one has no reservation (any more), or the node is in the cluster no more; then
            none of its batch was published.
        LeaseGone: the lease has expired: renew it, and publish all again.
    """
    for some in batches(endpoints, BATCH):
        known = {one.id: one for one in [*_balancers(etcd, node, some), *some]}
        reserved = [present(keys.reservation(node, one.network, one.id)) for one in known.values()]
        puts = [
            Put(keys.endpoint(one.network, one.id), codec.dumps(one), lease)
            for one in known.values()
        ]
        conditions = [present(keys.NODES + node), *reserved]
        if not etcd.txn(conditions, puts).succeeded:
            raise _not_reserved(etcd, node, list(known.values()), conditions)


def withdraw(etcd: Etcd, node: str, endpoints: Iterable[str]) -> None:
    """Let no node send to these any more; those that are not published are passed over."""
    wanted = set(endpoints)
    place = replace(below(keys.reservations(node)), keys_only=True)
    for found in batches(etcd.range(place).keys, BATCH):
        parts = [one.key.split("/")[-2:] for one in found]
        gone = [Delete(keys.endpoint(net, ident)) for net, ident in parts if ident in wanted]
        if gone:
            etcd.txn([], gone)


def of_network(etcd: Etcd, network: str) -> list[RemoteEndpoint]:
    """List the published endpoints of a network, on all nodes."""
    return [published(one) for one in etcd.range(below(keys.endpoint(network, ""))).keys]


def everything(etcd: Etcd) -> tuple[int, list[RemoteEndpoint]]:
    """List the published endpoints of all networks, with the revision to watch from."""
    listing = etcd.range(below(keys.ENDPOINTS))
    return listing.revision, [published(one) for one in listing.keys]


def published(found: KeyValue) -> RemoteEndpoint:
    """An endpoint as it was read."""
    return codec.loads(RemoteEndpoint, found.value)


def _balancers(etcd: Etcd, node: str, members: Sequence[RemoteEndpoint]) -> list[RemoteEndpoint]:
    """A node's own places in the networks of these members, as other nodes need them."""
    vteps = {one.network: one.vtep for one in members}
    listings = etcd.read_all([Get(keys.balancer(net, node)) for net in vteps]).listings
    found = [parsed(listing.first) for listing in listings if listing.first]
    return [
        RemoteEndpoint(
            one.endpoint, one.network, node, vteps[one.network], one.mac, one.ip, one.ip6
        )
        for one in found
    ]


def _not_reserved(
    etcd: Etcd, node: str, wanted: Sequence[RemoteEndpoint], conditions: Sequence[Compare]
) -> NotFound:
    """Error that names the first endpoint without a reservation, or the node."""
    listings = etcd.read_all([Get(one.key, keys_only=True) for one in conditions]).listings
    if listings[0].first is None:
        return NotFound(f"node {node} not found", "it was removed from the cluster: join it again")
    missing = (one for one, listing in zip(wanted, listings[1:], strict=True) if not listing.keys)
    ident = next(missing, wanted[0]).id
    return NotFound(f"endpoint {ident} has no addresses in the cluster", "attach it anew")
